"""Recurrence as people say it — every day, on Tuesdays, every second Friday of the month — and the RRULE behind it.

`Repeat` is what a form shows. A rule that has no plain words stays as it is, under `Kind.RULE`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo

from babel.dates import get_day_names

from cloud.console.words import Language, Words

DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
WORKDAYS = DAYS[:5]


class Kind(StrEnum):
    """How an activity repeats, as a form offers it."""

    ONCE = "once"
    DAILY = "daily"
    WORKDAYS = "workdays"
    WEEKLY = "weekly"
    MONTHLY_DAY = "monthly_day"
    MONTHLY_NTH = "monthly_nth"
    RULE = "rule"


COUNTED = (Kind.DAILY, Kind.WEEKLY, Kind.MONTHLY_DAY, Kind.MONTHLY_NTH)
"""Those that may skip days, weeks or months."""

ENDING = (*COUNTED, Kind.WORKDAYS)
"""Those that may end on a day, or after so many times."""


@dataclass(frozen=True)
class Repeat:
    """`every` counts days, weeks or months; `days` are of the week. At most one of `until` and `count` is given."""

    kind: Kind = Kind.ONCE
    every: int = 1
    days: tuple[str, ...] = ()
    until: date | None = None
    count: int | None = None
    rule: str = ""


def rule_of(repeat: Repeat, start: datetime) -> str | None:
    """The RRULE; None for once. `start` is the first start, in the zone of the activity."""
    if repeat.kind is Kind.ONCE:
        return None
    if repeat.kind is Kind.RULE:
        return repeat.rule.strip().upper()
    weekday = DAYS[start.weekday()]
    days = ",".join(day for day in DAYS if day in repeat.days) or weekday
    parts = {
        Kind.DAILY: ["FREQ=DAILY"],
        Kind.WORKDAYS: ["FREQ=WEEKLY", f"BYDAY={','.join(WORKDAYS)}"],
        Kind.WEEKLY: ["FREQ=WEEKLY", f"BYDAY={days}"],
        Kind.MONTHLY_DAY: ["FREQ=MONTHLY", f"BYMONTHDAY={start.day}"],
        Kind.MONTHLY_NTH: ["FREQ=MONTHLY", f"BYDAY={_nth(start)}{weekday}"],
    }[repeat.kind]
    if repeat.every > 1 and repeat.kind in COUNTED:
        parts.insert(1, f"INTERVAL={repeat.every}")
    if repeat.until is not None:
        end = datetime.combine(repeat.until, time(23, 59, 59), start.tzinfo).astimezone(UTC)
        parts.append(f"UNTIL={end:%Y%m%dT%H%M%SZ}")
    elif repeat.count is not None:
        parts.append(f"COUNT={repeat.count}")
    return ";".join(parts)


def repeat_of(rule: str | None, start: datetime) -> Repeat:
    """What a form shows for an RRULE."""
    if rule is None:
        return Repeat()
    parts = dict(part.split("=", 1) for part in rule.split(";"))
    every = int(parts.pop("INTERVAL", "1"))
    count = parts.pop("COUNT", None)
    until = _until(parts.pop("UNTIL", ""), start)
    kind, days = _kind(parts, start)
    if kind is Kind.RULE or (every > 1 and kind is Kind.WORKDAYS) or ("UNTIL" in rule and until is None):
        return Repeat(Kind.RULE, rule=rule)
    return Repeat(kind, every, days, until, int(count) if count else None)


def said(words: Words, rule: str | None, start: datetime) -> str:
    """The recurrence in a sentence; empty for once."""
    repeat = repeat_of(rule, start)
    if repeat.kind is Kind.ONCE:
        return ""
    if repeat.kind is Kind.RULE:
        return _often(words, rule or "")
    many = "_many" if repeat.every > 1 else ""
    day = names(words)[DAYS[start.weekday()]]
    text = words(
        f"repeat.{repeat.kind}{many}", every=repeat.every, days=words("repeat.and").join(named(words, repeat.days)),
        day=day, date=start.day, nth=words(f"repeat.nth_{_nth(start)}"),
    )  # fmt: skip
    if repeat.until is not None:
        return words(
            "repeat.until", text=text, day=words.short_day(datetime.combine(repeat.until, time(12), words.zone))
        )
    if repeat.count is not None:
        return words("repeat.count", text=text, n=repeat.count)
    return text


def names(words: Words) -> Mapping[str, str]:
    """Days of the week by their RRULE name."""
    chinese = words.language is Language.CHINESE
    found = get_day_names("abbreviated" if chinese else "wide", locale=words.language.locale)
    return {day: found[index] for index, day in enumerate(DAYS)}


def named(words: Words, days: tuple[str, ...]) -> list[str]:
    """These days of the week, in words."""
    return [names(words)[day] for day in days]


def _often(words: Words, rule: str) -> str:
    """Several times a day has words, too; all else is the rule itself."""
    parts = dict(part.split("=", 1) for part in rule.split(";"))
    if parts.keys() <= {"FREQ", "INTERVAL"} and parts["FREQ"] in {"HOURLY", "MINUTELY"}:
        return words(f"repeat.{parts['FREQ'].lower()}", every=int(parts.get("INTERVAL", "1")))
    return words("repeat.by_rule")


def _kind(parts: Mapping[str, str], start: datetime) -> tuple[Kind, tuple[str, ...]]:
    weekday = DAYS[start.weekday()]
    match dict(parts):
        case {"FREQ": "DAILY", **rest} if not rest:
            return Kind.DAILY, ()
        case {"FREQ": "WEEKLY", **rest} if not rest:
            return Kind.WEEKLY, (weekday,)
        case {"FREQ": "WEEKLY", "BYDAY": days, **rest} if not rest:
            listed = tuple(days.split(","))
            return (Kind.WORKDAYS, ()) if set(listed) == set(WORKDAYS) else (Kind.WEEKLY, listed)
        case {"FREQ": "MONTHLY", "BYMONTHDAY": day, **rest} if not rest and day == str(start.day):
            return Kind.MONTHLY_DAY, ()
        case {"FREQ": "MONTHLY", "BYDAY": day, **rest} if not rest and day == f"{_nth(start)}{weekday}":
            return Kind.MONTHLY_NTH, ()
    return Kind.RULE, ()


def _nth(start: datetime) -> int:
    """Which of its weekdays in the month a day is; the fifth counts as the last."""
    nth = (start.day - 1) // 7 + 1
    return nth if nth < 5 else -1


def _until(value: str, start: datetime) -> date | None:
    """The last day, where the rule ends with one of the zone's days."""
    try:
        end = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(start.tzinfo)
    except ValueError:
        return None
    return end.date() if end.time() == time(23, 59, 59) else None


def local(at: datetime, timezone: str) -> datetime:
    """The wall time of an activity's zone."""
    return at.astimezone(ZoneInfo(timezone))
