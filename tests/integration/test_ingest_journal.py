"""What the journal is good for, on both databases: series and ledger made from it, replay, retention, reconciliation."""

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
from cloud.clock import to_us, utc_now
from cloud.database import transaction
from cloud.errors import Conflict, NotFound
from cloud.ingest import reconcile, replay
from cloud.ingest.line import Line
from cloud.ingest.models import CheckIn, Quarantine
from cloud.ingest.rebuild import rebuild_ledger
from cloud.ingest.reconcile import Reconciler, Verdict
from cloud.journal import projector, retention
from cloud.journal.models import JournalBatch, Stream
from cloud.journal.projecting import Kept, Projecting
from cloud.scope import EVERYWHERE
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import GroupBy, Measurement, Point, TimeseriesUnavailable, WriteResult
from firmware_specs.messages import CheckOut as CheckOutRecord
from firmware_specs.messages import CredentialReference, Parent
from firmware_specs.messages import Interaction as InteractionRecord
from tests.pen import Pen, now_us
from tests.town import Town, add_member, person

CHANGE = Change("olga", datetime(2026, 11, 23, tzinfo=UTC))
TABLES = ("check_ins", "check_outs", "interactions", "attendance", "fact_ids", "quarantine", "streams")


def series() -> MemoryTimeseries:
    return MemoryTimeseries(zone=ZoneInfo("UTC"))


def ingest(town: Town, *pens: Pen, first: int = 1) -> None:
    result = Line(town.engine).ingest([pen.delivery(first) for pen in pens])
    assert result.batches == len(pens)


def pen(town: Town, terminal: str = "kiosk-1", **attributes: Any) -> Pen:
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


# --- series ------------------------------------------------------------------------------------------------------


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


def test_projector_writes_points_and_counts_no_repeat(town: Town) -> None:
    busy_day(town)
    store = series()
    assert project(town, store) == 3
    assert project(town, store) == 0
    assert heads(store, town) == {"accepted": 5.0}
    assert sum(count.points for count in store.count_by_stream().values()) == 5 + 1 + 6


def test_projecting_everything_again_lands_on_the_same_points(town: Town) -> None:
    busy_day(town)
    store = series()
    project(town, store)
    before = (heads(store, town), store.count_by_stream())
    with transaction(town.engine) as session:
        projector.move_cursor(Bulk.of(session), 0)
    project(town, store)
    assert (heads(store, town), store.count_by_stream()) == before


class AwaySeries(MemoryTimeseries):
    """Cannot be reached as long as `away`."""

    away = True

    def write(self, points: Sequence[Point]) -> WriteResult:
        if self.away:
            raise TimeseriesUnavailable("gone for lunch")
        return super().write(points)


def test_store_that_is_away_delays_the_series_and_not_the_ledger(town: Town) -> None:
    store = AwaySeries(zone=ZoneInfo("UTC"))
    one, _ = busy_day(town)
    with pytest.raises(TimeseriesUnavailable):
        projector.project(town.engine, store)
    one.check_in(person(3), town.occurrence)
    ingest(town, one, first=7)
    store.away = False
    project(town, store)
    assert heads(store, town) == {"accepted": 6.0}


def test_point_that_is_refused_for_ever_goes_into_quarantine_and_the_cursor_goes_on(town: Town) -> None:
    kiosk = pen(town)
    kiosk.check_in(person(1), town.occurrence, at=253_402_300_799_999_999)
    kiosk.check_in(person(2), town.occurrence)
    ingest(town, kiosk)
    store = series()
    project(town, store)
    with transaction(town.engine, read_only=True) as session:
        held = session.scalars(select(Quarantine)).one()
    assert (held.kind, held.number, held.state) == ("point", 1, "open")
    assert heads(store, town) == {"accepted": 1.0}
    assert project(town, store) == 0


def test_rebuilding_the_series_gives_the_same_points(town: Town) -> None:
    busy_day(town)
    store = series()
    project(town, store)
    before = (heads(store, town), store.count_by_stream())
    with transaction(town.engine) as session:
        projector.ask_to_start_over(Bulk.of(session))
    projecting = Projecting(town.engine, utc_now, lambda: store, Kept())
    assert projecting.run_to_end() == 3
    assert (heads(store, town), store.count_by_stream()) == before


