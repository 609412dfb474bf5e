"""Brings in by hand what a terminal's outbox still held (firmware_specs/README.md, section 13): revoked, broken, or long away.

Promises that only what one of the terminal's own certificates signed is taken, whatever became of that certificate since; that
it goes through the line like what came from the broker, so that nothing is stored twice; and that every record of the file is
counted as new, repeated or refused. Called by `python -m cloud import outbox`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Engine

from cloud.bulk import Bulk, chunks
from cloud.clock import Clock, to_us
from cloud.database import transaction
from cloud.errors import Invalid, NotFound
from cloud.ingest import store
from cloud.ingest.accept import Delivery, Keys, Position, start_of
from cloud.ingest.line import Line
from cloud.ingest.lookups import Lookups
from cloud.journal.format import unpack_lines
from firmware_specs import signing, wire
from firmware_specs.errors import ContractError
from firmware_specs.exported import entry_of, head_of
from firmware_specs.messages import Header
from firmware_specs.wire import Batch

AT_ONCE: Final = 100
"""Batches in one transaction, of 64 KiB at most each."""
STREAMS_A_FILE: Final = 1_000
"""An operator decides what comes in, so that the terminals' own limit by the day is not asked."""
REASONS: Final = 5
"""Different reasons kept of one stream."""


@dataclass(slots=True)
class StreamReport:
    """What became of one stream's records: counts, and why some were refused."""

    new: int = 0
    repeated: int = 0
    refused: int = 0
    reasons: dict[str, None] = field(default_factory=dict)

    def refuse(self, records: int, why: str) -> None:
        """Count records, or a line without any, that were not taken."""
        self.refused += max(records, 1)
        if len(self.reasons) < REASONS:
            self.reasons[why] = None

    def __str__(self) -> str:
        return f"{self.new} new, {self.repeated} repeated, {self.refused} refused"


@dataclass(slots=True)
class Report:
    """By stream; lines that name no stream count under the empty one."""

    terminal: str
    streams: dict[str, StreamReport] = field(default_factory=dict)

    def of(self, stream: str) -> StreamReport:
        """A stream's part; of more than STREAMS_A_FILE, which only a spoilt file names, the rest count together."""
        named = stream if stream in self.streams or len(self.streams) < STREAMS_A_FILE else ""
        return self.streams.setdefault(named, StreamReport())

    @property
    def total(self) -> StreamReport:
        """Of all streams, without the reasons."""
        every = self.streams.values()
        return StreamReport(*(sum(getattr(e, name) for e in every) for name in ("new", "repeated", "refused")))


@dataclass(frozen=True, slots=True)
class _Checked:
    batch: Batch
    payload: bytes


