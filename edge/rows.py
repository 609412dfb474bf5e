"""The outbox's tables as functions over a connection: the only place with their SQL beside the schema.

A record's `place` is the stream's base plus its number; places only grow, so that a fork appends and never renumbers.
Called by the outbox, inside its transactions.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError

from edge.errors import OutboxDamaged
from edge.stream import SAMPLE_TYPE, StreamState, is_copied
from firmware_specs.messages import Dropped, Parent, Record
from firmware_specs.wire import chain_next, encode_record

NO_CHAIN: Final = bytes(32)
"""Stands in a row until its chain is fixed: the same size, so that fixing it needs no space."""
HOUR_US: Final = 3_600_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it lies in the table; ``at_us`` is the record's own time."""

    type: str
    at_us: int
    line: bytes


@dataclass(frozen=True, slots=True)
class Kept:
    """What the table `stream` holds: the pure state, and what only this file needs."""

    state: StreamState
    base: int
    connection: int
    last_stored_at_us: int | None


def row_of(record: Record) -> Row:
    """Encode a record, once and for ever; raises TooLarge beyond 8 KiB."""
    return Row(record.type, record.at, encode_record(record))


# --- the stream -----------------------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection) -> Kept | None:
    """The stream of this file; None in a new one. Raises OutboxDamaged where its row makes no sense."""
    found = connection.execute(
        "SELECT terminal, stream, parent, last, fixed, through, through_epoch, trimmed, trimmed_chain, epoch,"
        " base, connection, last_stored_at FROM stream"
    ).fetchone()
    if found is None:
        return None
    if not _is_sound(found):
        raise OutboxDamaged("The outbox file's row of its stream makes no sense.")
    terminal, stream, parent, *numbers, base, connection_number, last_stored_at = found
    try:
        known_parent = None if parent is None else Parent.model_validate_json(parent)
    except ValidationError:
        raise OutboxDamaged("The outbox file names a parent stream that makes no sense.") from None
    return Kept(StreamState(terminal, stream, known_parent, *numbers), base, connection_number, last_stored_at)


def _is_sound(found: Sequence[object]) -> bool:
    """Whether each value of the row is of its column's kind: rotted bytes may be read as another."""
    *row, last_stored_at = found
    kinds = (str, str, str | None, int, int, int, int, int, bytes, int, int, int)
    return all(map(isinstance, row, kinds)) and isinstance(last_stored_at, int | None)


def save(connection: sqlite3.Connection, kept: Kept) -> None:
    """Write the stream's one row."""
    state = kept.state
    connection.execute(
        "INSERT INTO stream (one, terminal, stream, parent, last, fixed, through, through_epoch, trimmed,"
        " trimmed_chain, epoch, base, connection, last_stored_at) VALUES (1,?,?,?,?,?,?,?,?,?,?,?,?,?)"
        " ON CONFLICT (one) DO UPDATE SET terminal=excluded.terminal, stream=excluded.stream, parent=excluded.parent,"
        " last=excluded.last, fixed=excluded.fixed, through=excluded.through, through_epoch=excluded.through_epoch,"
        " trimmed=excluded.trimmed, trimmed_chain=excluded.trimmed_chain, epoch=excluded.epoch, base=excluded.base,"
        " connection=excluded.connection, last_stored_at=excluded.last_stored_at",
        (
            state.terminal,
            state.stream,
            None if state.parent is None else state.parent.model_dump_json(),
            state.last,
            state.fixed,
            state.through,
            state.through_epoch,
            state.trimmed,
            state.trimmed_chain,
            state.epoch,
            kept.base,
            kept.connection,
            kept.last_stored_at_us,
        ),
    )


def is_whole(connection: sqlite3.Connection, kept: Kept) -> bool:
    """Whether exactly the records are there that the stream's row speaks of."""
    state = kept.state
    first, last, count = connection.execute("SELECT min(place), max(place), count(*) FROM records").fetchone()
    ordered = 0 <= state.trimmed <= state.through <= state.fixed <= state.last
    if state.trimmed == state.last:
        return ordered and count == 0
    return ordered and (first, last, count) == (
        kept.base + state.trimmed + 1,
        kept.base + state.last,
        state.last - state.trimmed,
    )


# --- records --------------------------------------------------------------------------------------------------------


