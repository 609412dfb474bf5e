"""The projector: writes the journal onward into the time series, from its own cursor; safe to repeat.

Promises that the cursor moves only after the store has taken the points, and from where it was read; that a store which is
away delays and loses nothing; and that what a store refuses for ever goes into quarantine. One projector per series.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from cloud.bulk import Bulk, Row
from cloud.clock import from_us, to_us, utc_now
from cloud.database import transaction
from cloud.journal import handed
from cloud.journal.epoch import current_epoch
from cloud.journal.points import points_of
from cloud.journal.reading import Entry, is_complete, last_id, one_snapshot, read_entries
from cloud.timeseries.port import Point, Refused, Timeseries

CURSOR: Final = "series"
STARTS_OVER: Final = -1
"""Where the cursor stands when somebody has asked for a rebuild."""
AGAIN_AT_ONCE: Final = 50
POINTS_KEPT: Final = 1_000
"""Refused points that a terminal has in quarantine, the newest."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many batches were written onward, how many points refused for ever, and whether more wait."""

    batches: int
    more: bool
    refused: int = 0


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the cursor was read, and in which epoch: a result counts only from there."""

    after: int
    epoch: int


@dataclass(frozen=True, slots=True)
class _Work:
    """What was read for one write. `fresh` batches come the first time, `again` those of which a record was replayed."""

    place: _Place
    reached: int
    fresh: Sequence[Entry]
    again: Sequence[tuple[int, Entry]]
    replays: Sequence[Row]
    kinds: dict[str, str]
    more: bool


def project(engine: Engine, timeseries: Timeseries) -> Progress:
    """Write the next batches onward.

    Raises TimeseriesUnavailable or Unavailable, and then nothing has moved.
    """
    work = _read(engine)
    if work is None:
        return Progress(0, more=False)
    fresh = points_of(work.fresh, work.kinds)
    again = points_of((entry for _, entry in work.again), work.kinds)
    result = timeseries.write([*fresh, *again])
    with transaction(engine) as session:
        bulk = Bulk.of(session)
        if not _advance(bulk, work.place, work.reached):
            return Progress(0, more=True)  # somebody asked for a rebuild, or restored a backup, in the meantime
        bulk.run_many("DELETE FROM projector_again WHERE id = ?", [row[:1] for row in work.replays])
        _count(bulk, work, fresh, again, result.refused)
        quarantine_points(bulk, result.refused)
    return Progress(len(work.fresh) + len(work.again), work.more, len(result.refused))


def start_over(engine: Engine, timeseries: Timeseries) -> None:
    """Forget the series and begin with the journal's first batch; what is older than that stays as it is."""
    with transaction(engine, read_only=True) as session:
        bulk = Bulk.of(session)
        place = _Place(cursor(bulk), current_epoch(session))
        oldest = None if is_complete(bulk) else bulk.rows("SELECT MIN(received_at) FROM journal")[0][0]
    timeseries.clear(None if oldest is None else from_us(oldest))
    with transaction(engine) as session:
        bulk = Bulk.of(session)
        if _advance(bulk, place, 0):
            handed.forget(bulk)


def ask_to_start_over(bulk: Bulk) -> None:
    """The projector that runs, here or elsewhere, will forget the series and begin again."""
    move_cursor(bulk, STARTS_OVER)


def wants_to_start_over(engine: Engine) -> bool:
    """Whether somebody has asked for it."""
    with transaction(engine, read_only=True) as session:
        return cursor(Bulk.of(session)) == STARTS_OVER


def write_again(bulk: Bulk, journal_id: int, number: int, kind: str) -> None:
    """This record of the batch was replayed (`kind` as in quarantine): the projector will write the batch once more."""
    bulk.run("INSERT INTO projector_again (journal_id, number, kind) VALUES (?, ?, ?)", (journal_id, number, kind))


def cursor(bulk: Bulk) -> int:
    """Up to which journal id everything is in the time series."""
    rows = bulk.rows("SELECT journal_id FROM projector_cursor WHERE name = ?", (CURSOR,))
    return int(rows[0][0]) if rows else 0


def waiting(session: Session) -> int:
    """How many batches the series does not have, at most: ids that were never used count, too. Looks at two rows."""
    bulk = Bulk.of(session)
    return max(0, int(bulk.rows("SELECT COALESCE(MAX(id), 0) FROM journal")[0][0]) - max(0, cursor(bulk)))


