"""Terminal's word, journal, ledger and series are compared stream by stream, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from cloud.bulk import Bulk
from cloud.clock import to_us, utc_now
from cloud.database import transaction
from cloud.ingest import reconcile
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line
from cloud.ingest.rebuild import rebuild_ledger
from cloud.ingest.reconcile import Reconciler, Verdict
from cloud.journal import comparison, projector
from cloud.journal.models import Comparison, JournalBatch, Stream
from cloud.journal.projecting import Kept, Projecting
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import TimeseriesUnavailable
from tests.integration.town_journal import busy_day, ingest, pen, project, series
from tests.pen import Pen, now_us
from tests.town import Town

DAY_US = 86_400_000_000
KEPT = timedelta(days=180)


def verdicts(town: Town, store: MemoryTimeseries) -> dict[str, Verdict]:
    with transaction(town.engine, read_only=True) as session:
        since_at = reconcile.window_start(Bulk.of(session), now_us(), KEPT)
        found = reconcile.reconcile(session, list(session.scalars(select(Stream.stream))), since_at)
    return {each.stream: each.verdict for each in reconcile.with_series(found, lambda: store, since_at)}


def compared(town: Town) -> Comparison:
    with transaction(town.engine, read_only=True) as session:
        found = comparison.latest(session)
    assert found is not None
    return found


def away() -> MemoryTimeseries:
    raise TimeseriesUnavailable("gone for lunch")


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


def old_stream(town: Town) -> Pen:
    """A stream of a kiosk that has been there for longer than points are kept."""
    kiosk = pen(town)
    for _ in range(3):
        kiosk.health()
    line, long_ago = Line(town.engine), now_us() - 200 * DAY_US
    line.ingest([Delivery(kiosk.terminal, kiosk.batch(1, 1, sent_at=long_ago), long_ago)])
    line.ingest([kiosk.delivery(2)])
    return kiosk


def test_points_that_are_lost_of_a_stream_older_than_points_are_kept_are_missed(town: Town) -> None:
    kiosk = old_stream(town)
    store = series()
    Projecting(town.engine, utc_now, lambda: store, Kept(points=KEPT)).run_to_end()
    assert verdicts(town, store) == {kiosk.stream: Verdict.EQUAL}
    store.clear()
    assert verdicts(town, store) == {kiosk.stream: Verdict.WRONG}


def test_points_that_expired_are_not_missed(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health(at=now_us() - 100 * DAY_US)
    kiosk.health()
    ingest(town, kiosk)
    store = series()
    projecting = Projecting(town.engine, utc_now, lambda: store, Kept(points=KEPT))
    projecting.run_to_end()
    assert verdicts(town, store) == {kiosk.stream: Verdict.EQUAL}
    store.expire(utc_now() - timedelta(days=1))
    assert verdicts(town, store) == {kiosk.stream: Verdict.WRONG}
    Projecting(town.engine, utc_now, lambda: store, Kept(points=timedelta(days=30))).run_to_end()
    assert verdicts(town, store) == {kiosk.stream: Verdict.EQUAL}


def test_batch_that_the_projector_has_passed_over_is_missed(town: Town) -> None:
    busy_day(town)
    store = series()
    with transaction(town.engine) as session:
        projector.move_cursor(Bulk.of(session), 2)
    project(town, store)
    assert Verdict.WRONG in verdicts(town, store).values()


def test_comparison_holds_what_was_counted_and_when(town: Town) -> None:
    busy_day(town)
    store = series()
    project(town, store)
    before_at = now_us()
    reconciler = Reconciler(town.engine, utc_now, lambda: store, KEPT)
    assert reconciler.turn() >= reconcile.EVERY_S
    found = compared(town)
    assert (found.streams, found.stored, found.facts, found.ledger) == (3, 17, 7, 7)
    assert (found.points, found.series, found.wrong) == (12, 12, 0)
    assert before_at <= found.began_at <= found.finished_at <= now_us()
    with transaction(town.engine) as session:
        session.execute(text("DELETE FROM check_ins"))
        session.execute(text("DELETE FROM journal"))
    store.clear()
    for _ in range(2):
        reconciler.turn()
    found = compared(town)
    assert (found.facts, found.ledger, found.points, found.series, found.wrong) == (7, 2, 12, 0, 3)
    with transaction(town.engine, read_only=True) as session:
        streams = list(session.scalars(select(Stream.stream)))
        assert sorted(comparison.points_of(session, streams).values()) == [(1, 0), (3, 0), (8, 0)]


def test_series_that_cannot_be_asked_is_not_called_counted(town: Town) -> None:
    busy_day(town)
    Reconciler(town.engine, utc_now, away, KEPT).turn()
    assert (compared(town).ledger, compared(town).series) == (7, None)


def test_round_is_gone_in_turns_of_a_few_streams(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "STREAMS_AT_ONCE", 2)
    busy_day(town)
    reconciler = Reconciler(town.engine, utc_now, series, KEPT)
    assert reconciler.turn() < reconcile.EVERY_S
    with transaction(town.engine, read_only=True) as session:
        assert comparison.latest(session) is None
    reconciler.turn()
    assert compared(town).streams == 3


def test_journal_keeps_what_was_received_when(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    delivery = kiosk.delivery()
    Line(town.engine).ingest([delivery])
    with transaction(town.engine, read_only=True) as session:
        row = session.scalars(select(JournalBatch)).one()
    assert (row.received_at, row.first, row.count) == (delivery.received_at, 1, 1)
    assert row.received_at <= to_us(utc_now())
