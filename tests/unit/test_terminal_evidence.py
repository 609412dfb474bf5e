"""A terminal's page says of its records what the reconciler says, and never that something moves while it cannot."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud.console.words import Language, Words
from cloud.ingest.reconcile import Difference, Reconciled, Verdict
from cloud.overview.positions import STALE, StreamStanding
from cloud.terminals import evidence

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVEN = Reconciled("5" * 36, "kiosk-1", said=9, stored=9, journal=9, facts=4, ledger=4, made=6, handed=6, points=6,
                  is_projected=True, series=6)  # fmt: skip
STANDING = StreamStanding(EVEN, "9f2c" * 16, NOON, NOON, behind=0, compared_at=NOON, parent=None, gap=None)
AWAY, CONNECTED = ("suspect", "offline", "never"), ("online", "asleep", "maintenance")
ENGLISH = Words(Language.ENGLISH, ZoneInfo("UTC"))
WRONG: dict[Difference, tuple[dict[str, Any], str]] = {
    Difference.JOURNAL: ({"journal": 7}, "the journal holds 7"),
    Difference.LEDGER: ({"ledger": 3}, "one fact too few or too many"),
    Difference.POINTS: ({"series": 4}, "2 points missing"),
    Difference.HANDED: ({"handed": 5}, "one point never handed on"),
}


def standing(behind: int = 0, **counted: Any) -> StreamStanding:
    return replace(STANDING, counted=replace(EVEN, **counted), behind=behind)


def said(*streams: StreamStanding, presence: str = "online", now: datetime = NOON) -> tuple[str, str]:
    return evidence.verdict(ENGLISH, streams, presence, now)


@pytest.mark.parametrize("difference", list(Difference))
@pytest.mark.parametrize("presence", ["online", "offline"])
def test_what_the_reconciler_calls_wrong_is_told_with_what_differs_whatever_waits(
    difference: Difference, presence: str
) -> None:
    counts, explained = WRONG[difference]
    found = standing(said=12, **counts)
    assert (found.counted.verdict, found.difference) == (Verdict.WRONG, difference)
    assert said(found, presence=presence) == ("bad", ENGLISH(f"terminal.differs_{difference}"))
    shown = evidence.panel_of(ENGLISH, [found], presence, NOON)
    assert explained in shown
    assert "Catching up" not in shown


def test_earlier_stream_that_differs_is_told_and_pointed_out() -> None:
    streams = standing(), standing(journal=7)
    assert said(*streams) == ("bad", "An earlier stream differs")
    assert "Journal differs from its count" in evidence.panel_of(ENGLISH, streams, "online", NOON)


@pytest.mark.parametrize("presence", AWAY)
def test_records_that_wait_on_a_terminal_that_is_away_are_waited_for(presence: str) -> None:
    assert said(standing(said=12), presence=presence) == ("late", "Waiting for the terminal")
    assert said(standing(said=12, behind=3), presence=presence) == ("late", "Waiting for the terminal")
    assert "at least 3 waiting" in evidence.panel_of(ENGLISH, [standing(said=12)], presence, NOON)


@pytest.mark.parametrize("presence", AWAY)
def test_of_a_terminal_that_is_away_nobody_says_that_nothing_waits(presence: str) -> None:
    assert said(standing(), presence=presence) == ("late", "Agreed when last heard")
    shown = evidence.panel_of(ENGLISH, [standing()], presence, NOON)
    assert "unknown what is waiting" in shown
    assert "nothing is waiting" not in shown


@pytest.mark.parametrize("presence", CONNECTED)
def test_a_terminal_that_is_connected_goes_on_sending_asleep_or_in_maintenance_too(presence: str) -> None:
    assert said(standing(said=12), presence=presence) == ("late", "Catching up")
    assert said(standing(), presence=presence) == ("ok", "All four agree")
    assert "nothing is waiting" in evidence.panel_of(ENGLISH, [standing()], presence, NOON)


def test_catching_up_is_whose_series_is_behind() -> None:
    assert said(standing(behind=3, is_projected=False), presence="offline") == ("late", "Catching up")


def test_all_agree_only_where_nothing_waits_and_it_was_compared_of_late() -> None:
    assert said(standing()) == ("ok", "All four agree")
    later = NOON + STALE + timedelta(seconds=1)
    assert said(standing(), now=later)[0] == "late"


@pytest.mark.parametrize("language", list(Language))
def test_every_difference_has_its_words(language: Language) -> None:
    words = Words(language, ZoneInfo("UTC"))
    told = {evidence.verdict(words, [standing(**counts)], "online", NOON) for counts, _ in WRONG.values()}
    assert len(told) == len(Difference)
