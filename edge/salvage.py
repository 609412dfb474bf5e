"""Takes out of a damaged outbox file what can still be read, so that a new stream goes on from it.

Promises that damage is no failure: what cannot be read is missing, and declared as a gap. What may pass, such as a full disk, is
raised, so that nothing is given up for it. Called by the store, once per damaged file.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, get_type_hints

from pydantic import ValidationError

from edge import rows
from edge.errors import OutboxDamaged
from edge.kept_commands import KeptCommand
from edge.rows import Kept, Row
from edge.stream import as_gap, as_parent, is_copied
from firmware_specs.errors import DecodeError
from firmware_specs.fields import MAX_NUMBER
from firmware_specs.messages import Gap, Parent
from firmware_specs.wire import decode_record

log = logging.getLogger(__name__)

MOST_FAILURES: Final = 20_000
"""So many places are tried one by one where pages cannot be read."""
MAY_PASS: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
    }
)
"""Primary result codes that tell of the disk or the machine, not of the file."""


class Wreck:
    """A damaged file. ``kept`` is None where not even its stream can be read: then there is no parent and no number, and every
    record that can be read is taken for one that nobody has."""

    def __init__(self, file: Path) -> None:
        self.kept: Kept | None = None
        self.parent: Parent | None = None
        self.accepted: list[Any] = []
        self.twin: list[Any] = []
        self.staff: list[Any] = []
        self.commands: list[Any] = []
        self._missing: list[int] = []
        self._file = file
        try:
            with closing(self._connect()) as connection:
                self._read(connection)
        except sqlite3.Error as error:
            _raise_what_may_pass(error)
            log.info("no more can be read from %s: %s", file, error)

    @property
    def gap(self) -> Gap | None:
        """What is lost, once `copied` has come to its end: from the first missing number to the last."""
        if self.kept is None or not self._missing:
            return None
        return as_gap(self.kept.state.stream, min(self._missing), max(self._missing), "damaged")

    def copied(self) -> Iterator[Row]:
        """Every record that can still be read and goes along into a new stream, in order."""
        if self.kept is None:
            yield from self._all_records()
            return
        state, base = self.kept.state, self.kept.base
        number = state.trimmed
        with closing(self._connect()) as connection:
            for place, row in _readable(connection, base + state.trimmed, base + state.last):
                self._miss(number + 1, place - base - 1)
                number = place - base
                if is_copied(number, row.type, state.through):
                    yield row
        self._miss(number + 1, state.last)

    def _all_records(self) -> Iterator[Row]:
        """Without the stream's row: record ids keep single what the cloud has already."""
        with closing(self._connect()) as connection:
            first, last = _ends(connection)
            for _, row in _readable(connection, first - 1, last):
                yield row

    def _miss(self, first: int, last: int) -> None:
        """What the cloud has is not missing. Only the ends are kept: there may be many."""
        if self.kept is not None and max(first, self.kept.state.through + 1) <= last:
            self._missing += [max(first, self.kept.state.through + 1), last]

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(f"{self._file.absolute().as_uri()}?mode=rw", uri=True, timeout=1.0)
        with contextlib.suppress(
            sqlite3.DatabaseError
        ):  # its log is read without an index on the disk, which may be full
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        return connection

    def _read(self, connection: sqlite3.Connection) -> None:
        self._read_stream(connection)
        self.accepted = _all(connection, "SELECT occurrence, key, at FROM accepted", (str, str, int))
        self.twin = _all(connection, "SELECT one, document FROM twin", (int, bytes))
        self.staff = _all(connection, "SELECT one, failures FROM staff", (int, int))
        self.commands = _all(connection, "SELECT * FROM commands", tuple(get_type_hints(KeptCommand).values()))

    def _read_stream(self, connection: sqlite3.Connection) -> None:
        try:
            kept = rows.load(connection)
            if kept is None or not 0 <= kept.state.trimmed <= kept.state.through <= kept.state.last:
                return
            self.parent = _parent_of(connection, kept)
        except (sqlite3.Error, OutboxDamaged, ValidationError, TypeError, ValueError, AttributeError) as error:
            _raise_what_may_pass(error)
            log.info("the stream's row in %s makes no sense", self._file)
            return
        self.kept = kept


def _parent_of(connection: sqlite3.Connection, kept: Kept) -> Parent:
    """At what is stored, where the chain can be read; else at the stream's start."""
    state, chain = kept.state, None
    try:
        chain = rows.chain_at(connection, kept, state.through)
    except sqlite3.Error as error:
        _raise_what_may_pass(error)
        log.info("the chain at %d cannot be read", state.through)
    return as_parent(state.stream, state.through if chain else 0, chain or state.start)


def _ends(connection: sqlite3.Connection) -> tuple[int, int]:
    """The first place and the last; where these cannot be read, all that may be."""
    try:
        first, last = connection.execute("SELECT min(place), max(place) FROM records").fetchone()
    except sqlite3.Error as error:
        _raise_what_may_pass(error)
        return 1, MAX_NUMBER
    return (first, last) if first is not None else (1, 0)


def _readable(connection: sqlite3.Connection, after: int, last: int) -> Iterator[tuple[int, Row]]:
    """(place, row) of all that can be read and understood."""
    failures = 0
    while after < last and failures < MOST_FAILURES:
        try:
            found = connection.execute(
                "SELECT place, type, at, line FROM records WHERE place > ? AND place <= ? ORDER BY place LIMIT 1",
                (after, last),
            ).fetchone()
        except sqlite3.Error as error:
            _raise_what_may_pass(error)
            if _code(error) in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
                return  # no database, or one without this table: it is the same at every place
            failures, after = failures + 1, after + 1
            continue
        if found is None:
            return
        after = found[0]
        row = _understood(*found[1:])
        if row is not None:
            yield after, row


def _understood(record_type: object, at_us: object, line: object) -> Row | None:
    if not (isinstance(record_type, str) and isinstance(at_us, int) and isinstance(line, bytes)):
        return None
    try:
        record = decode_record(line)
    except DecodeError:
        return None
    return Row(record_type, at_us, line) if (record.type, record.at) == (record_type, at_us) else None


def _all(connection: sqlite3.Connection, query: str, kinds: Sequence[type]) -> list[Any]:
    """Rows until the first that cannot be read, without those that the same table of a new file would not take."""
    found: list[Any] = []
    try:
        found.extend(row for row in connection.execute(query) if list(map(type, row)) == list(kinds))
    except sqlite3.Error as error:
        _raise_what_may_pass(error)
        log.info("not all can be read: %s", query)
    return found


def _code(error: Exception) -> int:
    """SQLite's primary result code; 0 for an error of another kind."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _raise_what_may_pass(error: Exception) -> None:
    """Raise an error that is none of the file itself; it becomes the store's own (edge.database.translated)."""
    if _code(error) in MAY_PASS:
        raise error
