"""`python -m tests.bench`: measures, prints a table and writes var/bench.json. Each figure's method is in docs/benchmarks.md."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import qr, timeseries

ROOT = Path(__file__).parent.parent.parent
RESULT = ROOT / "var" / "bench.json"
PARTS: Mapping[str, Callable[[], Mapping[str, float]]] = {"qr": qr.measure, "timeseries": timeseries.measure}


def main(arguments: Sequence[str]) -> int:
    """Measure the named parts, or all; keep the figures of the others."""
    unknown = set(arguments) - PARTS.keys()
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    figures: dict[str, float] = {}
    for name in arguments or PARTS:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        figures |= PARTS[name]()
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps({"about": _about(), "figures": figures}, indent=2) + "\n")
    for key, value in sorted(figures.items()):
        print(f"{key:<40} {value:>14,.3f}")
    return 0


def _about() -> dict[str, str | int | None]:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {
        "commit": commit.stdout.strip() + ("+changes" if changed.stdout.strip() else ""),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
