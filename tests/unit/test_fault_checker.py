"""The checker of the fault tests sees each broken promise; a checker that cannot fail proves nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.clock import SteppedClock
from edge.outbox import Outbox
from firmware_specs.messages import CheckIn, Method, Outcome
from tests.faults.account import promised_ids
from tests.faults.checker import check
from tests.faults.evidence import (
    CloudAccount,
    Damage,
    Gap,
    Intent,
    JournalWriter,
    KioskJournal,
    StoredFact,
    Taken,
    read_journal,
)

OCCURRENCE = "act_1/20261123T090000Z"


def history() -> tuple[KioskJournal, CloudAccount]:
    """Three visitors, all green, all stored, in order."""
    ids = ["one", "two", "three"]
    intents = {each: Intent(each, f"mem_{each}", "accepted", OCCURRENCE) for each in ids}
    facts = tuple(
        StoredFact(each, "kiosk-a", "s", number, "accepted", OCCURRENCE, f"mem_{each}", 1000 + number)
        for number, each in enumerate(ids, 1)
    )
    attendance = {(OCCURRENCE, f"mem_{each}"): 1000 + number for number, each in enumerate(ids, 1)}
    return KioskJournal("kiosk-a", intents, ids), CloudAccount(facts, attendance, {"s": 3}, ())


def test_a_whole_history_has_no_findings() -> None:
    journal, cloud = history()
    findings = check([journal], cloud, Damage())
    assert findings.kept
    assert (findings.records, findings.destroyed) == (3, 0)


def test_a_green_that_is_not_stored_is_lost() -> None:
    journal, cloud = history()
    findings = check([journal], replace(cloud, facts=cloud.facts[:2], series={"s": 2}), Damage())
    assert len(findings.lost) == 1
    assert not findings.kept


def test_a_green_on_a_destroyed_disk_is_counted_apart() -> None:
    journal, cloud = history()
    attendance = {key: at for key, at in cloud.attendance.items() if key[1] != "mem_three"}
    rest = CloudAccount(cloud.facts[:2], attendance, {"s": 2}, ())
    findings = check([journal], rest, Damage({"three"}))
    assert findings.kept
    assert findings.destroyed == 1


def test_a_record_stored_twice_is_a_duplicate() -> None:
    journal, cloud = history()
    again = replace(cloud.facts[0], stream="t", number=1)
    findings = check([journal], replace(cloud, facts=(*cloud.facts, again), series={"s": 3, "t": 1}), Damage())
    assert len(findings.duplicates) == 1


def test_an_order_that_changed_is_seen() -> None:
    journal, cloud = history()
    swapped = (replace(cloud.facts[0], number=2), replace(cloud.facts[1], number=1), cloud.facts[2])
    assert check([journal], replace(cloud, facts=swapped), Damage()).reordered


def test_a_link_to_somebody_else_is_a_mismatch() -> None:
    journal, cloud = history()
    wrong = (replace(cloud.facts[0], member="mem_two"), *cloud.facts[1:])
    assert check([journal], replace(cloud, facts=wrong), Damage()).mismatched


def test_a_record_that_nobody_made_is_a_mismatch() -> None:
    journal, cloud = history()
    invented = replace(cloud.facts[0], record_id="four", number=4, member=None, occurrence=None)
    findings = check([journal], replace(cloud, facts=(*cloud.facts, invented), series={"s": 4}), Damage())
    assert len(findings.mismatched) == 1


def test_attendance_must_carry_the_earliest_time() -> None:
    journal, cloud = history()
    late = dict(cloud.attendance) | {(OCCURRENCE, "mem_one"): 5000}
    assert check([journal], replace(cloud, attendance=late), Damage()).mismatched


def test_ledger_and_series_must_agree() -> None:
    journal, cloud = history()
    assert check([journal], replace(cloud, series={"s": 2}), Damage()).mismatched


@pytest.mark.parametrize(
    ("taken", "explained"),
    [
        ([], False),
        ([Taken("kiosk-a", 100)], True),
        ([Taken("kiosk-b", 100)], False),
        ([Taken("kiosk-a", 100, 150)], False),
        ([Taken("kiosk-a", 300)], False),
        ([Taken("kiosk-a", 100, 150), Taken("kiosk-a", 190, 210)], True),
    ],
)
def test_a_gap_must_come_from_a_disk_that_was_taken_away_in_that_round(taken: list[Taken], explained: bool) -> None:
    journal, cloud = history()
    gap = Gap("kiosk-a", "s", 4, 9, "disk_lost", opened_at_us=200)
    assert check([journal], replace(cloud, gaps=(gap,)), Damage(taken=taken)).kept is explained


def test_a_gap_of_what_was_trimmed_must_come_from_a_disk_that_was_full() -> None:
    journal, cloud = history()
    gap = Gap("kiosk-a", "s", 4, 9, "trimmed", opened_at_us=200)
    assert not check([journal], replace(cloud, gaps=(gap,)), Damage(taken=[Taken("kiosk-a", 100)])).kept
    assert check([journal], replace(cloud, gaps=(gap,)), Damage(filled={"kiosk-a"})).kept


def test_the_end_of_a_round_ends_what_its_disks_explain() -> None:
    damage = Damage()
    damage.take("kiosk-a")
    damage.end_round()
    (taken,) = damage.taken
    assert taken.at_us <= taken.until_us < 2**62


def test_what_a_disk_says_is_stored_is_no_excuse_for_losing_it(tmp_path: Path) -> None:
    outbox = Outbox.open(tmp_path / "outbox.db", terminal="kiosk-a", clock=SteppedClock())
    stamps = [SteppedClock().stamp((0, 0)) for _ in range(3)]
    records = [CheckIn(**stamp, method=Method.GUEST, outcome=Outcome.VISIT) for stamp in stamps]
    outbox.append(records)
    outbox.next_batch(200, 65_536)
    outbox.stored(outbox.position().state.stream, 3, epoch=7)  # number 1 is `started`
    outbox.close()
    assert promised_ids(tmp_path, 7) == {records[0].id, records[1].id}
    assert promised_ids(tmp_path, 8) == set(), "a restored cloud has promised nothing yet"
    assert promised_ids(tmp_path / "wiped", 7) == set()


def test_a_journal_cut_by_a_kill_is_read_up_to_the_cut(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    writer = JournalWriter(path)
    writer.intent(Intent("one", None, "accepted", None))
    writer.green("one")
    with path.open("ab") as file:
        file.write(b'{"event": "intent", "rec')
    JournalWriter(path).intent(Intent("two", "mem_two", "visit", None))
    journal = read_journal("kiosk-a", path)
    assert list(journal.intents) == ["one", "two"]
    assert journal.greens == ["one"]
