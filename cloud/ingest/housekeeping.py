"""What goes on beside the line: presence and reported twins written, twins published, late facts linked.

Promises that what was heard is written within about half a second, and nothing of it lost while the database is away.
One turn at a time, in the process that holds the subscription.
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

log = structlog.get_logger(__name__)


class Housekeeping:
    """Its `turn` is for a Loop."""

    def __init__(self, engine: Engine, clock: Clock, board: StateBoard, twins: TwinPush) -> None:
        self._engine, self._clock, self._board, self._twins = engine, clock, board, twins
        self._linked_at_change = -1
        self._broker_lost = True  # the cloud did not run, which is the same to the terminals
        self._due: dict[str, float] = {}

    def broker_lost(self) -> None:
        """The connection is gone: every terminal is suspect until it speaks. Called from paho's thread."""
        self._broker_lost = True

    def turn(self) -> float:
        """Once around."""
        written = self._write_states()
        self._twins.answer(written)
        self._link()
        self._every("twins", TWINS_EVERY_S, self._renew_twins)
        self._every("silence", SILENCE_EVERY_S, self._suspect_silent)
        return EVERY_S

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

    def _link(self) -> None:
        """After members or credentials changed, and once at the start."""
        with transaction(self._engine, read_only=True) as session:
            change = current(session, Counts.ROSTER)
        if change == self._linked_at_change:
            return
        after_id: int | None = 0
        while after_id is not None:
            with transaction(self._engine) as session:
                linked, after_id = linking.link_late(Bulk.of(session), after_id)
            if linked:
                log.info("linked_late", check_ins=linked)
        self._linked_at_change = change

    def _renew_twins(self) -> None:
        while self._twins.renew():
            pass

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
