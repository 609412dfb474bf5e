"""Which occurrence a check-in counts for: the kiosk's where its clock was synced, else chosen by time and room. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Held:
    """An occurrence of a room; check-in is open from `opens_at` until `ends_at` (microseconds)."""

    id: str
    opens_at: int
    starts_at: int
    ends_at: int

    def distance(self, at: int) -> int:
        """How far `at` lies outside its hours, in microseconds; 0 inside."""
        return max(self.opens_at - at, at - self.ends_at, 0)


def choose(said: str | None, effective_at: int, uncertainty_us: int, held: Sequence[Held]) -> str | None:
    """The occurrence of the room that was on at the effective time, give or take its uncertainty.

    Among several: the one nearest in time, then the kiosk's own word, then the one that starts last. None where nothing
    was on.
    """
    possible = [each for each in held if each.distance(effective_at) <= uncertainty_us]
    if not possible:
        return None
    return min(possible, key=lambda each: (each.distance(effective_at), each.id != said, -each.starts_at, each.id)).id
