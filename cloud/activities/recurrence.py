"""Which instants a recurrence rule means: RFC 5545 by python-dateutil, in the wall time of a zone.

Takes only rules that can be expanded in bounded time: a rule that never comes true would let dateutil look for it
until the year 9999. A wall time that a change of clocks skips is moved on by the gap; one that comes twice is its
first (RFC 5545, 3.3.5). Hours and minutes recur in UTC, because a day with a change has not 24 of them.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from dateutil.rrule import rrule, rrulestr

MAX_COUNT = 10_000
MAX_INTERVAL = 1_000
MIN_MINUTES = 10
_ALWAYS = {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"}
_ALLOWED = {
    "MINUTELY": set[str](),
    "HOURLY": set[str](),
    "DAILY": {"BYMONTH"},
    "WEEKLY": {"BYDAY", "BYMONTH"},
    "MONTHLY": {"BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS"},
    "YEARLY": {"BYDAY", "BYMONTHDAY", "BYMONTH"},
}
_DAYS_OF_MONTH = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}
_UNTIL = re.compile(r"UNTIL=(\d{8}T\d{6})Z")


def check_rule(rule: str) -> str:
    """`rule`, when it is one that can be expanded. ValueError with a sentence when not."""
    parts = _parts(rule)
    frequency = parts.get("FREQ", "")
    if frequency not in _ALLOWED:
        raise ValueError(f"FREQ must be one of {', '.join(_ALLOWED)}")
    foreign = sorted(set(parts) - _ALWAYS - _ALLOWED[frequency])
    if foreign:
        raise ValueError(f"{foreign[0]} is not taken with FREQ={frequency}")
    _check_numbers(frequency, parts)
    _check_days(parts)
    try:
        rrulestr(_UNTIL.sub(r"UNTIL=\1", rule), dtstart=datetime(2026, 1, 1))  # noqa: DTZ001 - wall time
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise ValueError(f"the rule cannot be read: {error}") from error
    return rule


def starts(
    rule: str | None, first_at: datetime, zone: ZoneInfo, after: datetime, before: datetime
) -> Iterator[datetime]:
    """The starts in [after, before), ascending and in UTC; `first_at` alone when there is no rule."""
    if rule is None:
        if after <= first_at < before:
            yield first_at
        return
    where: tzinfo = UTC if _parts(rule)["FREQ"] in {"HOURLY", "MINUTELY"} else zone
    seen = first_at - timedelta(microseconds=1)
    for wall in _expanded(rule, first_at, where, after):
        at = wall.replace(tzinfo=where).astimezone(UTC)
        if at >= before:
            return
        if at >= after and at > seen:
            yield at
            seen = at


def _expanded(rule: str, first_at: datetime, where: tzinfo, after: datetime) -> Iterator[datetime]:
    """Naive wall times in `where`, from a little before `after` where the rule allows a leap ahead."""
    until = _UNTIL.search(rule)
    if until:
        instant = datetime.strptime(until[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
        rule = rule.replace(until[0], f"UNTIL={instant.astimezone(where):%Y%m%dT%H%M%S}")
    first = first_at.astimezone(where).replace(tzinfo=None)
    parts = _parts(rule)
    step_of = {"MINUTELY": timedelta(minutes=1), "HOURLY": timedelta(hours=1), "DAILY": timedelta(days=1)}
    if parts["FREQ"] in step_of and "COUNT" not in parts:
        step = step_of[parts["FREQ"]] * int(parts.get("INTERVAL", "1"))
        first += max(0, (after.astimezone(where).replace(tzinfo=None) - first) // step - 1) * step
    parsed = rrulestr(rule, dtstart=first)
    assert isinstance(parsed, rrule)  # noqa: S101 - no rule that check_rule takes makes a set
    return iter(parsed)


def _parts(rule: str) -> dict[str, str]:
    if not re.fullmatch(r"[A-Z]+=[A-Z0-9,+-]+(;[A-Z]+=[A-Z0-9,+-]+)*", rule):
        raise ValueError("a rule is like FREQ=WEEKLY;BYDAY=TU,TH")
    pairs = [part.split("=", 1) for part in rule.split(";")]
    parts = dict(pairs)
    if len(parts) != len(pairs):
        raise ValueError("a part stands twice")
    return parts


def _check_numbers(frequency: str, parts: dict[str, str]) -> None:
    bounds = {"INTERVAL": MAX_INTERVAL, "COUNT": MAX_COUNT}
    for name, most in bounds.items():
        value = parts.get(name, "1")
        if not re.fullmatch(r"[0-9]{1,6}", value) or not 1 <= int(value) <= most:
            raise ValueError(f"{name} must be between 1 and {most}")
    if frequency == "MINUTELY" and int(parts.get("INTERVAL", "1")) < MIN_MINUTES:
        raise ValueError(f"with FREQ=MINUTELY, INTERVAL must be at least {MIN_MINUTES}")
    if {"COUNT", "UNTIL"} <= set(parts):
        raise ValueError("COUNT and UNTIL exclude each other")
    if "UNTIL" in parts and not re.fullmatch(r"[0-9]{8}(T[0-9]{6}Z?)?", parts["UNTIL"]):
        raise ValueError("UNTIL is like 20261231T235959Z")


def _check_days(parts: dict[str, str]) -> None:
    """Refuse what never comes true, such as the 30th of February."""
    months = [int(month) for month in _numbers(parts, "BYMONTH", 1, 12)] or list(_DAYS_OF_MONTH)
    days = _numbers(parts, "BYMONTHDAY", 1, 31)
    if days and all(abs(day) > _DAYS_OF_MONTH[month] for day in days for month in months):
        raise ValueError("no such day of the month ever comes")
    weekdays = parts.get("BYDAY", "").split(",") if "BYDAY" in parts else []
    for weekday in weekdays:
        if not re.fullmatch(r"([+-]?[1-4])?(MO|TU|WE|TH|FR|SA|SU)", weekday):
            raise ValueError("BYDAY is like TU or 2TU or -1FR, at most the 4th")
        if len(weekday) > 2 and (days or parts["FREQ"] == "WEEKLY"):
            raise ValueError("a numbered BYDAY is taken only with MONTHLY or YEARLY, and without BYMONTHDAY")
    positions = _numbers(parts, "BYSETPOS", 1, 4)
    if positions and (days or not weekdays or any(len(weekday) > 2 for weekday in weekdays)):
        raise ValueError("BYSETPOS is taken only with plain BYDAY")


def _numbers(parts: dict[str, str], name: str, least: int, most: int) -> list[int]:
    if name not in parts:
        return []
    values = parts[name].split(",")
    signed = r"[+-]?[0-9]{1,2}" if name != "BYMONTH" else r"[0-9]{1,2}"
    if not all(re.fullmatch(signed, value) and least <= abs(int(value)) <= most for value in values):
        raise ValueError(f"{name} must hold numbers from {least} to {most}")
    return [int(value) for value in values]
