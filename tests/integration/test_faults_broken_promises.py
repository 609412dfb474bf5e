"""A fault harness that cannot fail is worthless: with a cloud or kiosks that break a promise on purpose, it notices.

The real processes, and a round or two of the faults that bring the break to light.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.process import ROOT

WITHIN_S = 240.0
"""Of a machine that is busy with other things; alone it takes a twentieth of that."""
SEED = 4
"""Of a rollback, a kiosk's first draw only takes the copy; and a copy of a moment ago loses nothing: hence eight rounds."""


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
        ("--kiosk=tests.faults.broken.trims_early", "--draw=kill_cloud", "--rounds=1"), "lost"
    ),
    "trusts any answer": Break(
        ("--kiosk=tests.faults.broken.trusts_any_answer", "--draw=roll_back_disk", "--rounds=8"), "lost"
    ),
    "carries out a command twice": Break(
        ("--kiosk=tests.faults.broken.carries_out_twice", "--draw=take_network_away", "--rounds=2"), "executed_twice"
    ),
}


def run(*options: str) -> "subprocess.CompletedProcess[str]":
    """The harness to its end."""
    command = [sys.executable, "-m", "tests.faults", "--store=sqlite", f"--seed={SEED}", "--recover-within-s=20"]
    return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False, timeout=WITHIN_S)


def test_harness_that_saw_no_command_carried_out_says_so() -> None:
    ended = run("--kiosk=tests.faults.broken.hears_no_commands", "--draw=kill_broker", "--rounds=1")
    assert ended.returncode == 1, ended.stderr
    assert "no command was carried out" in ended.stderr


@pytest.mark.parametrize("name", BREAKS)
def test_harness_notices_who(name: str) -> None:
    ended = run(*BREAKS[name].options)
    assert ended.stdout, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    assert ended.returncode == 1, ended.stderr
    assert result[BREAKS[name].shows_in] > 0, ended.stderr
