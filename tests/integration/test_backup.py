"""Backup while ingest goes on, and restore, after which terminals send again what came later."""

import shutil
import tarfile
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from cloud.backup import LEDGER, MANIFEST, backup, restore
from cloud.bulk import Bulk
from cloud.clock import utc_now
from cloud.database import create_engine_for, transaction
from cloud.errors import StartError
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line
from cloud.journal import projector
from cloud.journal.epoch import current_epoch
from cloud.journal.projecting import Kept, Projecting
from cloud.timeseries.duckdb_store import DuckDBTimeseries
from cloud.timeseries.port import GroupBy, Measurement, Resolution
from firmware_specs.wire import decode_stored
from tests.integration.town_journal import everything
from tests.ledgers import migrated
from tests.pen import Pen, now_us
from tests.town import Town, person

ALL = (
    "check_ins", "attendance", "fact_ids", "streams", "journal", "members", "credentials", "terminals", "twins",
    "organisations", "rooms", "activities", "occurrences", "counters",
)  # fmt: skip


def epoch_of(town: Town) -> int:
    with transaction(town.engine, read_only=True) as session:
        return current_epoch(session)


def day(town: Town, pen: Pen, members: int) -> None:
    """Some check-ins, one batch each."""
    for number in range(1, members + 1):
        first = pen.check_in(person(number), town.occurrence)
        assert Line(town.engine).ingest([pen.delivery(first)]).batches == 1


def test_a_day_of_check_ins_made_after_the_backup_is_there_again_after_the_restore(town: Town, tmp_path: Path) -> None:
    kiosk = Pen(config=town.twins["kiosk-1"])
    day(town, kiosk, 2)
    path = tmp_path / "town.backup"
    manifest = backup(town.engine, path)
    assert path.stat().st_mode & 0o777 == 0o600
    at_backup = everything(town, ALL)
    day(town, kiosk, 3)
    later = everything(town, ("check_ins", "attendance"))

    epoch = restore(town.engine, path)
    assert epoch == epoch_of(town) > manifest.epoch
    assert everything(town, ALL) == at_backup

    (answer,) = Line(town.engine).ingest([kiosk.delivery(6, 0)]).answers
    stored = decode_stored(answer.payload)
    assert (stored.epoch, stored.through, stored.chain) == (epoch, 2, kiosk.chain(2))
    Line(town.engine).ingest([kiosk.delivery(3)])
    again = everything(town, ("check_ins", "attendance"))
    assert len(again["check_ins"]) == len(later["check_ins"]) == 5
    assert len(again["attendance"]) == len(later["attendance"]) == 3


