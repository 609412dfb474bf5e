"""One kiosk of the fault tests: its process, its disk, its journal, and what its disk says of its stream.

A fault may kill it, copy its disk back, clone or wipe it; the journal lies outside. Made by the stack.
"""

import json
import secrets
import sqlite3
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.process import Process

FIRST_VISITORS = 10


@dataclass(frozen=True)
class Queue:
    """A kiosk's stream, its last number, and through which it is known to be stored."""

    stream: str
    last: int
    through: int

    @property
    def depth(self) -> int:
        """Records that are not known to be stored."""
        return self.last - self.through


@dataclass
class Kiosk:
    """One kiosk process, its disk and its journal."""

    name: str
    folder: Path
    process: Process
    pace: float
    program: str
    starts: int = 0
    copies: list[Path] = field(default_factory=list)

    @property
    def disk(self) -> Path:
        """The folder that a fault may copy back, clone or wipe; the journal is not in it."""
        return self.folder / "disk"

    @property
    def identity(self) -> Path:
        """Key and certificate, on that disk; not there where terminals have passwords."""
        return self.disk / "identity"

    @property
    def journal(self) -> Path:
        """What the kiosk itself says."""
        return self.folder / "journal"

    @property
    def clock_offset(self) -> Path:
        """Microseconds that its wall clock is off, and what it claims."""
        return self.folder / "clock"

    def start(self) -> None:
        """Start the agent and its visitors."""
        self.starts += 1
        command = [sys.executable, "-m", self.program, "--config", str(self.folder / "kiosk.toml")]
        command += ["--cards", str(self.folder / "cards.json"), "--journal", str(self.journal)]
        command += ["--pace", str(self.pace), "--seed", str(self.starts)]
        self.process.spawn(command, ready=lambda: self.process.running)

    def depth(self) -> int | None:
        """Records on its disk that are not known to be stored; None while there is no outbox that can be read."""
        queue = self.queue()
        return None if queue is None else queue.depth

    def is_open(self) -> bool:
        """Whether the first visitors have been let in, and are stored."""
        queue = self.queue()
        return queue is not None and queue.through >= FIRST_VISITORS

    def queue(self) -> Queue | None:
        """What its disk says; None while there is no outbox that can be read."""
        try:
            connection = sqlite3.connect(f"file:{self.disk / 'outbox.db'}?mode=ro", uri=True, timeout=5)
            try:
                return Queue(*connection.execute("SELECT stream, last, through FROM stream").fetchone())
            finally:
                connection.close()
        except (sqlite3.Error, TypeError):  # TypeError: no stream yet
            return None


def write_toml(path: Path, settings: dict[str, object]) -> None:
    """Values and one level of tables, for nobody but the owner."""
    path.touch(mode=0o600)
    tables = {name: value for name, value in settings.items() if isinstance(value, dict)}
    lines = [f"{name} = {json.dumps(value)}" for name, value in settings.items() if name not in tables]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path.write_text("\n".join(lines) + "\n")


def new_copy_name(folder: Path) -> Path:
    """A name for one more copy of a disk."""
    return folder / f"copy-{secrets.token_hex(4)}"
