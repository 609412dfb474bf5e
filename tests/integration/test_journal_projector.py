"""What happens to the projector between reading and writing: a rebuild, a restore, a replay; on both databases."""

from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text

from cloud.bulk import Bulk
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.ingest import replay
from cloud.ingest.models import Quarantine
from cloud.journal import metrics, projector, reading
from cloud.journal.epoch import begin_epoch
from cloud.journal.format import pack_fixed
from cloud.journal.models import Again, SeriesDay
from cloud.journal.projecting import Kept, Projecting
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import Point, Refused, WriteResult
from tests.integration.town_journal import CHANGE, busy_day, held_ids, ingest, pen, project, series, unreadable
from tests.ledgers import migrated
from tests.town import Town, settle


class Interrupted(MemoryTimeseries):
    """Something happens while points are written, once."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        super().__init__(zone=ZoneInfo("UTC"))
        self.meanwhile: Callable[[], None] | None = meanwhile

    def write(self, points: Sequence[Point]) -> WriteResult:
        result = super().write(points)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return result


class Refusing(MemoryTimeseries):
    """Takes nothing while `refuses`."""

    refuses = True

    def write(self, points: Sequence[Point]) -> WriteResult:
        if self.refuses:
            return WriteResult(0, tuple(Refused(point, "no") for point in points))
        return super().write(points)


def held(town: Town) -> list[tuple[str, str]]:
    with transaction(town.engine, read_only=True) as session:
        return [(row.kind, row.state) for row in session.scalars(select(Quarantine).order_by(Quarantine.id))]


def counted(town: Town) -> tuple[int, int]:
    """Points handed over and accepted, of all streams."""
    with transaction(town.engine, read_only=True) as session:
        rows = session.scalars(select(SeriesDay)).all()
    return sum(row.handed for row in rows), sum(row.accepted for row in rows)


def in_series(store: MemoryTimeseries) -> int:
    return sum(count.points for count in store.count_by_stream().values())


def test_rebuild_that_is_asked_for_during_a_write_is_not_forgotten(town: Town) -> None:
    busy_day(town)

    def ask() -> None:
        with transaction(town.engine) as session:
            projector.ask_to_start_over(Bulk.of(session))

    projector.project(town.engine, Interrupted(ask))
    assert projector.wants_to_start_over(town.engine)


def test_restore_during_a_write_leaves_the_cursor_where_the_restore_put_it(town: Town) -> None:
    busy_day(town)

    def restore() -> None:
        """As a backup from before the first projection would: the cursor stands where it was read."""
        with transaction(town.engine) as session:
            begin_epoch(session)

    store = Interrupted(restore)
    assert projector.project(town.engine, store).batches == 0
    with transaction(town.engine, read_only=True) as session:
        assert projector.cursor(Bulk.of(session)) == 0
    assert project(town, store) == 3


def test_second_replay_of_a_batch_during_a_write_is_done_too(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    ingest(town, kiosk)

    def again() -> None:
        with transaction(town.engine) as session:
            projector.write_again(Bulk.of(session), 1, 1, "point")

    again()
    projector.project(town.engine, Interrupted(again))
    with transaction(town.engine, read_only=True) as session:
        assert len(session.scalars(select(Again)).all()) == 1


def test_point_that_is_replayed_and_refused_again_is_open_again(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    ingest(town, kiosk)
    store = Refusing(zone=ZoneInfo("UTC"))
    before = metrics.REFUSED._value.get()
    Projecting(town.engine, utc_now, lambda: store, Kept()).run_to_end()
    for times in (1, 2):
        assert held(town) == [("point", "open")]
        assert metrics.REFUSED._value.get() == before + times
        with transaction(town.engine) as session:
            replay.replay(session, CHANGE, held_ids(town)[0])
        Projecting(town.engine, utc_now, lambda: store, Kept()).run_to_end()
    assert counted(town) == (1, 0)
    with transaction(town.engine) as session:
        replay.replay(session, CHANGE, held_ids(town)[0])
    store.refuses = False
    project(town, store)
    assert held(town) == [("point", "replayed")]
    assert counted(town) == (1, 1)


def test_discarded_point_stays_discarded_when_it_is_refused_again(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    ingest(town, kiosk)
    store = Refusing(zone=ZoneInfo("UTC"))
    project(town, store)
    with transaction(town.engine) as session:
        session.execute(text("UPDATE quarantine SET state = 'discarded'"))
        projector.ask_to_start_over(Bulk.of(session))
    Projecting(town.engine, utc_now, lambda: store, Kept()).run_to_end()
    assert held(town) == [("point", "discarded")]


def test_points_are_counted_once_however_often_they_are_written(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    busy_day(town)
    unreadable(town, monkeypatch)
    store = series()
    project(town, store)
    first = in_series(store)
    assert counted(town) == (first, first)
    with transaction(town.engine) as session:
        replay.replay(session, CHANGE, held_ids(town)[-1])
    project(town, store)
    assert counted(town) == (first + 1, first + 1) == (in_series(store), in_series(store))
    with transaction(town.engine) as session:
        projector.ask_to_start_over(Bulk.of(session))
    Projecting(town.engine, utc_now, lambda: store, Kept()).run_to_end()
    assert counted(town) == (first + 1, first + 1)


def test_record_that_is_replayed_before_its_batch_was_projected_counts_once(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    unreadable(town, monkeypatch)
    with transaction(town.engine) as session:
        replay.replay(session, CHANGE, held_ids(town)[0])
    store = series()
    project(town, store)
    assert counted(town) == (3, 3)


def test_point_keeps_the_kind_that_its_terminal_had_when_it_was_stored(town: Town) -> None:
    kiosk = pen(town)
    kiosk.health()
    ingest(town, kiosk)
    with transaction(town.engine) as session:
        session.execute(text("UPDATE terminals SET kind = 'tv'"))
    store = series()
    project(town, store)
    assert {point.kind for point in store._points.values()} == {"kiosk"}


def test_point_of_a_batch_that_an_older_program_stored_has_its_terminals_kind(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    kiosk = pen(town)
    kiosk.health()
    with monkeypatch.context() as context:
        context.setattr("cloud.ingest.store.pack_fixed", lambda fixed: pack_fixed(fixed._replace(kind=None)))
        ingest(town, kiosk)
    store = series()
    project(town, store)
    assert {point.kind for point in store._points.values()} == {"kiosk"}


def test_writers_do_not_wait_while_the_projector_reads(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    town = settle(migrated(postgres_url))
    busy_day(town)
    free: list[bool] = []

    def look(bulk: Bulk, after_id: int, until_id: int) -> tuple[list[reading.Entry], int]:
        with transaction(town.engine) as session:
            asked = text("SELECT pg_try_advisory_xact_lock_shared(:lock)")
            free.append(bool(session.scalar(asked, {"lock": reading.WRITERS_LOCK})))
        return reading.read_entries(bulk, after_id, until_id)

    monkeypatch.setattr(projector, "read_entries", look)
    projector.project(town.engine, series())
    assert free == [True]
    town.engine.dispose()
