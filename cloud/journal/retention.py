"""Deletes what of the journal is older than the retention that was set; without one it is kept for ever.

Promises that nothing is deleted which the time series has not yet taken. What is gone stays in the ledger: a rebuild leaves
alone what is older than the journal's first batch.
"""

from cloud.bulk import Bulk
from cloud.journal.projector import cursor

AT_ONCE = 500
"""Batches in one transaction, so that the writers beside it do not wait long."""


def expire(bulk: Bulk, before_at: int) -> int:
    """Delete the oldest batches received before then; how many. Call again, in a new transaction, while it is not 0."""
    return bulk.run(
        "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE received_at < ? AND id <= ? ORDER BY id LIMIT ?)",
        (before_at, cursor(bulk), AT_ONCE),
    )
