"""Who may type card numbers: the staff PIN, checked against the argon2 hash of the twin, and its pauses.

Promises five tries, then a pause that doubles with each further wrong one, for the kiosk as a whole and over restarts,
and to keep no PIN. Called by the session's thread only. A check takes about 0.1 s and the memory its hash asks for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

TRIES: Final = 5
FIRST_PAUSE_S: Final = 30.0
LONGEST_PAUSE_S: Final = 3600.0
TRUSTED_S: Final = 60.0
"""How long after the last number the next one needs no PIN."""


class PinAnswer(StrEnum):
    """What became of a typed PIN."""

    RIGHT = "right"
    WRONG = "wrong"
    PAUSED = "paused"


@dataclass(slots=True)
class StaffGate:
    """The state of staff entry; times are seconds of a monotonic clock. ``keep`` takes each new count of failures."""

    keep: Callable[[int], None] = lambda _failures: None
    failures: int = 0
    paused_until_s: float = 0.0
    trusted_until_s: float = 0.0

    def resume(self, failures: int, now_s: float) -> None:
        """After a restart: the count goes on, and a pause that may have been running begins anew."""
        self.failures = failures
        if failures >= TRIES:
            self._pause(now_s)

    def try_pin(self, pin: str, pin_hash: str, now_s: float) -> PinAnswer:
        """Check a PIN; PAUSED without looking at it while a pause runs."""
        if now_s < self.paused_until_s:
            return PinAnswer.PAUSED
        self._count(self.failures + 1)  # before the check: who cuts the power in between has had this try
        if _matches(pin, pin_hash):
            self._count(0)
            self.trust(now_s)
            return PinAnswer.RIGHT
        if self.failures < TRIES:
            return PinAnswer.WRONG
        self._pause(now_s)
        return PinAnswer.PAUSED

    def trust(self, now_s: float) -> None:
        """Staff are at the kiosk: the next number needs no PIN for a while."""
        self.trusted_until_s = now_s + TRUSTED_S

    def forget(self) -> None:
        """Staff went back: the next number needs the PIN."""
        self.trusted_until_s = 0.0

    def is_trusted(self, now_s: float) -> bool:
        """Whether a number may be typed now."""
        return now_s < self.trusted_until_s

    def pause_left_s(self, now_s: float) -> int:
        """Whole seconds of the running pause, rounded up; 0 where none runs."""
        return max(0, -int(-(self.paused_until_s - now_s) // 1))

    def _count(self, failures: int) -> None:
        self.failures = failures
        self.keep(failures)

    def _pause(self, now_s: float) -> None:
        doublings = min(self.failures - TRIES, 20)
        self.paused_until_s = now_s + min(FIRST_PAUSE_S * 2**doublings, LONGEST_PAUSE_S)

    @property
    def tries_left(self) -> int:
        """Wrong PINs until the next pause."""
        return max(1, TRIES - self.failures)


def _matches(pin: str, pin_hash: str) -> bool:
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return PasswordHasher().verify(pin_hash, pin)
    except (VerificationError, InvalidHashError):
        return False
