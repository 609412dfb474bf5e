"""Text that people type in, and the other fields of forms."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from cloud.clock import from_us, to_us
from cloud.forms import MAX_TIME_US, InstantUs, Name, TimeZone, askable, cell, clean, starts_formula

name = TypeAdapter(Name)
instant = TypeAdapter(InstantUs)
zone = TypeAdapter(TimeZone)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  样例   成员 ", "样例 成员"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("مركز المدينة", "مركز المدينة"),
        ("שָׁלוֹם", unicodedata.normalize("NFC", "שָׁלוֹם")),
        ("ngữ", unicodedata.normalize("NFC", "ngữ")),
        ("👩‍👧 家庭", "👩‍👧 家庭"),
        ("नमस्ते", "नमस्ते"),
        ("می‌خواهم", "می‌خواهم"),
        ("全\u3000角", "全 角"),
        ("a\tb\nc", "a b c"),
    ],
)
def test_names_of_all_scripts_are_kept(typed: str, kept: str) -> None:
    assert name.validate_python(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "a\0b",
        "a\x07b",
        "a\x9fb",
        "a\u202eb",
        "\u2066a",
        "a\u200bb",
        "\ufeffa",
        "a\ud800b",
        "a\ue000",
        "z" + "\u0301" * 6,
    ],
)
def test_what_reorders_hides_or_piles_up_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError):
        name.validate_python(typed)


def test_length_counts_characters_after_cleaning() -> None:
    assert len(name.validate_python(" " * 50 + "长" * 120)) == 120
    with pytest.raises(ValidationError, match="at most 120"):
        name.validate_python("长" * 121)


@given(st.text())
def test_cleaning_twice_changes_nothing_more(typed: str) -> None:
    try:
        once = clean(typed)
    except ValueError:
        return
    assert clean(once) == once


@pytest.mark.parametrize("value", ["=1+1", "+49", "-1", "@SUM", "\t=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_defused(value: str) -> None:
    assert starts_formula(value)
    assert cell(value) == f"'{value}"
    assert cell("样例") == "样例"


@pytest.mark.parametrize(
    ("typed", "asked"), [("302\0", "302"), ("\ud800", ""), ("两 室\t302 ", "两 室 302"), (" \x1b[2J", "[2J")]
)
def test_a_database_is_asked_for_no_control_character_and_no_lone_surrogate(typed: str, asked: str) -> None:
    assert askable(typed) == asked


@given(st.integers(min_value=0, max_value=MAX_TIME_US))
def test_an_instant_survives_the_way_there_and_back(us: int) -> None:
    assert to_us(from_us(us)) == us
    assert instant.dump_python(instant.validate_python(us), mode="json") == us
    assert instant.validate_python(str(us)) == from_us(us)


@pytest.mark.parametrize("value", [-1, MAX_TIME_US + 1, 1.0, True, "2016-12-31T23:59:60Z", "", "9" * 30, None])
def test_what_is_no_instant_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        instant.validate_python(value)


def test_an_instant_says_its_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        to_us(from_us(0).replace(tzinfo=None))


@pytest.mark.parametrize("value", ["Mars/Olympus", "../../etc/passwd", "/etc/localtime", "", "Asia", "UTC\0"])
def test_only_zones_of_the_database_are_taken(value: str) -> None:
    assert zone.validate_python("Europe/Berlin") == "Europe/Berlin"
    with pytest.raises(ValidationError):
        zone.validate_python(value)
