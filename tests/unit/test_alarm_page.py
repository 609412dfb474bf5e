"""The console's list of alarms, without a browser: what was asked for stays asked for on every page of it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud.accounts.service import Role
from cloud.alarms import alarm_page, page, panel
from cloud.alarms.events import EventKind
from cloud.alarms.models import Alarm, AlarmEvent, AlarmRule
from cloud.alarms.page import Filter, Line
from cloud.alarms.panel import OfTerminal
from cloud.alarms.rules import RuleKind, Severity
from cloud.alarms.saying import Names
from cloud.alarms.service import AlarmState
from cloud.console import lists
from cloud.console.words import Language, Words
from cloud.notifications import panel as telling

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOT = ("过热", "Too hot")


def alarm(**more: Any) -> Alarm:
    known: dict[str, Any] = {
        "id": "alm_1", "rule_id": "alr_1", "reach": "terminal", "place_id": "kiosk-1", "severity": "warning", "since_at": NOW,
        "until_at": NOW, "raised_at": NOW, "times": 1, "members": 1,
    }  # fmt: skip
    return Alarm(**known | more)


def viewed(language: Language = Language.ENGLISH, role: Role = Role.OPERATOR) -> Any:
    """What the pages ask of a view."""
    return SimpleNamespace(words=Words(language, ZoneInfo("UTC")), now=NOW, may=role.includes)


def test_the_next_page_of_a_list_is_of_what_was_asked_for() -> None:
    known = page._Known(0, [Line(alarm(cleared_at=NOW, cleared_why="well"), HOT)], "further", [], Names({}, {}))
    shown = page._listing(viewed(), known, Filter(AlarmState.CLEARED, Severity.WARNING, only_open=True, cursor=""))
    assert "/alarms?cursor=further&amp;state=cleared&amp;severity=warning&amp;acknowledged=no" in shown


@pytest.mark.parametrize("state", AlarmState)
@pytest.mark.parametrize(
    ("language", "said", "never"),
    [(Language.ENGLISH, "Take a filter away", "letters"), (Language.CHINESE, "去掉筛选", "请少输几个字")],
)
def test_a_filter_without_a_hit_is_told_in_its_own_words(
    state: AlarmState, language: Language, said: str, never: str
) -> None:
    empty = page._Known(0, [], None, [], Names({}, {}))
    shown = page._listing(viewed(language), empty, Filter(state, Severity.INFO, only_open=False, cursor=""))
    assert said in shown
    assert never not in shown
    unfiltered = page._listing(viewed(language), empty, Filter(state, None, only_open=False, cursor=""))
    assert said not in unfiltered


def test_what_is_shown_unasked_is_not_in_the_address() -> None:
    asked = Filter(AlarmState.ACTIVE, None, only_open=False, cursor="")
    assert lists.address(page.PATH, **asked.query) == page.PATH


@pytest.mark.parametrize(
    ("language", "heading", "ago"), [(Language.ENGLISH, "Began", "27 min ago"), (Language.CHINESE, "始于", "27 分钟前")]
)
def test_list_says_how_long_ago_an_alarm_began(language: Language, heading: str, ago: str) -> None:
    lines = [Line(alarm(since_at=NOW - timedelta(minutes=27)), HOT)]
    shown = page.table_of(viewed(language), lines, Names({}, {}), "x")
    assert f'data-h="{heading}"' in shown
    assert ago in shown


@pytest.mark.parametrize(
    ("language", "says", "never"),
    [(Language.ENGLISH, "No rule has an alarm now.", "normal"), (Language.CHINESE, "现在没有规则在告警。", "正常")],
)
def test_no_alarm_is_no_promise_that_all_is_well(language: Language, says: str, never: str) -> None:
    view = viewed(language)
    active = Filter(AlarmState.ACTIVE, None, only_open=False, cursor="")
    listed = page._listing(view, page._Known(0, [], None, [], Names({}, {})), active)
    for shown in (listed, panel.panel_of(view, OfTerminal([], []))):
        assert says in shown
        assert never not in shown


def test_alarm_that_nobody_was_told_of_leads_to_the_receivers_for_whoever_may_see_them() -> None:
    assert '<a href="/receivers">Receivers</a>' in telling.panel_of(viewed(), [])
    assert '<a href="/receivers">接收方</a>' in telling.panel_of(viewed(Language.CHINESE), [])
    seen = telling.panel_of(viewed(role=Role.VIEWER), [])
    assert "Nobody told yet" in seen
    assert "/receivers" not in seen


@pytest.mark.parametrize(
    ("language", "one", "three"),
    [(Language.ENGLISH, "Raised", "Raised: 3 terminals"), (Language.CHINESE, "产生", "产生：3 台终端")],
)
def test_story_counts_terminals_where_there_are_several(language: Language, one: str, three: str) -> None:
    rule = AlarmRule(kind=RuleKind.ABSENCE)
    known = alarm_page._Known(alarm(), rule, Names({}, {}), [], False, {}, [], [])
    for members, says in ((1, one), (3, three)):
        event = AlarmEvent(kind=EventKind.RAISED, detail={"members": members})
        assert f"<b>{says}</b>" in alarm_page._happened(viewed(language), event, known)
