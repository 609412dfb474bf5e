"""Ledgers that older programs wrote, brought up to date by the documented commands: nothing that they held is lost."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from cloud import schema
from cloud.backup import backup, restore
from cloud.database import create_engine_for
from cloud.errors import StartError
from cloud.ingest.line import Line
from cloud.ingest.rebuild import rebuild_ledger
from tests.pen import Pen
from tests.process import ROOT
from tests.upgrades.ledgers import REVISIONS, Rows, kept, put, read

BEGIN_ANEW = {"sessions", "projector_cursor", "projector_again", "comparison", "epoch"}
"""Everybody signs in once more (0008), the series is made and counted anew (0003), a restore begins an epoch."""
TOLD_OTHERWISE = {("terminals", "settings")}
"""A terminal's own settings are those that are not the default (0012); tests/integration/test_cloud_schema.py says how."""


@pytest.fixture(params=REVISIONS)
def revision(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def engine(ledger_url: str) -> Iterator[Engine]:
    engine = create_engine_for(ledger_url)
    yield engine
    engine.dispose()


def cloud(ledger_url: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    own = {"ROOMLINK_DATABASE_URL": ledger_url, "ROOMLINK_DATA_DIR": str(folder / "data")}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ROOMLINK_")} | own
    command = [sys.executable, "-m", "cloud", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)


def rows(engine: Engine) -> Rows:
    with engine.connect().execution_options(read_only=True) as connection:
        return read(connection)


def assert_keeps(after: Rows, before: Rows) -> None:
    """Every row is there, with the same in every column that it had."""
    for table in before.keys() - BEGIN_ANEW:
        here = after[table]
        columns = [name for name in (before[table] or [{}])[0] if (table, name) not in TOLD_OTHERWISE]

        def told(row: dict[str, Any], columns: list[str] = columns) -> str:
            return str([row[name] for name in columns])

        if columns:
            lost = {told(row) for row in before[table]} - {told(row) for row in here}
            assert not lost, (table, lost)


def test_older_ledger_is_refused_until_it_is_migrated_and_then_keeps_all_that_it_held(
    engine: Engine, ledger_url: str, revision: str, tmp_path: Path
) -> None:
    put(engine, revision)
    early = cloud(ledger_url, tmp_path, "audit", "verify")
    assert (early.returncode, "older than this program; run: python -m cloud migrate" in early.stderr) == (2, True)
    done = cloud(ledger_url, tmp_path, "migrate")
    assert (done.returncode, done.stdout) == (0, "The schema is up to date.\n"), done.stderr
    assert_keeps(rows(engine), kept(revision))
    schema.check(engine)
    assert cloud(ledger_url, tmp_path, "audit", "verify").returncode == 0


def test_facts_made_anew_from_an_older_journal_are_the_same(engine: Engine, revision: str) -> None:
    put(engine, revision)
    schema.upgrade(engine)
    rebuild_ledger(engine)
    facts = ("attendance", "fact_ids")
    after, before = rows(engine), kept(revision)
    assert all(before[name] for name in facts)
    assert_keeps({name: after[name] for name in facts}, {name: before[name] for name in facts})


def test_terminals_go_on_sending_to_an_upgraded_ledger(engine: Engine, revision: str) -> None:
    put(engine, revision)
    schema.upgrade(engine)
    before = len(rows(engine)["check_ins"])
    pen = Pen(terminal="kiosk-1", config=(1, 1))
    pen.check_in(None, None)
    assert Line(engine).ingest([pen.delivery()]).batches == 1
    assert len(rows(engine)["check_ins"]) == before + 1


def test_backup_of_an_older_program_is_brought_up_to_date_by_the_restore(
    engine: Engine, revision: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    put(engine, revision)
    backup(engine, tmp_path / "older.backup")
    url = f"sqlite:///{tmp_path}/empty.db"
    if engine.dialect.name == "postgresql":
        url = request.getfixturevalue("postgres").create_database()
    empty = create_engine_for(url)
    restore(empty, tmp_path / "older.backup")
    schema.check(empty)
    assert_keeps(rows(empty), kept(revision))
    empty.dispose()


def newer(engine: Engine) -> Rows:
    """A ledger of a program that is yet to come; its rows."""
    schema.upgrade(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    return rows(engine)


@pytest.mark.parametrize("command", [("migrate",), ("serve", "--migrate"), ("backup", "file")])
def test_newer_ledger_is_refused_by_every_command_and_stays_as_it_is(
    engine: Engine, ledger_url: str, tmp_path: Path, command: tuple[str, ...]
) -> None:
    before = newer(engine)
    done = cloud(ledger_url, tmp_path, *command)
    assert (done.returncode, "(9999) is newer than this program" in done.stderr) == (2, True), done.stderr
    assert rows(engine) == before


def test_backup_of_a_newer_program_is_refused_and_changes_nothing(engine: Engine, tmp_path: Path) -> None:
    newer(engine)
    backup(engine, tmp_path / "newer.backup")
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :head"), {"head": head()})
    before = rows(engine)
    with pytest.raises(StartError, match="made by a newer program"):
        restore(engine, tmp_path / "newer.backup")
    assert rows(engine) == before


def head() -> str:
    """The newest revision of this program."""
    return str(ScriptDirectory.from_config(schema.alembic_config()).get_current_head())