def insert(connection: sqlite3.Connection, after_place: int, rows: Iterable[Row]) -> int:
    """Append rows after a place; returns the last place."""
    numbered = [(after_place + index, r.type, r.at_us, r.line, NO_CHAIN) for index, r in enumerate(rows, 1)]
    connection.executemany("INSERT INTO records (place, type, at, line, chain) VALUES (?,?,?,?,?)", numbered)
    return after_place + len(numbered)


def chain_at(connection: sqlite3.Connection, kept: Kept, number: int) -> bytes | None:
    """The stream's own chain at a number; None where it was trimmed, or never fixed."""
    state = kept.state
    if number == 0:
        return state.start
    if number == state.trimmed:
        return state.trimmed_chain
    if not state.trimmed < number <= state.fixed:
        return None
    found = connection.execute("SELECT chain FROM records WHERE place = ?", (kept.base + number,)).fetchone()
    return None if found is None else bytes(found[0])


def own_chain(connection: sqlite3.Connection, kept: Kept) -> bytes:
    """The chain at what is stored. Raises OutboxDamaged where it is missing."""
    chain = chain_at(connection, kept, kept.state.through)
    if chain is None:
        raise OutboxDamaged(f"The outbox file has no chain at {kept.state.through}.")
    return chain


def lines_after(
    connection: sqlite3.Connection, place: int, max_records: int, room_bytes: int
) -> list[tuple[bytes, bytes]]:
    """(line, chain) of the next records that fit together; empty where there is none, or the first does not fit."""
    found: list[tuple[bytes, bytes]] = []
    cursor = connection.execute(
        "SELECT line, chain FROM records WHERE place > ? ORDER BY place LIMIT ?", (place, max_records)
    )
    for line, chain in cursor:
        room_bytes -= len(line) + 1
        if room_bytes < 0:
            break
        found.append((line, chain))
    cursor.close()
    return found


def fix_chain(
    connection: sqlite3.Connection, place: int, previous: bytes, lines: Sequence[bytes], *, after: int
) -> bytes:
    """The chain over the lines that follow ``place``; set in the rows beyond ``after``, where it was not yet."""
    fixed: list[tuple[bytes, int]] = []
    for index, line in enumerate(lines, 1):
        previous = chain_next(previous, line)
        if place + index > after:
            fixed.append((previous, place + index))
    connection.executemany("UPDATE records SET chain = ? WHERE place = ?", fixed)
    return previous


def first_line_bytes(connection: sqlite3.Connection, place: int) -> int | None:
    """Length of the next record's line after ``place``."""
    found = connection.execute("SELECT length(line) FROM records WHERE place = ?", (place + 1,)).fetchone()
    return None if found is None else int(found[0])


def at_of(connection: sqlite3.Connection, place: int) -> int | None:
    """The time of the record at a place."""
    found = connection.execute("SELECT at FROM records WHERE place = ?", (place,)).fetchone()
    return None if found is None else int(found[0])


# --- what is stored, what is trimmed --------------------------------------------------------------------------------


