"""`python -m tests.fleet`: thousands of simulated terminals by mutual TLS; a third is cut off and comes back together.

Writes var/fleet.json. Exit status 1 where a check-in was lost or counted twice, or somebody did not connect. `make fleet`.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.fleet.drive import Drive, Plan
from tests.process import ROOT


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it, say how it goes, write the figures, print them as one JSON line."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    plan = Plan(
        options.terminals, options.claimed, options.members, options.rate, options.health, options.store,
        options.ingest_processes, options.steady, options.cut, options.keepalive,
    )  # fmt: skip
    (ROOT / "var").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fleet-", dir=ROOT / "var", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        figures = Drive(Path(folder), plan, _say).run()
        options.to.parent.mkdir(parents=True, exist_ok=True)
        options.to.write_text(json.dumps(figures, indent=2) + "\n")
        print(json.dumps(figures), flush=True)
        _say("taking the disks of the terminals away")
    return 0 if figures["lost"] == figures["duplicates"] == 0 and figures["connected"] == plan.terminals else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fleet")
    parser.add_argument("--terminals", type=int, default=2000)
    parser.add_argument("--claimed", type=int, default=5, help="of these, claimed by code over HTTP")
    parser.add_argument("--members", type=int, default=200)
    parser.add_argument("--rate", type=float, default=100.0, help="check-ins per second in all")
    parser.add_argument("--health", type=float, default=30.0, help="seconds between a terminal's health samples")
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--ingest-processes", type=int, default=1)
    parser.add_argument("--steady", type=float, default=120.0, help="seconds with everybody connected")
    parser.add_argument("--cut", type=float, default=120.0, help="seconds that a third is cut off")
    parser.add_argument(
        "--keepalive", type=int, default=30, help="seconds; the broker misses a terminal after 1.5 of these"
    )
    parser.add_argument("--to", type=Path, default=ROOT / "var" / "fleet.json")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    if sys.stderr.isatty():
        line = f"\r{line[: os.get_terminal_size(2).columns - 1]}\033[K"
    print(line, file=sys.stderr, flush=True, end="" if sys.stderr.isatty() else "\n")


if __name__ == "__main__":
    sys.exit(main())
