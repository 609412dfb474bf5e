"""The fault tests' checker of commands sees each broken promise, and excuses only what the harness itself did."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.command_checker import CommandFindings, check_commands
from tests.faults.command_evidence import Asked, Execution, StoredCommand
from tests.faults.evidence import Damage, JournalWriter, Taken, read_journal

ASKED = Asked("one", "kiosk-a", "identify", 100)
BEGUN = Execution("one", "kiosk-a", "identify", 200)
STORED = StoredCommand("one", "kiosk-a", "identify", "done", True, frozenset({"accepted", "running", "done"}))


def found(
    *executions: Execution, stored: StoredCommand | None = STORED, damage: Damage | None = None
) -> CommandFindings:
    return check_commands([ASKED], executions, [stored] if stored else [], damage or Damage())


def wrong(findings: CommandFindings) -> tuple[int, int, int]:
    return len(findings.executed_twice), len(findings.unsettled), len(findings.mismatched)


def test_a_command_that_was_done_once_has_no_findings() -> None:
    assert wrong(found(BEGUN)) == (0, 0, 0)


def test_one_that_was_carried_out_again_is_seen() -> None:
    assert wrong(found(BEGUN, replace(BEGUN, at_us=300))) == (1, 0, 0)


@pytest.mark.parametrize(
    ("taken", "redone"), [(Taken("kiosk-a", 250), 1), (Taken("kiosk-a", 350), 0), (Taken("b", 250), 0)]
)
def test_only_a_disk_that_was_taken_away_in_between_excuses_it(taken: Taken, redone: int) -> None:
    findings = found(BEGUN, replace(BEGUN, at_us=300), damage=Damage(taken=[taken]))
    assert (findings.redone, len(findings.executed_twice)) == (redone, 1 - redone)


@pytest.mark.parametrize("state", ["queued", "sent", "accepted", "running"])
def test_one_without_an_end_is_seen(state: str) -> None:
    open_still = replace(STORED, state=state, is_settled=False, words=frozenset())
    assert wrong(found(stored=open_still))[1] == 1


def test_done_that_nobody_did_is_a_mismatch() -> None:
    assert wrong(found()) == (0, 0, 1)


@pytest.mark.parametrize("state", ["expired", "cancelled"])
def test_what_was_carried_out_cannot_have_expired(state: str) -> None:
    never = replace(STORED, state=state, words=frozenset(), was_given=False)
    assert wrong(found(BEGUN, stored=never))[2] == 1
    assert wrong(found(BEGUN, stored=never, damage=Damage(taken=[Taken("kiosk-a", 250)])))[2] == 0


def test_what_was_given_expires_by_the_terminals_word_only() -> None:
    expired = replace(STORED, state="expired", words=frozenset())
    assert wrong(found(stored=expired))[2] == 1
    assert wrong(found(stored=replace(expired, words=frozenset({"expired"}))))[2] == 0
    assert wrong(found(stored=replace(expired, was_given=False)))[2] == 0


def test_a_terminals_last_word_must_be_the_state() -> None:
    assert wrong(found(BEGUN, stored=replace(STORED, state="unknown")))[2] == 1


def test_a_command_of_another_kiosk_is_a_mismatch() -> None:
    assert wrong(found(replace(BEGUN, kiosk="kiosk-b")))[2] == 1


def test_one_that_is_in_no_ledger_must_have_been_forgotten_by_a_restore() -> None:
    assert wrong(found(BEGUN, stored=None))[2] == 1
    forgotten = found(BEGUN, stored=None, damage=Damage(restored=[(50, 400)]))
    assert (forgotten.forgotten, wrong(forgotten)) == (1, (0, 0, 0))
    assert wrong(found(BEGUN, stored=None, damage=Damage(restored=[(150, 400)])))[2] == 1, "it was in the backup"


def test_what_is_carried_out_stands_in_the_journal(tmp_path: Path) -> None:
    JournalWriter(tmp_path / "journal").executed("one", "identify")
    (execution,) = read_journal("kiosk-a", tmp_path / "journal").executions
    assert (execution.command, execution.kiosk, execution.name) == ("one", "kiosk-a", "identify")
    assert execution.at_us > 0