def mark_stored(connection: sqlite3.Connection, place: int, now_us: int) -> None:
    """Remember when the cloud had everything up to a place, one mark an hour; never older than that of a lower place.

    Only for a clock that is set: a mark of 1970 would make everything old enough to be trimmed.
    """
    connection.execute(
        "INSERT INTO stored_marks SELECT max(?, ifnull(max(hour), 0)), ? FROM stored_marks WHERE true"
        " ON CONFLICT (hour) DO UPDATE SET place = max(place, excluded.place)",
        (now_us // HOUR_US, place),
    )


def mend_marks(connection: sqlite3.Connection, now_us: int) -> None:
    """What a wrong clock marked as stored in the future was stored by now, at the latest."""
    later = "FROM stored_marks WHERE hour > ?"
    place = connection.execute(f"SELECT max(place) {later}", (now_us // HOUR_US,)).fetchone()[0]
    if place is not None:
        connection.execute(f"DELETE {later}", (now_us // HOUR_US,))
        mark_stored(connection, place, now_us)


def forget_marks(connection: sqlite3.Connection, after_place: int) -> None:
    """After a rewind: what comes later is not stored any more."""
    connection.execute("DELETE FROM stored_marks WHERE place > ?", (after_place,))


def stored_before(connection: sqlite3.Connection, before_us: int) -> int:
    """The last place that was stored before an instant; 0 for none."""
    found = connection.execute("SELECT max(place) FROM stored_marks WHERE hour < ?", (before_us // HOUR_US,))
    return int(found.fetchone()[0] or 0)


def delete_through(connection: sqlite3.Connection, place: int) -> None:
    """Trim; the caller has kept the chain at the boundary."""
    connection.execute("DELETE FROM records WHERE place <= ?", (place,))
    connection.execute("DELETE FROM rejected WHERE place <= ?", (place,))
    connection.execute("DELETE FROM stored_marks WHERE place <= ?", (place,))


def mark_rejected(connection: sqlite3.Connection, places: Iterable[int]) -> None:
    """Remember which records the cloud could not understand, for `python -m edge outbox`."""
    connection.executemany("INSERT OR IGNORE INTO rejected VALUES (?)", [(place,) for place in places])


# --- space ----------------------------------------------------------------------------------------------------------


def replace_samples(connection: sqlite3.Connection, after_place: int, count: int) -> int:
    """Put `dropped` lines in the place of the oldest ``count`` health samples after a place; returns how many.

    Rows are deleted and inserted again, because SQLite gives pages back only when rows leave them.
    """
    found = connection.execute(
        "SELECT place, at, line FROM records WHERE place > ? AND type = ? ORDER BY place LIMIT ?",
        (after_place, SAMPLE_TYPE, count),
    ).fetchall()
    connection.executemany("DELETE FROM records WHERE place = ?", [(place,) for place, _, _ in found])
    connection.executemany(
        "INSERT INTO records VALUES (?, 'dropped', ?, ?, ?)",
        [(place, at, dropped_line(line), NO_CHAIN) for place, at, line in found],
    )
    return len(found)


def dropped_line(sample: bytes) -> bytes:
    """The line that takes a sample's place: the same id, times and twin version."""
    fields = json.loads(sample)
    stamp = {name: fields[name] for name in ("id", "at", "boot", "mono_ms", "clock", "config")}
    return encode_record(Dropped(**stamp, dropped_type=SAMPLE_TYPE, reason="space"))


def forget_accepted(connection: sqlite3.Connection, before_us: int, most: int) -> None:
    """Forget who was accepted for what began before an instant, and, beyond ``most`` rows, for what began first.

    By the start in the occurrence's id: the rows' own times may be of a clock that was wrong. What is long, and was shown a
    card since, stays.
    """
    start = (EPOCH + timedelta(microseconds=max(0, before_us))).strftime("%Y%m%dT%H%M%SZ")
    connection.execute("DELETE FROM accepted WHERE substr(occurrence, -16) < ? AND at < ?", (start, before_us))
    connection.execute(
        "DELETE FROM accepted WHERE (occurrence, key) IN (SELECT occurrence, key FROM accepted"
        " ORDER BY substr(occurrence, -16) DESC, at DESC LIMIT -1 OFFSET ?)",
        (most,),
    )


# --- forks ----------------------------------------------------------------------------------------------------------


def move_to_new_stream(connection: sqlite3.Connection, old: Kept, known: int, started: Row) -> tuple[int, int]:
    """Append ``started`` and every copied record at new places and delete the old ones.

    Returns the new stream's base and its last number. In chunks, so that pages given back are used again.
    """
    base = old.base + old.state.last
    last_place = insert(connection, base, [started])
    for chunk in _chunks_to(connection, base):
        copied = [
            Row(record_type, at_us, bytes(line).replace(b"\n", b" "))
            for place, record_type, at_us, line in chunk
            if is_copied(place - old.base, record_type, known)
        ]
        connection.execute("DELETE FROM records WHERE place <= ?", (chunk[-1][0],))
        last_place = insert(connection, last_place, copied)
    connection.execute("DELETE FROM stored_marks")
    connection.execute("DELETE FROM rejected")
    return base, last_place - base


def _chunks_to(connection: sqlite3.Connection, last_place: int) -> Iterator[list[tuple[int, str, int, bytes]]]:
    while chunk := connection.execute(
        "SELECT place, type, at, line FROM records WHERE place <= ? ORDER BY place LIMIT 500", (last_place,)
    ).fetchall():
        yield chunk
