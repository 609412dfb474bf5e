"""What is let go when the cloud's clock was wrong, and what a rebuild keeps; on both databases."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from cloud.bulk import Bulk
from cloud.clock import to_us, utc_now
from cloud.database import transaction
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line
from cloud.ingest.models import CheckIn
from cloud.ingest.rebuild import rebuild_ledger
from cloud.journal import retention
from cloud.journal.models import JournalBatch, SeriesDay
from cloud.journal.projecting import Kept, Projecting
from cloud.timeseries.duckdb_store import DuckDBTimeseries
from firmware_specs.messages import Clock
from tests.integration.town_journal import everything, pen, project, series
from tests.pen import Pen, now_us
from tests.town import Town, person

DAY_US = 86_400_000_000
YEAR = timedelta(days=365)
KEPT = Kept(points=timedelta(days=180), journal=timedelta(days=90))


def expire(town: Town, before_at: int) -> int:
    deleted, after_id = 0, 0
    while True:
        with transaction(town.engine) as session:
            more, reached = retention.expire(Bulk.of(session), before_at, after_id)
        deleted += more
        if reached is None:
            return deleted
        after_id = reached


def receive(town: Town, kiosk: Pen, number: int, at: int) -> None:
    """One record, as if the cloud's clock showed `at`."""
    assert Line(town.engine).ingest([Delivery(kiosk.terminal, kiosk.batch(number, 1), at)]).batches == 1


def in_journal(town: Town) -> list[tuple[str, int]]:
    with transaction(town.engine, read_only=True) as session:
        query = select(JournalBatch.stream, JournalBatch.first).order_by(JournalBatch.id)
        return [(stream, first) for stream, first in session.execute(query)]


def behind_for_a_while(town: Town) -> Pen:
    """The second of three check-ins was received under a clock three years behind."""
    kiosk = pen(town)
    now = now_us()
    for number, at in ((1, now), (2, now - 3 * 365 * DAY_US), (3, now + 1000)):
        kiosk.check_in(person(number), town.occurrence)
        receive(town, kiosk, number, at)
    project(town, series())
    return kiosk


def test_batch_that_was_received_under_a_slow_clock_stays_until_those_before_it_go(town: Town) -> None:
    kiosk = behind_for_a_while(town)
    other = pen(town, "kiosk-2")
    other.health()
    receive(town, other, 1, now_us() - 500 * DAY_US)
    project(town, series())
    assert expire(town, now_us() - 365 * DAY_US) == 1
    assert in_journal(town) == [(kiosk.stream, 1), (kiosk.stream, 2), (kiosk.stream, 3)]
    assert expire(town, now_us() + DAY_US) == 3


def test_old_batches_are_deleted_in_parts(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    behind_for_a_while(town)
    assert expire(town, now_us() - 365 * DAY_US) == 0
    assert expire(town, now_us() + DAY_US) == 3


def test_rebuild_leaves_facts_alone_whose_batch_is_missing_in_the_middle(town: Town) -> None:
    kiosk = behind_for_a_while(town)
    with transaction(town.engine) as session:
        session.execute(text(f"DELETE FROM journal WHERE stream = '{kiosk.stream}' AND first = 2"))
    before = everything(town)
    assert len(before["attendance"]) == 3
    rebuild_ledger(town.engine)
    assert everything(town) == before


def test_check_ins_keep_their_ids_over_a_rebuild(town: Town) -> None:
    behind_for_a_while(town)

    def ids() -> list[tuple[int, int]]:
        with transaction(town.engine, read_only=True) as session:
            return [(row.id, row.number) for row in session.scalars(select(CheckIn).order_by(CheckIn.id))]

    before = ids()
    rebuild_ledger(town.engine)
    assert ids() == before
    late = pen(town, "kiosk-2")
    late.check_in(None, town.occurrence)
    receive(town, late, 1, now_us())
    assert ids()[-1] not in before
    assert ids()[:-1] == before


def test_clock_that_runs_a_year_ahead_deletes_nothing(town: Town, tmp_path: Path) -> None:
    kiosk = pen(town)
    for _ in range(3):
        kiosk.health()
    receive(town, kiosk, 1, now_us())
    receive(town, kiosk, 2, now_us() + 365 * DAY_US)  # what arrives under the wrong clock does not confirm it

    def store() -> DuckDBTimeseries:
        return DuckDBTimeseries(tmp_path / "series.duckdb")

    assert Projecting(town.engine, lambda: utc_now() + YEAR, store, KEPT).run_to_end() == 2
    assert len(in_journal(town)) == 2
    receive(town, kiosk, 3, now_us())
    assert Projecting(town.engine, utc_now, store, KEPT).run_to_end() == 1
    with transaction(town.engine, read_only=True) as session:
        assert session.scalar(text("SELECT COUNT(*) FROM quarantine")) == 0
    left = store()
    assert left.count_by_stream()[kiosk.stream].points == 3
    left.close()


def present(town: Town, now: datetime) -> int | None:
    with transaction(town.engine, read_only=True) as session:
        return retention.present_at(Bulk.of(session), to_us(now))


def test_present_is_what_synced_terminals_say_and_never_later_than_our_clock(town: Town) -> None:
    assert present(town, utc_now()) is None
    unsure, sure = pen(town, "kiosk-2", clock=Clock.UNSET), pen(town)
    unsure.health()
    received_at = now_us() + 100 * DAY_US
    receive(town, unsure, 1, received_at)
    assert present(town, utc_now() + YEAR) == received_at
    sure.health()
    receive(town, sure, 1, received_at)
    believed = present(town, utc_now() + YEAR)
    assert believed is not None
    assert abs(believed - now_us()) < DAY_US
    early = utc_now() - timedelta(days=1)
    assert present(town, early) == to_us(early)


def test_points_that_expire_are_not_expected_any_more(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health(at=now_us() - 200 * DAY_US)
    kiosk.health()
    receive(town, kiosk, 1, now_us())
    receive(town, kiosk, 2, now_us())
    store = series()
    Projecting(town.engine, utc_now, lambda: store, KEPT).run_to_end()
    with transaction(town.engine, read_only=True) as session:
        rows = session.scalars(select(SeriesDay).order_by(SeriesDay.day_at)).all()
    assert [(row.handed, row.accepted) for row in rows] == [(1, 0), (1, 1)]
    assert store.count_by_stream()[kiosk.stream].points == 1
