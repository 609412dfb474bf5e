"""Compares what kiosks carried out with what the cloud says of each command. Pure; called by the checker.

None executed twice, none without a final state, and none that is said to be what it was not. A disk that was taken away may have
known what was done: what comes of that is counted apart, as ``redone``; and what a restored ledger forgot as ``forgotten``.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from tests.faults.command_evidence import Asked, Execution, StoredCommand
from tests.faults.evidence import Damage

FINAL: Final = frozenset({"done", "failed", "expired", "cancelled", "unknown"})
TOLD: Final = frozenset({"done", "failed"})
NEVER_BEGUN: Final = frozenset({"expired", "cancelled"})


@dataclass
class CommandFindings:
    """Sentences, and two counts of what the harness itself brought about."""

    commands: int = 0
    redone: int = 0
    forgotten: int = 0
    executed_twice: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)


def check_commands(
    asked: Sequence[Asked], executions: Sequence[Execution], stored: Sequence[StoredCommand], damage: Damage
) -> CommandFindings:
    """All comparisons."""
    findings = CommandFindings(commands=len(stored))
    by_command: dict[str, list[Execution]] = defaultdict(list)
    for each in sorted(executions, key=lambda each: each.at_us):
        by_command[each.command].append(each)
    known = {each.command: each for each in stored}
    _check_known(asked, by_command, known, damage, findings)
    for begun in by_command.values():
        _check_once(known.get(begun[0].command), begun, damage, findings)
    for command in stored:
        _check_end(command, by_command.get(command.command, []), damage, findings)
    return findings


def _check_known(
    asked: Sequence[Asked],
    executions: Mapping[str, Sequence[Execution]],
    known: Mapping[str, StoredCommand],
    damage: Damage,
    findings: CommandFindings,
) -> None:
    """What was asked, and what was carried out, is in the ledger, unless an older one was restored since."""
    since_us = {each.command: each.at_us for each in asked}
    since_us |= {command: begun[0].at_us for command, begun in executions.items() if command not in since_us}
    for command, at_us in since_us.items():
        if command in known:
            continue
        if damage.forgot(at_us):
            findings.forgotten += 1
        else:
            findings.mismatched.append(f"command {command} was taken or carried out, and is not in the ledger")


def _check_once(
    stored: StoredCommand | None, begun: Sequence[Execution], damage: Damage, findings: CommandFindings
) -> None:
    for first, second in pairwise(begun):
        if damage.took(second.kiosk, first.at_us, second.at_us):
            findings.redone += 1
        else:
            findings.executed_twice.append(f"{second.kiosk} carried {second.name} {second.command} out again")
    strangers = {each.kiosk for each in begun if stored is not None and each.kiosk != stored.kiosk}
    for kiosk in strangers:
        if not damage.took(kiosk, 0, begun[-1].at_us):
            findings.mismatched.append(f"{kiosk} carried {begun[0].command} out, which was for another")


def _check_end(each: StoredCommand, begun: Sequence[Execution], damage: Damage, findings: CommandFindings) -> None:
    if not each.is_settled or each.state not in FINAL:
        findings.unsettled.append(f"{each.kiosk}: {each.name} {each.command} is {each.state} for ever")
    if each.words & TOLD and each.state not in TOLD:
        findings.mismatched.append(
            f"{each.kiosk}: {each.command} is {each.state}, and the kiosk said {set(each.words)}"
        )
    if each.state == "expired" and each.was_given and "expired" not in each.words:
        findings.mismatched.append(f"{each.kiosk}: {each.command} is expired, and was given: only its kiosk can say so")
    if each.state == "done" and not begun:
        findings.mismatched.append(f"{each.kiosk}: {each.command} is done, and nobody did it")
    if each.state in NEVER_BEGUN and begun and not any(damage.took(b.kiosk, b.at_us, 2**63) for b in begun):
        findings.mismatched.append(f"{each.kiosk}: {each.command} is {each.state}, and was carried out")
