"""Terminal's word, journal, ledger and series are compared stream by stream, on both databases."""

import pytest
from sqlalchemy import select, text

from cloud.clock import to_us, utc_now
from cloud.database import transaction
from cloud.ingest import reconcile
from cloud.ingest.line import Line
from cloud.ingest.rebuild import rebuild_ledger
from cloud.ingest.reconcile import Reconciler, Verdict
from cloud.journal.models import JournalBatch, Stream
from cloud.timeseries.memory import MemoryTimeseries
from tests.integration.town_journal import busy_day, ingest, pen, project, series
from tests.town import Town


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
