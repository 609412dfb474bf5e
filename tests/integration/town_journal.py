"""A busy day in a town's journal, its series and tables: what the tests of projecting, rebuilding and reconciling share."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text

from cloud.attendance import linking
from cloud.attendance import service as attendance
from cloud.attendance.service import CorrectionForm, CorrectionKind
from cloud.audit.service import Change
from cloud.bulk import Bulk
from cloud.database import transaction
from cloud.ingest.line import Line
from cloud.ingest.models import Quarantine
from cloud.journal import projector
from cloud.scope import EVERYWHERE
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import GroupBy, Measurement
from firmware_specs.errors import DecodeError
from firmware_specs.messages import CheckOut as CheckOutRecord
from firmware_specs.messages import CredentialReference, Parent
from firmware_specs.messages import Interaction as InteractionRecord
from firmware_specs.wire import decode_records
from tests.pen import Pen, now_us
from tests.town import Town, add_member, person

CHANGE = Change("olga", datetime(2026, 11, 23, tzinfo=UTC))
TABLES = ("check_ins", "check_outs", "interactions", "attendance", "fact_ids", "quarantine", "streams")


def series() -> MemoryTimeseries:
    """An empty store."""
    return MemoryTimeseries(zone=ZoneInfo("UTC"))


def ingest(town: Town, *pens: Pen, first: int = 1) -> None:
    """Store what these pens have written from `first` on, as one group."""
    result = Line(town.engine).ingest([pen.delivery(first) for pen in pens])
    assert result.batches == len(pens)


def pen(town: Town, terminal: str = "kiosk-1", **attributes: Any) -> Pen:
    """A stream of a terminal of the town, under its twin."""
    return Pen(terminal=terminal, config=town.twins[terminal], **attributes)


def busy_day(town: Town) -> tuple[Pen, Pen]:
    """Every kind of record, a repeat, a late link, what cannot be read, and corrections."""
    one, two = pen(town), pen(town, "kiosk-2")
    one.started()
    one.check_in(person(1), town.occurrence)
    one.check_in(person(9), town.occurrence)
    one.check_in(None, town.occurrence)
    one.write(b"rubbish")
    one.write(CheckOutRecord(**one.stamp(credential=CredentialReference(id=person(1).card))))
    two.write(InteractionRecord(**two.stamp(screen="home", minute_at=now_us(), touches=3)))
    two.check_in(person(1), town.occurrence, at=now_us() - 60_000_000)
    two.check_in(person(2), town.occurrence)
    for _ in range(5):
        two.health()
    ingest(town, one, two)
    again = pen(town, parent=Parent(stream=one.stream, through=6, chain=one.chain(6)))
    again.lines = one.lines[1:3]
    again.health()
    ingest(town, again)
    with transaction(town.engine) as session:
        add_member(session, person(9), town.now)
    with transaction(town.engine) as session:
        linking.link_late(Bulk.of(session))
    return one, two


def correct(town: Town, kind: CorrectionKind, number: int) -> None:
    """An operator corrects a member's attendance."""
    with transaction(town.engine) as session:
        form = CorrectionForm.model_construct(
            kind=kind, occurrence_id=town.occurrence, member_id=person(number).member, reason="a good reason"
        )
        attendance.correct(session, CHANGE, EVERYWHERE, form)


def everything(town: Town, tables: Sequence[str] = TABLES) -> dict[str, list[Any]]:
    """All rows but the numbers that the database counts up."""
    found: dict[str, list[Any]] = {}
    with transaction(town.engine, read_only=True) as session:
        for table in tables:
            result = session.execute(text(f"SELECT * FROM {table}"))
            place = [index for index, name in enumerate(result.keys()) if name != "id"]
            found[table] = sorted(str([row[index] for index in place]) for row in result)
    return found


def project(town: Town, store: MemoryTimeseries) -> int:
    batches = 0
    while True:
        progress = projector.project(town.engine, store)
        batches += progress.batches
        if not progress.more:
            return batches


def heads(store: MemoryTimeseries, town: Town) -> dict[str, float]:
    start, end = town.now - timedelta(days=1), town.now + timedelta(days=1)
    totals = store.totals(Measurement.ATTENDANCE, "heads", GroupBy.KIND, start, end)
    return {total.group: total.total for total in totals}


def unreadable(town: Town, monkeypatch: pytest.MonkeyPatch) -> Pen:
    """A check-in that the program of today understands, stored by one that did not."""
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence)
    kiosk.check_in(person(2), town.occurrence)
    kiosk.health()

    def decode(lines: Sequence[bytes]) -> list[Any]:
        return [
            DecodeError("record", "what is that?") if line == kiosk.lines[1] else decode_records([line])[0]
            for line in lines
        ]

    with monkeypatch.context() as context:
        context.setattr("cloud.ingest.prepare.decode_records", decode)
        ingest(town, kiosk)
    return kiosk


def held_ids(town: Town) -> list[int]:
    with transaction(town.engine, read_only=True) as session:
        return list(session.scalars(select(Quarantine.id).order_by(Quarantine.id)))
