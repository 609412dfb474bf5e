"""Console: how a rule, an alarm and its place are said on every page: state, symbol and words together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.alarms import metric_words
from cloud.alarms.grouping import Reach
from cloud.alarms.measures import is_switch
from cloud.alarms.models import Alarm, AlarmRule
from cloud.alarms.rules import Compare, RuleKind, Severity
from cloud.console.markup import join, tag
from cloud.console.widgets import link, plate, say
from cloud.console.words import Words
from cloud.organisations import service as organisations
from cloud.rooms import service as rooms

SYMBOLS: Final[Mapping[str, str]] = {Severity.CRITICAL: "bad", Severity.WARNING: "warn", Severity.INFO: "info"}


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
    if rule.clear_level not in {None, rule.level} and not is_switch(rule.metric):
        clear = words("alarm_rule.says_clear", level=metric_words.value(words, rule.metric, rule.clear_level or 0.0))
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


def value_of(words: Words, rule: AlarmRule, number: float | None) -> str:
    """The value of a rule's condition; empty where it has none, or where the rule says all of it."""
    if number is None:
        return ""
    if rule.kind in {RuleKind.TREND, RuleKind.REVOCATION_LIST}:
        return words("time.days", n=round(number, 1))
    return "" if is_switch(rule.metric) else metric_words.value(words, rule.metric, number)


def _what(words: Words, rule: AlarmRule) -> str:
    measured = (words, rule.metric or "", Compare(rule.compare or Compare.ABOVE), rule.level or 0.0)
    days = rule.days or 0.0
    match rule.kind:
        case RuleKind.THRESHOLD:
            return metric_words.threshold(*measured)
        case RuleKind.RATE:
            return metric_words.rate(*measured)
        case RuleKind.TREND:
            return metric_words.trend(*measured, days)
        case RuleKind.MARK:
            return words("alarm_rule.says_mark", mark=words.known(f"mark.{rule.mark}", rule.mark or ""))
        case RuleKind.VERSION if rule.wanted:
            return words("alarm_rule.says_version_wanted", wanted=rule.wanted)
        case RuleKind.REVOCATION_LIST:
            return words("alarm_rule.says_revocation_list", n=days, days=words.number(days))
        case _:
            return words(f"alarm_rule.says_{rule.kind}")
