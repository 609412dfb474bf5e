"""Recurrence in plain words, there and back, in both languages."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from cloud.activities.recurrence import check_rule
from cloud.activities.repeating import Kind, Repeat, repeat_of, rule_of, said
from cloud.console.words import Language, Words

SHANGHAI = ZoneInfo("Asia/Shanghai")
TUESDAY = datetime(2026, 11, 24, 9, 30, tzinfo=SHANGHAI)
LAST_OF_MONTH = datetime(2026, 12, 29, 9, 30, tzinfo=SHANGHAI)
CHINESE, ENGLISH = Words(Language.CHINESE, SHANGHAI), Words(Language.ENGLISH, SHANGHAI)

KNOWN = [
    (Repeat(Kind.DAILY), "FREQ=DAILY", "每天", "Every day"),
    (Repeat(Kind.DAILY, every=3), "FREQ=DAILY;INTERVAL=3", "每 3 天", "Every 3 days"),
    (Repeat(Kind.WORKDAYS), "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", "周一至周五", "Monday to Friday"),
    (Repeat(Kind.WEEKLY, days=("TU", "TH")), "FREQ=WEEKLY;BYDAY=TU,TH", "逢周二、周四", "Every Tuesday and Thursday"),
    (Repeat(Kind.WEEKLY, every=2, days=("SU",)), "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU", "每 2 周，逢周日",
     "Every 2 weeks on Sunday"),
    (Repeat(Kind.MONTHLY_DAY), "FREQ=MONTHLY;BYMONTHDAY=24", "每月 24 日", "Every month on day 24"),
    (Repeat(Kind.MONTHLY_NTH), "FREQ=MONTHLY;BYDAY=4TU", "每月第四个周二", "Every fourth Tuesday of the month"),
    (Repeat(Kind.DAILY, count=5), "FREQ=DAILY;COUNT=5", "每天，共 5 次", "Every day, 5 times"),
    (Repeat(Kind.DAILY, until=date(2026, 12, 31)), "FREQ=DAILY;UNTIL=20261231T155959Z", "每天，到 2026年12月31日",
     "Every day, until 31 Dec 2026"),
    (Repeat(Kind.RULE, rule="FREQ=MINUTELY;INTERVAL=15"), "FREQ=MINUTELY;INTERVAL=15", "每 15 分钟", "Every 15 minutes"),
    (Repeat(Kind.RULE, rule="FREQ=YEARLY;BYMONTH=5"), "FREQ=YEARLY;BYMONTH=5", "按规则重复", "Repeats by a rule"),
]  # fmt: skip


@pytest.mark.parametrize(("repeat", "rule", "chinese", "english"), KNOWN)
def test_a_recurrence_is_a_rule_and_the_rule_is_said_in_words(
    repeat: Repeat, rule: str, chinese: str, english: str
) -> None:
    assert rule_of(repeat, TUESDAY) == check_rule(rule)
    assert repeat_of(rule, TUESDAY) == repeat
    assert said(CHINESE, rule, TUESDAY) == chinese
    assert said(ENGLISH, rule, TUESDAY) == english


def test_once_has_no_rule_and_no_words() -> None:
    assert rule_of(Repeat(), TUESDAY) is None
    assert repeat_of(None, TUESDAY) == Repeat()
    assert said(ENGLISH, None, TUESDAY) == ""


def test_the_fifth_weekday_of_a_month_is_its_last() -> None:
    rule = rule_of(Repeat(Kind.MONTHLY_NTH), LAST_OF_MONTH)
    assert rule == check_rule("FREQ=MONTHLY;BYDAY=-1TU")
    assert said(CHINESE, rule, LAST_OF_MONTH) == "每月最后一个周二"


def test_weekly_without_a_day_is_the_day_of_the_start() -> None:
    assert rule_of(Repeat(Kind.WEEKLY), TUESDAY) == "FREQ=WEEKLY;BYDAY=TU"
    assert repeat_of("FREQ=WEEKLY", TUESDAY) == Repeat(Kind.WEEKLY, days=("TU",))


@pytest.mark.parametrize(
    "rule",
    ["FREQ=MONTHLY;BYMONTHDAY=3", "FREQ=MONTHLY;BYDAY=1MO", "FREQ=DAILY;UNTIL=20261231T120000Z",
     "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TU,WE,TH,FR", "FREQ=DAILY;BYMONTH=5", "FREQ=WEEKLY;WKST=SU"],
)  # fmt: skip
def test_a_rule_without_plain_words_is_kept_as_it_is(rule: str) -> None:
    repeat = repeat_of(rule, TUESDAY)
    assert repeat == Repeat(Kind.RULE, rule=rule)
    assert rule_of(repeat, TUESDAY) == rule


def test_the_last_day_ends_where_the_activity_is() -> None:
    rule = rule_of(
        Repeat(Kind.DAILY, until=date(2026, 7, 1)), datetime(2026, 6, 1, 9, tzinfo=ZoneInfo("America/New_York"))
    )
    assert rule == "FREQ=DAILY;UNTIL=20260702T035959Z"
    assert datetime(2026, 7, 2, 3, 59, 59, tzinfo=UTC).astimezone(ZoneInfo("America/New_York")).day == 1
