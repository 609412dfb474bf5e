"""Runs the projector in a thread: opens the store, projects, rolls up, lets old points and old batches go.

Promises that a store which cannot be opened or is away keeps nobody waiting: `trouble` says so, and it is tried again.
On PostgreSQL one process projects, by a lease; with DuckDB it must be the one whose console asks the store.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy import Engine

from cloud.bulk import Bulk
from cloud.clock import Clock, from_us, to_us
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.journal import handed, metrics, projector, retention
from cloud.lease import PROJECTOR, Lease
from cloud.loop import Loop
from cloud.timeseries.port import Timeseries

IDLE_S: Final = 0.25
GATHER_S: Final = 1.0
"""While terminals speak all the time: one large write costs half of four small ones (docs/benchmarks.md)."""
GATHER_FROM: Final = 100
"""Batches in a turn from which on the next one gathers."""
ROLL_UP_EVERY_S: Final = 20.0
EXPIRE_EVERY_S: Final = 3600.0
A_DAY_US: Final = 86_400_000_000
MICROSECOND: Final = timedelta(microseconds=1)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """How long raw points and the journal are kept; None: for ever."""

    points: timedelta | None = None
    journal: timedelta | None = None


class Projecting:
    """Owns the store. `turn` is for a Loop; `store` is for whoever asks questions."""

    def __init__(self, engine: Engine, clock: Clock, open_store: Callable[[], Timeseries], kept: Kept) -> None:
        self._engine, self._clock, self._open, self._kept = engine, clock, open_store, kept
        self._lease = Lease(engine, PROJECTOR)
        self._store: Timeseries | None = None
        self._due: dict[str, float] = {}

    def store(self) -> Timeseries:
        """The open store. Unavailable while it could not be opened."""
        if self._store is None:
            raise Unavailable("The time series are not available now.", retry_after_s=5, code="series_away")
        return self._store

    def turn(self) -> float:
        """Write onward what is new; then, now and then, roll up and expire."""
        if self._store is None:
            self._store = self._open()
        if not self._lease.is_held():
            return 1.0
        progress = self._step(self._store)
        if progress.more:
            return 0.0
        self._every("roll_up", ROLL_UP_EVERY_S, self._roll_up)
        self._every("expire", EXPIRE_EVERY_S, self._expire)
        return GATHER_S if progress.batches >= GATHER_FROM else IDLE_S

    def run_to_end(self) -> int | None:
        """Everything that waits, then the rollups; how many batches. None where another process holds the lease."""
        self._store = self._store or self._open()
        try:
            if not self._lease.is_held():
                return None
            batches, more = 0, True
            while more:
                progress = self._step(self._store)
                batches, more = batches + progress.batches, progress.more
            self._roll_up()
            self._expire()
        finally:
            self.close()
        return batches

    def close(self) -> None:
        """Let go of lease and store."""
        self._lease.release()
        if self._store is not None:
            self._store.close()

    def _step(self, store: Timeseries) -> projector.Progress:
        if projector.wants_to_start_over(self._engine):
            log.info("series_rebuild_begins")
            projector.start_over(self._engine, store)
        progress = projector.project(self._engine, store)
        metrics.PROJECTED.inc(progress.batches)
        metrics.REFUSED.inc(progress.refused)
        return progress

    def _roll_up(self) -> None:
        self.store().roll_up()

    def _expire(self) -> None:
        now_at = to_us(self._clock())
        with transaction(self._engine, read_only=True) as session:
            present_at = retention.present_at(Bulk.of(session), now_at)
        if present_at is None or self._kept == Kept():
            return
        if now_at - present_at > A_DAY_US:
            log.warning(
                "expiry_waits", why="terminals' clocks are behind ours", seconds=(now_at - present_at) // 1_000_000
            )
        if self._kept.points is not None:
            self._expire_points(present_at - self._kept.points // MICROSECOND)
        if self._kept.journal is not None:
            self._expire_journal(present_at - self._kept.journal // MICROSECOND)

    def _expire_points(self, before_at: int) -> None:
        """Not expected first, not there then: the reconciler may look in between."""
        with transaction(self._engine) as session:
            handed.let_go(Bulk.of(session), before_at)
        self.store().expire(from_us(before_at))

    def _expire_journal(self, before_at: int) -> None:
        after_id: int | None = 0
        while after_id is not None:
            with transaction(self._engine) as session:
                _, after_id = retention.expire(Bulk.of(session), before_at, after_id)

    def _every(self, what: str, seconds: float, do: Callable[[], None]) -> None:
        now = time.monotonic()
        if now >= self._due.get(what, 0.0):
            do()
            self._due[what] = now + seconds


@contextmanager
def running(projecting: Projecting) -> Iterator[Loop]:
    """Project while the block runs; at its end what is stored already is still written onward, for a moment."""
    loop = Loop("projector", projecting.turn)
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()
        projecting.close()
