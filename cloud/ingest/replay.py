"""Takes something out of quarantine again: a record that a newer program understands, or a point that was refused.

Promises that a replayed record counts from then on as if it had been understood at first: its journal entry loses the mark,
so a rebuild repeats it. Called by the API and the console, within their transaction.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from cloud.audit.service import Change, note
from cloud.bulk import Bulk
from cloud.clock import to_us
from cloud.errors import Conflict, NotFound
from cloud.ingest import rows
from cloud.ingest.accept import Delivery, Verdict, read
from cloud.ingest.lookups import Lookups, TerminalFacts
from cloud.ingest.models import Quarantine
from cloud.ingest.prepare import Prepared, prepare
from cloud.journal import projector
from cloud.journal.format import REPEAT, Fixed, pack_fixed, unpack_fixed, unpack_lines
from cloud.journal.reading import Entry
from firmware_specs.errors import DecodeError
from firmware_specs.messages import Record

NOWHERE = TerminalFacts("", (None, None))


@dataclass(frozen=True, slots=True)
class _Batch:
    """The journal's row that a record is in."""

    id: int
    first: int
    delivery: Delivery
    fixed: Fixed


def replay(session: Session, change: Change, held_id: int) -> Quarantine:
    """Take it out. Conflict when it was decided already, still cannot be understood, or cannot be replayed at all."""
    row = session.get(Quarantine, held_id, with_for_update=True)
    if row is None:
        raise NotFound(f"There is nothing {held_id} in quarantine.", code="not_held", id=str(held_id))
    if row.state != "open":
        raise Conflict("It was decided already.", code="decided")
    bulk = Bulk.of(session)
    if row.kind == "record":
        _replay_record(bulk, row, _batch_of(bulk, row))
    elif row.kind == "point":
        projector.write_again(bulk, _batch_of(bulk, row).id, row.number or 0, "point")
    else:
        raise Conflict(
            "A payload that was no batch changed nothing: its terminal still has the records and sends them.",
            code="payload_not_kept",
        )
    row.state, row.decided_by, row.decided_at = "replayed", change.who, to_us(change.at)
    session.flush()
    note(session, change, "quarantine.replay", str(held_id), terminal_id=row.terminal_id)
    return row


def _batch_of(bulk: Bulk, row: Quarantine) -> _Batch:
    found = bulk.rows(
        "SELECT id, first, header, lines, received_at, fixed, count FROM journal WHERE stream = ? AND first <= ? "
        "ORDER BY first DESC LIMIT 1",
        (row.stream, row.number),
    )
    if not found or found[0][1] + found[0][6] <= (row.number or 0):
        raise Conflict("The journal does not hold it any more.", code="not_in_journal")
    journal_id, first, header, lines, received_at, fixed, _count = found[0]
    payload = b"".join((bytes(header), b"\n", *(line + b"\n" for line in unpack_lines(bytes(lines)))))
    return _Batch(journal_id, first, Delivery(row.terminal_id, payload, received_at), unpack_fixed(bytes(fixed)))


def _replay_record(bulk: Bulk, row: Quarantine, batch: _Batch) -> None:
    verdict = Verdict(read(batch.delivery), None, taken=True)
    if verdict.reading.batch is None:
        raise Conflict(f"Its batch cannot be read: {verdict.reading.wrong}", code="batch_unreadable")
    lookups = Lookups()
    known = lookups.terminals(bulk, [row.terminal_id])
    (prepared,) = prepare(bulk, lookups, [verdict], {row.terminal_id: known.get(row.terminal_id, NOWHERE)})
    index = (row.number or 0) - batch.first
    record = prepared.records[index]
    if isinstance(record, DecodeError):
        raise Conflict(f"It still cannot be understood: {record}", code="still_unreadable")
    fixed = _spliced(batch.fixed, prepared, index, _repeat(bulk, record, prepared, index))
    bulk.run("UPDATE journal SET fixed = ? WHERE id = ?", (pack_fixed(fixed), batch.id))
    entry = _only(prepared, index, fixed)
    rows.write_facts(bulk, [(entry, [record])])
    facts, points = rows.counts([record], entry.fixed.marks)
    bulk.run(
        "UPDATE streams SET facts = facts + ?, points = points + ? WHERE stream = ?", (facts, points, entry.stream)
    )
    projector.write_again(bulk, batch.id, row.number or 0, "record")


def _repeat(bulk: Bulk, record: Record, prepared: Prepared, index: int) -> int:
    """The mark, where the fact's id was stored before."""
    if not isinstance(record, rows.Fact):
        return 0
    key = (rows.fact_id(record), prepared.stream, prepared.first + index)
    return 0 if bulk.insert_new("fact_ids", ("record_id", "stream", "number"), [key]) else REPEAT


def _spliced(old: Fixed, prepared: Prepared, index: int, repeat: int) -> Fixed:
    """What was fixed about the batch, with one record's part made anew."""
    new = prepared.fixed
    place = new.places[new.place[index]]
    places = [*old.places, *([] if place in old.places else [place])]
    columns: dict[str, Any] = {
        name: [*getattr(old, name)[:index], value, *getattr(old, name)[index + 1 :]]
        for name, value in (
            ("effective_at", new.effective_at[index]),
            ("uncertainty_us", new.uncertainty_us[index]),
            ("basis", new.basis[index]),
            ("place", places.index(place)),
            ("marks", new.marks[index] | repeat),
        )
    }
    occurrences = {**old.occurrences, **{each: name for each, name in new.occurrences.items() if each == index}}
    return old._replace(**columns, places=places, occurrences=occurrences)


def _only(prepared: Prepared, index: int, fixed: Fixed) -> Entry:
    """The batch as if it held this record alone."""
    delivery = prepared.verdict.delivery
    one = Fixed(
        [fixed.effective_at[index]],
        [fixed.uncertainty_us[index]],
        [fixed.basis[index]],
        [fixed.place[index]],
        [fixed.marks[index]],
        fixed.places,
        {0: fixed.occurrences[index]} if index in fixed.occurrences else {},
        fixed.kind,
    )
    lines = [prepared.verdict.batch.lines[index]]
    return Entry(delivery.terminal, prepared.stream, prepared.first + index, delivery.received_at, lines, one)