# --- ledger ------------------------------------------------------------------------------------------------------


def test_rebuilding_the_ledger_gives_the_same_tables(town: Town) -> None:
    busy_day(town)
    correct(town, CorrectionKind.REMOVE, 2)
    correct(town, CorrectionKind.ADD, 3)
    before = everything(town)
    assert rebuild_ledger(town.engine) == 3
    assert everything(town) == before
    with transaction(town.engine) as session:
        for table in TABLES[:5]:
            session.execute(text(f"DELETE FROM {table}"))
    rebuild_ledger(town.engine)
    assert everything(town) == before


def test_rebuilt_ledger_still_knows_repeats(town: Town) -> None:
    one, _ = busy_day(town)
    rebuild_ledger(town.engine)
    copy = pen(town)
    copy.lines = one.lines[1:4]
    assert Line(town.engine).ingest([copy.delivery()]).repeats == 3


def test_retention_deletes_only_what_is_old_and_projected_and_rebuild_leaves_the_rest_alone(town: Town) -> None:
    one, _ = busy_day(town)
    before = everything(town)
    with transaction(town.engine) as session:
        assert retention.expire(Bulk.of(session), now_us()) == 0
    project(town, series())
    cut = now_us()
    one.check_in(person(3), town.occurrence)
    ingest(town, one, first=7)
    with transaction(town.engine) as session:
        assert retention.expire(Bulk.of(session), cut) == 3
    after = everything(town)
    assert len(after["check_ins"]) == len(before["check_ins"]) + 1
    assert rebuild_ledger(town.engine) == 1
    assert everything(town) == after


def test_recorded_arrival_order_survives_a_rebuild(town: Town) -> None:
    busy_day(town)

    def order() -> list[tuple[str, int]]:
        with transaction(town.engine, read_only=True) as session:
            return [(row.stream, row.number) for row in session.scalars(select(CheckIn).order_by(CheckIn.id))]

    before = order()
    rebuild_ledger(town.engine)
    assert order() == before


# --- replay ------------------------------------------------------------------------------------------------------


def unreadable(town: Town, monkeypatch: pytest.MonkeyPatch) -> Pen:
    """A check-in that the program of today understands, stored by one that did not."""
    from firmware_specs.errors import DecodeError
    from firmware_specs.wire import decode_records

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


