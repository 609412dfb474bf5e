"""The console's list of alarms, without a browser: what was asked for stays asked for on every page of it."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from cloud.alarms import page
from cloud.alarms.models import Alarm
from cloud.alarms.page import Filter, Line
from cloud.alarms.rules import Severity
from cloud.alarms.saying import Names
from cloud.alarms.service import AlarmState
from cloud.console import lists
from cloud.console.words import Language, Words

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def test_the_next_page_of_a_list_is_of_what_was_asked_for() -> None:
    alarm = Alarm(
        id="alm_1", rule_id="alr_1", reach="terminal", place_id="kiosk-1", severity="warning", since_at=NOW, until_at=NOW,
        raised_at=NOW, cleared_at=NOW, cleared_why="well", times=1, members=0,
    )  # fmt: skip
    known = page._Known(0, [Line(alarm, ("过热", "Too hot"))], "further", [], Names({}, {}))
    view: Any = SimpleNamespace(words=Words(Language.ENGLISH, ZoneInfo("UTC")), now=NOW)
    shown = page._listing(view, known, Filter(AlarmState.CLEARED, Severity.WARNING, only_open=True, cursor=""))
    assert "/alarms?cursor=further&amp;state=cleared&amp;severity=warning&amp;acknowledged=no" in shown


def test_what_is_shown_unasked_is_not_in_the_address() -> None:
    asked = Filter(AlarmState.ACTIVE, None, only_open=False, cursor="")
    assert lists.address(page.PATH, **asked.query) == page.PATH
