"""What goes on beside the line: presence and reported twins written, twins published, late facts linked.

Promises that what was heard is written within about half a second, and nothing of it lost while the database is away; and
that a terminal whose birth was seen, and which may wait in vain for an answer, is told how far it is stored.
One turn at a time, in the process that holds the subscription; what takes long is done in parts, one each turn.
"""

import time
from collections.abc import Callable
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
from cloud.ingest import state
from cloud.ingest.state import StateBoard, Written
from cloud.ingest.twins import TwinPush

EVERY_S: Final = 0.5
TWINS_EVERY_S: Final = 1.0
SILENCE_EVERY_S: Final = 15.0

Tell = Callable[[str, str], object]
"""Takes terminal and stream: tell it how far that stream is stored. Must not block."""

log = structlog.get_logger(__name__)


class Housekeeping:
    """Its `turn` is for a Loop."""

    def __init__(self, engine: Engine, clock: Clock, board: StateBoard, twins: TwinPush, tell: Tell) -> None:
        self._engine, self._clock, self._board, self._twins, self._tell = engine, clock, board, twins, tell
        self._linked_at_change = -1
        self._link_after: int | None = None
        self._broker_lost = True  # the cloud did not run, which is the same to the terminals
        self._due: dict[str, float] = {}

    def broker_lost(self) -> None:
        """The connection is gone: every terminal is suspect until it speaks. Called from paho's thread."""
        self._broker_lost = True

    def turn(self) -> float:
        """Once around."""
        written = self._write_states()
        for terminal, stream in written.waiting.items():
            self._tell(terminal, stream)
        self._twins.answer(written)
        more_links, more_twins = self._link(), self._renew_twins()
        self._every("silence", SILENCE_EVERY_S, self._suspect_silent)
        return 0.0 if more_links or more_twins else EVERY_S

    def _write_states(self) -> Written:
        heard = self._board.take()
        lost, self._broker_lost = self._broker_lost, False
        if not lost and not heard.terminals():
            return Written()
        try:
            with transaction(self._engine) as session:
                bulk = Bulk.of(session)
                if lost:
                    state.suspect_all(bulk, self._now())
                return state.write(bulk, heard)
        except (CloudError, SQLAlchemyError):
            self._board.put_back(heard)
            self._broker_lost = self._broker_lost or lost
            raise

    def _link(self) -> bool:
        """After members or credentials changed, and once at the start: the next part; whether there is more."""
        if self._link_after is None:
            with transaction(self._engine, read_only=True) as session:
                change = current(session, Counts.ROSTER)
            if change == self._linked_at_change:
                return False
            self._linked_at_change, self._link_after = change, 0
        with transaction(self._engine) as session:
            linked, self._link_after = linking.link_late(Bulk.of(session), self._link_after)
        if linked:
            log.info("linked_late", check_ins=linked)
        return self._link_after is not None

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
            state.suspect_silent(Bulk.of(session), self._now())

    def _every(self, what: str, seconds: float, do: Callable[[], None]) -> None:
        now = time.monotonic()
        if now >= self._due.get(what, 0.0):
            do()
            self._due[what] = now + seconds

    def _now(self) -> int:
        return to_us(self._clock())
