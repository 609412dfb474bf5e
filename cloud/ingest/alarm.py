"""What somebody should look at: marks on a terminal's row, and payloads that were no batch, in quarantine.

Promises bounds: a mark is one of few words, and a terminal has at most PAYLOADS_KEPT payloads in quarantine, the newest.
Writes within the caller's transaction; log lines and metrics are the worker's.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from cloud.bulk import Bulk
from cloud.ingest.accept import Verdict
from cloud.ingest.rows import QUARANTINE_BYTES, QUARANTINE_COLUMNS

PAYLOADS_KEPT: Final = 100


def raise_marks(bulk: Bulk, refused: Sequence[Verdict]) -> None:
    """Mark the terminals of these deliveries; keep those payloads that could not be read."""
    marks: dict[str, set[str]] = {}
    for verdict in refused:
        if verdict.mark:
            marks.setdefault(verdict.delivery.terminal, set()).add(str(verdict.mark))
    mark(bulk, marks)
    for verdict in refused:
        if verdict.reading.batch is None:
            _keep_payload(bulk, verdict)


def mark(bulk: Bulk, marks: Mapping[str, set[str]]) -> None:
    """Add marks to terminals' rows."""
    found = bulk.rows_in("SELECT id, marks FROM terminals WHERE id IN", sorted(marks))
    changed = [
        (json.dumps(sorted({*json.loads(have), *marks[terminal]})), terminal)
        for terminal, have in found
        if not marks[terminal] <= set(json.loads(have))
    ]
    bulk.run_many("UPDATE terminals SET marks = ? WHERE id = ?", changed)


def _keep_payload(bulk: Bulk, verdict: Verdict) -> None:
    """Once: what is sent again and again unchanged makes one row."""
    delivery = verdict.delivery
    beginning = delivery.payload[:QUARANTINE_BYTES]
    newest = bulk.rows(
        "SELECT bytes FROM quarantine WHERE terminal_id = ? AND kind = 'payload' ORDER BY id DESC LIMIT 1",
        (delivery.terminal,),
    )
    if newest and bytes(newest[0][0]) == beginning:
        return
    reason = verdict.reading.wrong or "unreadable"
    row = (delivery.terminal, None, None, "payload", reason, beginning, delivery.received_at, "open")
    bulk.insert("quarantine", QUARANTINE_COLUMNS, [row])
    bulk.run(
        "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE terminal_id = ? AND kind = 'payload' "
        "ORDER BY id DESC LIMIT 1000 OFFSET ?)",
        (delivery.terminal, PAYLOADS_KEPT),
    )
