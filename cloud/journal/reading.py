"""Reads the journal: stored batches with what was fixed about their records.

Promises the order of ids, and on PostgreSQL that no batch with a lower id can still be committed behind the reader's
back. Called by projector, rebuild, reconciler and retention.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cloud.bulk import Bulk
from cloud.journal.format import Fixed, Place, unpack_fixed, unpack_lines

WRITERS_LOCK: Final = 0x726F6F6D  # "room": PostgreSQL advisory lock; writers share it, a reader asks for it alone

RECORDS: Final = 10_000
"""Records read at a time: some 30 MB once decoded."""


class Entry(NamedTuple):
    """A stored batch: the bytes of its records, the first of which has number `first`, and what was fixed about them."""

    terminal: str
    stream: str
    first: int
    received_at: int
    lines: Sequence[bytes]
    fixed: Fixed

    def place_of(self, index: int) -> Place:
        """Room and organisation that the record counts for."""
        return self.fixed.places[self.fixed.place[index]]


def join_writers(bulk: Bulk) -> None:
    """Before a transaction adds to the journal: it counts as unfinished until its end."""
    if bulk.is_postgresql:
        bulk.rows("SELECT pg_advisory_xact_lock_shared(?)", (WRITERS_LOCK,))


def last_id(bulk: Bulk) -> int:
    """The highest id below which nothing is missing any more. On PostgreSQL waits for transactions under way, and lets no
    other add to the journal until the caller's transaction ends: who reads long, reads in another one."""
    if bulk.is_postgresql:
        bulk.rows("SELECT pg_advisory_xact_lock(?)", (WRITERS_LOCK,))
    return int(bulk.rows("SELECT COALESCE(MAX(id), 0) FROM journal")[0][0])


def one_snapshot(bulk: Bulk) -> None:
    """First in a transaction: all that it reads is of one moment. SQLite's reading transactions are so anyway."""
    if bulk.is_postgresql:
        bulk.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


def read_entries(bulk: Bulk, after_id: int, until_id: int, records: int = RECORDS) -> tuple[list[Entry], int]:
    """Entries with higher ids than `after_id`, of about `records` in all; and the id that was reached."""
    until_id = _reach(bulk, after_id, until_id, records)
    rows = bulk.rows(
        "SELECT s.terminal_id, j.stream, j.first, j.received_at, j.lines, j.fixed FROM journal j "
        "JOIN streams s ON s.stream = j.stream WHERE j.id > ? AND j.id <= ? ORDER BY j.id",
        (after_id, until_id),
    )
    return [_entry(*row) for row in rows], until_id


def is_complete(bulk: Bulk) -> bool:
    """Whether the journal still holds the first batch of every stream."""
    without = bulk.rows(
        "SELECT 1 FROM streams s WHERE s.through > 0 AND NOT EXISTS "
        "(SELECT 1 FROM journal j WHERE j.stream = s.stream AND j.first = 1) LIMIT 1"
    )
    return not without


def _reach(bulk: Bulk, after_id: int, until_id: int, records: int) -> int:
    """The id up to which there are about `records`, one batch at least."""
    ahead = bulk.rows(
        "SELECT id, count FROM journal WHERE id > ? AND id <= ? ORDER BY id LIMIT ?", (after_id, until_id, records)
    )
    for journal_id, count in ahead:
        records -= count
        if records <= 0:
            return int(journal_id)
    return until_id


def _entry(terminal: str, stream: str, first: int, received_at: int, lines: bytes, fixed: bytes) -> Entry:
    return Entry(terminal, stream, first, received_at, unpack_lines(bytes(lines)), unpack_fixed(bytes(fixed)))
