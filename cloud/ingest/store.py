"""The writing half of the line: advance the positions, keep facts single, journal, record. All in one transaction.

Promises that of two writers of one stream only one goes on: positions are compared under a lock (SQLite's write lock,
PostgreSQL's row locks, taken in the order of stream ids), and the loser's batch leaves the group.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from cloud.bulk import Bulk, Row
from cloud.ingest import rows
from cloud.ingest.accept import Neighbour, Position
from cloud.ingest.prepare import Prepared
from cloud.journal.format import REPEAT, pack_fixed, pack_lines
from cloud.journal.reading import Entry, join_writers

DAY_US: Final = 86_400_000_000

_JOURNAL: Final = (
    "stream", "first", "count", "prev", "chain", "header", "lines", "received_at", "epoch", "fixed",
)  # fmt: skip
_STREAM: Final = (
    "stream", "terminal_id", "through", "chain", "parent_stream", "parent_through", "parent_chain", "opened_at",
    "last_stored_at", "facts", "points", "said_through", "said_at",
)  # fmt: skip
_ADVANCE: Final = """UPDATE streams SET through = ?, chain = ?, last_stored_at = ?, last_effective_at = ?,
last_uncertainty_us = ?, last_boot = ?, last_mono_ms = ?, facts = facts + ?, points = points + ?,
said_through = CASE WHEN said_through > ? THEN said_through ELSE ? END, said_at = ? WHERE stream = ?"""


def positions_of(bulk: Bulk, streams: Iterable[str], *, lock: bool = False) -> dict[str, Position]:
    """Where these streams are; those that were never stored are left out."""
    tail = " ORDER BY stream FOR UPDATE" if lock and bulk.is_postgresql else ""
    found = bulk.rows_in(
        "SELECT stream, terminal_id, through, chain, last_effective_at, last_uncertainty_us, last_boot, last_mono_ms, "
        "said_through FROM streams WHERE stream IN",
        sorted(set(streams)),
        tail=tail,
    )
    last = {row[0]: None if row[6] is None else Neighbour(*row[4:8]) for row in found}
    return {row[0]: Position(row[1], row[2], row[3], last[row[0]], row[8]) for row in found}


def opened_since(bulk: Bulk, terminals: Iterable[str], since_at: int) -> dict[str, int]:
    """How many streams each terminal has opened since then."""
    found = bulk.rows_in(
        "SELECT terminal_id, COUNT(*) FROM streams WHERE opened_at > ? AND terminal_id IN",
        set(terminals),
        (since_at,),
        tail=" GROUP BY terminal_id",
    )
    return dict(found)


def advance(bulk: Bulk, prepared: Sequence[Prepared]) -> list[Prepared]:
    """Take the positions' locks; gives back those batches that still continue their stream, in order."""
    bulk.insert_new("streams", _STREAM, [_opened(each) for each in prepared if each.first == 1])
    now = positions_of(bulk, (each.stream for each in prepared), lock=True)
    won = []
    for each in prepared:
        was, here = each.verdict.position, now.get(each.stream)
        if was is None or here is None:
            continue
        if (here.terminal, here.through, here.chain) == (was.terminal, was.through, was.chain):
            now[each.stream] = each.verdict.after()
            won.append(each)
    return won


def single(bulk: Bulk, prepared: Sequence[Prepared]) -> list[Prepared]:
    """Mark the facts whose record ids were stored before: their first record counts."""
    ids = {
        (rows.fact_id(record), each.stream, each.first + index): (each, index)
        for each in prepared
        for index, record in enumerate(each.records)
        if isinstance(record, rows.Fact)
    }
    new = bulk.insert_new("fact_ids", ("record_id", "stream", "number"), sorted(ids))
    if new == len(ids):
        return list(prepared)
    owners = set(
        bulk.rows_in("SELECT record_id, stream, number FROM fact_ids WHERE record_id IN", {key[0] for key in ids})
    )
    repeats: dict[int, list[int]] = {}
    for key, (each, index) in ids.items():
        if key not in owners:
            repeats.setdefault(id(each), []).append(index)
    return [_with_repeats(each, repeats.get(id(each), ())) for each in prepared]


def journal(bulk: Bulk, prepared: Sequence[Prepared], epoch: int) -> None:
    """The raw batches, with what was decided about them; their streams' positions move on with them."""
    join_writers(bulk)
    bulk.run_many(_ADVANCE, [_advanced(each) for each in prepared])
    bulk.insert("journal", _JOURNAL, [_batch(each, epoch) for each in prepared])


def note_said(bulk: Bulk, said: Sequence[Row]) -> None:
    """Rows of stream, number, time: so far terminals have spoken of records, whatever they said before."""
    bulk.run_many(
        "UPDATE streams SET said_through = CASE WHEN through > ? THEN through ELSE ? END, said_at = ? WHERE stream = ?",
        [(through, through, at, stream) for stream, through, at in sorted(said)],
    )


def record(bulk: Bulk, prepared: Sequence[Prepared]) -> None:
    """Facts into the ledger, links to members, quarantine."""
    rows.write_facts(bulk, ((entry_of(each), each.records) for each in prepared))


def entry_of(prepared: Prepared) -> Entry:
    """The batch as the journal will give it back."""
    return Entry(
        prepared.verdict.delivery.terminal,
        prepared.stream,
        prepared.first,
        prepared.verdict.delivery.received_at,
        prepared.verdict.batch.lines,
        prepared.fixed,
    )


def _opened(prepared: Prepared) -> Row:
    """A stream's row before its first batch: nothing stored."""
    delivery, header = prepared.verdict.delivery, prepared.verdict.batch.header
    parent = header.parent
    return (
        prepared.stream,
        delivery.terminal,
        0,
        header.prev,
        *((None, None, None) if parent is None else (parent.stream, parent.through, parent.chain)),
        delivery.received_at,
        delivery.received_at,
        0,
        0,
        0,
        delivery.received_at,
    )


def _advanced(prepared: Prepared) -> Row:
    batch, at, last = prepared.verdict.batch, prepared.verdict.delivery.received_at, prepared.last
    neighbour = (None,) * 4 if last is None else (last.effective_at, last.uncertainty_us, last.boot, last.mono_ms)
    return (
        batch.last,
        batch.header.chain,
        at,
        *neighbour,
        *rows.counts(prepared.records, prepared.fixed.marks),
        batch.last,
        batch.last,
        at,
        prepared.stream,
    )


def _with_repeats(prepared: Prepared, repeats: Sequence[int]) -> Prepared:
    if not repeats:
        return prepared
    marks = list(prepared.fixed.marks)
    for index in repeats:
        marks[index] |= REPEAT
    return prepared._replace(fixed=prepared.fixed._replace(marks=marks))


def _batch(prepared: Prepared, epoch: int) -> Row:
    delivery, header = prepared.verdict.delivery, prepared.verdict.batch.header
    line, _, body = delivery.payload.partition(b"\n")
    return (
        prepared.stream,
        header.first,
        header.count,
        header.prev,
        header.chain,
        line,
        pack_lines(body),
        delivery.received_at,
        epoch,
        pack_fixed(prepared.fixed),
    )
