"""Backup while the service runs, and restore, which begins a new epoch so that terminals send again what came after.

Promises one consistent moment of the whole ledger, written under another name and renamed when it is whole, mode 0600; and
that a restore is all or nothing. What is unpacked on the way lies beside what is written, where there must be room anyway.
The key file and the time series are not in it: the series is made anew from the journal.
"""

import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

import structlog
from alembic import command
from sqlalchemy import Connection, Engine, MetaData, inspect, text
from sqlalchemy.orm import Session

from cloud import schema
from cloud.bulk import Bulk
from cloud.clock import to_us, utc_now
from cloud.database import create_engine_for
from cloud.errors import StartError
from cloud.journal import projector
from cloud.journal.epoch import begin_epoch, current_epoch

MANIFEST: Final = "manifest.json"
LEDGER: Final = "ledger.db"
FORMAT: Final = 1
LOCKS_WITHIN_S: Final = 30
"""How long a restore waits for those that use the tables."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format: int
    database: str
    revision: str
    epoch: int
    made_at: int


def backup(engine: Engine, path: Path) -> Manifest:
    """Write everything to `path`. StartError when the file cannot be written."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as archive:
                manifest = _WRITERS[engine.dialect.name](engine, archive, path.parent)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        raise StartError(f"The backup cannot be written to {path}: {error.strerror}.") from error
    finally:
        partial.unlink(missing_ok=True)
    log.info("backed_up", path=str(path), epoch=manifest.epoch)
    return manifest


def restore(engine: Engine, path: Path) -> int:
    """Put the backup in the place of everything that is there; the new epoch. StartError for what is no backup of ours."""
    above = _present_epoch(engine)
    with _opened(path) as archive:
        manifest = _manifest_of(archive, path)
        if manifest.database != engine.dialect.name:
            raise StartError(f"{path} is a backup of {manifest.database}, and this ledger is {engine.dialect.name}.")
        epoch = _READERS[engine.dialect.name](engine, archive, manifest, above)
    log.info("restored", path=str(path), epoch=epoch)
    return epoch


def _sync_folder(folder: Path) -> None:
    """So that the new name is on the disk too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _begin_again(connection: Connection, above: int) -> int:
    """What every restore does, in the same transaction: a new epoch, and the series from its beginning."""
    with Session(connection) as session:
        projector.ask_to_start_over(Bulk.of(session))
        epoch = begin_epoch(session, above=above)
        session.flush()
    return epoch


def _present_epoch(engine: Engine) -> int:
    """Of the ledger that is about to be replaced; 0 where there is none."""
    with engine.connect().execution_options(read_only=True) as connection:
        if not inspect(connection).has_table("epoch"):
            return 0
        return int(connection.scalar(text("SELECT epoch FROM epoch")) or 0)


def _manifest(connection: Connection) -> Manifest:
    with Session(connection) as session:
        revision = str(session.scalar(text("SELECT version_num FROM alembic_version")))
        return Manifest(FORMAT, connection.dialect.name, revision, current_epoch(session), to_us(utc_now()))


# --- the archive -------------------------------------------------------------------------------------------------


class _Missing(Exception):
    """The archive has no member of this name."""


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:gz") as archive:
            yield archive
    except (OSError, tarfile.TarError, EOFError, zlib.error, sqlite3.DatabaseError) as error:
        raise StartError(f"{path} cannot be read as a backup: {error}. Nothing was changed.") from error
    except _Missing as error:
        raise StartError(
            f"{path} cannot be read as a backup: {error} is missing in it. Nothing was changed."
        ) from error


def _manifest_of(archive: tarfile.TarFile, path: Path) -> Manifest:
    try:
        manifest = Manifest(**json.loads(_member(archive, MANIFEST).read()))
    except (_Missing, TypeError, ValueError) as error:
        raise StartError(f"{path} is no backup of Roomlink.") from error
    if manifest.format != FORMAT or not schema.knows(manifest.revision):
        made = f"format {manifest.format}, schema {manifest.revision}"
        raise StartError(f"{path} was made by a newer program ({made}); install that one. Nothing was changed.")
    return manifest


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    try:
        found = archive.extractfile(name)
    except KeyError:
        found = None
    if found is None:
        raise _Missing(name)
    return found


def _add(archive: tarfile.TarFile, name: str, file: IO[bytes], size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o600
    archive.addfile(member, file)


def _add_manifest(archive: tarfile.TarFile, manifest: Manifest) -> None:
    content = json.dumps(asdict(manifest)).encode()
    _add(archive, MANIFEST, io.BytesIO(content), len(content))


# --- SQLite ------------------------------------------------------------------------------------------------------


def _write_sqlite(engine: Engine, archive: tarfile.TarFile, beside: Path) -> Manifest:
    """By SQLite's own backup, in one step, so that writers beside it cannot make it begin again."""
    with tempfile.TemporaryDirectory(prefix=".roomlink-backup-", dir=beside) as folder:
        copy = Path(folder) / LEDGER
        with engine.connect().execution_options(read_only=True) as connection, closing(sqlite3.connect(copy)) as target:
            _driver(connection).backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
        with closing_engine(f"sqlite:///{copy}") as copied, copied.connect() as connection:
            manifest = _manifest(connection)
        _add_manifest(archive, manifest)
        with copy.open("rb") as file:
            _add(archive, LEDGER, file, copy.stat().st_size)
    return manifest


