"""Which terminals report their twin in a loop: how many reports each gave lately, and whose newest waits before it is written.

Promises that such a terminal costs one write every HELD_S and that its last word is written all the same. Called by the board
of states, under its lock. Bound: the terminals heard last.
"""

import time
from collections.abc import Callable
from typing import Final

MOST: Final = 60
"""Reports within WINDOW_S that a terminal may give: one for each twin, file and connection, and then some."""
WINDOW_S: Final = 60.0
HELD_S: Final = 10.0
TERMINALS: Final = 20_000


class ReportLoops:
    """Counts by terminal."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._counted: dict[str, tuple[float, int]] = {}
        self._written_s: dict[str, float] = {}

    def hear(self, terminal: str) -> None:
        """A report came."""
        now_s = self._monotonic_s()
        began_s, count = self._counted.pop(terminal, (now_s, 0))
        self._counted[terminal] = (now_s, 1) if now_s - began_s >= WINDOW_S else (began_s, count + 1)
        if len(self._counted) > TERMINALS:
            del self._counted[next(iter(self._counted))]

    def is_looping(self, terminal: str) -> bool:
        """Whether it gave more in this window than it may."""
        return self._counted.get(terminal, (0.0, 0))[1] > MOST

    def may_write(self, terminal: str) -> bool:
        """Whether its report is to be written now; if so, that is remembered of one that loops."""
        if not self.is_looping(terminal):
            self._written_s.pop(terminal, None)
            return True
        now_s = self._monotonic_s()
        if now_s - self._written_s.get(terminal, now_s - HELD_S) < HELD_S:
            return False
        self._written_s[terminal] = now_s
        if len(self._written_s) > TERMINALS:
            del self._written_s[next(iter(self._written_s))]
        return True
