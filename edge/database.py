"""The one SQLite file of a terminal: opened when needed, checked, moved aside when damaged.

Promises WAL with synchronous=FULL (a durable commit is on the disk when it returns), one agent at a time, and typed errors.
Called by the outbox only.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge import kept_commands
from edge.errors import OutboxDamaged, OutboxError, OutboxFull, OutboxInUse, OutboxReadOnly, OutboxUnavailable
from edge.wrecks import Wrecks

PAGE_BYTES: Final = 4096
WAL_PAGES: Final = 256
"""The write-ahead log is brought into the file whenever it has so many pages: 1 MiB."""
WAL_BYTES: Final = 4 * 1024 * 1024
"""The log is cut back to this; one large transaction (a fork) may take more while it runs."""

SCHEMA: Final = """
CREATE TABLE stream (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    terminal TEXT NOT NULL,
    stream TEXT NOT NULL,
    parent TEXT,
    base INTEGER NOT NULL,
    last INTEGER NOT NULL,
    fixed INTEGER NOT NULL,
    through INTEGER NOT NULL,
    through_epoch INTEGER NOT NULL,
    trimmed INTEGER NOT NULL,
    trimmed_chain BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    last_stored_at INTEGER
) STRICT;
CREATE TABLE records (
    place INTEGER PRIMARY KEY,
    type TEXT NOT NULL,
    at INTEGER NOT NULL,
    line BLOB NOT NULL,
    chain BLOB NOT NULL
) STRICT;
CREATE TABLE stored_marks (hour INTEGER PRIMARY KEY, place INTEGER NOT NULL) STRICT;
CREATE TABLE rejected (place INTEGER PRIMARY KEY) STRICT;
CREATE TABLE accepted (
    occurrence TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (occurrence, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE twin (one INTEGER PRIMARY KEY CHECK (one = 1), document BLOB NOT NULL) STRICT;
PRAGMA user_version = 1;
"""
ADDED: Final = (
    "CREATE TABLE IF NOT EXISTS staff (one INTEGER PRIMARY KEY CHECK (one = 1), failures INTEGER NOT NULL) STRICT",
    kept_commands.TABLE,
)
"""Tables that came later: files of before get them, and an agent of before passes over them, so the version stays."""
SCHEMA_VERSION: Final = 1
MEMORY: Final = ":memory:"


class Database:
    """The file and its connection. Not for several threads at once: the outbox holds a lock around each use."""

    def __init__(self, path: Path | str, max_bytes: int) -> None:
        self.path = path
        self.wrecks = Wrecks(None if path == MEMORY else Path(path), max_bytes)
        self._most_pages = max(64, max_bytes // PAGE_BYTES)
        self._cap_pages: int | None = None
        self._connection: sqlite3.Connection | None = None
        self._lock_fd: int | None = None
        self._is_checked = False

    @property
    def is_open(self) -> bool:
        """Whether there is a connection; there is none before the first use and after an I/O error."""
        return self._connection is not None

    def open(self) -> None:
        """Connect, check the file and make the tables. Raises OutboxDamaged for a file that is not sound."""
        if self._connection is not None:
            return
        with translated(self.path):
            self._hold()
            self.wrecks.adopt_log()
            self._make_private()
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if not self._is_checked:  # once: on a large file it takes seconds
            _check_sound(connection)
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise OutboxUnavailable(
                f"The outbox file has version {version}; this agent knows {SCHEMA_VERSION}. Update it."
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        connection.execute("PRAGMA cache_size = -2048")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
        connection.execute(f"PRAGMA max_page_count = {self._most_pages}")
        if version == 0:
            _make_tables(connection)
        for table in ADDED:
            connection.execute(table)
        self._is_checked = True

    def _hold(self) -> None:
        """One agent per file: two would give the same numbers."""
        if self.path == MEMORY or self._lock_fd is not None:
            return
        descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise OutboxInUse(f"Another agent is using {self.path}: stop it first.") from None
        self._lock_fd = descriptor

    def _make_private(self) -> None:
        """It tells who was where: made here for its owner only; SQLite gives its log the same mode."""
        if self.path != MEMORY:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))

    @contextlib.contextmanager
    def transaction(self, *, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE … COMMIT. After an error nothing is changed, and after an I/O error the file is opened anew.

        Not ``durable``: a power cut may undo it, and never the one before it; the next durable one makes it so.
        """
        self.open()
        connection = self._connection
        if connection is None:
            raise OutboxUnavailable("The outbox is closed.")
        try:
            with translated(self.path):
                connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
        except BaseException as error:
            self._abandon(connection, error)
            raise

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection outside a transaction, for single SELECT statements."""
        self.open()
        if self._connection is None:
            raise OutboxUnavailable("The outbox is closed.")
        try:
            with translated(self.path):
                yield self._connection
        except OutboxError:
            self.disconnect()
            raise

    def _abandon(self, connection: sqlite3.Connection, error: BaseException) -> None:
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        if isinstance(error, OutboxError) and not isinstance(error, OutboxFull):
            self.disconnect()

    @property
    def max_pages(self) -> int:
        """How many pages the file may have: its budget, or, on a full disk, what it has already."""
        return self._most_pages if self._cap_pages is None else min(self._most_pages, self._cap_pages)

    @property
    def is_capped(self) -> bool:
        """Whether the file does not grow any more."""
        return self._cap_pages is not None

    def stop_growing(self) -> None:
        """The disk is full: live in the space that the file has, and bring the log into it."""
        with self.reading() as connection:
            self._cap_pages = connection.execute("PRAGMA page_count").fetchone()[0]
            connection.execute("PRAGMA wal_checkpoint(RESTART)")

    def grow_again(self) -> None:
        """The disk has room again."""
        self._cap_pages = None

    def pages(self, connection: sqlite3.Connection) -> int:
        """Pages in use, without those that are free for reuse."""
        total: int = connection.execute("PRAGMA page_count").fetchone()[0]
        free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
        return total - free

    def move_aside(self, now_us: int) -> Path:
        """Move the damaged file out of the way; returns its new name."""
        self.disconnect()
        self._is_checked = False
        with translated(self.path):
            return self.wrecks.move_aside(now_us)

    def disconnect(self) -> None:
        """Close the connection, keep the claim on the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def close(self) -> None:
        """Close the connection and let another agent use the file."""
        self.disconnect()
        descriptor, self._lock_fd = self._lock_fd, None
        if descriptor is not None:
            os.close(descriptor)


def _check_sound(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found is None or found[0] != "ok":
        raise OutboxDamaged(f"The outbox file is damaged: {found[0] if found else 'no answer'}")


def _make_tables(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        raise OutboxDamaged("The outbox file is another program's database.")
    connection.execute("BEGIN IMMEDIATE")
    for statement in SCHEMA.split(";"):
        connection.execute(statement)
    connection.execute("COMMIT")


@contextlib.contextmanager
def translated(path: Path | str) -> Iterator[None]:
    """sqlite3 and OS errors become this package's, by SQLite's primary result code."""
    try:
        yield
    except sqlite3.Error as error:
        raise _typed(error, path) from error
    except OSError as error:
        raise _typed_by_disk(f"{error.strerror}: {path}", path) from error


def _typed(error: sqlite3.Error, path: Path | str) -> OutboxError:
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OutboxFull("There is no space left for the outbox.")
    if code == sqlite3.SQLITE_READONLY:
        return OutboxReadOnly(f"The disk of {path} is read-only.")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return OutboxDamaged(f"The outbox file is damaged: {error}")
    return _typed_by_disk(f"The outbox cannot be used: {error}", path)


def _typed_by_disk(sentence: str, path: Path | str) -> OutboxError:
    """An I/O error says little; the file system itself knows whether it is read-only or full."""
    with contextlib.suppress(OSError):
        disk = os.statvfs(Path(path).parent)
        if disk.f_flag & os.ST_RDONLY:
            return OutboxReadOnly(f"The disk of {path} is read-only.")
        if disk.f_bavail == 0:
            return OutboxFull(f"The disk of {path} is full.")
    return OutboxUnavailable(sentence)
