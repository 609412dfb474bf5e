"""Compares what the kiosks say with what the cloud holds. Pure; it must be able to fail, and a test breaks promises to see it.

Every green exactly once, every intent at most once, order kept per stream, gaps explained, ledger and series equal, links right;
commands by command_checker.py.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.command_checker import CommandFindings, check_commands
from tests.faults.command_evidence import Asked
from tests.faults.evidence import CloudAccount, Damage, Intent, KioskJournal, StoredFact


@dataclass
class Findings:
    """What is wrong, each a sentence; ``destroyed`` is counted apart: a disk was taken away before its records were stored."""

    records: int = 0
    destroyed: int = 0
    lost: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    commands: CommandFindings = field(default_factory=CommandFindings)

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        of_commands = self.commands.executed_twice or self.commands.unsettled or self.commands.mismatched
        return not (self.lost or self.duplicates or self.reordered or self.mismatched or of_commands)


def check(
    journals: Sequence[KioskJournal], cloud: CloudAccount, damage: Damage, asked: Sequence[Asked] = ()
) -> Findings:
    """All comparisons; ``asked`` are the commands that the cloud has taken."""
    findings = Findings(records=sum(len(journal.greens) for journal in journals))
    executions = [each for journal in journals for each in journal.executions]
    findings.commands = check_commands(asked, executions, cloud.commands, damage)
    intents = {record_id: intent for journal in journals for record_id, intent in journal.intents.items()}
    stored = {fact.record_id for fact in cloud.facts}
    _check_lost(journals, stored, damage, findings)
    _check_duplicates(cloud, findings)
    for journal in journals:
        _check_order(journal, cloud.facts, findings)
    _check_facts(cloud.facts, intents, findings)
    _check_attendance(cloud, findings)
    _check_series(cloud, findings)
    for gap in cloud.gaps:
        if not damage.explains(gap):
            findings.mismatched.append(
                f"{gap.kiosk} declares {gap.first}–{gap.last} lost ({gap.reason}), and nobody touched its disk then"
            )
    return findings


def _check_lost(journals: Sequence[KioskJournal], stored: set[str], damage: Damage, findings: Findings) -> None:
    for journal in journals:
        for record_id in journal.greens:
            if record_id in stored:
                continue
            if record_id in damage.destroyable:
                findings.destroyed += 1
            else:
                findings.lost.append(f"{journal.kiosk}: {record_id} was green and is not stored")


def _check_duplicates(cloud: CloudAccount, findings: Findings) -> None:
    for record_id, count in Counter(fact.record_id for fact in cloud.facts).items():
        if count > 1:
            findings.duplicates.append(f"{record_id} is stored {count} times")


def _check_order(journal: KioskJournal, facts: Sequence[StoredFact], findings: Findings) -> None:
    place = {record_id: index for index, record_id in enumerate(journal.greens)}
    by_stream: dict[str, list[StoredFact]] = {}
    for fact in facts:
        if fact.record_id in place:
            by_stream.setdefault(fact.stream, []).append(fact)
    for stream, own in by_stream.items():
        places = [place[fact.record_id] for fact in sorted(own, key=lambda fact: fact.number)]
        if places != sorted(places):
            findings.reordered.append(f"{journal.kiosk}: stream {stream} does not keep the order of the visitors")


def _check_facts(facts: Sequence[StoredFact], intents: dict[str, Intent], findings: Findings) -> None:
    for fact in facts:
        intent = intents.get(fact.record_id)
        if intent is None:
            findings.mismatched.append(f"{fact.kiosk}: {fact.record_id} is stored, and no visitor made it")
        elif (intent.card, intent.outcome) != (fact.member, fact.outcome):
            findings.mismatched.append(
                f"{fact.kiosk}: {fact.record_id} was {intent.outcome} of {intent.card}, "
                f"stored is {fact.outcome} of {fact.member}"
            )


def _check_attendance(cloud: CloudAccount, findings: Findings) -> None:
    expected: dict[tuple[str, str], int] = {}
    for fact in cloud.facts:
        if fact.outcome == "accepted" and fact.member is not None and fact.occurrence is not None:
            key = (fact.occurrence, fact.member)
            expected[key] = min(fact.effective_at_us, expected.get(key, fact.effective_at_us))
    for key in expected.keys() | cloud.attendance.keys():
        if expected.get(key) != cloud.attendance.get(key):
            findings.mismatched.append(
                f"attendance of {key[1]} at {key[0]}: {cloud.attendance.get(key)}, its check-ins say {expected.get(key)}"
            )


def _check_series(cloud: CloudAccount, findings: Findings) -> None:
    ledger = Counter(fact.stream for fact in cloud.facts)
    for stream in ledger.keys() | cloud.series.keys():
        if ledger[stream] != cloud.series.get(stream, 0):
            findings.mismatched.append(
                f"stream {stream}: {ledger[stream]} check-ins in the ledger, {cloud.series.get(stream, 0)} in the series"
            )
