"""Starts and stops ingest beside the requests of `serve`, or alone in `worker`. Wires; decides nothing.

On PostgreSQL any number of processes may run this: the one that holds the lease has the subscription, the others wait to
take over. On SQLite there is one process, which says so by always holding it.
"""

import gc
import secrets
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy import Engine

from cloud.broker import Broker
from cloud.clock import Clock, to_us
from cloud.ingest import metrics
from cloud.ingest.accept import Delivery, question
from cloud.ingest.commanding import CommandPush
from cloud.ingest.housekeeping import Housekeeping
from cloud.ingest.slots import Slots
from cloud.ingest.state import StateBoard, StateMessage
from cloud.ingest.subscriber import Subscriber
from cloud.ingest.twins import TwinPush
from cloud.ingest.worker import AnyLine, Worker
from cloud.lease import INGEST, Lease
from cloud.loop import Loop
from firmware_specs.topics import Channel

LEASE_EVERY_S: Final = 1.0
COLLECT_AFTER: Final = (100_000, 20, 50)
"""Objects until the garbage collector looks: a group decodes thousands of records that all die young, and with Python's own
threshold of 700 half of the time went into looking at them (docs/benchmarks.md)."""

log = structlog.get_logger(__name__)


class Ingest:
    """The parts of one process's ingest, from the first message to the last answer."""

    def __init__(self, engine: Engine, clock: Clock, broker: Broker, lines: Sequence[AnyLine]) -> None:
        self._clock = clock
        self._slots, self._board = [Slots() for _ in lines], StateBoard()
        self.subscriber = Subscriber(
            broker,
            client_id=f"roomlink-cloud-{secrets.token_hex(4)}",
            hears={
                Channel.RECORDS: self._hear_records,
                Channel.STATE: self._hear_state,
                Channel.REPORTED: self._hear_reported,
            },
            clock=clock,
        )
        twins = TwinPush(engine, clock, self.subscriber.publish_desired)
        commands = CommandPush(engine, clock, self.subscriber.publish_command)
        housekeeping = Housekeeping(engine, clock, self._board, twins, commands, self._tell)
        self.subscriber.on_lost = housekeeping.broker_lost
        self.workers = [
            Worker(line, slots, self.subscriber.answer) for line, slots in zip(lines, self._slots, strict=True)
        ]
        self.housekeeping = Loop("housekeeping", housekeeping.turn)
        metrics.WAITING.set_function(lambda: sum(map(len, self._slots)))

    def start(self) -> None:
        """Begin: first what takes, then what gives."""
        for worker in self.workers:
            worker.start()
        self.subscriber.start()
        self.housekeeping.start()

    def stop(self) -> None:
        """Hear no more, store and answer what was heard, write what terminals said, say goodbye."""
        self.subscriber.unsubscribe()
        for worker in self.workers:
            worker.stop()
        self.housekeeping.stop()
        self.subscriber.stop()

    def trouble(self) -> str | None:
        """What keeps it from working, in a sentence."""
        troubles = [each.trouble for each in self.workers if each.trouble]
        if self.housekeeping.trouble:
            troubles.append(self.housekeeping.trouble)
        if not self.subscriber.connected.is_set():
            troubles.append("There is no connection to the broker.")
        return " ".join(troubles) or None

    def _now(self) -> int:
        return to_us(self._clock())

    def _hear_records(self, terminal: str, payload: bytes, retained: bool) -> None:
        if retained:
            return  # no terminal of the contract retains records, and an old copy is no news
        now = self._now()
        self._board.hear_live(terminal, now)
        if not self._slots_of(terminal).put(Delivery(terminal, payload, now)):
            metrics.DROPPED.inc()
            self.subscriber.answer_busy(terminal)

    def _tell(self, terminal: str, stream: str) -> None:
        """How far the stream is stored, unasked: as if its terminal had asked, unless what it sent waits already. Where no slot
        is free, the terminal's own repeat comes later."""
        self._slots_of(terminal).put_if_free(question(terminal, stream, self._now()))

    def _slots_of(self, terminal: str) -> Slots:
        return self._slots[zlib.crc32(terminal.encode()) % len(self._slots)]

    def _hear_state(self, terminal: str, payload: bytes, retained: bool) -> None:
        self._board.hear_state(StateMessage(terminal, payload, self._now(), retained))

    def _hear_reported(self, terminal: str, payload: bytes, retained: bool) -> None:
        now = self._now()
        self._board.hear_reported(terminal, payload, now)
        if not retained:
            self._board.hear_live(terminal, now)


class Held:
    """Runs `make()` while this process holds the lease; its `turn` is for a Loop."""

    def __init__(self, lease: Lease, make: Callable[[], Ingest]) -> None:
        self._lease, self._make = lease, make
        self.ingest: Ingest | None = None

    def turn(self) -> float:
        """Begin or end, as the lease says; go on as before while the database does not answer."""
        held = self._lease.is_held()
        if held and self.ingest is None:
            self.ingest = self._make()
            self.ingest.start()
            log.info("ingest_begins")
        elif held is False and self.ingest is not None:
            self.end()
        return LEASE_EVERY_S

    def end(self) -> None:
        """Drain and end."""
        ingest, self.ingest = self.ingest, None
        if ingest is not None:
            ingest.stop()
            log.info("ingest_ends")

    def trouble(self) -> str | None:
        """None, too, where another process has the subscription."""
        return self.ingest.trouble() if self.ingest else None


@contextmanager
def ingesting(
    engine: Engine,
    clock: Clock,
    broker: Broker,
    make_lines: Callable[[], Sequence[AnyLine]],
) -> Iterator[Held]:
    """Ingest while the block runs, each line with a share of the terminals; gives what can be asked for its trouble."""
    calm_the_collector()
    lease = Lease(engine, INGEST)
    held = Held(lease, lambda: Ingest(engine, clock, broker, make_lines()))
    loop = Loop("lease", held.turn)
    loop.start()
    try:
        yield held
    finally:
        loop.stop()
        held.end()
        lease.release()


def calm_the_collector() -> None:
    """For a process that ingests: see COLLECT_AFTER. What was imported by now is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
