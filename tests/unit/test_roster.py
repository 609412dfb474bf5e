"""Roster and revocation files: read back as written, the same bytes for the same content, refused when cut or mixed."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_specs.errors import DecodeError, TooLarge
from firmware_specs.roster import (
    keyed_hash,
    read_revocations,
    read_roster,
    revocation_lines,
    roster_entry,
    roster_lines,
)

KEY = b"roomlink TEST key: never trust!!"
subjects = st.from_regex(r"[A-Za-z0-9_-]{21}[AQgw]", fullmatch=True)
card_ids = st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")


def test_keyed_hash_is_hmac_sha256_cut_to_16_bytes() -> None:
    assert keyed_hash(KEY, "A" * 22) == hmac.new(KEY, b"A" * 22, hashlib.sha256).hexdigest()[:32]


@given(st.dictionaries(subjects, st.lists(card_ids, max_size=3, unique=True), max_size=6), st.randoms())
def test_roster_is_read_back_and_its_bytes_depend_on_its_content_alone(
    members: dict[str, list[str]], chance: object
) -> None:
    entries = [roster_entry(KEY, subject, cards, ["org_a"]) for subject, cards in members.items()]
    lines = list(roster_lines(KEY, entries))
    assert lines == list(roster_lines(KEY, reversed(entries)))
    head, found = read_roster(lines)
    assert head.key == KEY.hex()
    assert {entry.subject: entry for entry in found} == {entry.subject: entry for entry in entries}


@given(st.sets(card_ids, max_size=9))
def test_revocations_are_read_back(revoked: set[str]) -> None:
    head, found = read_revocations(revocation_lines(5, revoked))
    assert (head.epoch, head.count) == (5, len(revoked))
    assert found == frozenset(revoked)


@given(st.data())
def test_file_cut_anywhere_is_refused(data: st.DataObject) -> None:
    roster = b"".join(roster_lines(KEY, [roster_entry(KEY, letter * 21 + "A", [], []) for letter in "abc"]))
    revoked = b"".join(revocation_lines(1, ["0" * 16, "1" * 16]))
    with pytest.raises(DecodeError):
        list(read_roster(roster[: data.draw(st.integers(0, len(roster) - 1))].splitlines(keepends=True))[1])
    with pytest.raises(DecodeError):
        read_revocations(revoked[: data.draw(st.integers(0, len(revoked) - 1))].splitlines(keepends=True))


def test_entry_that_is_no_line_is_not_written() -> None:
    entry = roster_entry(KEY, "A" * 22, [], ["组织" * 100] * 50)
    with pytest.raises(TooLarge, match="8192"):
        list(roster_lines(KEY, [entry]))