def test_replayed_record_counts_as_if_it_had_been_understood(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable(town, monkeypatch)
    store = series()
    project(town, store)
    assert heads(store, town) == {"accepted": 1.0}
    (held,) = held_ids(town)
    with transaction(town.engine) as session:
        assert replay.replay(session, CHANGE, held).state == "replayed"
    with transaction(town.engine, read_only=True) as session:
        rows = session.scalars(select(CheckIn).order_by(CheckIn.number)).all()
        stream = session.scalars(select(Stream)).one()
    assert [(row.number, row.member_id, row.occurrence_id) for row in rows] == [
        (1, person(1).member, town.occurrence),
        (2, person(2).member, town.occurrence),
    ]
    assert rows[1].effective_at == rows[1].said_at
    assert (stream.facts, stream.points) == (2, 3)
    project(town, store)
    assert heads(store, town) == {"accepted": 2.0}
    before = everything(town)
    rebuild_ledger(town.engine)
    assert everything(town) == before
    with transaction(town.engine) as session, pytest.raises(Conflict):
        replay.replay(session, CHANGE, held)


def test_record_in_quarantine_stays_out_of_a_rebuild_until_it_is_replayed(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable(town, monkeypatch)
    before = everything(town)
    rebuild_ledger(town.engine)
    assert everything(town) == before


def test_replay_of_a_fact_that_came_again_meanwhile_is_a_repeat(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    kiosk = unreadable(town, monkeypatch)
    again = pen(town)
    again.lines = [kiosk.lines[1]]
    ingest(town, again)
    with transaction(town.engine) as session:
        replay.replay(session, CHANGE, held_ids(town)[0])
    with transaction(town.engine, read_only=True) as session:
        assert [(row.stream, row.number) for row in session.scalars(select(CheckIn).order_by(CheckIn.id))] == [
            (kiosk.stream, 1),
            (again.stream, 1),
        ]


def test_what_still_cannot_be_understood_stays_in_quarantine(town: Town) -> None:
    kiosk = pen(town)
    kiosk.write(b"rubbish")
    ingest(town, kiosk)
    (held,) = held_ids(town)
    with pytest.raises(Conflict, match="still cannot be understood"), transaction(town.engine) as session:
        replay.replay(session, CHANGE, held)
    with transaction(town.engine, read_only=True) as session:
        assert session.scalars(select(Quarantine.state)).one() == "open"


def test_what_is_not_there_cannot_be_replayed(town: Town) -> None:
    with transaction(town.engine) as session, pytest.raises(NotFound):
        replay.replay(session, CHANGE, 12345)


# --- reconciliation ----------------------------------------------------------------------------------------------


def verdicts(town: Town, store: MemoryTimeseries) -> dict[str, Verdict]:
    with transaction(town.engine, read_only=True) as session:
        found = reconcile.reconcile(session, list(session.scalars(select(Stream.stream))))
    return {each.stream: each.verdict for each in reconcile.with_series(found, lambda: store, None)}


def test_streams_reconcile_once_everything_is_projected(town: Town) -> None:
    busy_day(town)
    store = series()
    assert set(verdicts(town, store).values()) == {Verdict.BEHIND}
    project(town, store)
    assert set(verdicts(town, store).values()) == {Verdict.EQUAL}


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM check_ins WHERE number = 2 AND stream = '{}'",
        "DELETE FROM journal WHERE stream = '{}' AND first > 1",
        "UPDATE streams SET through = through + 1 WHERE stream = '{}'",
    ],
)
def test_what_is_missing_somewhere_is_wrong(town: Town, damage: str) -> None:
    one, _ = busy_day(town)
    one.health()
    ingest(town, one, first=7)
    store = series()
    project(town, store)
    with transaction(town.engine) as session:
        session.execute(text(damage.format(one.stream)))
    found = verdicts(town, store)
    assert {stream for stream, verdict in found.items() if verdict is Verdict.WRONG} == {one.stream}


def test_missing_point_is_wrong_once_the_projector_has_passed_it(town: Town) -> None:
    one, _ = busy_day(town)
    store = series()
    project(town, store)
    store.clear()
    found = verdicts(town, store)
    assert found[one.stream] is Verdict.WRONG


def test_terminal_that_speaks_of_more_is_waiting(town: Town) -> None:
    kiosk = pen(town)
    for _ in range(3):
        kiosk.health()
    ingest_first = Line(town.engine).ingest([kiosk.delivery(1, 1)])
    assert ingest_first.batches == 1
    Line(town.engine).ingest([kiosk.delivery(3, 1)])
    store = series()
    project(town, store)
    assert verdicts(town, store) == {kiosk.stream: Verdict.WAITING}


def test_reconciler_tells_of_a_difference_that_stays(town: Town) -> None:
    busy_day(town)
    store = series()
    project(town, store)
    with transaction(town.engine) as session:
        session.execute(text("DELETE FROM interactions"))
    reconciler = Reconciler(town.engine, utc_now, lambda: store, None)
    reconciler.turn()
    assert reconcile.WRONG._value.get() == 0
    reconciler.turn()
    assert reconcile.WRONG._value.get() == 1
    rebuild_ledger(town.engine)
    reconciler.turn()
    assert reconcile.WRONG._value.get() == 0


def test_journal_keeps_what_was_received_when(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    delivery = kiosk.delivery()
    Line(town.engine).ingest([delivery])
    with transaction(town.engine, read_only=True) as session:
        row = session.scalars(select(JournalBatch)).one()
    assert (row.received_at, row.first, row.count) == (delivery.received_at, 1, 1)
    assert row.received_at <= to_us(utc_now())
