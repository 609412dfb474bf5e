"""Decides about deliveries: header, count, chain, place in the stream. Pure: the simulation runs the very same code.

Promises that a batch is taken only if it continues what is stored (first = through + 1, prev = the chain there), and
that everything else changes nothing and is answered with what is stored. Called by `cloud.ingest.line`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from firmware_specs import signing
from firmware_specs.errors import DecodeError, SignatureError, TooLarge, UnknownVersion
from firmware_specs.messages import Clock, Header, StoredError
from firmware_specs.wire import Batch, chain_start, decode_batch, encode_batch, stream_of

STREAMS_PER_DAY: Final = 20
"""How many streams a terminal may open within 24 hours, where no setting says otherwise."""


class Delivery(NamedTuple):
    """One message on a terminal's `up/records`. `terminal` is from the topic; `received_at` in microseconds.

    `unasked`: the cloud itself puts this question, for a terminal whose birth it saw. `carried`: it came in a file.
    """

    terminal: str
    payload: bytes
    received_at: int
    unasked: bool = False
    carried: bool = False


class Neighbour(NamedTuple):
    """The newest stored record of a stream, from which later ones' times may be bounded."""

    effective_at: int
    uncertainty_us: int
    boot: str
    mono_ms: int


class Position(NamedTuple):
    """How far a stream is stored: its terminal, the last number, the chain there (hex); how far its terminal has spoken."""

    terminal: str
    through: int
    chain: str
    last: Neighbour | None = None
    said: int = 0


Keys = Mapping[str, EllipticCurvePublicKey]
"""Public keys by their id (firmware_specs.signing)."""


@dataclass(frozen=True, slots=True)
class Positions:
    """What is stored already. `opened` counts the streams that a terminal opened within the last 24 hours.

    `keys` holds, of each terminal that was claimed, the keys of its certificates in force: its batches must be signed by one.
    """

    streams: Mapping[str, Position] = field(default_factory=dict)
    opened: Mapping[str, int] = field(default_factory=dict)
    streams_per_day: int = STREAMS_PER_DAY
    keys: Mapping[str, Keys] = field(default_factory=dict)


class Reading(NamedTuple):
    """A delivery whose payload was read: a batch, or what is wrong with it, and whose stream it names if it does."""

    delivery: Delivery
    batch: Batch | None
    stream: str | None
    error: StoredError | None = None
    wrong: str | None = None


class Verdict(NamedTuple):
    """What to do about a delivery. `taken`: store the batch, which continues `position`.

    Otherwise answer with `position` (None: nothing to say of the stream) and `error`; `mark` is a reason for an alarm.
    """

    reading: Reading
    position: Position | None
    taken: bool = False
    error: StoredError | None = None
    mark: str | None = None

    @property
    def delivery(self) -> Delivery:
        """What it is about."""
        return self.reading.delivery

    @property
    def batch(self) -> Batch:
        """The batch of a delivery that could be read."""
        assert self.reading.batch is not None  # noqa: S101
        return self.reading.batch

    def after(self) -> Position:
        """The position once the batch of a taken delivery is stored (without its neighbour)."""
        return Position(self.delivery.terminal, self.batch.last, self.batch.header.chain)


def accept(deliveries: Sequence[Delivery], positions: Positions) -> list[Verdict]:
    """A verdict for each delivery, in order; an earlier one's batch counts as stored for those after it."""
    return place([read(delivery) for delivery in deliveries], positions)


def read(delivery: Delivery) -> Reading:
    """Check size, version, header, count and chain; looks at no record."""
    try:
        batch = decode_batch(delivery.payload)
    except DecodeError as error:
        return Reading(delivery, None, stream_of(delivery.payload), _error_of(error), str(error))
    return Reading(delivery, batch, batch.header.stream)


def place(readings: Iterable[Reading], positions: Positions) -> list[Verdict]:
    """Hold each reading against what is stored."""
    streams = dict(positions.streams)
    opened = dict(positions.opened)
    verdicts = []
    for reading in readings:
        verdict = _verdict(reading, streams, opened, positions.streams_per_day)
        if verdict.taken:
            verdict = _signed(verdict, positions.keys)
        if verdict.taken:
            stream, terminal = verdict.batch.header.stream, verdict.delivery.terminal
            opened[terminal] = opened.get(terminal, 0) + (stream not in streams)
            streams[stream] = verdict.after()
        verdicts.append(verdict)
    return verdicts


def question(terminal: str, stream: str, at: int) -> Delivery:
    """What a terminal would send to learn how far this stream is stored: the cloud asks in its place.

    Nothing of it is stored, so the header's boot and clocks mean nothing.
    """
    start = chain_start(terminal, stream).hex()
    header = Header(
        v=1, stream=stream, first=1, count=0, prev=start, chain=start, sent_at=at, sent_mono_ms=0, boot=stream,
        clock=Clock.UNSET,
    )  # fmt: skip
    return Delivery(terminal, encode_batch(header, ()), at, unasked=True)


def start_of(terminal: str, stream: str) -> Position:
    """The position of a stream of which nothing is stored: c(0) at 0."""
    return Position(terminal, 0, chain_start(terminal, stream).hex())


def _signed(verdict: Verdict, keys: Mapping[str, Keys]) -> Verdict:
    """The verdict itself, where the batch of a claimed terminal is signed by one of its keys; else a refusal.

    Looked at last: it costs more than all else, and an unsigned batch that would not be taken is answered as ever.
    """
    terminal = verdict.delivery.terminal
    if terminal not in keys:
        return verdict
    header = verdict.delivery.payload.partition(b"\n")[0]
    try:
        signing.verify(terminal, header, keys[terminal])
    except SignatureError as error:
        reading = verdict.reading._replace(wrong=str(error))
        return Verdict(reading, verdict.position, error=StoredError.BAD_SIGNATURE, mark=StoredError.BAD_SIGNATURE)
    return verdict


def _error_of(error: DecodeError) -> StoredError:
    if isinstance(error, UnknownVersion):
        return StoredError.UNKNOWN_VERSION
    return StoredError.TOO_LARGE if isinstance(error, TooLarge) else StoredError.BROKEN


def _verdict(reading: Reading, streams: Mapping[str, Position], opened: Mapping[str, int], per_day: int) -> Verdict:
    terminal, stream = reading.delivery.terminal, reading.stream
    if stream is None:
        return Verdict(reading, None, error=reading.error, mark=reading.error)
    position = streams.get(stream)
    if position is not None and position.terminal != terminal:
        return Verdict(reading, None, error=StoredError.FOREIGN_STREAM, mark=StoredError.FOREIGN_STREAM)
    have = position or start_of(terminal, stream)
    if reading.batch is None:
        return Verdict(reading, have, error=reading.error, mark=reading.error)
    header = reading.batch.header
    if header.first != have.through + 1:
        return Verdict(reading, have)
    if header.prev != have.chain:
        return Verdict(reading, have, error=StoredError.FORK, mark=StoredError.FORK)
    if header.count == 0:
        return Verdict(reading, have)
    if position is None and opened.get(terminal, 0) >= per_day:
        return Verdict(reading, None, error=StoredError.TOO_MANY_STREAMS, mark=StoredError.TOO_MANY_STREAMS)
    return Verdict(reading, have, taken=True)
