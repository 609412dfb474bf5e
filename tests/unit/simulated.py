"""A world of terminals, a lossy broker and a cloud, made of the state machines that the real ones use.

The terminal is `edge.uplink` and `edge.acknowledgement` over `edge.stream` on a disk in memory; the cloud is
`cloud.ingest.accept`. Every step of a history is a method of `World`; after each, `check` holds it to the promises.
"""

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from cloud.ingest.accept import Delivery, Positions, accept, question, start_of
from cloud.ingest.accept import Position as StoredPosition
from cloud.ingest.accept import Verdict as CloudVerdict
from edge import uplink
from firmware_specs.messages import Stored
from firmware_specs.wire import chain_over
from tests.unit.simulated_disk import Disk, Notes, entry


class BrokenPromise(AssertionError):
    """A history after which something that was promised does not hold."""


def promised(holds: object, what: str) -> None:
    if not holds:
        raise BrokenPromise(what)


@dataclass(frozen=True)
class Faults:
    """The rules as they are, or broken on purpose."""

    trim_early: bool = False
    acknowledge_before_commit: bool = False
    count_copies_twice: bool = False
    accept: Callable[[Sequence[Delivery], Positions], list[CloudVerdict]] = accept


@dataclass
class Cloud:
    """What survives in the cloud: positions, journal, ledger. `counted` has one item per row of the ledger."""

    epoch: int = 1
    positions: dict[str, StoredPosition] = field(default_factory=dict)
    journal: dict[str, list[bytes]] = field(default_factory=dict)
    counted: list[str] = field(default_factory=list)

    def take(self, deliveries: Sequence[Delivery], faults: Faults, *, crash: bool) -> list[tuple[str, Stored]]:
        """One group of the line: accept, commit, answer. A crash comes before the commit."""
        positions = Positions(self.positions, streams_per_day=10**9)
        verdicts = faults.accept(deliveries, positions)
        answers = [(verdict.delivery.terminal, self._answer(verdict)) for verdict in verdicts]
        if crash:
            return answers if faults.acknowledge_before_commit else []
        for verdict in verdicts:
            if verdict.taken:
                self._store(verdict, faults)
        return answers

    def _store(self, verdict: CloudVerdict, faults: Faults) -> None:
        name = verdict.batch.header.stream
        self.positions = self.positions | {name: verdict.after()}
        self.journal = self.journal | {name: [*self.journal.get(name, []), *verdict.batch.lines]}
        for line in verdict.batch.lines:
            told = json.loads(line)
            if told["type"] == "check_in" and (faults.count_copies_twice or told["id"] not in self.counted):
                self.counted = [*self.counted, told["id"]]

    def _answer(self, verdict: CloudVerdict) -> Stored:
        position = verdict.after() if verdict.taken else verdict.position
        unasked = verdict.delivery.unasked or None
        if position is None:
            return Stored(epoch=self.epoch, stream=verdict.reading.stream, error=verdict.error, unasked=unasked)
        return Stored(
            epoch=self.epoch, stream=verdict.reading.stream, through=position.through, chain=position.chain,
            error=verdict.error, unasked=unasked,
        )  # fmt: skip

    def gaps(self) -> list[dict[str, Any]]:
        told = [json.loads(line) for lines in self.journal.values() for line in lines]
        return [one["gap"] for one in told if "gap" in one]


