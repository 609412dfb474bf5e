"""The worker: takes groups from its slots, runs its line, sends the answers.

Promises that nothing is answered that was not committed, that a database which is away only delays (the group waits and
is tried again, with backoff), and that `stop` drains what is waiting. One thread; the outermost loop of ingest.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from cloud.errors import CloudError
from cloud.ingest import metrics
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Answer, Result
from cloud.ingest.slots import Slots

Send = Callable[[Sequence[Answer]], None]

FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 5.0
STRANGERS_EVERY_S: Final = 60.0

log = structlog.get_logger(__name__)


class AnyLine(Protocol):
    """The line in this process, or in another."""

    def ingest(self, deliveries: Sequence[Delivery]) -> Result:
        """See `Line.ingest`."""

    def close(self) -> None:
        """Let go of what it holds."""


class Worker:
    """Runs `line` over `slots` in a thread of its own, and hands answers to `send`."""

    def __init__(self, line: AnyLine, slots: Slots, send: Send) -> None:
        self._line, self._slots, self._send = line, slots, send
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._pause_s = 0.0
        self._strangers_said_at = -STRANGERS_EVERY_S
        self.trouble: str | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within_s: float = 10.0) -> None:
        """Store what is waiting, answer it, and end; what is not stored in time is the terminals' to send again."""
        self._stopping.set()
        self._slots.close()
        self._thread.join(within_s)
        self._line.close()

    def _run(self) -> None:
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
        except (CloudError, SQLAlchemyError) as error:
            self._back_off(group, error)
        except Exception:
            # Outermost loop: one delivery that breaks the code must not stop all others.
            log.exception("ingest_failed", deliveries=len(group))
            self._one_by_one(group)
        else:
            self._done(result)

    def _one_by_one(self, group: Sequence[Delivery]) -> None:
        """Find the delivery that breaks the code, and leave it out: it is not answered, and sent again."""
        for place, delivery in enumerate(group):
            try:
                self._done(self._line.ingest([delivery]))
            except (CloudError, SQLAlchemyError) as error:
                self._back_off(list(group[place:]), error)
                return
            except Exception:
                metrics.FAILED.inc()
                log.exception("delivery_failed", terminal=delivery.terminal, bytes=len(delivery.payload))

    def _back_off(self, group: list[Delivery], error: Exception) -> None:
        self._slots.put_back(group)
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_S), LONGEST_PAUSE_S)
        if self.trouble is None:
            log.warning("ledger_away", error=str(error.__cause__ or error), deliveries=len(group))
        why = str(error) if isinstance(error, CloudError) else "The database does not answer."
        self.trouble = f"{why} What terminals send is not stored, and they keep it until it is."

    def _done(self, result: Result) -> None:
        if self.trouble is not None:
            log.info("ledger_back")
        self._pause_s, self.trouble = 0.0, None
        self._send(result.answers)
        metrics.count(result)
        for each in result.alarms:
            log.warning("alarm", terminal=each.terminal, stream=each.stream, mark=each.mark, wrong=each.wrong)
        if result.strangers:
            self._say_strangers(result.strangers)

    def _say_strangers(self, strangers: Sequence[str]) -> None:
        """At most once a minute: whoever has a password at the broker could fill the log with it."""
        now = time.monotonic()
        if now - self._strangers_said_at >= STRANGERS_EVERY_S:
            self._strangers_said_at = now
            log.warning("unknown_terminals", some=sorted(set(strangers))[:10])
