"""The commands that a terminal was given, as rows of the outbox's file: so that none is carried out twice.

Called by the outbox, inside its transactions. Ids are kept for KEEP_US after their end, by the cloud's clock: the terminal's
own may be years off when one comes, and right when the next does.
"""

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from pydantic import TypeAdapter, ValidationError

from firmware_specs.fields import Uuid

log = logging.getLogger(__name__)

TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS commands (id TEXT PRIMARY KEY, name TEXT NOT NULL, arguments TEXT NOT NULL,"
    " state TEXT NOT NULL, at INTEGER NOT NULL, boot TEXT NOT NULL, process TEXT NOT NULL, deadline_at INTEGER NOT NULL,"
    " deadline_mono_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID"
)
KEEP_US: Final = 40 * 86_400_000_000
UNFINISHED: Final = ("accepted", "running")
_ID: Final = TypeAdapter(Uuid)


class KeptCommand(NamedTuple):
    """One row. `boot` and `process`, the agent's run, are those that accepted it; once it is running, those that began it.
    `deadline_mono_ms` holds within `boot` only, until it is running."""

    id: str
    name: str
    arguments: str
    state: str
    at_us: int
    boot: str
    process: str
    deadline_at_us: int
    deadline_mono_ms: int


def keep(connection: sqlite3.Connection, commands: Sequence[KeptCommand]) -> None:
    """Insert, or note the new state; what was over long before the newest of these goes."""
    if not commands:
        return
    connection.executemany(
        "INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state,"
        " boot = excluded.boot, process = excluded.process",
        commands,
    )
    oldest_us = max(each.deadline_at_us for each in commands) - KEEP_US
    connection.execute("DELETE FROM commands WHERE deadline_at < ? AND state NOT IN (?, ?)", (oldest_us, *UNFINISHED))


def is_known(connection: sqlite3.Connection, command_id: str) -> bool:
    """Whether it came before."""
    return connection.execute("SELECT 1 FROM commands WHERE id = ?", (command_id,)).fetchone() is not None


def unfinished(connection: sqlite3.Connection) -> list[KeptCommand]:
    """Those whose end was not recorded, in the order in which they came; without any whose id has rotted: no record could name
    it, and the cloud knows none such."""
    query = "SELECT * FROM commands WHERE state IN (?, ?) ORDER BY at, id"
    found = [KeptCommand(*row) for row in connection.execute(query, UNFINISHED)]
    return [each for each in found if _is_named(each)]


def restore(connection: sqlite3.Connection, rows: Iterable[Sequence[object]]) -> None:
    """What a damaged file still gave."""
    connection.executemany("INSERT OR IGNORE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)


def forget_all(connection: sqlite3.Connection) -> None:
    """They were given to another terminal, of whose disk this one is a copy."""
    connection.execute("DELETE FROM commands")


def _is_named(command: KeptCommand) -> bool:
    try:
        _ID.validate_python(command.id)
    except ValidationError:
        log.warning("a kept command has an id that is none: it is left alone")
        return False
    return True
