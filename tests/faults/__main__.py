"""`python -m tests.faults`: rounds of faults against the real processes, then the comparison.

Exit status 1 where a promise broke. Called by `make faults`.
"""

import argparse
import json
import random
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.account import read_account
from tests.faults.checker import Findings, check
from tests.faults.draws import FAULTS, Fault, Round, copy_disk
from tests.faults.evidence import Damage, read_journal
from tests.faults.stack import FaultStack
from tests.process import wait_until

RECOVER_WITHIN_S = 120.0
SHOWN_FINDINGS = 10
SOON = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds, drain, compare, print one JSON line."""
    options = _options(arguments)
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    _say(f"seed {seed}: {options.rounds} rounds, {options.store}")
    with tempfile.TemporaryDirectory(prefix="roomlink-faults-") as folder:
        Path(folder).chmod(0o755)
        with FaultStack(Path(folder), options.store, options.pace, seed) as stack:
            now = Round(stack, random.Random(seed), Damage())
            recovery_s = [_round(now, number) for number in range(1, options.rounds + 1)]
            _drain(stack)
            journals = [read_journal(kiosk.name, kiosk.journal) for kiosk in stack.kiosks]
            findings = check(journals, read_account(stack), now.damage)
    _report(findings, options.rounds, recovery_s, seed)
    return 0 if findings.kept else 1


def _round(now: Round, number: int) -> float:
    """Draw one to three faults, heal them, and wait until what was on the disks then is stored; seconds of that wait."""
    if number % 5 == 1:
        copy_disk(now.kiosk())
    drawn: list[Fault] = []
    for fault in now.chance.sample(FAULTS, now.chance.choice([1, 1, 1, 2, 2, 3])):
        if not _spoils_another(fault.__name__, [each.__name__ for each in drawn]):
            drawn.append(fault)
    _say(f"round {number}: {', '.join(fault.__name__ for fault in drawn)}")
    heals = [fault(now) for fault in drawn]
    _pass(now.chance.uniform(0.3, 2.0))
    for heal in reversed(heals):
        heal()
    began = time.monotonic()
    _wait_until_stored(now.stack)
    recovery_s = time.monotonic() - began
    if now.stack.backup is None or number % 7 == 0:
        now.stack.make_backup()
    return recovery_s


DISKS = frozenset({"kill_agent", "fill_disk", "roll_back_disk", "clone_disk", "wipe_disk"})
CLOUDS = frozenset({"kill_cloud", "kill_database", "fill_cloud_disk", "restore_cloud", "add_worker"})
BROKERS = frozenset({"kill_broker", "wipe_broker"})


def _spoils_another(fault: str, before: Sequence[str]) -> bool:
    """Whether two faults would get into each other's way: both start the same process, or one asks a database that is away."""
    same_part = any(fault in part and each in part for part in (DISKS, CLOUDS, BROKERS) for each in before)
    asks_database = fault in DISKS and any(each in CLOUDS for each in before)
    return same_part or asks_database


def _wait_until_stored(stack: FaultStack) -> None:
    """Every kiosk's queue falls to what one pause of the visitors can add, at least once."""
    waiting = set(range(len(stack.kiosks)))

    def recovered() -> bool:
        depths = {index: stack.kiosks[index].depth() for index in waiting}
        waiting.difference_update(index for index, depth in depths.items() if depth is not None and depth <= SOON)
        return not waiting

    if not wait_until(recovered, RECOVER_WITHIN_S):
        names = ", ".join(f"{stack.kiosks[index].name} ({stack.kiosks[index].depth()} to send)" for index in waiting)
        tails = "\n".join(stack.kiosks[index].process.log_tail(20) for index in waiting)
        raise SystemExit(f"not recovered: {names}\n{tails}\ncloud:\n{stack.cloud.log_tail(30)}")


def _drain(stack: FaultStack) -> None:
    """No more visitors; everything stored and written onward; then the cloud stops."""
    for kiosk in stack.kiosks:
        kiosk.process.signal(signal.SIGUSR1)
    if not wait_until(lambda: all(kiosk.depth() == 0 for kiosk in stack.kiosks), RECOVER_WITHIN_S):
        depths = {kiosk.name: kiosk.depth() for kiosk in stack.kiosks}
        raise SystemExit(f"not drained: {depths}\n{stack.cloud.log_tail(30)}")
    for kiosk in stack.kiosks:
        kiosk.process.stop()
    stack.cloud.stop()


def _report(findings: Findings, rounds: int, recovery_s: Sequence[float], seed: int) -> None:
    for kind in ("lost", "duplicates", "reordered", "mismatched"):
        for sentence in getattr(findings, kind)[:SHOWN_FINDINGS]:
            _say(f"{kind}: {sentence}")
    result = {
        "rounds": rounds,
        "records": findings.records,
        "lost": len(findings.lost),
        "duplicates": len(findings.duplicates),
        "reordered": len(findings.reordered),
        "mismatched": len(findings.mismatched),
        "destroyed": findings.destroyed,
        "recovery_s": {"p50": round(statistics.median(recovery_s), 2), "max": round(max(recovery_s), 2)},
        "seed": seed,
    }
    print(json.dumps(result), flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--store", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--pace", type=float, default=20.0, help="visitors per second at each kiosk")
    return parser.parse_args(arguments)


def _pass(seconds: float) -> None:
    """Let the fault last: real processes suffer it in real time."""
    wait_until(lambda: False, seconds)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
