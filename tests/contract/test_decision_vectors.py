"""Every golden decision is what our kiosk decides, remembers and writes down: its own twin store, register and outbox."""

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge.clock import SteppedClock
from edge.database import MEMORY
from edge.kiosk.decision import Decision, Guest, Presented, TypedNumber, decide
from edge.kiosk.register import Register
from edge.outbox import Accepted, Outbox
from edge.twin import OCCURRENCES, REVOCATIONS, ROSTER, TwinStore
from firmware_specs import credentials, vectors
from firmware_specs.credentials import Credential
from firmware_specs.messages import CheckIn, CheckOut, Clock, Flag, Method, Outcome, Reason, Record
from firmware_specs.vectors import Vector
from firmware_specs.vectors.samples import TERMINAL
from tests.contract import small_kiosk
from tests.unit.outbox_contents import records_of

VECTORS = [vector for vector in vectors.kept() if vector.kind == "decision"]
EVERY = pytest.mark.parametrize("vector", VECTORS, ids=[vector.name for vector in VECTORS])
OWN_FIELDS = {"method", "outcome", "reason", "credential", "occurrence", "flags"}


class Kiosk:
    """What a vector gives, put into a real kiosk."""

    def __init__(self, vector: Vector, folder: Path) -> None:
        given = vector.given
        self.clock = SteppedClock(given["now"], Clock(given["clock"]))
        self.outbox = Outbox.open(MEMORY, terminal=TERMINAL, clock=self.clock)
        self.twin = TwinStore(self.outbox, folder)
        for kind in (REVOCATIONS, OCCURRENCES, ROSTER):
            if kind in given:
                file = folder / kind
                file.write_text(given[kind], "utf-8")
                self.twin.put_in_force(self.twin.read_file(kind, file), hashlib.sha256(file.read_bytes()).hexdigest())
        if "twin" in given:
            self.twin.receive(json.dumps(given["twin"]).encode())
        self.register = Register(self.outbox, self.twin, self.clock, lambda: 0.0)
        for each in given["accepted"]:
            self.outbox.append([], accepted=[Accepted(each["occurrence"], key, given["now"]) for key in keys_of(each)])

    def present(self, vector: Vector) -> Presented:
        """What came before it, as the decision takes it."""
        text = vector.payload.decode()
        if vector.given["method"] == "guest":
            return Guest()
        if vector.given["method"] == "staff":
            return TypedNumber(credentials.card_id(text))
        return self.register.read(text)


@pytest.fixture
def kiosk(vector: Vector, tmp_path: Path) -> Iterator[Kiosk]:
    kiosk = Kiosk(vector, tmp_path)
    yield kiosk
    kiosk.outbox.close()


def keys_of(each: dict[str, str]) -> tuple[str, ...]:
    """By what our kiosk remembers one who is in: the card's subject and its id."""
    return tuple(f"{letter}:{each[name]}" for letter, name in (("s", "subject"), ("c", "id")) if name in each)


def sorted_flags(fields: dict[str, Any]) -> dict[str, Any]:
    """Flags stand in any order, and none of them is the same as no field."""
    return {name: sorted(value) if name == "flags" else value for name, value in fields.items() if value}


def own_fields(record: Record) -> dict[str, Any]:
    """A record's fields that are not on every record."""
    return sorted_flags(record.model_dump(mode="json", exclude_none=True, include=OWN_FIELDS))


@EVERY
def test_kiosk_writes_down_what_the_vector_says(vector: Vector, kiosk: Kiosk) -> None:
    presented = kiosk.present(vector)
    if "check_out" in vector.expect:
        assert isinstance(presented, Credential)
        kiosk.register.check_out(presented)
        record = records_of(kiosk.outbox)[-1]
        assert isinstance(record, CheckOut)
        assert own_fields(record) == sorted_flags(vector.expect["check_out"])
        return
    kiosk.register.check_in(presented)
    record = records_of(kiosk.outbox)[-1]
    assert isinstance(record, CheckIn)
    assert own_fields(record) == sorted_flags(vector.expect["check_in"])


@EVERY
def test_decision_is_pure_and_remembers_what_the_vector_says(vector: Vector, kiosk: Kiosk) -> None:
    if "check_in" not in vector.expect:
        assert "remember" not in vector.expect
        return
    decision, again = decided(vector, kiosk), decided(vector, kiosk)
    assert decision == again
    remember = vector.expect.get("remember", {})
    assert decision.remember == keys_of(remember)
    if remember:
        assert decision.occurrence is not None
        assert decision.occurrence.id == remember["occurrence"]


def decided(vector: Vector, kiosk: Kiosk) -> Decision:
    return decide(
        kiosk.present(vector),
        datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=vector.given["now"]),
        Clock(vector.given["clock"]),
        desired=kiosk.twin.current(),
        roster=kiosk.twin.roster(),
        accepted=kiosk.outbox.is_accepted,
        revoked=kiosk.twin.revoked(),
    )


@pytest.mark.parametrize("words", [Outcome, Method, Reason, Flag])
def test_every_word_is_shown_by_a_vector(words: Any) -> None:
    shown = {
        word
        for vector in VECTORS
        for value in vector.expect.get("check_in", {}).values()
        for word in (value if isinstance(value, list) else [value])
        if isinstance(word, str)
    }
    assert {str(word) for word in words} <= shown


def test_there_are_at_least_thirty() -> None:
    assert len(VECTORS) >= 30


@EVERY
def test_a_small_kiosk_by_the_readmes_rules_decides_the_same(vector: Vector) -> None:
    given = json.loads(json.dumps(vector.given))
    found = small_kiosk.answer(vector.payload.decode(), given)
    assert found == {kind: sorted_flags(fields) for kind, fields in vector.expect.items()}


def test_the_small_kiosk_needs_nothing_of_ours() -> None:
    imported = re.findall(r"^(?:from|import) (\w+)", Path(small_kiosk.__file__).read_text("utf-8"), re.MULTILINE)
    assert not {"firmware_specs", "edge", "cloud", "tests"} & set(imported)
