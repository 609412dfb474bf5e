"""`python -m tests.bench [part …]`: measures, prints a table and writes var/bench.json.

Each figure's method is in docs/benchmarks.md.
"""

import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.bench import alarms, decision, drain, fleet_page, ingest, linked, memory, project, qr, timeseries
from tests.bench.goals import said_of

ROOT = Path(__file__).parent.parent.parent
RESULT = ROOT / "var" / "bench.json"
PARTS: Mapping[str, Callable[[], Mapping[str, float | str]]] = {
    "qr": qr.measure,
    "timeseries": timeseries.measure,
    "ingest_single": ingest.measure_single,
    "ingest_backlog": ingest.measure_backlog,
    "ingest_postgres": ingest.measure_postgres,
    "project": project.measure,
    "linked": linked.measure,
    "drain": drain.measure,
    "decision": decision.measure,
    "memory": memory.measure,
    "alarms": alarms.measure,
    "fleet_page": fleet_page.measure,
}


def main(arguments: Sequence[str]) -> int:
    """Measure the named parts, or all; keep the figures of the others. 1 when a part failed: the others still count."""
    unknown = set(arguments) - PARTS.keys()
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    failed = [name for name in arguments or PARTS if not _measure(name)]
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _measure(name: str) -> bool:
    """One part, written and printed as soon as it is there."""
    began = time.monotonic()
    _say(f"measuring {name}")
    try:
        figures = PARTS[name]()
    except Exception:  # noqa: BLE001 - the outermost loop: one part that fails must not cost the others
        traceback.print_exc()
        return False
    _keep(name, figures)
    _say(f"measured {name} in {time.monotonic() - began:.0f} s")
    for key, value in sorted(figures.items()):
        shown = f"{value:>14,.3f}" if isinstance(value, int | float) else value
        print(f"{key:<42} {shown} {said_of(key, value)}".rstrip(), flush=True)
    return True


def _keep(name: str, figures: Mapping[str, float | str]) -> None:
    """Replace this part's figures in the file, and say of which commit and moment they are."""
    kept: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.exists() else {"about": {}, "figures": {}}
    old = {key: value for key, value in kept["figures"].items() if key.split(".")[0] not in _heads(figures)}
    kept = {"about": kept["about"] | {name: _about()}, "figures": dict(sorted({**old, **figures}.items()))}
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(kept, indent=2) + "\n")


def _heads(figures: Mapping[str, float | str]) -> set[str]:
    return {key.split(".")[0] for key in figures}


def _say(line: str) -> None:
    print(f"{datetime.now(UTC):%H:%M:%S} {line}", file=sys.stderr, flush=True)


def _about() -> dict[str, str | int | float | None]:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {
        "commit": commit.stdout.strip() + ("+changes" if changed.stdout.strip() else ""),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
