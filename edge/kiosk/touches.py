"""Counts touches per screen and minute, so that no touch is stored one by one.

Promises at most MAX_PENDING counts in memory; the oldest is forgotten beyond that. Called by the session's thread only.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from firmware_specs.messages import Interaction

MAX_PENDING: Final = 64
MAX_TOUCHES: Final = 100_000  # of the contract
_MINUTE_US: Final = 60_000_000

Stamp = Callable[[], dict[str, object]]
"""The fields that every record carries (edge.clock.Clock.stamp)."""


@dataclass(slots=True)
class _Count:
    touches: int = 0
    help_called: int = 0


class TouchCounter:
    """Touches not yet made into records, by (screen, minute)."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, int], _Count] = {}

    def count(self, screen: str, now_us: int, *, help_called: bool = False) -> None:
        """One touch on ``screen``; the minute is that of ``now_us``."""
        key = (screen, now_us - now_us % _MINUTE_US)
        if key not in self._counts and len(self._counts) >= MAX_PENDING:
            del self._counts[next(iter(self._counts))]
        count = self._counts.setdefault(key, _Count())
        count.touches = min(count.touches + 1, MAX_TOUCHES)
        count.help_called = min(count.help_called + help_called, 1_000)

    def due(self, now_us: int, *, everything: bool = False) -> bool:
        """Whether a minute is over, help was called, or (``everything``) anything was counted."""
        return any(self._is_due(key, count, now_us, everything=everything) for key, count in self._counts.items())

    def take(self, now_us: int, stamp: Stamp, *, everything: bool = False) -> list[Interaction]:
        """The records that are due; they are counted no more once `taken` is called."""
        return [
            Interaction.model_validate(
                {
                    **stamp(),
                    "screen": screen,
                    "minute_at": minute_us,
                    "touches": c.touches,
                    "help_called": c.help_called,
                }
            )
            for (screen, minute_us), c in self._counts.items()
            if self._is_due((screen, minute_us), c, now_us, everything=everything)
        ]

    def taken(self, records: list[Interaction]) -> None:
        """Forget what these records hold: they are stored."""
        for record in records:
            self._counts.pop((record.screen, record.minute_at), None)

    @staticmethod
    def _is_due(key: tuple[str, int], count: _Count, now_us: int, *, everything: bool) -> bool:
        minute_over = not key[1] <= now_us < key[1] + _MINUTE_US  # a clock set back ends a minute too
        return everything or minute_over or count.help_called > 0
