"""What the journal is good for, on both databases: series and ledger made from it, and retention."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text

from cloud.attendance.service import CorrectionKind
from cloud.bulk import Bulk
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.ingest.line import Line
from cloud.ingest.models import CheckIn, Quarantine
from cloud.ingest.rebuild import rebuild_ledger
from cloud.journal import projector, retention
from cloud.journal.projecting import Kept, Projecting
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import Point, TimeseriesUnavailable, WriteResult
from tests.integration.town_journal import (
    TABLES,
    busy_day,
    correct,
    everything,
    heads,
    ingest,
    pen,
    project,
    series,
)
from tests.pen import now_us
from tests.town import Town, person

# --- series -----------------------------------------------------------------------------------------------------------


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


# --- ledger -----------------------------------------------------------------------------------------------------------


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
        assert retention.expire(Bulk.of(session), now_us()) == (0, None)
    project(town, series())
    cut = now_us()
    one.check_in(person(3), town.occurrence)
    ingest(town, one, first=7)
    with transaction(town.engine) as session:
        assert retention.expire(Bulk.of(session), cut) == (3, None)
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
