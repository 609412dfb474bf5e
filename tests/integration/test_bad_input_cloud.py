"""Bad input to the cloud, with real parts: a kiosk whose disk was rolled back, a full disk, names and times of all kinds.

Rows of docs/bad-input.md.
"""

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Engine, event, select, text

from cloud.attendance.models import Attendance
from cloud.bulk import Bulk
from cloud.database import create_engine_for, transaction
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Answer, Line
from cloud.ingest.models import CheckIn as CheckInFact
from cloud.ingest.models import Quarantine
from cloud.ingest.slots import Slots
from cloud.ingest.worker import Worker
from cloud.journal.models import Stream
from edge.clock import Clock
from edge.outbox import Outbox
from edge.uplink import Uplink
from firmware_specs.messages import CheckIn, CredentialReference, Method, Outcome
from firmware_specs.wire import decode_stored
from tests.ledgers import migrated
from tests.pen import Pen, now_us
from tests.process import wait_until
from tests.town import Person, Town, person, settle

KIOSK = "kiosk-1"


def shown(outbox: Outbox, clock: Clock, town: Town, who: Person) -> None:
    """A card is accepted at the kiosk."""
    card = CredentialReference(issuer="TOWN", subject=who.subject, id=who.card, key_id="0a0b0c0d")
    stamp = clock.stamp(town.twins[KIOSK])
    outbox.append(
        [CheckIn(**stamp, method=Method.QR, outcome=Outcome.ACCEPTED, credential=card, occurrence=town.occurrence)]
    )


def drain(outbox: Outbox, worker: Worker, slots: Slots, answers: list[Answer]) -> None:
    """Until all is stored, as the link does it: the kiosk's own uplink on one side, ingest on the other."""
    uplink, now_s = Uplink(outbox), itertools.count(100.0, 60.0)
    uplink.connected(next(now_s))
    for at_s in itertools.islice(now_s, 60):
        publish = uplink.step(at_s)
        if publish is not None:
            answers.clear()
            slots.put(Delivery(KIOSK, publish.payload, now_us()))
            assert wait_until(lambda: bool(answers))
            uplink.answered(at_s, decode_stored(answers[0].payload))
        elif outbox.status().depth == 0:
            return
    raise AssertionError("not all was stored")


def test_a_kiosk_rolled_back_opens_a_stream_with_its_parent_and_no_fact_counts_twice(
    town: Town, tmp_path: Path
) -> None:
    slots, answers, clock = Slots(), list[Answer](), Clock(trusted=True)
    worker = Worker(Line(town.engine), slots, answers.extend)
    file, copy = tmp_path / "outbox.db", tmp_path / "copy.db"

    def opened() -> Outbox:
        return Outbox.open(file, terminal=KIOSK, clock=clock)

    with structlog.testing.capture_logs() as logged:
        worker.start()
        outbox = opened()
        shown(outbox, clock, town, person(1))
        outbox.close()
        shutil.copy(file, copy)
        outbox = opened()
        shown(outbox, clock, town, person(2))
        drain(outbox, worker, slots, answers)
        forked = outbox.status().stream
        outbox.close()
        shutil.copy(copy, file)  # what was written since is forgotten, and its numbers are given again
        outbox = opened()
        shown(outbox, clock, town, person(3))
        drain(outbox, worker, slots, answers)
        new = outbox.status().stream
        outbox.close()
        worker.stop()
    assert new != forked
    assert [each["mark"] for each in logged if each["event"] == "alarm"] == ["fork"]
    with transaction(town.engine, read_only=True) as session:
        parents = {each.stream: each.parent_stream for each in session.scalars(select(Stream))}
        heads = sorted(each.member_id for each in session.scalars(select(Attendance)))
        facts = list(session.scalars(select(CheckInFact.member_id)))
    assert parents == {forked: None, new: forked}
    assert heads == [person(number).member for number in (1, 2, 3)]
    assert sorted(str(each) for each in facts) == heads


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Engine, list[int]]]:
    """A settled ledger whose SQLite may have no more pages than the list says: SQLITE_FULL, as on a full disk."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    first = migrated(url)
    settle(first)
    with first.connect() as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    first.dispose()
    limit = [pages]
    engine = create_engine_for(url)

    @event.listens_for(engine, "checkout")
    def bound(connection: object, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={limit[0]}")  # type: ignore[attr-defined]

    yield engine, limit
    engine.dispose()


def test_a_full_disk_acknowledges_nothing_says_so_and_goes_on_when_there_is_room(
    small_disk: tuple[Engine, list[int]],
) -> None:
    engine, limit = small_disk
    slots, answers = Slots(), list[Answer]()
    worker = Worker(Line(engine), slots, answers.extend)
    kiosk = Pen(KIOSK)
    for _ in range(100):
        kiosk.check_in(person(1), None)
    with structlog.testing.capture_logs() as logged:
        worker.start()
        slots.put(kiosk.delivery())
        assert wait_until(lambda: worker.trouble is not None)
        assert answers == []
        assert worker.trouble is not None
        assert worker.trouble.startswith("The database has no space left on its disk.")
        limit[0] = 1_000_000
        assert wait_until(lambda: bool(answers))
        worker.stop()
    assert decode_stored(answers[0].payload).through == 100
    assert "disk is full" in next(each["error"] for each in logged if each["event"] == "ledger_away")


@pytest.mark.parametrize("occurrence", ["act_taichi/20261231T235960Z", "act_taichi/21060207T062816Z", "act/éö"])
def test_an_occurrence_with_a_leap_second_or_beyond_2106_never_blocks_the_stream(town: Town, occurrence: str) -> None:
    kiosk = Pen(KIOSK, config=town.twins[KIOSK])
    line = kiosk.stamp() | {"type": "check_in", "method": "guest", "outcome": "accepted", "occurrence": occurrence}
    kiosk.write(json.dumps(line, ensure_ascii=False).encode())
    kiosk.check_in(person(2), town.occurrence)
    (answer,) = Line(town.engine).ingest([kiosk.delivery()]).answers
    assert decode_stored(answer.payload).through == 2
    with transaction(town.engine, read_only=True) as session:
        kept = len(list(session.scalars(select(CheckInFact)))) + len(list(session.scalars(select(Quarantine))))
        assert kept == 2
        assert len(Bulk.of(session).rows("SELECT 1 FROM attendance WHERE member_id = ?", (person(2).member,))) == 1
