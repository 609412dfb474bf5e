"""What somebody should look at: marks on a terminal's row, and payloads that were no batch, in quarantine.

Promises bounds: a mark is one of few words, and a terminal has at most PAYLOADS_KEPT payloads in quarantine, the newest.
Writes within the caller's transaction; log lines and metrics are the worker's.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from cloud.bulk import Bulk
from cloud.ingest.accept import Verdict
from cloud.ingest.prepare import Prepared
from cloud.ingest.rows import QUARANTINE_BYTES, QUARANTINE_COLUMNS
from cloud.terminals import locks
from firmware_specs.messages import Started

PAYLOADS_KEPT: Final = 100


DAMAGED: Final = "damaged"
"""A terminal began a new stream because its disk lost something, or declares that records are lost."""
DAMAGE: Final = frozenset({"damaged", "damaged_parent_unknown", "rotted"})
FORKED: Final = "fork"
ROLLED_BACK: Final = frozenset({"diverged", "beyond"})
"""Its own chain differed from what is stored, or ended before it: an older copy of its disk was in use."""


def marks_of(refused: Iterable[Verdict], stored: Iterable[Prepared]) -> dict[str, set[str]]:
    """By terminal, what these deliveries are reason for."""
    marks: dict[str, set[str]] = {}
    for verdict in refused:
        marks.setdefault(verdict.delivery.terminal, set()).add(str(verdict.mark))
    for prepared, word in confessions(stored):
        marks.setdefault(prepared.verdict.delivery.terminal, set()).add(word)
    return marks


def confessions(stored: Iterable[Prepared]) -> list[tuple[Prepared, str]]:
    """Those of these batches in which a terminal tells of damage or of a fork: in the first record of a stream."""
    firsts = [(each, each.records[0]) for each in stored if each.first == 1 and each.records]
    return [(each, word) for each, record in firsts if (word := _confessed(record))]


def keep_payloads(bulk: Bulk, refused: Iterable[Verdict]) -> None:
    """Keep what was no batch."""
    for verdict in refused:
        if verdict.reading.batch is None:
            _keep_payload(bulk, verdict)


def mark(bulk: Bulk, marks: Mapping[str, set[str]], at: int) -> None:
    """Add marks to terminals' rows, set `at` (microseconds), and to their histories. Those that are there keep their time."""
    locks.lock(bulk, marks)  # an operator may take marks away meanwhile
    found = bulk.rows_in("SELECT id, marks FROM terminals WHERE id IN", sorted(marks))
    new = {terminal: marks[terminal] - set(json.loads(have)) for terminal, have in found}
    changed = [
        (json.dumps(sorted({*json.loads(have), *new[terminal]})), at, terminal)
        for terminal, have in found
        if new[terminal]
    ]
    bulk.run_many("UPDATE terminals SET marks = ?, marked_at = ? WHERE id = ?", changed)
    bulk.insert_new("marks_set", ("terminal_id", "at", "mark"), sorted((t, at, each) for t in new for each in new[t]))


def _confessed(record: object) -> str | None:
    if not isinstance(record, Started):
        return None
    if record.reason in DAMAGE or record.gap is not None:
        return DAMAGED
    return FORKED if record.reason in ROLLED_BACK else None


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
