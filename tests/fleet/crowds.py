"""The processes of a fleet under test, as the driver sees them: who is away, what waits, and which check-ins were made.

The first crowd comes through the cable that is pulled. Called by the driver.
"""

import json
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.service import write_toml
from tests.fleet.service import Service
from tests.fleet.town import Town
from tests.process import HOST, Process

CROWDS = 3


@dataclass(frozen=True)
class Said:
    """What a crowd said last: when, who is not connected, how many records are not known to be stored, and how many of its kiosks
    have not had their first twin and all its files."""

    at_s: float
    away: frozenset[str]
    waiting: int
    unready: int
    closed: bool
    """Whether nobody comes any more: from then on ``waiting`` is counted anew each time."""


class Crowd:
    """One process with a share of the terminals."""

    def __init__(self, folder: Path, terminals: Sequence[str]) -> None:
        self.terminals = tuple(terminals)
        self.journal, self._config = folder / "journal", folder / "fleet.toml"
        self.process = Process(folder / "crowd.log")

    def start(self) -> None:
        """Open the outboxes and begin to connect; returns at once."""
        command = [sys.executable, "-m", "tests.fleet.crowd", str(self._config), str(self.journal)]
        self.process.spawn(command, ready=lambda: self.process.running)

    def close_doors(self) -> None:
        """Nobody comes any more."""
        self.process.signal(signal.SIGUSR1)

    def said(self) -> Said:
        """Its last word; before its first, everybody is away."""
        for line in reversed(_tail(self.process.log_path).splitlines()):
            if line.startswith('{"at_s"') and line.endswith("}"):
                said = json.loads(line)
                return Said(said["at_s"], frozenset(said["away"]), said["waiting"], said["unready"], said["closed"])
        return Said(0.0, frozenset(self.terminals), 0, len(self.terminals), closed=False)

    def made(self) -> Iterator[tuple[str, str]]:
        """Terminal and record id of each check-in that its kiosk kept."""
        for line in self.journal.read_text().splitlines():
            terminal, _, record_id = line.partition(" ")
            yield terminal, record_id


def make_crowds(service: Service, town: Town, disks: Path, rate_per_s: float, keepalive_s: int) -> list[Crowd]:
    """A third of the terminals each; the first comes through the cable."""
    cards = service.folder / "cards.txt"
    cards.write_text("\n".join(town.cards))
    crowds = []
    broker: dict[str, object] = {"host": HOST, "tls": True, "keepalive_s": keepalive_s}
    for number in range(CROWDS):
        folder = service.folder / f"crowd-{number}"
        folder.mkdir()
        own = town.terminals[number::CROWDS]
        (folder / "terminals.json").write_text(json.dumps(dict.fromkeys(own, "")))
        settings: dict[str, object] = {
            "data_dir": str(disks),
            "terminals_file": str(folder / "terminals.json"),
            "cards_file": str(cards),
            "cloud_url": service.cloud.url,
            "check_ins_per_s": rate_per_s * len(own) / len(town.terminals),
            "clock_trusted": True,
            "seed": number,
            "broker": broker | {"port": service.cable.port if number == 0 else service.broker.port},
        }
        write_toml(folder / "fleet.toml", settings)
        crowds.append(Crowd(folder, own))
    return crowds


def _tail(path: Path, size: int = 512 * 1024) -> str:
    """The last lines of a log that grows."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode("utf-8", "replace")
