"""What state a command is in, as one table: what the cloud does with it, and what its terminal says of it. Pure.

Promises that only the terminal's own word moves a command past `sent`; that `expired` on the cloud's word means it was never
given; and that a terminal's word counts whenever it comes, but none undoes an end that the terminal itself told.
"""

from enum import StrEnum
from typing import Final

from firmware_specs.messages import CommandWord


class State(StrEnum):
    """Where a command is. `unknown`: it was given, its end is past, and the terminal has not said how it went."""

    QUEUED = "queued"
    SENT = "sent"
    ACCEPTED = "accepted"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Event(StrEnum):
    """What the cloud does, or sees go by."""

    GIVE = "give"
    CANCEL = "cancel"
    DEADLINE = "deadline"


OPEN: Final = frozenset({State.QUEUED, State.SENT, State.ACCEPTED, State.RUNNING})
"""Something is still to come, by itself: the deadline at the latest."""
MAY_BE_GIVEN: Final = frozenset({State.QUEUED, State.SENT})
TOLD_ENDS: Final = frozenset({State.DONE, State.FAILED})
"""Ends in the terminal's own word."""

_BY_THE_CLOUD: Final = {
    (State.QUEUED, Event.GIVE): State.SENT,
    (State.QUEUED, Event.CANCEL): State.CANCELLED,
    (State.QUEUED, Event.DEADLINE): State.EXPIRED,
    (State.SENT, Event.DEADLINE): State.UNKNOWN,
    (State.ACCEPTED, Event.DEADLINE): State.UNKNOWN,
    (State.RUNNING, Event.DEADLINE): State.UNKNOWN,
}

_ORDER: Final = {State.ACCEPTED: 1, State.RUNNING: 2}


def after(state: State, event: Event | CommandWord, *, given: bool) -> State:
    """The state after an event; the same where it changes nothing. `given`: the command was sent at least once.

    A command that was never given has no terminal that could speak of it, but for a cloud restored from a backup, which may
    have forgotten that it gave it: so words count from every state.
    """
    if isinstance(event, Event):
        return _BY_THE_CLOUD.get((state, event), state)
    told = State(event.value)
    if state in TOLD_ENDS or (state is State.EXPIRED and given):
        return state
    if _ORDER.get(state, 0) > _ORDER.get(told, 3):
        return state  # a copy of an earlier word, from another stream
    return told
