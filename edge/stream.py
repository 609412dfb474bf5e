"""The state of the outbox's numbered stream, and how it may change: pure, over plain data.

Promises that a number never goes back, that a chain value once fixed stays, and that facts survive a fork.
Used by the SQLite outbox and, unchanged, by the simulation in the tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from firmware_specs.messages import FACT_TYPES, Gap, Parent
from firmware_specs.wire import chain_next, chain_start

SAMPLE_TYPE: Final = "health"
"""Records of this type give way to facts when space runs short."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """One stream of one terminal; numbers count from 1, 0 means none.

    ``last``: newest record. ``fixed``: newest one ever put into a batch; its line and chain never change.
    ``through``: newest one that the cloud has said is stored, in the epoch ``through_epoch``.
    ``trimmed``: the oldest ones up to here are no longer kept; ``trimmed_chain`` is the chain at it.
    ``epoch``: the highest one seen from the cloud in any message.
    """

    terminal: str
    stream: str
    parent: Parent | None
    last: int
    fixed: int
    through: int
    through_epoch: int
    trimmed: int
    trimmed_chain: bytes
    epoch: int

    @property
    def depth(self) -> int:
        """Records not known to be stored."""
        return self.last - self.through

    @property
    def start(self) -> bytes:
        """c(0) of this stream."""
        return chain_start(self.terminal, self.stream)


def new_stream(terminal: str, stream: str, *, parent: Parent | None = None, epoch: int = 0) -> StreamState:
    """A stream with no record yet; nothing of it is stored in any epoch, so it stands in ``epoch`` at once."""
    start = chain_start(terminal, stream)
    return StreamState(terminal, stream, parent, 0, 0, 0, epoch, 0, start, epoch)


def appended(state: StreamState, count: int) -> StreamState:
    """After ``count`` more records."""
    return replace(state, last=state.last + count)


def sent(state: StreamState, last: int) -> StreamState:
    """After a batch that ends with number ``last`` was made: its lines are fixed."""
    return replace(state, fixed=max(state.fixed, last))


def stored(state: StreamState, through: int, epoch: int) -> StreamState:
    """After the cloud's word, forward or backward; the chain at ``through`` has been compared."""
    return replace(state, through=through, through_epoch=epoch, epoch=max(state.epoch, epoch))


def seen(state: StreamState, epoch: int) -> StreamState:
    """After any message that names an epoch."""
    return replace(state, epoch=max(state.epoch, epoch))


def trimmed(state: StreamState, through: int, chain: bytes) -> StreamState:
    """After the records up to ``through`` were removed; only stored ones may be."""
    if not state.trimmed <= through <= state.through:
        raise ValueError(f"only stored records may be trimmed: {through} of {state.through}")
    return replace(state, trimmed=through, trimmed_chain=chain)


def is_copied(number: int, record_type: str, known: int) -> bool:
    """Whether a fork takes this record along: every fact, and all else not known to be stored."""
    return number > known or record_type in FACT_TYPES


def is_replaceable(state: StreamState, number: int, record_type: str) -> bool:
    """Whether a `dropped` line may take this record's place: a health sample that was never put into a batch."""
    return record_type == SAMPLE_TYPE and number > state.fixed


def agrees(previous: bytes, fixed: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether lines sent before, each with its chain, still give the chain that was fixed then."""
    for line, chain in fixed:
        previous = chain_next(previous, line)
        if previous != chain:
            return False
    return True


def as_parent(stream: str, through: int, chain: bytes) -> Parent:
    """The parent that a new stream names."""
    return Parent(stream=stream, through=through, chain=chain.hex())


def as_gap(stream: str, first: int, last: int, reason: str) -> Gap | None:
    """The gap that a new stream declares; None where nothing is missing."""
    return Gap(stream=stream, first=first, last=last, reason=reason) if first <= last else None
