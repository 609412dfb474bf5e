"""The history of a terminal's presence: each change is a line, and a link that comes and goes is one line. Pure.

Promises few lines an hour (about FLAPPING) of a terminal, however often its link breaks, with every change counted; and that
what happened to the cloud or its broker is never counted against a terminal. Called by ingest, which writes the lines, and
which of one turn (half a second) takes a terminal's newest four births and deaths.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from cloud.terminals.presence import Presence, Standing
from firmware_specs.presence_messages import Birth, Death

HOUR_US: Final = 3_600_000_000
FLAPPING: Final = 6
"""After so many changes within an hour (three times lost and back) the next one is the first of a flapping link."""
STILL_FLAPPING: Final = 3
"""It goes on while so many changes lie within the hour before the next."""
RECENT: Final = 200
"""Of so many changes of the last hour the times are kept; of a link that is worse than that, no exact count is known."""
KEPT: Final = 1_000
"""Lines of a terminal, the newest."""


class Cause(StrEnum):
    """Why it changed. `lost`, `stopped` and `restarting` are the words of wills and farewells."""

    BIRTH = "birth"
    HEARD = "heard"
    LOST = "lost"
    STOPPED = "stopped"
    RESTARTING = "restarting"
    RETAINED = "retained"
    """A birth that the broker had kept: it was there once."""
    BROKER = "broker"
    """The cloud was cut off from the broker, or did not run."""
    SILENT = "silent"
    TWO_DEVICES = "two_devices"
    """A birth that counts backward, or counts the same on another machine."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change, at a time in microseconds."""

    at: int
    presence: Presence
    cause: Cause
    connection: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One or more changes from `began_at` to `at`, and what was so after the last of them.

    `recent` are the times of the terminal's own changes within the hour before `at`, of this line and of those before it.
    """

    number: int
    began_at: int
    at: int
    presence: Presence
    cause: Cause
    connection: int | None
    times: int = 1
    flapping: bool = False
    recent: tuple[int, ...] = ()


def change_of(before: Standing, after: Standing, cause: Cause, at: int) -> Change | None:
    """What changed: the presence, or the connection in force. None where neither did."""
    pair = (before.incarnation, before.connection)
    if before.presence is after.presence and pair == (after.incarnation, after.connection):
        return None
    return Change(at, after.presence, cause, after.connection)


def cause_of(message: Birth | Death, *, retained: bool, second: bool) -> Cause:
    """Why a birth or a death changes something; `second`: it tells of two devices."""
    if isinstance(message, Death):
        return Cause(message.reason)
    if second:
        return Cause.TWO_DEVICES
    return Cause.RETAINED if retained else Cause.BIRTH


def fold(newest: Line | None, change: Change) -> Line:
    """The line that now is the newest: another one, or `newest` itself (by its number) with the change in it."""
    recent = recent_of(newest, change.at)
    if _is_the_clouds(newest, change):
        if newest is not None and newest.cause is Cause.BROKER and change.at - newest.began_at <= HOUR_US:
            return replace(_into(newest, change), cause=Cause.BROKER, recent=recent)
        return _new(newest, change, recent)
    with_this = (*recent, change.at)[-RECENT:]
    if newest is not None and newest.flapping and len(recent) >= STILL_FLAPPING:
        return replace(_into(newest, change), recent=with_this)
    return replace(_new(newest, change, with_this), flapping=len(recent) >= FLAPPING)


def recent_of(newest: Line | None, at: int) -> tuple[int, ...]:
    """When the terminal's own changes of the hour before `at` were."""
    return () if newest is None else tuple(each for each in newest.recent if at - HOUR_US < each <= at)


def _is_the_clouds(newest: Line | None, change: Change) -> bool:
    """Whether nothing of it was the terminal's doing: the broker was lost, or it speaks again after that."""
    back = newest is not None and newest.cause is Cause.BROKER and change.cause is Cause.HEARD
    return back or change.cause is Cause.BROKER


def _new(newest: Line | None, change: Change, recent: tuple[int, ...]) -> Line:
    number = 1 if newest is None else newest.number + 1
    return Line(number, change.at, change.at, change.presence, change.cause, change.connection, recent=recent)


def _into(line: Line, change: Change) -> Line:
    """Two devices once seen in a line are not forgotten over what follows from them."""
    cause = Cause.TWO_DEVICES if line.cause is Cause.TWO_DEVICES else change.cause
    return replace(line, at=change.at, presence=change.presence, cause=cause, connection=change.connection,
                   times=line.times + 1)  # fmt: skip