def _read_sqlite(engine: Engine, archive: tarfile.TarFile, manifest: Manifest, above: int) -> int:
    """Prepared beside the ledger, then copied over it by SQLite's own backup: other connections see all of it or nothing."""
    beside = Path(engine.url.database or "").absolute().parent
    with tempfile.TemporaryDirectory(prefix=".roomlink-restore-", dir=beside) as folder:
        copy = Path(folder) / LEDGER
        with copy.open("wb") as file:
            shutil.copyfileobj(_member(archive, LEDGER), file)
        _check_sqlite(copy)
        with closing_engine(f"sqlite:///{copy}") as copied:
            schema.upgrade(copied)
            with copied.begin() as connection:
                epoch = _begin_again(connection, max(above, manifest.epoch))
        with closing(sqlite3.connect(copy)) as source, engine.connect() as connection:
            connection.rollback()
            source.backup(_driver(connection))
    return epoch


def _check_sqlite(file: Path) -> None:
    """sqlite3.DatabaseError for what is no database, or a damaged one."""
    with closing(sqlite3.connect(file)) as database:
        (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    if answer != "ok":
        raise sqlite3.DatabaseError(answer)


@contextmanager
def closing_engine(url: str) -> Iterator[Engine]:
    """An engine for the time of the block."""
    engine = create_engine_for(url)
    try:
        yield engine
    finally:
        engine.dispose()


# --- PostgreSQL --------------------------------------------------------------------------------------------------


def _write_postgresql(engine: Engine, archive: tarfile.TarFile, beside: Path) -> Manifest:
    """Every table by COPY, all in one snapshot."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection, connection.begin():
        manifest = _manifest(connection)
        _add_manifest(archive, manifest)
        for table in _tables(connection):
            with tempfile.TemporaryFile(dir=beside) as spool:
                with _driver(connection).cursor() as cursor, cursor.copy(f"COPY {table} TO STDOUT") as copy:
                    for block in copy:
                        spool.write(block)
                size = spool.tell()
                spool.seek(0)
                _add(archive, f"{table}.copy", spool, size)
    return manifest


def _read_postgresql(engine: Engine, archive: tarfile.TarFile, manifest: Manifest, above: int) -> int:
    """One transaction: tables dropped, made as they were at the backup, filled, and brought up to date."""
    with engine.begin() as connection:
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCKS_WITHIN_S}s'"))
        present = MetaData()
        present.reflect(connection)
        present.drop_all(connection)
        _migrate(connection, manifest.revision)
        tables = _tables(connection)
        seeded = [table for table in tables if table != "audit"]  # which is empty, and refuses it
        connection.execute(text(f"TRUNCATE {', '.join(seeded)}"))
        for table in tables:
            _fill(connection, table, _member(archive, f"{table}.copy"))
        _migrate(connection, "head")
        return _begin_again(connection, max(above, manifest.epoch))


def _fill(connection: Connection, table: str, rows: IO[bytes]) -> None:
    with _driver(connection).cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        while block := rows.read(1 << 16):
            copy.write(block)
    columns = {column["name"] for column in inspect(connection).get_columns(table)}
    if "id" in columns and connection.scalar(text(f"SELECT pg_get_serial_sequence('{table}', 'id')")):
        connection.execute(
            text(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), COALESCE(MAX(id), 0) + 1, false) FROM {table}"  # noqa: S608
            )
        )


def _migrate(connection: Connection, revision: str) -> None:
    config = schema.alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _tables(connection: Connection) -> list[str]:
    """Those with rows of ours, each after those it refers to."""
    found = MetaData()
    found.reflect(connection)
    return [table.name for table in found.sorted_tables if table.name != "alembic_version"]


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


_WRITERS: Final = {"sqlite": _write_sqlite, "postgresql": _write_postgresql}
_READERS: Final = {"sqlite": _read_sqlite, "postgresql": _read_postgresql}
