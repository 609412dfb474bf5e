"""The notifier: follows the alarms, sends what is due in threads of its own, and writes what became of it.

Promises that nothing is sent inside of a transaction, that a receiver has one message under way, and that one which hangs takes
a place from no other: mail and webhooks have places of their own, and those that failed last may have half of them.
One process notifies, by a lease. The threads touch no database.
"""

import queue
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from cloud.clock import Clock
from cloud.database import transaction
from cloud.errors import CloudError
from cloud.notifications import claiming
from cloud.notifications.carrying import Letter
from cloud.notifications.claiming import Due
from cloud.notifications.failures import Undelivered
from cloud.notifications.following import Follower
from cloud.notifications.receivers import Kind

EVERY_S: Final = 2.0
AT_ONCE: Final = {Kind.EMAIL: 4, Kind.WEBHOOK: 8}
"""Messages under way: those by mail have one server in common, which may hang."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Outcome:
    letter: Letter
    failed: Undelivered | None


@dataclass
class Notifier:
    """Its `turn` is for a Loop, `wake` that loop's; `carry` sends one message, or raises Undelivered."""

    engine: Engine
    clock: Clock
    carry: Callable[[Letter], None]
    public_url: str | None = None
    is_mine: Callable[[], bool | None] = lambda: True
    wake: Callable[[], None] = lambda: None
    _flying: dict[str, Due] = field(default_factory=dict)
    _came: "queue.SimpleQueue[_Outcome]" = field(default_factory=queue.SimpleQueue)
    _unwritten: list[_Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._follower = Follower(self.engine)

    def turn(self) -> float:
        """Once around; the seconds until the next."""
        self._write_outcomes()
        if not self.is_mine():
            return EVERY_S
        more = self._follower.turn(self.clock())
        if more:
            return 0.0  # all that happened is known before anything is judged
        for letter in self._claim():
            threading.Thread(target=self._fly, args=(letter,), name="notification", daemon=True).start()
        return EVERY_S

    def finish(self, within_s: float = 2.0) -> None:
        """After the last turn: write the outcomes that come within this time. What comes later is sent again."""
        deadline_s = time.monotonic() + within_s
        with suppress(queue.Empty, CloudError):
            while len(self._unwritten) < len(self._flying):
                self._unwritten.append(self._came.get(timeout=max(deadline_s - time.monotonic(), 0.01)))
        with suppress(CloudError):
            self._write_outcomes()

    @property
    def under_way(self) -> int:
        """How many messages are being sent, or sent and not written down yet."""
        return len(self._flying)

    def _write_outcomes(self) -> None:
        """While the database is away they are kept here; nothing of that receiver is sent meanwhile."""
        while not self._came.empty():
            self._unwritten.append(self._came.get())
        if not self._unwritten:
            return
        with transaction(self.engine) as session:
            for each in self._unwritten:
                claiming.settle(session, each.letter, each.failed, self.clock())
        for each in self._unwritten:
            self._flying.pop(each.letter.receiver_id, None)
            if each.failed is not None:
                log.warning("notification_failed", receiver=each.letter.receiver_id, message=each.letter.message_id,
                            why=each.failed.code, final=each.failed.final)  # fmt: skip
        self._unwritten.clear()

    def _claim(self) -> list[Letter]:
        now = self.clock()
        with transaction(self.engine, read_only=True) as session:
            due = [each for each in claiming.due_receivers(session, now) if each.receiver_id not in self._flying]
            over = claiming.has_run_out(session, now)
        if not due and not over:
            return []
        letters = []
        claimed: dict[str, Due] = {}
        with transaction(self.engine) as session:
            if over:
                claiming.release(session, now)
            for each in due:
                letter = self._take(session, each, claimed, now)
                if letter is not None:
                    letters.append(letter)
                    claimed[each.receiver_id] = each
        self._flying |= claimed  # after the commit: what was not claimed is not under way
        return letters

    def _take(self, session: Session, due: Due, claimed: dict[str, Due], now: datetime) -> Letter | None:
        """Its next message, if there is a place."""
        places = AT_ONCE[due.kind]
        others = [each for each in (*self._flying.values(), *claimed.values()) if each.kind is due.kind]
        failing = sum(each.failing for each in others)
        if len(others) >= places or (due.failing and failing >= places // 2):
            return None
        return claiming.claim(session, due.receiver_id, self.public_url, now)

    def _fly(self, letter: Letter) -> None:
        failed: Undelivered | None = None
        try:
            self.carry(letter)
        except Undelivered as error:
            failed = error
        except Exception:  # the thread's outermost level
            log.exception("notification_broke", receiver=letter.receiver_id)
            failed = Undelivered("other")
        self._came.put(_Outcome(letter, failed))
        self.wake()
