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
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path

from tests.faults.account import are_commands_settled, is_any_command_done, is_written_onward, read_account
from tests.faults.checker import Findings, check
from tests.faults.commander import Commander
from tests.faults.draws import FAULTS, Fault, Round, copy_disk, restore_cloud
from tests.faults.draws_of_certificates import CERTIFICATE_FAULTS
from tests.faults.evidence import Damage, read_journal
from tests.faults.recovery import RECOVER_WITHIN_S, Stuck, state_of, wait_until_stored
from tests.faults.stack import FaultStack, Parts
from tests.process import wait_until

ONWARD_WITHIN_S = 20.0
SETTLED_WITHIN_S = 150.0
"""The longest command's deadline, and the minute for which the cloud waits for a late word."""
SHOWN_FINDINGS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds, drain, compare, print one JSON line."""
    options = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is ended
    seed = secrets.randbelow(1_000_000) if options.seed is None else options.seed
    _say(f"seed {seed}: {options.rounds} rounds, {options.store}, {options.transport}")
    with tempfile.TemporaryDirectory(prefix="roomlink-faults-") as folder:
        Path(folder).chmod(0o755)
        parts = Parts(
            options.store, options.series, options.transport, options.cloud, options.kiosk, options.pace,
            options.resend_timeout_s,
        )  # fmt: skip
        with FaultStack(Path(folder), parts, seed) as stack:
            now = Round(stack, random.Random(seed), Damage())
            recovery_s = [0.0]
            commander = Commander(stack.api, [kiosk.name for kiosk in stack.kiosks], seed)
            stuck = _try(lambda: _run(now, options, recovery_s, commander))
            commander.stop()
            _close(stack)
            journals = [read_journal(kiosk.name, kiosk.journal) for kiosk in stack.kiosks]
            findings = check(journals, read_account(stack), now.damage, commander.asked)
    more = {"transport": options.transport, "renewed": now.renewed, "revoked": now.revoked, "rotated": now.rotated}
    _report(findings, options.rounds, recovery_s[1:] or recovery_s, seed, more)
    return 0 if findings.kept and not stuck else 1


def _try(run: Callable[[], None]) -> bool:
    """Run the rounds; whether they ended before their time."""
    try:
        run()
    except Stuck as error:
        _say(str(error))
        return True
    return False


def _run(now: Round, options: argparse.Namespace, recovery_s: list[float], commander: Commander) -> None:
    """Rounds of faults, each with its recovery; then no more visitors and commands, and everything stored and at its end."""
    if not wait_until(lambda: all(kiosk.is_open() for kiosk in now.stack.kiosks), options.recover_within_s):
        raise Stuck(state_of(now.stack, now.stack.kiosks))
    commander.start()
    recovery_s.extend(_round(now, number, options) for number in range(1, options.rounds + 1))
    if not wait_until(lambda: is_any_command_done(now.stack.database_url), options.recover_within_s, every_s=0.5):
        raise Stuck(f"no command was carried out, so nothing is known of them\n{state_of(now.stack, now.stack.kiosks)}")
    commander.stop()
    if not wait_until(lambda: are_commands_settled(now.stack.database_url), SETTLED_WITHIN_S, every_s=0.5):
        _say("some commands have no end")
    for kiosk in now.stack.kiosks:
        kiosk.process.signal(signal.SIGUSR1)
    if not wait_until(lambda: all(kiosk.depth() == 0 for kiosk in now.stack.kiosks), options.recover_within_s):
        raise Stuck(state_of(now.stack, now.stack.kiosks))


def _round(now: Round, number: int, options: argparse.Namespace) -> float:
    """Draw one to three faults, heal them, and wait until what was on the disks then is stored; seconds of that wait."""
    if number % 5 == 1:
        copy_disk(now.kiosk())
    drawn: Sequence[Fault] = options.draw or _draw(now)
    backs_up = restore_cloud in (options.draw or FAULTS)
    _say(f"round {number}: {', '.join(fault.__name__ for fault in drawn)}")
    now.is_alone = len(drawn) == 1
    heals = [(_turn(fault), fault(now)) for fault in drawn]
    _pass(now.chance.uniform(0.3, 2.0))
    heals.reverse()
    heals.sort(key=itemgetter(0))
    for _, heal in heals:
        heal()
    began = time.monotonic()
    wait_until_stored(now.stack, options.recover_within_s)
    recovery_s = time.monotonic() - began
    now.damage.end_round()
    if backs_up and (now.stack.backup is None or number % 7 == 0):
        now.stack.make_backup()
    return recovery_s


def _turn(fault: Fault) -> int:
    """When it is healed."""
    return HEALED_LAST.index(fault.__name__) + 1 if fault.__name__ in HEALED_LAST else 0


def _draw(now: Round) -> list[Fault]:
    drawn: list[Fault] = []
    faults = FAULTS + (CERTIFICATE_FAULTS if now.stack.certificates else ())
    for fault in now.chance.sample(faults, now.chance.choice([1, 1, 1, 2, 2, 3])):
        if not _spoils_another(fault.__name__, [each.__name__ for each in drawn]):
            drawn.append(fault)
    return drawn


CERTIFICATES = frozenset({"renew_certificate", "revoke_terminal", "rotate_authority"})
DISKS = CERTIFICATES | {"kill_agent", "fill_disk", "roll_back_disk", "clone_disk", "wipe_disk"}
HEALED_LAST = ("rotate_authority", "revoke_terminal", "roll_back_disk", "wipe_disk", "renew_certificate")
"""In this order: the cloud lets a terminal in, and renews nothing for one that is shut out."""
CLOUDS = frozenset({"kill_cloud", "kill_database", "fill_cloud_disk", "fail_series", "restore_cloud", "add_worker"})
BROKERS = frozenset({"kill_broker", "wipe_broker"})


def _spoils_another(fault: str, before: Sequence[str]) -> bool:
    """Whether two faults would get into each other's way: both start the same process, one asks a cloud or a database that is
    away, or a disk is taken that has just become the only place of what a restored cloud lost."""
    same_part = any(fault in part and each in part for part in (DISKS, CLOUDS, BROKERS) for each in before)
    needs_database = fault in DISKS and any(each in before for each in ("kill_database", "restore_cloud"))
    needs_cloud = fault in CERTIFICATES and any(each in CLOUDS for each in before)
    loses_certificate = fault == "restore_cloud" and any(each in CERTIFICATES for each in before)
    return same_part or needs_database or needs_cloud or loses_certificate


def _close(stack: FaultStack) -> None:
    """Kiosks stop, what is stored is written onward, the cloud stops."""
    for kiosk in stack.kiosks:
        kiosk.process.stop()
    if not wait_until(lambda: is_written_onward(stack.database_url), ONWARD_WITHIN_S):
        _say("the series are behind the journal")
    stack.cloud.stop()


def _report(
    findings: Findings, rounds: int, recovery_s: Sequence[float], seed: int, more: Mapping[str, object]
) -> None:
    for kind in ("lost", "duplicates", "reordered", "mismatched"):
        for sentence in getattr(findings, kind)[:SHOWN_FINDINGS]:
            _say(f"{kind}: {sentence}")
    for kind in ("executed_twice", "unsettled", "mismatched"):
        for sentence in getattr(findings.commands, kind)[:SHOWN_FINDINGS]:
            _say(f"{kind}: {sentence}")
    result = {
        "rounds": rounds,
        "records": findings.records,
        "lost": len(findings.lost),
        "duplicates": len(findings.duplicates),
        "reordered": len(findings.reordered),
        "mismatched": len(findings.mismatched) + len(findings.commands.mismatched),
        "destroyed": findings.destroyed,
        "commands": findings.commands.commands,
        "executed_twice": len(findings.commands.executed_twice),
        "unsettled": len(findings.commands.unsettled),
        "redone": findings.commands.redone,
        "forgotten": findings.commands.forgotten,
        **more,
        "recovery_s": {"p50": round(statistics.median(recovery_s), 2), "max": round(max(recovery_s), 2)},
        "seed": seed,
    }
    print(json.dumps(result), flush=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--store", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--series", choices=["duckdb", "influx"], default="duckdb", help="influx: a small double of it")
    parser.add_argument("--transport", choices=["mtls", "password"], default=Parts.transport, help="how kiosks sign in")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--pace", type=float, default=20.0, help="visitors per second at each kiosk")
    parser.add_argument("--resend-timeout-s", type=float, default=Parts.resend_timeout_s, help="the product has 20")
    parser.add_argument("--draw", type=_faults, help="these faults in each round, in this order: kill_cloud,wipe_disk")
    parser.add_argument("--recover-within-s", type=float, default=RECOVER_WITHIN_S)
    parser.add_argument("--cloud", default=Parts.cloud, help="module to start as the cloud")
    parser.add_argument("--kiosk", default=Parts.kiosk, help="module to start as each kiosk")
    return parser.parse_args(arguments)


def _faults(names: str) -> list[Fault]:
    by_name = {fault.__name__: fault for fault in FAULTS + CERTIFICATE_FAULTS}
    if unknown := [name for name in names.split(",") if name not in by_name]:
        raise argparse.ArgumentTypeError(f"no such fault: {', '.join(unknown)}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names.split(",")]


def _pass(seconds: float) -> None:
    """Let the fault last: real processes suffer it in real time."""
    wait_until(lambda: False, seconds)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
