"""What each side says happened: the kiosk's own journal, and what the cloud stored. Plain data for the checker.

A kiosk writes its journal line by line with fsync, apart from the outbox: `intent` before it appends, `green` after the append
returned. A power cut between the two leaves an intent without a green: it may be stored, at most once.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.command_evidence import Execution, StoredCommand


@dataclass(frozen=True)
class Intent:
    """One visitor before one kiosk. ``card`` is the member's id in the cloud, None for a guest."""

    record_id: str
    card: str | None
    outcome: str
    occurrence: str | None


@dataclass
class KioskJournal:
    """One kiosk's own account, in the order of writing."""

    kiosk: str
    intents: dict[str, Intent] = field(default_factory=dict)
    greens: list[str] = field(default_factory=list)
    executions: list[Execution] = field(default_factory=list)


@dataclass(frozen=True)
class StoredFact:
    """One row of the cloud's check-ins."""

    record_id: str
    kiosk: str
    stream: str
    number: int
    outcome: str
    occurrence: str | None
    member: str | None
    effective_at_us: int


@dataclass(frozen=True)
class Gap:
    """Numbers that a kiosk declared as lost for ever, and when the stream began that says so."""

    kiosk: str
    stream: str
    first: int
    last: int
    reason: str
    opened_at_us: int


@dataclass(frozen=True)
class CloudAccount:
    """All that the cloud holds at the end. ``series`` counts attendance points per stream."""

    facts: tuple[StoredFact, ...]
    attendance: Mapping[tuple[str, str], int]
    series: Mapping[str, int]
    gaps: tuple[Gap, ...]
    commands: tuple[StoredCommand, ...] = ()


@dataclass
class Taken:
    """A kiosk's disk, taken away at an instant; until its round was over. Microseconds."""

    kiosk: str
    at_us: int
    until_us: int = 2**63


@dataclass
class Damage:
    """What the harness itself destroyed: greens that were nowhere but on a disk it took away, and whose disk that was, when.

    ``filled`` are the kiosks whose disk was ever full: they give up what was stored longest before its time.
    """

    destroyable: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    taken: list[Taken] = field(default_factory=list)
    restored: list[tuple[int, int]] = field(default_factory=list)
    """When the ledger was put back, and when the backup was begun to which: microseconds, the backup first."""

    def restore(self, backup_at_us: int) -> None:
        """The ledger is put back now."""
        self.restored.append((backup_at_us, time.time_ns() // 1000))

    def forgot(self, at_us: int) -> bool:
        """Whether the ledger was put back to before that moment, at or after it."""
        return any(backup_us <= at_us <= restored_us for backup_us, restored_us in self.restored)

    def took(self, kiosk: str, from_us: int, until_us: int) -> bool:
        """Whether a kiosk's disk was taken away within that time."""
        return any(each.kiosk == kiosk and from_us <= each.at_us <= until_us for each in self.taken)

    def take(self, kiosk: str) -> None:
        """A disk is taken away now."""
        self.taken.append(Taken(kiosk, time.time_ns() // 1000))

    def end_round(self) -> None:
        """All has recovered: what is declared from now on, this round does not explain."""
        now_us = time.time_ns() // 1000
        for each in self.taken:
            each.until_us = min(each.until_us, now_us)

    def explains(self, gap: Gap) -> bool:
        """Whether a declared gap comes from a disk that was taken away in the round in which it was declared."""
        if gap.reason == "trimmed":
            return gap.kiosk in self.filled
        return any(each.kiosk == gap.kiosk and each.at_us <= gap.opened_at_us <= each.until_us for each in self.taken)


class JournalWriter:
    """Appends durably; one per kiosk process."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def intent(self, intent: Intent) -> None:
        """Before the outbox is asked."""
        self._write({"event": "intent", **intent.__dict__})

    def green(self, record_id: str) -> None:
        """After the outbox said that it is on the disk."""
        self._write({"event": "green", "record_id": record_id})

    def executed(self, command: str, name: str) -> None:
        """Before a command is carried out."""
        self._write({"event": "executed", "command": command, "name": name, "at_us": time.time_ns() // 1000})

    def _write(self, entry: Mapping[str, object]) -> None:
        os.write(self._descriptor, json.dumps(entry).encode() + b"\n")
        os.fsync(self._descriptor)


def read_journal(kiosk: str, path: Path) -> KioskJournal:
    """The whole account; a last line that was cut by a kill was never acted upon."""
    journal = KioskJournal(kiosk)
    for entry in _whole_lines(path):
        event = entry.pop("event")
        if event == "green":
            journal.greens.append(entry["record_id"])
        elif event == "executed":
            journal.executions.append(Execution(kiosk=kiosk, **entry))
        else:
            journal.intents[entry["record_id"]] = Intent(**entry)
    return journal


def _whole_lines(path: Path) -> Iterable[dict[str, Any]]:
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n")[:-1]:
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # a cut line that a restarted kiosk wrote on
            whole = line[line.rindex(b'{"event"') :]
            yield json.loads(whole)
