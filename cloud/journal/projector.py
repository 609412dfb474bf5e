"""The projector: writes the journal onward into the time series, from its own cursor; safe to repeat.

Promises that the cursor moves only after the store has taken the points, that a store which is away delays and loses
nothing, and that what a store refuses for ever goes into quarantine. One projector per series; `ledger` never waits for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine

from cloud.bulk import Bulk
from cloud.clock import from_us, to_us, utc_now
from cloud.database import transaction
from cloud.journal.points import points_of
from cloud.journal.reading import is_complete, last_id, read_entries
from cloud.timeseries.port import Refused, Timeseries

CURSOR: Final = "series"
STARTS_OVER: Final = -1
"""Where the cursor stands when somebody has asked for a rebuild."""
AGAIN_AT_ONCE: Final = 50
POINTS_KEPT: Final = 1_000
"""Refused points that a terminal has in quarantine, the newest."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How many batches were written onward, and whether more wait."""

    batches: int
    more: bool


def project(engine: Engine, timeseries: Timeseries) -> Progress:
    """Write the next batches onward.

    Raises TimeseriesUnavailable or Unavailable, and then nothing has moved.
    """
    with transaction(engine, read_only=True) as session:
        bulk = Bulk.of(session)
        until = last_id(bulk)
        entries, reached = read_entries(bulk, after := cursor(bulk), until)
        again = _again(bulk)
        entries += [entry for each in again for entry in read_entries(bulk, each - 1, each)[0]]
        kinds: dict[str, str] = dict(
            bulk.rows_in("SELECT id, kind FROM terminals WHERE id IN", {each.terminal for each in entries})
        )
    if reached <= after and not again:
        return Progress(0, more=False)
    result = timeseries.write(points_of(entries, kinds))
    with transaction(engine) as session:
        bulk = Bulk.of(session)
        move_cursor(bulk, reached)
        bulk.run_many("DELETE FROM projector_again WHERE journal_id = ?", [(each,) for each in again])
        quarantine_points(bulk, result.refused)
    return Progress(len(entries), more=reached < until)


def start_over(engine: Engine, timeseries: Timeseries) -> None:
    """Forget the series and begin with the journal's first batch; what is older than that stays as it is."""
    with transaction(engine, read_only=True) as session:
        bulk = Bulk.of(session)
        oldest = None if is_complete(bulk) else bulk.rows("SELECT MIN(received_at) FROM journal")[0][0]
    timeseries.clear(None if oldest is None else from_us(oldest))
    with transaction(engine) as session:
        move_cursor(Bulk.of(session), 0)


def ask_to_start_over(bulk: Bulk) -> None:
    """The projector that runs, here or elsewhere, will forget the series and begin again."""
    move_cursor(bulk, STARTS_OVER)


def wants_to_start_over(engine: Engine) -> bool:
    """Whether somebody has asked for it."""
    with transaction(engine, read_only=True) as session:
        return cursor(Bulk.of(session)) == STARTS_OVER


def write_again(bulk: Bulk, journal_id: int) -> None:
    """A record of this batch was replayed: the projector will write the batch onward once more."""
    bulk.insert_new("projector_again", ("journal_id",), [(journal_id,)])


def _again(bulk: Bulk) -> list[int]:
    rows = bulk.rows("SELECT journal_id FROM projector_again ORDER BY journal_id LIMIT ?", (AGAIN_AT_ONCE,))
    return [row[0] for row in rows]


def cursor(bulk: Bulk) -> int:
    """Up to which journal id everything is in the time series."""
    rows = bulk.rows("SELECT journal_id FROM projector_cursor WHERE name = ?", (CURSOR,))
    return int(rows[0][0]) if rows else 0


def move_cursor(bulk: Bulk, journal_id: int) -> None:
    """Remember how far the time series has come."""
    bulk.run(
        "INSERT INTO projector_cursor (name, journal_id) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET journal_id = excluded.journal_id",
        (CURSOR, journal_id),
    )


def backlog(bulk: Bulk) -> int:
    """Batches of the journal that are not in the time series yet."""
    return int(bulk.rows("SELECT COUNT(*) FROM journal WHERE id > ?", (cursor(bulk),))[0][0])


def quarantine_points(bulk: Bulk, refused: Sequence[Refused]) -> None:
    """Keep what the store will never take, with its reason; `bytes` stays empty, for the record is in the journal."""
    rows = [
        (
            each.point.terminal,
            each.point.stream,
            each.point.number,
            "point",
            each.reason,
            b"",
            to_us(utc_now()),
            "open",
        )
        for each in refused
    ]
    columns = ("terminal_id", "stream", "number", "kind", "reason", "bytes", "received_at", "state")
    bulk.insert_new("quarantine", columns, rows)
    for terminal in {each.point.terminal for each in refused}:
        bulk.run(
            "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE terminal_id = ? AND kind = 'point' "
            "AND state = 'open' ORDER BY id DESC LIMIT 10000 OFFSET ?)",
            (terminal, POINTS_KEPT),
        )
