"""Compares, once a second, what the cloud says of each terminal's presence with whether it can really be reached.

A terminal can be reached while its own link is connected and its cable is in. The longest time that the cloud's word on any
terminal stayed wrong is what the fleet's figures call `presence_right_within_s`. A thread of the driver.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from tests.fleet.crowds import Crowd

LOOK_EVERY_S = 1.0


@dataclass
class Watch:
    """`pulled` are the terminals whose cable is out. `wrong_s` is the longest wrong word of each phase."""

    engine: Engine
    crowds: Sequence[Crowd]
    phase: str = "connect"
    pulled: frozenset[str] = frozenset()
    wrong_s: dict[str, float] = field(default_factory=dict)
    connected: int = 0
    online: int = 0
    waiting: int = 0
    unready: int = 0
    closed: bool = False
    wrong: int = 0
    _since_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._total = self.unready = sum(len(crowd.terminals) for crowd in self.crowds)

    def start(self) -> None:
        """Look once a second from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()
        self._thread.join()

    def is_whole(self) -> bool:
        """Whether all are connected, and the cloud says so of each."""
        return self.connected == self._total and self.wrong == 0

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_EVERY_S):
            try:
                self._look()
            except SQLAlchemyError:
                continue  # the database is busy: the next look sees what this one did not

    def _look(self) -> None:
        said = [crowd.said() for crowd in self.crowds]
        away = frozenset().union(*(each.away for each in said)) | self.pulled
        with self.engine.connect() as connection:
            online = set(connection.execute(text("SELECT id FROM terminals WHERE presence = 'online'")).scalars())
        now_s, all_of_them = time.monotonic(), [name for crowd in self.crowds for name in crowd.terminals]
        wrong = {name for name in all_of_them if (name in online) == (name in away)}
        self._since_s = {name: self._since_s.get(name, now_s) for name in wrong}
        longest_s = max((now_s - since_s for since_s in self._since_s.values()), default=0.0)
        self.wrong_s[self.phase] = max(self.wrong_s.get(self.phase, 0.0), longest_s)
        self.connected, self.online, self.wrong = self._total - len(away), len(online), len(wrong)
        self.waiting = sum(each.waiting for each in said)
        self.unready = sum(each.unready for each in said)
        self.closed = all(each.closed for each in said)
