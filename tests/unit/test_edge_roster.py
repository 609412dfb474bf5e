"""The roster on a kiosk: found by keyed hashes, in little memory, and never half a file."""

import secrets
import tracemalloc
from pathlib import Path

import pytest

from edge.roster import Roster
from firmware_specs.errors import DecodeError
from firmware_specs.file_messages import RosterEntry
from firmware_specs.roster import roster_entry, roster_lines

KEY = b"k" * 32


def write(file: Path, entries: list[RosterEntry]) -> Path:
    file.write_bytes(b"".join(roster_lines(KEY, entries)))
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(
        tmp_path / "roster",
        [
            roster_entry(KEY, "A" * 21 + "A", ["00000000000000aa", "00000000000000ab"], ["org_a", "org_top"]),
            roster_entry(KEY, "B" * 21 + "A", ["00000000000000ba"], ["org_b", "org_top"]),
            roster_entry(KEY, "C" * 21 + "A", [], ["org_a", "org_top"]),
        ],
    )


def test_member_is_found_by_subject_and_by_each_card(file: Path) -> None:
    roster = Roster.load(file)
    assert len(roster) == 3
    assert roster.lookup_subject("A" * 22) == frozenset({"org_a", "org_top"})
    assert roster.lookup_card("00000000000000ab") == frozenset({"org_a", "org_top"})
    assert roster.lookup_card("00000000000000ba") == frozenset({"org_b", "org_top"})


@pytest.mark.parametrize("who", ["D" * 21 + "A", "", "not-ascii-人"])
def test_who_is_not_in_it_is_none(who: str, file: Path) -> None:
    roster = Roster.load(file)
    assert roster.lookup_subject(who) is None
    assert roster.lookup_card(who) is None


def test_empty_roster_knows_nobody(tmp_path: Path) -> None:
    roster = Roster.load(write(tmp_path / "roster", []))
    assert roster.lookup_subject("A" * 22) is None


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_cut_file_is_refused(cut: int, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(DecodeError):
        Roster.load(file)


def test_endless_line_is_refused_without_reading_it_all(file: Path) -> None:
    file.write_bytes(b"x" * 10_000_000)
    with pytest.raises(DecodeError):
        Roster.load(file)


def test_hundred_thousand_members_take_little_memory(tmp_path: Path) -> None:
    members = 5_000
    groups = [[f"org_{index}", "org_top"] for index in range(50)]
    entries = [
        RosterEntry(subject=secrets.token_hex(16), cards=[secrets.token_hex(16)], organisations=groups[index % 50])
        for index in range(members)
    ]
    file = write(tmp_path / "roster", entries)
    Roster.load(file)  # what is made once, whatever the size, is not counted
    tracemalloc.start()
    roster = Roster.load(file)
    kept_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(roster) == members
    assert kept_bytes * (100_000 / members) < 15_000_000