def move_cursor(bulk: Bulk, journal_id: int) -> None:
    """Put the cursor there, wherever it was."""
    bulk.run(
        "INSERT INTO projector_cursor (name, journal_id) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET journal_id = excluded.journal_id",
        (CURSOR, journal_id),
    )


def quarantine_points(bulk: Bulk, refused: Sequence[Refused]) -> None:
    """Keep what the store will never take, with its reason; `bytes` stays empty, for the record is in the journal.

    A point that was replayed and is refused again is open again; one that somebody discarded stays so.
    """
    now_at = to_us(utc_now())
    rows = [
        (each.point.terminal, each.point.stream, each.point.number, each.reason, b"", now_at)
        for each in sorted(refused, key=lambda each: (each.point.stream, each.point.number))
    ]
    bulk.run_many(_HOLD, rows)
    for terminal in {each.point.terminal for each in refused}:
        bulk.run(
            "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE terminal_id = ? AND kind = 'point' "
            "AND state = 'open' ORDER BY id DESC LIMIT 10000 OFFSET ?)",
            (terminal, POINTS_KEPT),
        )


_HOLD: Final = """INSERT INTO quarantine (terminal_id, stream, number, kind, reason, bytes, received_at, state)
VALUES (?, ?, ?, 'point', ?, ?, ?, 'open') ON CONFLICT (stream, number, kind) DO UPDATE SET state = 'open',
reason = excluded.reason, received_at = excluded.received_at, decided_by = NULL, decided_at = NULL,
decision_reason = NULL WHERE quarantine.state = 'replayed'"""


def _read(engine: Engine) -> _Work | None:
    """The next batches; None where there is nothing to do. Writers wait only while the highest id is asked for."""
    with transaction(engine, read_only=True) as session:
        epoch, until = current_epoch(session), last_id(Bulk.of(session))
    with transaction(engine, read_only=True) as session:
        bulk = Bulk.of(session)
        one_snapshot(bulk)
        after = cursor(bulk)
        replays = _replays(bulk)
        if after == STARTS_OVER or (until <= after and not replays):
            return None
        fresh, reached = read_entries(bulk, after, until)
        again = [(each, entry) for each in sorted({row[1] for row in replays}) for entry in _batch(bulk, each)]
        terminals = {entry.terminal for entry in (*fresh, *(entry for _, entry in again)) if entry.fixed.kind is None}
        kinds: dict[str, str] = dict(bulk.rows_in("SELECT id, kind FROM terminals WHERE id IN", terminals))
    more = reached < until or len(replays) == AGAIN_AT_ONCE
    return _Work(_Place(after, epoch), reached, fresh, again, replays, kinds, more)


def _batch(bulk: Bulk, journal_id: int) -> list[Entry]:
    return read_entries(bulk, journal_id - 1, journal_id)[0]


def _replays(bulk: Bulk) -> list[Row]:
    """Rows of id, the batch's id, the record's number, what was replayed."""
    return bulk.rows("SELECT id, journal_id, number, kind FROM projector_again ORDER BY id LIMIT ?", (AGAIN_AT_ONCE,))


def _advance(bulk: Bulk, place: _Place, to: int) -> bool:
    """Move the cursor, unless it is not any more where it was read, or a restore came in between."""
    bulk.insert_new("projector_cursor", ("name", "journal_id"), [(CURSOR, 0)])
    moved = bulk.run(
        "UPDATE projector_cursor SET journal_id = ? WHERE name = ? AND journal_id = ? "
        "AND (SELECT epoch FROM epoch) = ?",
        (to, CURSOR, place.after, place.epoch),
    )
    return moved == 1


def _count(bulk: Bulk, work: _Work, fresh: Sequence[Point], again: Sequence[Point], refused: Sequence[Refused]) -> None:
    """What came the first time. A batch that the cursor had not passed has its replayed record in it, counted with it."""
    if not refused and not work.replays:
        handed.add(bulk, fresh, fresh)
        return
    streams = {journal_id: entry.stream for journal_id, entry in work.again}
    replayed = {
        (streams[journal_id], number): kind
        for _, journal_id, number, kind in work.replays
        if journal_id <= work.place.after and journal_id in streams
    }
    new = [point for point in again if (point.stream, point.number) in replayed]
    made = [point for point in new if replayed[point.stream, point.number] == "record"]
    lost = {(each.point.stream, each.point.number) for each in refused}
    accepted = [point for point in (*fresh, *new) if (point.stream, point.number) not in lost]
    handed.add(bulk, [*fresh, *made], accepted)