def test_every_restore_begins_a_higher_epoch_and_asks_for_the_series_anew(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "town.backup"
    backup(town.engine, path)
    first = restore(town.engine, path)
    with transaction(town.engine) as session:
        session.execute(text("UPDATE epoch SET epoch = :far"), {"far": first + 10**12})
    assert restore(town.engine, path) == first + 10**12 + 1
    with transaction(town.engine, read_only=True) as session:
        assert projector.cursor(Bulk.of(session)) == projector.STARTS_OVER


def test_numbers_counted_by_the_database_go_on_after_a_restore(town: Town, tmp_path: Path) -> None:
    kiosk = Pen(config=town.twins["kiosk-1"])
    day(town, kiosk, 3)
    backup(town.engine, tmp_path / "b")
    restore(town.engine, tmp_path / "b")
    day(town, kiosk, 1)
    with transaction(town.engine, read_only=True) as session:
        assert session.scalars(text("SELECT id FROM check_ins ORDER BY id")).all() == [1, 2, 3, 4]


def test_restore_into_an_empty_database(town: Town, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    day(town, Pen(config=town.twins["kiosk-1"]), 2)
    backup(town.engine, tmp_path / "b")
    empty = create_engine_for(_another(town, tmp_path, request))
    restore(empty, tmp_path / "b")
    assert everything(Town(empty, town.now, {}, "", ""), ALL) == everything(town, ALL)
    empty.dispose()


def test_days_that_are_older_than_the_journal_come_back_with_the_kept_file_of_the_series(
    town: Town, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """With `ROOMLINK_JOURNAL_DAYS` they are nowhere else; without the file only what the journal has is made anew."""
    kiosk = Pen(config=town.twins["kiosk-1"])
    for number, days in ((1, 100), (2, 0)):
        kiosk.check_in(person(number), town.occurrence)
        at = now_us() - days * 86_400_000_000
        assert Line(town.engine).ingest([Delivery(kiosk.terminal, kiosk.batch(number, 1), at)]).batches == 1
    series = tmp_path / "timeseries.duckdb"
    run_projector(town.engine, series, Kept(journal=timedelta(days=90)))
    kept = shutil.copy2(series, tmp_path / "kept.duckdb")
    backup(town.engine, tmp_path / "b")
    empty = create_engine_for(_another(town, tmp_path, request))
    restore(empty, tmp_path / "b")
    series.unlink()
    run_projector(empty, series, Kept())
    assert heads_of(series, town) == 1
    with transaction(empty) as session:
        projector.ask_to_start_over(Bulk.of(session))
    shutil.copy2(kept, series)
    run_projector(empty, series, Kept())
    assert heads_of(series, town) == 2
    empty.dispose()


def run_projector(engine: Engine, file: Path, kept: Kept) -> None:
    assert Projecting(engine, utc_now, lambda: DuckDBTimeseries(file), kept).run_to_end() is not None


def heads_of(file: Path, town: Town) -> float:
    store = DuckDBTimeseries(file)
    span = (town.now - timedelta(days=200), town.now + timedelta(days=2))
    totals = store.totals(Measurement.ATTENDANCE, "heads", GroupBy.KIND, *span, resolution=Resolution.DAILY)
    store.close()
    return sum(each.total for each in totals)


def _another(town: Town, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    if town.engine.dialect.name == "sqlite":
        return f"sqlite:///{tmp_path}/empty.db"
    url: str = request.getfixturevalue("postgres").create_database()
    return url


def test_restore_of_the_other_database_is_refused(town: Town, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    backup(town.engine, tmp_path / "b")
    other: Any = (
        request.getfixturevalue("postgres_url")
        if town.engine.dialect.name == "sqlite"
        else f"sqlite:///{tmp_path}/x.db"
    )
    engine = migrated(other)
    with pytest.raises(StartError, match="is a backup of"):
        restore(engine, tmp_path / "b")
    engine.dispose()


@pytest.mark.parametrize("content", [b"", b"rubbish", b"\x1f\x8b rubbish"])
def test_what_is_no_backup_changes_nothing(town: Town, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "b"
    path.write_bytes(content)
    before = everything(town, ALL)
    with pytest.raises(StartError):
        restore(town.engine, path)
    assert everything(town, ALL) == before


def test_cut_backup_changes_nothing(town: Town, tmp_path: Path) -> None:
    day(town, Pen(config=town.twins["kiosk-1"]), 3)
    path = tmp_path / "b"
    backup(town.engine, path)
    path.write_bytes(path.read_bytes()[:-2000])
    before, epoch = everything(town, ALL), epoch_of(town)
    with pytest.raises(StartError):
        restore(town.engine, path)
    assert (everything(town, ALL), epoch_of(town)) == (before, epoch)


def test_archive_of_something_else_is_no_backup(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "b"
    with tarfile.open(path, "w:gz") as archive:
        (tmp_path / MANIFEST).write_text('{"hello": 1}')
        archive.add(tmp_path / MANIFEST, MANIFEST)
    with pytest.raises(StartError, match="no backup of Roomlink"):
        restore(town.engine, path)


def test_backup_that_cannot_be_written_says_so_and_leaves_the_old_one(town: Town, tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be written"):
        backup(town.engine, tmp_path / "no such folder" / "b")


def test_archive_without_its_ledger_or_with_a_damaged_one_changes_nothing(town: Town, tmp_path: Path) -> None:
    whole, hollow = tmp_path / "whole", tmp_path / "hollow"
    backup(town.engine, whole)
    with tarfile.open(whole, "r:gz") as archive:
        manifest = archive.extractfile(MANIFEST)
        assert manifest is not None
        (tmp_path / MANIFEST).write_bytes(manifest.read())
    before, epoch = everything(town, ALL), epoch_of(town)
    for content in (None, b"no database" * 900):
        with tarfile.open(hollow, "w:gz") as archive:
            archive.add(tmp_path / MANIFEST, MANIFEST)
            if content is not None:
                (tmp_path / LEDGER).write_bytes(content)
                archive.add(tmp_path / LEDGER, LEDGER)
        with pytest.raises(StartError, match="Nothing was changed"):
            restore(town.engine, hollow)
        assert (everything(town, ALL), epoch_of(town)) == (before, epoch)


def test_backup_needs_no_room_elsewhere_and_leaves_nothing_behind(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a small /tmp that is not there"))
    folder = tmp_path / "backups"
    folder.mkdir()
    backup(town.engine, folder / "town.backup")
    restore(town.engine, folder / "town.backup")
    assert [each.name for each in folder.iterdir()] == ["town.backup"]
