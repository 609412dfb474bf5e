"""The terminal's one rule for every answer of the cloud (design, section 3): pure.

Promises that nothing the cloud says makes the terminal forget a record it may still be asked for.
Called by the uplink for each `down/stored`, and by the simulation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.stream import StreamState, as_gap, as_parent
from firmware_specs.messages import Gap, Parent, Stored, StoredError

MAX_WAIT_S: Final = 600.0
"""The longest that the cloud can put a terminal off with one answer."""
NEW_WORD_WAIT_S: Final = 5.0
"""For an error that a newer cloud knows and this terminal does not."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the terminal stands. ``chain_at`` gives its own chain at a number, None where it has none (any more)."""

    state: StreamState
    chain_at: Callable[[int], bytes | None]


@dataclass(frozen=True, slots=True)
class Advance:
    """Everything up to ``through`` is stored; equal to what was known where nothing is new."""

    through: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Rewind:
    """The cloud has less than it once had: send again after ``through``.

    ``sure`` is False within one epoch, where it may be an old answer that came late.
    """

    through: int
    epoch: int
    sure: bool


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Begin a new stream: copy every fact, and all else with a number above ``known``.

    ``sure`` is False where the answer may be an old one that came late; then the cloud is to be asked again.
    """

    parent: Parent
    known: int
    gap: Gap | None
    epoch: int
    reason: str
    sure: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing was taken. Send again later, not before ``retry_after_s``; in smaller batches where ``smaller``."""

    error: str
    epoch: int
    retry_after_s: float
    smaller: bool


@dataclass(frozen=True, slots=True)
class Ignore:
    """The answer is not for this stream, or from before a restore."""

    reason: str


Verdict = Advance | Rewind | OpenStream | Wait | Ignore

_LEAST_WAIT_S: Final[dict[str, float]] = {
    StoredError.BROKEN: 0.0,
    StoredError.FORK: 1.0,
    StoredError.FOREIGN_STREAM: 1.0,
    StoredError.TOO_MANY_STREAMS: MAX_WAIT_S,
    StoredError.UNKNOWN_VERSION: 60.0,
    StoredError.TOO_LARGE: 0.0,
    StoredError.BUSY: 0.0,
    StoredError.BAD_SIGNATURE: MAX_WAIT_S,
}


def judge(position: Position, answer: Stored) -> Verdict:
    """What the terminal does about one answer."""
    state, error = position.state, answer.error
    if answer.epoch < state.epoch:
        return Ignore("lower_epoch")
    if answer.stream is not None and answer.stream != state.stream:
        return Ignore("other_stream")
    if error == StoredError.FOREIGN_STREAM:
        return Ignore("names_no_stream") if answer.stream is None else _foreign(position, answer)
    if (
        error == StoredError.BAD_SIGNATURE
    ):  # nobody knows whose batch that was: what it says of a position counts for nothing
        return _wait(answer, error)
    if answer.through is None or answer.chain is None:
        return Ignore("says_nothing") if error is None else _wait(answer, error)
    verdict = _compare(position, answer.through, answer.chain, answer.epoch)
    if error is not None and isinstance(verdict, Advance) and verdict.through == state.through:
        return _wait(answer, error)
    return verdict


def _compare(position: Position, through: int, chain: str, epoch: int) -> Verdict:
    """The rule itself: equal chain at ``through``, or a new stream."""
    state = position.state
    if through < state.trimmed:
        return _trimmed(position, through, chain, epoch)
    own = position.chain_at(through)
    if own is None or own.hex() != chain:
        return _diverged(position, through, epoch)
    if through >= state.through:
        return Advance(through, epoch)
    return Rewind(through, epoch, sure=epoch > state.through_epoch)


def _trimmed(position: Position, through: int, chain: str, epoch: int) -> OpenStream:
    """Asked again for numbers that nobody has any more: declare them. Own chain at ``through`` is gone with them."""
    state = position.state
    return OpenStream(
        parent=Parent(stream=state.stream, through=through, chain=chain),
        known=through,
        gap=as_gap(state.stream, through + 1, state.trimmed, "trimmed"),
        epoch=epoch,
        reason="asked_for_trimmed",
        sure=epoch > state.through_epoch,
    )


def _diverged(position: Position, through: int, epoch: int) -> OpenStream:
    """The disk was rolled back, cloned or rotted. After a restore, what an earlier epoch had stored is not known to be."""
    state = position.state
    known = state.through if epoch == state.through_epoch else 0
    lost_through = 0 if known else state.trimmed
    return OpenStream(
        parent=_own_parent(position, known),
        known=known,
        gap=as_gap(state.stream, 1, lost_through, "trimmed"),
        epoch=epoch,
        reason="beyond" if through > state.last else "diverged",
    )


def _foreign(position: Position, answer: Stored) -> OpenStream:
    """The stream is another terminal's: this disk is a clone of it. What was trimmed there is that terminal's to declare."""
    known = position.state.through
    return OpenStream(_own_parent(position, known), known, None, answer.epoch, "foreign_stream")


def _own_parent(position: Position, known: int) -> Parent:
    chain = position.chain_at(known) if known else position.state.start
    return as_parent(position.state.stream, known, chain if chain is not None else position.state.start)


def _wait(answer: Stored, error: str) -> Wait:
    asked = answer.retry_after_s or 0.0
    smaller = error in (StoredError.TOO_LARGE, StoredError.BROKEN)
    return Wait(error, answer.epoch, min(MAX_WAIT_S, max(asked, _LEAST_WAIT_S.get(error, NEW_WORD_WAIT_S))), smaller)