class World:
    """Terminals, broker, cloud, and all that was ever intended."""

    def __init__(self, seed: int = 0, terminals: int = 2, faults: Faults | None = None) -> None:
        self.chance = random.Random(seed)
        self.faults = faults or Faults()
        self.now_s = 0.0
        self.cloud = Cloud()
        self.notes = Notes(self.chance)
        self.names = [f"kiosk-{number}" for number in range(terminals)]
        self.disks = {name: Disk(name, self.notes) for name in self.names}
        self.uplinks: dict[str, uplink.Uplink] = {}
        self.connected: set[str] = set()
        self.births: dict[str, str] = {}
        self.up: list[tuple[str, bytes]] = []
        self.down: list[tuple[str, Stored]] = []
        self.snapshots: list[tuple[str, Disk]] = []
        self.backups: list[Cloud] = []
        self.green: dict[str, str] = {}
        self.ever_stored: set[str] = set()
        self.excused: set[str] = set()
        self.destroyed: set[str] = set()
        self.trimmed: dict[str, tuple[str, int]] = {}
        self.hurt: set[str] = set()
        self.restores = 0
        for name in self.names:
            self._start(name)

    # --- a terminal's day -----------------------------------------------------------------------------------------

    def check_in(self, name: str) -> None:
        fact = self.notes.new_id()
        self.disks[name].append(entry("check_in", fact))
        self.green[fact] = name
        self._pump(name)

    def sample(self, name: str) -> None:
        self.disks[name].append(entry("health", self.notes.new_id()))
        self._pump(name)

    def squeeze(self, name: str) -> None:
        self.disks[name].squeeze()

    def trim(self, name: str, count: int) -> None:
        """Stored records have been kept long enough."""
        disk = self.disks[name]
        before = dict(disk.entries)
        disk.trim(count, early=self.faults.trim_early)
        for number in before.keys() - disk.entries.keys():
            record = before[number]
            self.trimmed[record.id] = (disk.state.stream, number)
            if record.id in self.ever_stored:
                self.excused.add(record.id)

    def crash(self, name: str) -> None:
        """SIGKILL and start: the disk stays."""
        self._start(name)

    def disconnect(self, name: str) -> None:
        self.uplinks[name].disconnected()
        self.connected.discard(name)

    def connect(self, name: str) -> None:
        self.births[name] = self.disks[name].state.stream
        self.uplinks[name].connected(self.now_s)
        self.connected.add(name)
        self._pump(name)

    def tick(self, seconds: float) -> None:
        self.now_s += seconds
        for name in self.names:
            self._pump(name)

    def _start(self, name: str) -> None:
        self.uplinks[name] = uplink.Uplink(self.disks[name], chance=self.chance)
        self.connect(name)

    def _pump(self, name: str) -> None:
        for _ in range(20):
            published = self.uplinks[name].step(self.now_s)
            if published is None:
                return
            self.up.append((name, published.payload))
        raise BrokenPromise(f"{name} spins: twenty messages without an answer or a wait")

    # --- the broker -----------------------------------------------------------------------------------------------

    def deliver_up(self, picks: Sequence[int], *, keep: bool = False, crash: bool = False, deaf: bool = False) -> None:
        """A group reaches the cloud; ``keep`` repeats it later, ``crash`` is before the commit, ``deaf`` loses the answers."""
        chosen = sorted({pick % len(self.up) for pick in picks}) if self.up else []
        deliveries = [Delivery(*self.up[index], received_at=0) for index in chosen]
        if not keep:
            self.up = [message for index, message in enumerate(self.up) if index not in chosen]
        answers = self.cloud.take(deliveries, self.faults, crash=crash)
        if not deaf:
            self.down += answers

    def deliver_down(self, pick: int, *, keep: bool = False) -> None:
        if self.down:
            index = pick % len(self.down)
            name, answer = self.down[index] if keep else self.down.pop(index)
            if name in self.connected:
                self.uplinks[name].answered(self.now_s, answer)
                self._pump(name)

    def lose(self, pick: int, *, upward: bool) -> None:
        messages: list[Any] = self.up if upward else self.down
        if messages:
            messages.pop(pick % len(messages))

    def see_birth(self, name: str) -> None:
        """The broker hands the cloud the retained birth, and the cloud says, unasked, how far that stream is stored."""
        self.down += self.cloud.take([question(name, self.births[name], at=0)], self.faults, crash=False)

    def tell_epoch(self, name: str) -> None:
        """A twin arrives."""
        if name in self.connected:
            self.uplinks[name].heard(self.now_s, self.cloud.epoch)
            self._pump(name)

    # --- disasters ------------------------------------------------------------------------------------------------

    def snapshot(self, name: str) -> None:
        self.snapshots.append((name, self.disks[name].copy()))

    def rollback(self, pick: int) -> None:
        """A terminal's disk is an older one of its own."""
        if self.snapshots:
            name, disk = self.snapshots[pick % len(self.snapshots)]
            self._replace(name, disk.copy())

    def clone(self, pick: int, name: str, *, noticed: bool) -> None:
        """A terminal gets a copy of some disk, and its own id."""
        if self.snapshots:
            disk = self.snapshots[pick % len(self.snapshots)][1].copy()
            if disk.state.terminal != name:
                if noticed:
                    disk.leave_clone(name)
                else:
                    disk.state = replace(disk.state, terminal=name)
            self._replace(name, disk)

    def wipe(self, name: str) -> None:
        self._replace(name, Disk(name, self.notes))

    def _replace(self, name: str, disk: Disk) -> None:
        self.excused |= self.disks[name].facts() - disk.facts()
        self.hurt.add(name)
        self.disks[name] = disk
        self._start(name)

    def backup(self) -> None:
        self.backups.append(copy.copy(self.cloud))

    def restore(self, pick: int) -> None:
        if self.backups:
            epoch = self.cloud.epoch + 1
            self.cloud = copy.copy(self.backups[pick % len(self.backups)])
            self.cloud.epoch = epoch
            self.restores += 1

    # --- the promises ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """What must hold after every step."""
        self._check_journal()
        self._check_words()
        self._check_facts()

    def _check_journal(self) -> None:
        """Order: each stream is what was written, in its numbers, under its chain."""
        for name, lines in self.cloud.journal.items():
            position = self.cloud.positions[name]
            promised(
                position.through == len(lines), f"{name}: {len(lines)} lines are stored through {position.through}"
            )
            start = bytes.fromhex(start_of(position.terminal, name).chain)
            promised(chain_over(start, lines).hex() == position.chain, f"{name}: the stored lines give another chain")
            for number, line in enumerate(lines, 1):
                promised(line in self.notes.written[name, number], f"{name}: {number} is not what was written there")

    def _check_words(self) -> None:
        """Stored means stored: what a terminal takes for stored in this epoch, the cloud has."""
        for disk in self.disks.values():
            state = disk.state
            if state.through and state.through_epoch == self.cloud.epoch:
                position = self.cloud.positions.get(state.stream)
                promised(
                    position and position.through >= state.through, f"{state.terminal} takes {state.through} for stored"
                )

    def _check_facts(self) -> None:
        """Nothing vanishes and nothing counts twice."""
        stored = set(self.cloud.counted)
        promised(
            len(stored) == len(self.cloud.counted), f"counted twice: {(Counter(self.cloud.counted) - Counter(stored))}"
        )
        kept = set[str]().union(*(disk.facts() for disk in self.disks.values()))
        self.excused -= kept
        alive = stored | kept
        vanished = self.green.keys() - alive - self.destroyed
        promised(vanished <= self.excused, f"vanished without a disaster: {vanished - self.excused}")
        self.destroyed = (self.destroyed | vanished) - alive
        self.ever_stored |= stored

    def heal(self) -> None:
        """No fault any more: all must be drained soon, and every fact be there or its loss explained."""
        for name in self.names:
            self.connect(name)
            self.tell_epoch(name)
        for _ in range(300):
            self.check()
            if self._is_settled():
                break
            self.deliver_up(range(len(self.up)))
            while self.down:
                self.deliver_down(0)
            wakes = [at for link in self.uplinks.values() if (at := link.wake_at_s) is not None]
            self.tick(max(0.1, min(wakes, default=0.0) - self.now_s))
        else:
            raise BrokenPromise("not drained after three hundred exchanges")
        self.check()
        lost = self.green.keys() - set(self.cloud.counted)
        promised(lost <= self.destroyed, f"lost: {lost - self.destroyed}")
        self._check_gaps(lost)

    def _is_settled(self) -> bool:
        """Nothing is under way, nobody waits for anything, and everything is stored."""
        idle = all(link.wake_at_s is None for link in self.uplinks.values())
        return idle and not self.up and not self.down and all(disk.state.depth == 0 for disk in self.disks.values())

    def _check_gaps(self, lost: set[str]) -> None:
        """What a terminal had kept long enough, and a restore took from the cloud, is declared."""
        gaps = self.cloud.gaps()
        for fact in lost:
            if self.restores == 1 and not self.hurt and fact in self.trimmed:
                name, number = self.trimmed[fact]
                covered = any(gap["stream"] == name and gap["first"] <= number <= gap["last"] for gap in gaps)
                promised(covered, f"{number} of {name} is gone, and no gap says so")
