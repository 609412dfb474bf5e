"""The journal's columns give back what was put in, and stay readable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.journal.format import Fixed, pack_fixed, pack_lines, unpack_fixed, unpack_lines

TIMES = st.integers(0, 253_402_300_799_999_999)


@st.composite
def fixed(draw: st.DrawFn) -> Fixed:
    count = draw(st.integers(0, 200))
    places = draw(st.lists(st.tuples(st.none() | st.text(max_size=20), st.none() | st.text(max_size=20)), min_size=1))
    column = st.lists(st.integers(0, 255), min_size=count, max_size=count)
    times = st.lists(TIMES, min_size=count, max_size=count)
    return Fixed(
        draw(times),
        draw(times),
        draw(column),
        [value % len(places) for value in draw(column)],
        draw(column),
        places,
        draw(st.dictionaries(st.integers(0, 199), st.text(max_size=30), max_size=5)),
    )


@given(fixed())
def test_what_was_fixed_comes_back(before: Fixed) -> None:
    after = unpack_fixed(pack_fixed(before))
    for name in ("effective_at", "uncertainty_us", "basis", "place", "marks"):
        assert list(getattr(after, name)) == list(getattr(before, name))
    assert (after.places, after.occurrences) == (before.places, before.occurrences)


@given(st.lists(st.binary(min_size=1, max_size=400).filter(lambda line: b"\n" not in line), max_size=20))
def test_lines_come_back_as_they_were(lines: list[bytes]) -> None:
    body = b"".join(line + b"\n" for line in lines)
    assert unpack_lines(pack_lines(body)) == lines


def test_long_batch_is_kept_compressed() -> None:
    body = b'{"type":"health"}\n' * 200
    assert len(pack_lines(body)) < len(body) / 10


def test_column_of_a_newer_program_is_refused() -> None:
    with pytest.raises(ValueError, match="newer program"):
        unpack_lines(b"\x07abc")
