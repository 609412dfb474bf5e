"""The console's list of alarms, without a browser: what was asked for stays asked for on every page of it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud.accounts.service import Role
from cloud.alarms import page, panel
from cloud.alarms.models import Alarm
from cloud.alarms.page import Filter, Line
from cloud.alarms.panel import OfTerminal
from cloud.alarms.rules import Severity
from cloud.alarms.saying import Names
from cloud.alarms.service import AlarmState
from cloud.console import lists
from cloud.console.words import Language, Words

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
    [(Language.ENGLISH, "No rule has raised an alarm.", "normal"), (Language.CHINESE, "没有规则产生告警。", "正常")],
)
def test_no_alarm_is_no_promise_that_all_is_well(language: Language, says: str, never: str) -> None:
    view = viewed(language)
    active = Filter(AlarmState.ACTIVE, None, only_open=False, cursor="")
    listed = page._listing(view, page._Known(0, [], None, [], Names({}, {})), active)
    for shown in (listed, panel.panel_of(view, OfTerminal([], []))):
        assert says in shown
        assert never not in shown