class Bringing:
    """One file. Make it of the file's lines, look at `terminal`, then `run` it."""

    def __init__(self, engine: Engine, lines: Iterable[bytes], clock: Clock) -> None:
        """Invalid for what is no exported outbox; NotFound for a terminal that is not registered here."""
        self._engine, self._clock = engine, clock
        self._rest = enumerate(lines, 1)
        self.terminal = _terminal_of(next(self._rest, (1, b""))[1])
        self._keys = self._known_keys()
        self._line = Line(engine, Lookups(shut_out=True), streams_per_day=STREAMS_A_FILE)

    def run(self, say: Callable[[int], None] = lambda _: None) -> Report:
        """Take in all of it, some batches in a transaction; ``say`` hears how many batches were done. It may be run again."""
        report, done = Report(self.terminal), 0
        for group in chunks(self._checked(report), AT_ONCE):
            self._take(group, report)
            done += len(group)
            say(done)
        return report

    def _known_keys(self) -> Keys:
        with transaction(self._engine, read_only=True) as session:
            facts = Lookups(shut_out=True).terminals(Bulk.of(session), [self.terminal]).get(self.terminal)
        if facts is None:
            raise NotFound(f"There is no terminal {self.terminal}.", code="no_terminal", id=self.terminal)
        keys = facts.keys_at(0)  # shut out or ended, each counts
        if not keys:
            raise Invalid(
                f"{self.terminal} never had a certificate, so nothing proves that this file is its own. Nothing was taken in.",
                code="outbox_unproved",
            )
        return keys

    def _checked(self, report: Report) -> Iterator[_Checked]:
        """What is whole and signed; the rest is counted as refused."""
        for number, line in self._rest:
            stream, records = "", 0
            try:
                entry, payload = entry_of(line)
                stream = entry.stream
                batch = wire.decode_batch(payload)
                records = batch.header.count
                signing.verify(self.terminal, payload.partition(b"\n")[0], self._keys)
            except (ContractError, ValueError) as error:
                report.of(stream).refuse(records, f"line {number}: {error}")
                continue
            if (batch.header.stream, batch.header.first) == (stream, entry.first):
                yield _Checked(batch, payload)
            else:
                report.of(stream).refuse(records, f"line {number}: stream and first are not those of the batch itself")

    def _take(self, group: Sequence[_Checked], report: Report) -> None:
        """Give the line what may continue what is stored; the rest is there already, or is another terminal's."""
        with transaction(self._engine, read_only=True) as session:
            bulk = Bulk.of(session)
            before = store.positions_of(bulk, {each.batch.header.stream for each in group})
            there = _chains(bulk, group, before)
        due, now = [], dict(before)
        for each in group:
            header, part = each.batch.header, report.of(each.batch.header.stream)
            position = now.get(header.stream) or start_of(self.terminal, header.stream)
            if position.terminal != self.terminal:
                part.refuse(header.count, "the stream is another terminal's")
            elif each.batch.last <= position.through:
                _count_repeat(each.batch, part, there)
            elif (header.first, header.prev) != (position.through + 1, position.chain):
                part.refuse(header.count, _why(header, position.through))
            else:
                now[header.stream] = Position(self.terminal, each.batch.last, header.chain)
                due.append(each)
        if due:
            self._store(due, report)

    def _store(self, due: Sequence[_Checked], report: Report) -> None:
        """All of it continues what is stored, unless somebody else has stored some of it meanwhile."""
        received_at = to_us(self._clock())
        deliveries = [Delivery(self.terminal, each.payload, received_at, carried=True) for each in due]
        answers = self._line.ingest(deliveries).answers
        for each, answer in zip(due, answers, strict=True):
            header, part = each.batch.header, report.of(each.batch.header.stream)
            told = wire.decode_stored(answer.payload)
            if told.through == each.batch.last and told.chain == header.chain:
                part.new += header.count
            else:
                part.refuse(
                    header.count, f"it came from the terminal meanwhile ({told.error or 'stored'}): import it again"
                )


def _terminal_of(line: bytes) -> str:
    try:
        return head_of(line, "outbox").terminal
    except (ContractError, ValueError) as error:
        raise Invalid(
            f"It is no exported outbox: its first line {error}. Nothing was taken in.", code="no_outbox_file"
        ) from None


def _chains(bulk: Bulk, group: Sequence[_Checked], before: Mapping[str, Position]) -> dict[tuple[str, int], str]:
    """The stored chain at the ends of those batches that lie before what is stored, as far as the journal still has them."""
    found: dict[tuple[str, int], str] = {}
    for stream, position in before.items():
        ends = {each.batch.last for each in group if each.batch.header.stream == stream}
        if not ends or min(ends) > position.through:
            continue
        for first, prev, packed in bulk.rows(
            "SELECT first, prev, lines FROM journal WHERE stream = ? AND first <= ? AND first + count > ? ORDER BY first",
            (stream, max(ends), min(ends)),
        ):
            chain = bytes.fromhex(prev)
            for number, line in enumerate(unpack_lines(bytes(packed)), first):
                chain = wire.chain_next(chain, line)
                if number in ends:
                    found[stream, number] = chain.hex()
    return found


def _count_repeat(batch: Batch, part: StreamReport, there: Mapping[tuple[str, int], str]) -> None:
    header = batch.header
    if there.get((header.stream, batch.last), header.chain) == header.chain:
        part.repeated += header.count
    else:
        part.refuse(
            header.count, f"other records are stored under {header.first} to {batch.last}: the disk was put back"
        )


def _why(header: Header, through: int) -> str:
    if header.first > through + 1:
        return f"records {through + 1} to {header.first - 1} are missing before it: export again with --all"
    if header.first <= through:
        return f"it is stored through {through} already, in the midst of a batch: export again"
    return f"it does not continue what is stored through {through}: the disk was put back"
