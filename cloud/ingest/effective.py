"""When a record really happened: the effective time, its uncertainty and what it rests on (design, section 3, Time). Pure.

Promises that every record of a batch gets one, and that the same input gives the same answer. Called once, when the
batch is first stored; the journal keeps the result.
"""

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from cloud.ingest.accept import Neighbour
from firmware_specs.messages import Clock

_LONG_US: Final = 3_600_000_000
"""A clock that is off by so much does not agree."""
CLOCKS_MAY_DIFFER_US: Final = 60_000_000
"""Beside the resend timeout: how far a synced clock and ours may be apart."""


class Basis(IntEnum):
    """What an effective time rests on."""

    TERMINAL = 0
    """The record's own `at`: its clock was synced, and so it was when the batch was sent."""
    COUNTED = 1
    """Counted back from the receipt on the monotonic clock of the boot that sent the batch."""
    BETWEEN = 2
    """Estimated from the stream's neighbours."""
    BEFORE = 3
    """Estimated: nothing came before it in the stream, so only the latest possible time is known."""


class Stamped(Protocol):
    """A record's own times."""

    @property
    def at(self) -> int: ...
    @property
    def boot(self) -> str: ...
    @property
    def mono_ms(self) -> int: ...
    @property
    def clock(self) -> Clock: ...


class Sending(NamedTuple):
    """When a batch was sent, by its header, and received, by us. `resend_timeout_us`: how old it may be at most."""

    sent_at: int
    sent_mono_ms: int
    boot: str
    received_at: int
    resend_timeout_us: int

    @property
    def clock_agrees(self) -> bool:
        """Whether the terminal's clock and ours said nearly the same when the batch was on its way."""
        return abs(self.received_at - self.sent_at) <= self.resend_timeout_us + CLOCKS_MAY_DIFFER_US


def carried(sent_at: int, sent_mono_ms: int, boot: str, clock: Clock, received_at: int) -> Sending:
    """A batch that came in a file, some time after it was written. By a synced clock it counts as received when it was written;
    by any other nobody knows how long it was on its way, so that nothing can be counted back: no boot is the sender's.
    """
    if clock is Clock.SYNCED and sent_at <= received_at + CLOCKS_MAY_DIFFER_US:
        return Sending(sent_at, sent_mono_ms, boot, min(sent_at, received_at), 0)
    return Sending(received_at - _LONG_US, sent_mono_ms, "", received_at, 0)


class Effective(NamedTuple):
    """An effective time and its uncertainty, in microseconds."""

    at: int
    uncertainty_us: int
    basis: Basis


def effective_times(sending: Sending, stamps: Sequence[Stamped | None], last: Neighbour | None) -> list[Effective]:
    """One for each record; None stands for one that could not be understood. `last` is the stream's newest stored one."""
    agrees = sending.clock_agrees
    known = [None if stamp is None else _own(sending, stamp, agrees) for stamp in stamps]
    if None not in known:
        return [each for each in known if each is not None]
    before = _neighbours(zip(stamps, known, strict=True), last)
    after = _neighbours(zip(reversed(stamps), reversed(known), strict=True), None)[::-1]
    return [
        each or _between(stamp, earlier, later, sending.received_at)
        for each, stamp, earlier, later in zip(known, stamps, before, after, strict=True)
    ]


def neighbour_of(
    stamps: Sequence[Stamped | None], times: Sequence[Effective], last: Neighbour | None
) -> Neighbour | None:
    """What the batch leaves behind for the next one: its newest record that could be understood."""
    for stamp, time in zip(reversed(stamps), reversed(times), strict=True):
        if stamp is not None:
            return Neighbour(time.at, time.uncertainty_us, stamp.boot, stamp.mono_ms)
    return last


def _own(sending: Sending, stamp: Stamped, agrees: bool) -> Effective | None:
    """By its own clock, else counted back, else not by itself."""
    if agrees and stamp.clock is Clock.SYNCED:
        return Effective(stamp.at, 0, Basis.TERMINAL)
    ago_ms = sending.sent_mono_ms - stamp.mono_ms
    if stamp.boot != sending.boot or ago_ms < 0:
        return None
    return Effective(max(0, sending.received_at - ago_ms * 1000), sending.resend_timeout_us, Basis.COUNTED)


def _neighbours(
    pairs: Iterable[tuple[Stamped | None, Effective | None]], nearest: Neighbour | None
) -> list[Neighbour | None]:
    """For each record, the nearest one on that side whose time is known."""
    found = []
    for stamp, time in pairs:
        found.append(nearest)
        if stamp is not None and time is not None:
            nearest = Neighbour(time.at, time.uncertainty_us, stamp.boot, stamp.mono_ms)
    return found


def _between(stamp: Stamped | None, earlier: Neighbour | None, later: Neighbour | None, received_at: int) -> Effective:
    for near in (earlier, later):
        if stamp is not None and near is not None and near.boot == stamp.boot:
            at = near.effective_at + (stamp.mono_ms - near.mono_ms) * 1000
            return Effective(min(max(0, at), received_at), near.uncertainty_us, Basis.BETWEEN)
    latest = received_at if later is None else later.effective_at
    if earlier is None:
        return Effective(latest, latest, Basis.BEFORE)
    middle = (earlier.effective_at + latest) // 2
    return Effective(middle, abs(latest - earlier.effective_at + 1) // 2, Basis.BETWEEN)
