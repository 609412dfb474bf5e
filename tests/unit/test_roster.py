"""Files of rosters, revocations, occurrences: read back as written, the same bytes for the same content, refused when cut."""

import hashlib
import hmac
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_specs.errors import DecodeError, TooLarge
from firmware_specs.fields import MAX_FILE_OCCURRENCES, MAX_TIME_US
from firmware_specs.messages import Occurrence
from firmware_specs.roster import (
    keyed_hash,
    occurrence_lines,
    read_occurrences,
    read_revocations,
    read_roster,
    revocation_lines,
    roster_entry,
    roster_lines,
)
from firmware_specs.wire import encode

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


moments = st.integers(0, MAX_TIME_US)
occurrences = st.builds(
    Occurrence,
    id=st.from_regex(r"[a-z]{1,9}/[0-9]{8}T[0-9]{6}Z", fullmatch=True),
    title=st.text(st.characters(categories=["L", "N"]), max_size=20),
    starts_at=moments, ends_at=moments, opens_at=moments,
)  # fmt: skip


@given(st.lists(occurrences, max_size=6, unique_by=lambda each: each.id), moments)
def test_occurrences_are_read_back_in_order_of_their_start(held: list[Occurrence], until: int) -> None:
    lines = list(occurrence_lines(until, held))
    assert lines == list(occurrence_lines(until, reversed(held)))
    head, found = read_occurrences(lines)
    assert (head.until, head.count) == (until, len(held))
    assert found == sorted(held, key=lambda each: (each.starts_at, each.id))


def test_of_too_many_occurrences_the_first_are_written_and_until_when_they_are_all() -> None:
    one = Occurrence(id="a/20261123T093000Z", title="书法", starts_at=0, ends_at=9, opens_at=7)
    many = [one.model_copy(update={"starts_at": n, "opens_at": n + 7}) for n in range(MAX_FILE_OCCURRENCES + 2)]
    head, found = read_occurrences(occurrence_lines(MAX_TIME_US, reversed(many)))
    assert found == many[:MAX_FILE_OCCURRENCES]
    assert head.until == MAX_FILE_OCCURRENCES + 7


def test_file_that_goes_on_beyond_its_count_is_not_read_to_its_end() -> None:
    one = Occurrence(id="a/20261123T093000Z", title="书法", starts_at=0, ends_at=9, opens_at=0)
    head, first = occurrence_lines(1, [one])

    def endless() -> Iterator[bytes]:
        yield head
        yield first
        for n in range(1, 3):
            yield encode(one.model_copy(update={"starts_at": n})) + b"\n"
        raise AssertionError("read on")

    with pytest.raises(DecodeError, match="counts 1"):
        read_occurrences(endless())


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
