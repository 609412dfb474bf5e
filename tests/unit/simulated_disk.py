"""A terminal's disk in memory: the outbox as `edge.outbox` keeps it, on the same pure rules, without SQLite.

Copied for snapshots, rolled back, cloned and wiped by the simulation.
"""

import copy
import json
import random
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from edge import stream
from edge.acknowledgement import OpenStream, Position
from edge.outbox import Outgoing
from firmware_specs.messages import Clock, Gap, Header
from firmware_specs.wire import chain_next, encode_batch

BOOT = "00000000-0000-4000-8000-0000000000b0"
MOST_RECORDS = 3


@dataclass
class Notes:
    """What the simulation writes down of all disks: every line ever written at a number of a stream."""

    chance: random.Random
    written: dict[tuple[str, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def new_id(self) -> str:
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))


@dataclass
class Entry:
    """One record on a disk."""

    type: str
    id: str
    line: bytes
    chain: bytes | None = None


def entry(kind: str, name: str, gap: Gap | None = None) -> Entry:
    """A record whose line says only what the checks need."""
    told = {"type": kind, "id": name} | ({} if gap is None else {"gap": gap.model_dump()})
    return Entry(kind, name, json.dumps(told).encode())


class Disk:
    """What survives on a terminal: the outbox, as `edge.outbox` keeps it, without SQLite. Copied for snapshots."""

    def __init__(self, terminal: str, notes: Notes) -> None:
        self.notes = notes
        self.state = stream.new_stream(terminal, notes.new_id())
        self.entries: dict[int, Entry] = {}
        self.append(entry("started", notes.new_id()))

    def copy(self) -> "Disk":
        twin = copy.copy(self)
        twin.entries = copy.deepcopy(self.entries)
        return twin

    def append(self, record: Entry) -> None:
        self.state = stream.appended(self.state, 1)
        self._put(self.state.last, record)

    def _put(self, number: int, record: Entry) -> None:
        self.entries[number] = record
        self.notes.written[self.state.stream, number].add(record.line)

    def facts(self) -> set[str]:
        return {record.id for record in self.entries.values() if record.type == "check_in"}

    def squeeze(self) -> None:
        """Space is short: health samples that were never sent become `dropped`."""
        for number, record in self.entries.items():
            if stream.is_replaceable(self.state, number, record.type):
                self._put(number, entry("dropped", record.id))

    def trim(self, count: int, *, early: bool) -> None:
        through = min(self.state.trimmed + count, self.state.fixed if early else self.state.through)
        chain = self.chain_at(through)
        if chain is not None:
            self.state = replace(
                self.state, trimmed=through, trimmed_chain=chain, through=max(through, self.state.through)
            )
            self.entries = {number: record for number, record in self.entries.items() if number > through}

    # --- what the uplink asks for (edge.uplink.Queue) -------------------------------------------------------------

    def chain_at(self, number: int) -> bytes | None:
        if number == 0:
            return self.state.start
        if number == self.state.trimmed:
            return self.state.trimmed_chain
        known = self.entries.get(number) if number <= self.state.fixed else None
        return known.chain if known else None

    def position(self) -> Position:
        return Position(self.state, self.chain_at)

    def question(self) -> Outgoing:
        return self._outgoing(0)

    def next_batch(self, max_records: int, max_bytes: int) -> Outgoing | None:
        count = min(max_records, MOST_RECORDS, self.state.depth)
        return self._outgoing(count) if count else None

    def _outgoing(self, count: int) -> Outgoing:
        state = self.state
        chain = prev = self.chain_at(state.through) or bytes(32)
        first = state.through + 1
        records = [self.entries[number] for number in range(first, first + count)]
        for record in records:
            chain = record.chain = chain_next(chain, record.line)
        self.state = stream.sent(state, state.through + count)
        header = Header(
            v=1, stream=state.stream, parent=state.parent, first=first, count=count, prev=prev.hex(), chain=chain.hex(),
            sent_at=0, sent_mono_ms=0, boot=BOOT, clock=Clock.SYNCED,
        )  # fmt: skip
        payload = encode_batch(header, [record.line for record in records])
        return Outgoing(payload, state.stream, first, count)

    def stored(self, name: str, through: int, epoch: int, rejected: Iterable[int] = ()) -> None:
        if name == self.state.stream:
            self.state = stream.stored(self.state, through, epoch)

    def saw_epoch(self, epoch: int) -> bool:
        new = epoch > self.state.epoch
        self.state = stream.seen(self.state, epoch)
        return new

    def open_stream(self, verdict: OpenStream) -> None:
        old, state = self.entries, self.state
        epoch = max(state.epoch, verdict.epoch)
        self.state = stream.new_stream(state.terminal, self.notes.new_id(), parent=verdict.parent, epoch=epoch)
        self.entries = {}
        self.append(entry("started", self.notes.new_id(), verdict.gap))
        for number, record in old.items():
            if stream.is_copied(number, record.type, verdict.known):
                self.append(Entry(record.type, record.id, record.line))

    def leave_clone(self, terminal: str) -> None:
        """The disk came from another terminal, and this one notices when it starts."""
        state = self.state
        parent = stream.as_parent(state.stream, state.through, self.chain_at(state.through) or state.start)
        self.state = replace(state, terminal=terminal)
        self.open_stream(OpenStream(parent, state.through, None, state.epoch, "cloned"))
