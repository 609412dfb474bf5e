"""Locks the rows of several terminals before they are written in one transaction, in the one order that everybody keeps.

Promises that two who do so never wait for each other; rows first, counters (`cloud.counters`) after them. On SQLite a writer is
alone anyway. Called by ingest, import and replacing.
"""

from collections.abc import Iterable

from cloud.bulk import Bulk


def lock(bulk: Bulk, terminal_ids: Iterable[str]) -> None:
    """Until the transaction ends, and not against those who only refer to them. Ids that there are not are passed over."""
    if bulk.is_postgresql:
        # By bytes, as Python sorts: a database's own collation may leave the hyphens out.
        tail = ' ORDER BY id COLLATE "C" FOR NO KEY UPDATE'
        bulk.rows_in("SELECT id FROM terminals WHERE id IN", sorted(set(terminal_ids)), tail=tail)
