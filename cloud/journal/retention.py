"""What may be let go, and when: old points by the projector, and the oldest batches of the journal. Without a setting: nothing.

Promises that nothing is deleted which the time series has not yet taken, that of each stream an unbroken end remains, and
that a clock of the cloud's that runs ahead deletes nothing. What is gone from the journal stays in the ledger.
"""

import json
from statistics import median_high
from typing import Final

from cloud.bulk import Bulk
from cloud.journal.projector import cursor

AT_ONCE: Final = 500
"""Batches in one transaction, so that the writers beside it do not wait long."""

WITNESSES: Final = 50
"""Newest batches whose terminals are asked what time it is."""


def present_at(bulk: Bulk, now_at: int) -> int | None:
    """The time to count ages from: our clock's, or the terminals' where that is earlier. None where nobody can tell.

    Terminals say when they sent a batch; of those whose clock is synced, the middle one is believed. While nobody sends,
    time stands still for this, and old points and batches stay a little longer.
    """
    rows = bulk.rows("SELECT header, received_at FROM journal ORDER BY id DESC LIMIT ?", (WITNESSES,))
    headers = [(json.loads(bytes(header)), received_at) for header, received_at in rows]
    told = [header["sent_at"] for header, _ in headers if header.get("clock") == "synced"]
    told = told or [received_at for _, received_at in headers]
    return min(now_at, median_high(told)) if told else None


def expire(bulk: Bulk, before_at: int, after_id: int = 0) -> tuple[int, int | None]:
    """Of the next batches with higher ids, delete those received before then, and none behind one that stays in its stream.

    How many; and the id to go on from in a new transaction, None at the end.
    """
    found = bulk.rows(_OLD, (before_at, after_id, cursor(bulk), AT_ONCE))
    gone: set[tuple[str, int]] = set()
    ids = []
    for journal_id, stream, first, before in found:
        if before is None or (stream, before) in gone:
            gone.add((stream, first))
            ids.append(journal_id)
    bulk.run_many("DELETE FROM journal WHERE id = ?", [(each,) for each in ids])
    return len(ids), found[-1][0] if len(found) == AT_ONCE else None


_OLD: Final = """SELECT o.id, o.stream, o.first,
(SELECT MAX(j.first) FROM journal j WHERE j.stream = o.stream AND j.first < o.first)
FROM (SELECT id, stream, first FROM journal WHERE received_at < ? AND id > ? AND id <= ? ORDER BY id LIMIT ?) o
ORDER BY o.id"""
