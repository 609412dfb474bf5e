"""A terminal's events in words, in both languages, without a raw key and without a member."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud.audit.naming import Names
from cloud.clock import to_us
from cloud.console.words import Language, Words
from cloud.terminals.presence import Presence
from cloud.terminals.presence_changes import Cause
from cloud.timeline import telling
from cloud.timeline.service import SOURCES, Event, Sort

AT = datetime(2026, 11, 23, 9, 2, tzinfo=UTC)
ENGLISH, CHINESE = Words(Language.ENGLISH, ZoneInfo("UTC")), Words(Language.CHINESE, ZoneInfo("UTC"))


def say(sort: Sort, what: str, words: Words = ENGLISH, **detail: Any) -> tuple[str, str, str]:
    """Symbol, title, and what more is said."""
    event = telling.told(words, Names({}), Event(AT, sort, what, 0, detail))
    return event.state, str(event.title), str(event.explained or "")


def change(presence: str, cause: str, words: Words = ENGLISH, **more: Any) -> tuple[str, str, str]:
    what = "flapping" if more.pop("flapping", False) else presence
    known = {
        "presence": presence,
        "cause": cause,
        "connection": 7,
        "times": 1,
        "began_at": to_us(AT - timedelta(minutes=9)),
    }
    return say(Sort.CONNECTION, what, words, **known | more)


@pytest.mark.parametrize(("presence", "cause"), list(product(Presence, Cause)))
def test_every_change_of_presence_has_words_of_its_cause(presence: str, cause: str) -> None:
    for words in (ENGLISH, CHINESE):
        for flapping in (False, True):
            state, title, explained = change(presence, cause, words, flapping=flapping)
            assert state
            assert "timeline." not in title + explained
        assert words(f"timeline.{cause}")


def test_changes_are_said_as_they_were() -> None:
    assert change("online", "birth") == ("online", "Connected, connection 7", "")
    assert change("offline", "lost") == ("offline", "Connection lost", "")
    assert change("maintenance", "birth")[1] == "Under maintenance, connection 7"
    assert change("offline", "lost", flapping=True, times=14)[1:] == (
        "Its link comes and goes: 14 changes", "Last state: Offline",
    )  # fmt: skip
    assert change("online", "broker", times=2)[1] == "The cloud was away from the broker; it was heard again"
    assert change("online", "two_devices")[0] == "warn"


def test_other_sorts_are_said_as_they_were() -> None:
    assert say(Sort.TWIN, "told", version=[1, 118], parts=["language", "room"])[1:] == (
        "Settings published, version 118", "Changed: Language, Room",
    )  # fmt: skip
    assert say(Sort.TWIN, "applied", version=[1, 118], problems=[], changed=["language"]) == (
        "ok", "Settings in force, version 118, by its own word", "Changed: Language",
    )  # fmt: skip
    assert say(Sort.TWIN, "pending", version=[1, 2], problems=[], changed=[])[::2] == ("running", "")
    assert say(Sort.TWIN, "refused", version=[1, 2], problems=["no room"], changed=[])[2] == (
        'Its own words: <span lang="en">no room</span>'
    )
    assert say(Sort.COMMAND, "asked", command="identify", who="operator-1")[1] == "operator-1 · Identify"
    assert say(Sort.COMMAND, "failed", command="reboot", reason="not_possible") == (
        "failed", "Reboot: Failed", "not possible here",
    )  # fmt: skip
    assert say(Sort.MARK, "fork")[:2] == ("warn", "Its stream forked")
    until = to_us(AT + timedelta(hours=1))
    assert say(Sort.MARK, "quarantine", count=1, until=until)[1] == "1 record or message of this time could not be read"
    assert say(Sort.MARK, "quarantine", CHINESE, count=3, until=until)[1] == "这段时间有 3 条记录或消息无法读取"
    assert say(Sort.CHECK_IN, "check_ins", count=38, heads=36, until=until) == (
        "linked", "36 check-ins", "2 more repeated or refused",
    )  # fmt: skip


def alarmed(what: str, words: Words = ENGLISH, **more: Any) -> tuple[str, str, str]:
    known = {
        "id": "alm_1", "severity": "warning", "reach": "terminal", "who": None, "name": "过热", "name_en": "Too hot",
        "kind": "threshold", "metric": "temperature_c", "members": 1, "value": None, "why": None, "into": None,
    }  # fmt: skip
    return say(Sort.ALARM, what, words, **known | more)


def test_alarms_are_said_with_their_name_and_lead_to_the_alarm() -> None:
    state, title, explained = alarmed("raised", value=81.5, members=12)
    assert state == "warn"
    assert '<a href="/alarms/alm_1"' in title
    assert "Too hot: alarm raised" in title
    assert explained == "Warning · processor temperature 81.5 °C · 12 terminals"
    assert alarmed("cleared", why="well")[::2] == ("ok", "well again")
    assert "acknowledged by olga" in alarmed("acknowledged", who="olga")[1]
    assert "/alarms/alm_2" in alarmed("grouped", into="alm_2")[2]
    for words, what in product(
        (ENGLISH, CHINESE), ("raised", "reopened", "joined", "grouped", "cleared", "acknowledged", "recovered")
    ):
        assert "timeline." not in "".join(alarmed(what, words))


def test_every_sort_has_words_and_a_source() -> None:
    assert {source.sort for source in SOURCES} == set(Sort)
    assert len({source.name for source in SOURCES}) == len(SOURCES)
    for words in (ENGLISH, CHINESE):
        assert all(words(f"timeline.sort_{sort}") for sort in Sort)
