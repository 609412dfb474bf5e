"""The worker: takes groups from its slots, runs its line, has the answers sent.

Promises that nothing is answered that was not committed, that a database which is away only delays (the group waits and
is tried again, with backoff), that a delivery which cannot be stored holds up no other terminal's, and that `stop` drains
what is waiting. Two threads: while one group's answers go out, the next is stored. The outermost loops of ingest.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from cloud.errors import Unavailable
from cloud.ingest import metrics
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Answer, Result
from cloud.ingest.slots import Slots

Send = Callable[[Sequence[Answer]], None]

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
SAY_AGAIN_S: Final = 60.0
"""The same thing is logged once in this time; metrics count every one. A terminal could fill the log by repeating itself."""
UNSENT: Final = 2
"""Groups whose answers wait to be sent; the worker waits before it stores more."""
THINGS_SAID: Final = 10_000
"""Of so many things it is remembered when they were logged."""
FAILING: Final = 3
"""Deliveries of so many terminals in a row that cannot be stored are not the terminals' fault."""

log = structlog.get_logger(__name__)


class AnyLine(Protocol):
    """The line in this process, or in another."""

    def open(self) -> None:
        """Get ready, so that the first group need not wait for it."""

    def ingest(self, deliveries: Sequence[Delivery]) -> Result:
        """See `Line.ingest`."""

    def close(self) -> None:
        """Let go of what it holds."""


class Worker:
    """Runs `line` over `slots` in a thread of its own, and hands answers to `send`."""

    def __init__(
        self, line: AnyLine, slots: Slots, send: Send, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._line, self._slots, self._send, self._monotonic_s = line, slots, send, monotonic_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._unsent: queue.Queue[Result | None] = queue.Queue(UNSENT)
        self._answering = threading.Thread(target=self._answer, name="answers", daemon=True)
        self._pause_s = 0.0
        self._away: str | None = None
        self._failing: set[str] = set()
        self._said: dict[tuple[str, ...], float] = {}

    @property
    def trouble(self) -> str | None:
        """What keeps it from storing, in a sentence."""
        threads = (self._thread, self._answering)
        if not self._stopping.is_set() and any(each.ident is not None and not each.is_alive() for each in threads):
            return "The thread that stores what terminals send has ended; start the service again."
        if len(self._failing) >= FAILING:
            return "What terminals send cannot be stored, and they keep it until it is; the log says why."
        return self._away

    def start(self) -> None:
        """Begin."""
        self._answering.start()
        self._thread.start()

    def stop(self, within_s: float = 10.0) -> None:
        """Store what is waiting, answer it, and end; what is not stored in time is the terminals' to send again."""
        self._stopping.set()
        self._slots.close()
        self._thread.join(within_s)
        self._answering.join(within_s)
        self._line.close()

    def _run(self) -> None:
        try:
            self._line.open()
            self._store()
        finally:
            self._unsent.put(None)

    def _store(self) -> None:
        while True:
            group = self._slots.take(timeout_s=1.0)
            if group:
                self._work(group)
            elif self._stopping.is_set():
                return
            if self._pause_s and self._stopping.wait(self._pause_s):
                return

    def _work(self, group: list[Delivery]) -> None:
        try:
            with metrics.GROUP_SECONDS.time():
                result = self._line.ingest(group)
        except Unavailable as error:
            self._back_off(group, error)
        except Exception:
            # Outermost loop: one delivery that the code or the schema does not bear must not stop all others.
            log.exception("ingest_failed", deliveries=len(group))
            self._one_by_one(group)
        else:
            self._done(result)

    def _one_by_one(self, group: Sequence[Delivery]) -> None:
        """Find the delivery that cannot be stored, and leave it out: it is not answered, and sent again."""
        for place, delivery in enumerate(group):
            try:
                result = self._line.ingest([delivery])
            except Unavailable as error:
                self._back_off(list(group[place:]), error)
                return
            except Exception:
                metrics.FAILED.inc()
                log.exception("delivery_failed", terminal=delivery.terminal, bytes=len(delivery.payload))
                if len(self._failing) < FAILING:
                    self._failing.add(delivery.terminal)
            else:
                self._done(result)

    def _back_off(self, group: list[Delivery], error: Unavailable) -> None:
        self._slots.put_back(group)
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        if self._away is None:
            log.warning("ledger_away", error=str(error.__cause__ or error), deliveries=len(group))
        self._away = f"{error} What terminals send is not stored, and they keep it until it is."

    def _done(self, result: Result) -> None:
        if self._away is not None:
            log.info("ledger_back")
        self._pause_s, self._away = 0.0, None
        self._failing.clear()
        self._unsent.put(result)

    def _answer(self) -> None:
        while (result := self._unsent.get()) is not None:
            try:
                self._send(result.answers)
                metrics.count(result)
                self._say(result)
            except Exception:
                # Outermost loop: it is stored, and whoever got no answer sends again and gets it then.
                log.exception("answers_failed", answers=len(result.answers))

    def _say(self, result: Result) -> None:
        for each in result.alarms:
            if self._is_new("alarm", each.terminal, each.mark):
                log.warning("alarm", terminal=each.terminal, stream=each.stream, mark=each.mark, wrong=each.wrong)
        if result.strangers and self._is_new("strangers"):
            log.warning("unknown_terminals", some=sorted(set(result.strangers))[:10])

    def _is_new(self, *thing: str) -> bool:
        """Whether this was not logged within SAY_AGAIN_S; from now on it was."""
        now = self._monotonic_s()
        if now - self._said.get(thing, -SAY_AGAIN_S) < SAY_AGAIN_S:
            return False
        self._said.pop(thing, None)
        self._said[thing] = now
        if len(self._said) > THINGS_SAID:
            del self._said[next(iter(self._said))]
        return True
