"""The commands that a terminal was given, as rows of the outbox's file: so that none is carried out twice.

Called by the outbox, inside its transactions. Ids are kept for KEEP_US by the cloud's own time, which deadlines are told in: a
terminal's clock that is far ahead makes it forget none.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS commands (id TEXT PRIMARY KEY, name TEXT NOT NULL, arguments TEXT NOT NULL,"
    " state TEXT NOT NULL, at INTEGER NOT NULL, boot TEXT NOT NULL, process TEXT NOT NULL, deadline_at INTEGER NOT NULL,"
    " deadline_mono_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID"
)
KEEP_US: Final = 40 * 86_400_000_000
UNFINISHED: Final = ("accepted", "running")


class KeptCommand(NamedTuple):
    """One row. `deadline_mono_ms` holds within `boot` only. `boot` and `process`, the agent's run, are those in which it was
    accepted, and once it is running those in which it was begun."""

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
    """Insert, or note what has become of it; what was over long before the newest one goes."""
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
    """Those whose end was not recorded, in the order in which they came."""
    query = "SELECT * FROM commands WHERE state IN (?, ?) ORDER BY at, id"
    return [KeptCommand(*row) for row in connection.execute(query, UNFINISHED)]


def restore(connection: sqlite3.Connection, rows: Iterable[Sequence[object]]) -> None:
    """What a damaged file still gave."""
    connection.executemany("INSERT OR IGNORE INTO commands VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
