"""What goes on beside the line: presence and reported twins written, twins published, commands given, late facts linked.

Promises that what was heard is written within about half a second, and nothing of it lost while the database is away; and
that a terminal whose birth was seen, and which may wait in vain for an answer, is told how far it is stored.
One turn at a time, in the process that holds the subscription; what takes long is done in parts, one each turn.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from cloud.attendance import linking
from cloud.bulk import Bulk
from cloud.clock import Clock, to_us
from cloud.counters import Counts, current
from cloud.database import transaction
from cloud.errors import CloudError
from cloud.ingest import standings, state
from cloud.ingest.commanding import CommandPush
from cloud.ingest.state import Heard, StateBoard, Written
from cloud.ingest.twins import TwinPush
from cloud.terminals import locks

EVERY_S: Final = 0.5
TWINS_EVERY_S: Final = 1.0
SILENCE_EVERY_S: Final = 15.0

Tell = Callable[[str, str], object]
"""Takes terminal and stream: tell it how far that stream is stored. Must not block."""

log = structlog.get_logger(__name__)


class Housekeeping:
    """Its `turn` is for a Loop."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        board: StateBoard,
        twins: TwinPush,
        commands: CommandPush,
        tell: Tell,
    ) -> None:
        self._engine, self._clock, self._board = engine, clock, board
        self._twins, self._commands, self._tell = twins, commands, tell
        self._linked_at_change = -1
        self._link_after: linking.After | None = None
        self._link_once_over: int | None = None
        self._lost_at: int | None = self._now()  # the cloud did not run, which is the same to the terminals
        self._due: dict[str, float] = {}

    def broker_lost(self) -> None:
        """The connection is gone: every terminal is suspect until it speaks again. Called from paho's thread."""
        self._lost_at = self._now()

    def turn(self) -> float:
        """Once around."""
        written = self._write_states()
        for terminal, stream in written.waiting.items():
            self._tell(terminal, stream)
        more = [self._twins.answer(written), self._link(), self._renew_twins(), self._commands.turn()]
        self._every("silence", SILENCE_EVERY_S, self._suspect_silent)
        return 0.0 if any(more) else EVERY_S

    def _write_states(self) -> Written:
        heard = self._board.take()
        lost_at, self._lost_at = self._lost_at, None
        if lost_at is None and not heard.terminals():
            return Written()
        try:
            with transaction(self._engine) as session:
                bulk = Bulk.of(session)
                return state.write(bulk, heard) if lost_at is None else _write_around(bulk, heard, lost_at)
        except (CloudError, SQLAlchemyError):
            self._board.put_back(heard)
            self._lost_at = self._lost_at or lost_at
            raise

    def _link(self) -> bool:
        """The next part of what is due; whether there is more."""
        if self._link_after is None and not self._begin_to_link():
            return False
        with transaction(self._engine) as session:
            linked, self._link_after = linking.link_late(Bulk.of(session), self._link_after or 0)
        if linked:
            log.info("linked_late", facts=linked)
        return self._link_after is not None

    def _begin_to_link(self) -> bool:
        """After members or credentials changed, and once at the start. A second time when everybody is done who wrote then:
        facts whose links were looked up before the change may be committed after the first pass has read."""
        with transaction(self._engine, read_only=True) as session:
            change = current(session, Counts.ROSTER)
            over, begun = _writers(Bulk.of(session))
        if change != self._linked_at_change:
            self._linked_at_change = change
            self._link_once_over = None if over == begun else begun
        elif self._link_once_over is not None and over >= self._link_once_over:
            self._link_once_over = None
        else:
            return False
        self._link_after = 0
        return True

    def _renew_twins(self) -> bool:
        """The next few; whether there are more."""
        now = time.monotonic()
        if now < self._due.get("twins", 0.0):
            return False
        more = self._twins.renew()
        if not more:
            self._due["twins"] = now + TWINS_EVERY_S
        return more

    def _suspect_silent(self) -> None:
        with transaction(self._engine) as session:
            standings.suspect_silent(Bulk.of(session), self._now())

    def _every(self, what: str, seconds: float, do: Callable[[], None]) -> None:
        now = time.monotonic()
        if now >= self._due.get(what, 0.0):
            do()
            self._due[what] = now + seconds

    def _now(self) -> int:
        return to_us(self._clock())


def _write_around(bulk: Bulk, heard: Heard, lost_at: int) -> Written:
    """What was heard before the broker was lost makes nobody online any more."""
    until, since = heard.split(lost_at)
    locks.lock(bulk, heard.terminals() | standings.connected(bulk))
    before = state.write(bulk, until)
    standings.suspect_all(bulk, lost_at)
    written = state.write(bulk, since)
    return replace(written, born=before.born | written.born, reported={**before.reported, **written.reported})


def _writers(bulk: Bulk) -> tuple[int, int]:
    """Transactions that write, by number: all below the first are over, none from the second on had begun. Equal on SQLite,
    where one who writes looks up links when nobody else writes."""
    if not bulk.is_postgresql:
        return 0, 0
    (row,) = bulk.rows(
        "SELECT CAST(CAST(pg_snapshot_xmin(now) AS text) AS bigint), CAST(CAST(pg_snapshot_xmax(now) AS text) AS bigint) "
        "FROM pg_current_snapshot() AS now"
    )
    return row[0], row[1]
