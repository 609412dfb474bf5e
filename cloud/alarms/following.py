"""Reads the journal onward for its health samples, and keeps the newest of each terminal in one row.

Promises that a batch is read once, in the order of the journal, and on PostgreSQL none behind the reader's back. Called by the
evaluator, from its own cursor.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from cloud.alarms.judging import Sample
from cloud.bulk import Bulk, Row
from cloud.journal.format import REPEAT, UNREADABLE
from cloud.journal.reading import Entry, read_entries

_KEEP: Final = """INSERT INTO newest_health (terminal_id, at, received_at, metrics) VALUES (?, ?, ?, ?)
ON CONFLICT (terminal_id) DO UPDATE SET at = excluded.at, received_at = excluded.received_at, metrics = excluded.metrics
WHERE excluded.at >= newest_health.at"""


def samples_after(bulk: Bulk, after_id: int, until_id: int) -> tuple[list[Sample], int]:
    """The samples of the next batches in their order, and the id that was reached."""
    entries, reached = read_entries(bulk, after_id, until_id)
    return [sample for entry in entries for sample in _samples(entry)], reached


def later(samples: Iterable[Sample], than: Mapping[str, int]) -> list[Sample]:
    """In their order, without those that are not later than the one before them of their terminal."""
    newest_at: dict[str, int] = {}
    found = []
    for sample in samples:
        if sample.at > newest_at.get(sample.terminal, than.get(sample.terminal, -1)):
            newest_at[sample.terminal] = sample.at
            found.append(sample)
    return found


def newest(samples: Iterable[Sample]) -> Mapping[str, Sample]:
    """The newest of each terminal."""
    found: dict[str, Sample] = {}
    for sample in samples:
        if sample.terminal not in found or sample.at >= found[sample.terminal].at:
            found[sample.terminal] = sample
    return found


def keep(bulk: Bulk, samples: Mapping[str, Sample]) -> None:
    """Write the newest rows; an older sample than what is there changes nothing."""
    rows: Sequence[Row] = [
        (terminal, each.at, each.received_at, json.dumps(each.metrics, separators=(",", ":")))
        for terminal, each in sorted(samples.items())
    ]
    bulk.run_many(_KEEP, rows)


def known(bulk: Bulk) -> list[Sample]:
    """The newest sample of every terminal."""
    rows = bulk.rows("SELECT terminal_id, at, received_at, metrics FROM newest_health")
    return [Sample(terminal, at, received_at, json.loads(metrics)) for terminal, at, received_at, metrics in rows]


def _samples(entry: Entry) -> Iterator[Sample]:
    """A time that lies ahead of us is the terminal's mistake: the sample was taken when it came in, at the latest."""
    for index, line in enumerate(entry.lines):
        if b'"health"' not in line or entry.fixed.marks[index] & (REPEAT | UNREADABLE):
            continue
        record = json.loads(line)
        if record["type"] == "health":
            at = min(entry.fixed.effective_at[index], entry.received_at)
            yield Sample(entry.terminal, at, entry.received_at, record["metrics"])
