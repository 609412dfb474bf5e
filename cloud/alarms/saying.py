"""Console: how a rule, an alarm and its place are said on every page: state, symbol and words together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.alarms.grouping import Reach
from cloud.alarms.measures import metrics
from cloud.alarms.models import Alarm, AlarmRule
from cloud.alarms.rules import Compare, RuleKind, Severity
from cloud.console.markup import join, tag
from cloud.console.widgets import link, plate, say
from cloud.console.words import Language, Words
from cloud.organisations import service as organisations
from cloud.rooms import service as rooms

SYMBOLS: Final[Mapping[str, str]] = {Severity.CRITICAL: "bad", Severity.WARNING: "warn", Severity.INFO: "info"}
UNITS: Final[Mapping[Language, Mapping[str, str]]] = {
    Language.ENGLISH: {"1": "", "Cel": "°C", "By": "B", "1/s": "/s"},
    Language.CHINESE: {"1": "", "Cel": "℃", "By": "字节", "1/s": "帧", "s": "秒", "ms": "毫秒"},
}
"""UCUM symbols that people write otherwise."""
GIB: Final = 1024**3
AS_SPAN_S: Final = 120.0
"""From here on seconds are said as people say a span."""


@dataclass(frozen=True)
class Names:
    """What ids of rooms and organisations are called."""

    rooms: Mapping[str, tuple[str, str, str]]
    organisations: Mapping[str, tuple[str, str]]


def names(session: Session, room_ids: Iterable[str | None], organisation_ids: Iterable[str | None]) -> Names:
    """Of these."""
    return Names(
        rooms.labels(session, {each for each in room_ids if each}),
        organisations.names(session, {each for each in organisation_ids if each}),
    )


def names_of(session: Session, alarms: Iterable[Alarm]) -> Names:
    """Of the places of these alarms."""
    by_reach: dict[str, list[str]] = {}
    for alarm in alarms:
        by_reach.setdefault(alarm.reach, []).append(alarm.place_id)
    return names(session, by_reach.get(Reach.ROOM, ()), by_reach.get(Reach.ORGANISATION, ()))


def severity(words: Words, of: str) -> Markup:
    """The severity, as a status."""
    return say(SYMBOLS[of], words(f"alarm.{of}"))


def place(words: Words, alarm: Alarm, known: Names) -> Markup:
    """Where it is, and of how many terminals where they are several."""
    count = None if alarm.reach in {Reach.TERMINAL, Reach.CLOUD} else tag(
        "span", " · ", words("alarm.terminals", n=alarm.members), class_="q")  # fmt: skip
    match alarm.reach:
        case Reach.TERMINAL:
            return link(f"/terminals/{alarm.place_id}", alarm.place_id, class_="nowrap")
        case Reach.ROOM:
            number, name, name_en = known.rooms.get(alarm.place_id, ("–", "", ""))
            return join(plate(number), " ", words.either(name, name_en), count)
        case Reach.ORGANISATION:
            return join(words.either(*known.organisations.get(alarm.place_id, ("–", ""))), count)
        case Reach.CLOUD:
            return tag("span", words("alarm.cloud"))
        case _:
            return join(words("alarm.everywhere"), count)


def condition(words: Words, rule: AlarmRule) -> str:
    """When it is raised, in a sentence."""
    what = _what(words, rule)
    if rule.for_s:
        what = words("alarm_rule.says_for", what=what, age=words.duration(timedelta(seconds=rule.for_s)))
    if rule.clear_level is not None and rule.clear_level != rule.level:
        clear = words("alarm_rule.says_clear", level=value(words, rule.metric, rule.clear_level))
        what = words("alarm_rule.two", a=what, b=clear)
    return what


def scope(words: Words, rule: AlarmRule, known: Names) -> str:
    """Which terminals it is about."""
    parts = []
    if rule.organisation_id:
        parts.append(words.either(*known.organisations.get(rule.organisation_id, ("–", ""))))
    if rule.room_id:
        number, name, name_en = known.rooms.get(rule.room_id, ("–", "", ""))
        parts.append(f"{number} {words.either(name, name_en)}")
    if rule.terminal_kind:
        parts.append(words(f"kind.{rule.terminal_kind}"))
    if rule.kind == RuleKind.REVOCATION_LIST:
        return words("alarm.cloud")
    return words("audit.and_short").join(parts) or words("alarm_rule.all")


def name(words: Words, rule: AlarmRule) -> str:
    """What it is called."""
    return words.either(rule.name, rule.name_en)


def todo(words: Words, rule: AlarmRule) -> str:
    """What to do."""
    return words.either(rule.todo, rule.todo_en)


def metric_name(words: Words, of: str) -> str:
    """A metric's name in the page's language."""
    found = metrics().get(of)
    return of if found is None else found.zh if words.language is Language.CHINESE else found.en


def value(words: Words, of: str | None, number: float) -> str:
    """A value with the unit of its metric."""
    found = metrics().get(of or "")
    unit = found.unit if found else ""
    if unit == "By" and abs(number) >= GIB:
        return f"{words.number(round(number / GIB, 1))} GiB"
    if unit == "s" and number >= AS_SPAN_S:
        return words.duration(timedelta(seconds=number))
    return f"{words.number(round(number, 2))} {UNITS[words.language].get(unit, unit)}".rstrip()


def value_of(words: Words, rule: AlarmRule, number: float | None) -> str:
    """The value of a rule's condition; empty where it has none."""
    if number is None:
        return ""
    if rule.kind in {RuleKind.TREND, RuleKind.REVOCATION_LIST}:
        return words("time.days", n=round(number, 1))
    return value(words, rule.metric, number)


def _what(words: Words, rule: AlarmRule) -> str:
    shown = {"metric": metric_name(words, rule.metric or "")}
    level = value(words, rule.metric, rule.level or 0.0)
    days = words.number(rule.days or 0)
    match rule.kind:
        case RuleKind.THRESHOLD:
            return words(f"alarm_rule.says_{rule.compare or Compare.ABOVE}", **shown, level=level)
        case RuleKind.RATE:
            return words(f"alarm_rule.says_rate_{rule.compare or Compare.ABOVE}", **shown, level=level)
        case RuleKind.TREND:
            return words("alarm_rule.says_trend", **shown, level=level, days=days)
        case RuleKind.MARK:
            return words("alarm_rule.says_mark", mark=words.known(f"mark.{rule.mark}", rule.mark or ""))
        case RuleKind.VERSION if rule.wanted:
            return words("alarm_rule.says_version_wanted", wanted=rule.wanted)
        case RuleKind.REVOCATION_LIST:
            return words("alarm_rule.says_revocation_list", days=days)
        case _:
            return words(f"alarm_rule.says_{rule.kind}")
