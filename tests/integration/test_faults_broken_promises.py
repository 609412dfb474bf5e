"""A fault harness that cannot fail is worthless: with a cloud or kiosks that break a promise on purpose, it notices.

The real processes, a few rounds of the faults that bring the break to light; all run beside each other, to be quick.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.process import ROOT

WITHIN_S = 240.0
"""Of a machine that is busy with other things; alone it takes a quarter of that."""


@dataclass(frozen=True)
class Break:
    """Which program breaks a promise, under which faults it shows, and which of the counters shows it."""

    options: tuple[str, ...]
    shows_in: str


BREAKS = {
    "acknowledges before the commit": Break(
        ("--cloud=tests.faults.broken.answers_before_commit", "--draw=kill_cloud,wipe_disk", "--rounds=2", "--pace=5"),
        "lost",
    ),
    "counts copies of a record": Break(
        ("--cloud=tests.faults.broken.counts_copies", "--draw=clone_disk", "--rounds=1"), "duplicates"
    ),
    "trims what is not stored": Break(
        ("--kiosk=tests.faults.broken.trims_early", "--draw=kill_cloud", "--rounds=2"), "lost"
    ),
    "trusts any answer": Break(
        ("--kiosk=tests.faults.broken.trusts_any_answer", "--draw=roll_back_disk", "--rounds=2"), "lost"
    ),
    "nothing": Break(("--draw=kill_cloud,wipe_disk", "--rounds=1"), ""),
}
SEED = 4
"""With it, two draws of a rollback meet the same kiosk: the first one only takes the copy."""


@pytest.fixture(scope="module")
def harnesses() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """One for each break, all running; killed with all that they started where a test did not wait for the end."""
    started = {name: _start(each) for name, each in BREAKS.items()}
    yield started
    for each in started.values():
        with each:
            each.terminate()


def _start(broken: Break) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.faults", "--store=sqlite", f"--seed={SEED}", "--recover-within-s=20"]
    return subprocess.Popen(
        [*command, *broken.options], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("name", BREAKS)
def test_harness_notices_who(harnesses: dict[str, subprocess.Popen[str]], name: str) -> None:
    said, told = harnesses[name].communicate(timeout=WITHIN_S)
    assert said, told
    result = json.loads(said.splitlines()[-1])
    wrong = {kind for kind in ("lost", "duplicates", "reordered", "mismatched") if result[kind]}
    shows_in = BREAKS[name].shows_in
    assert harnesses[name].returncode == (1 if shows_in else 0), told
    assert shows_in in wrong if shows_in else not wrong, told
