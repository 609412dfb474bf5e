"""A terminal's events in words: a symbol, a sentence, when, and what more is known. Pure; called by this feature's page."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from cloud.alarms import metric_words, saying
from cloud.alarms.rules import RuleKind
from cloud.audit import naming
from cloud.audit.naming import Names
from cloud.clock import from_us
from cloud.console import widgets
from cloud.console.markup import Content, join, tag
from cloud.console.widgets import link
from cloud.console.words import Words
from cloud.timeline.service import Event, Sort

REPORTS: Final[Mapping[str, str]] = {"applied": "ok", "pending": "running", "refused": "bad"}
RAISED: Final = frozenset({"raised", "reopened", "joined"})
ALARM_STATES: Final[Mapping[str, str]] = {
    "grouped": "linked", "cleared": "ok", "acknowledged": "accepted", "recovered": "ok",
}  # fmt: skip
HOUR: Final = timedelta(hours=1)
NUMBERED: Final = frozenset({"birth", "retained", "two_devices"})
"""Causes that tell of a connection, by its number."""


def told(words: Words, names: Names, event: Event) -> widgets.Event:
    """One entry of the list."""
    return _TELLING[event.sort](words, names, event)


def _connection(words: Words, _names: Names, event: Event) -> widgets.Event:
    known = event.detail
    if event.what == "flapping":
        kind = "two" if known["cause"] == "two_devices" else "flapping"
        title = words(f"timeline.{kind}", n=known["times"])
        last = words("timeline.last", state=words.known(f"presence.{known['presence']}", known["presence"]))
        return widgets.Event("cut", title, _span(words, event), last)
    state = "warn" if known["cause"] == "two_devices" else known["presence"]
    if known["cause"] == "broker":
        key = "timeline.broker" if known["times"] == 1 else "timeline.broker_back"
        return widgets.Event(state, words(key), _span(words, event))
    key = f"timeline.{known['presence']}_{known['cause']}"
    title = words.maybe(key) or words.known(f"timeline.{known['cause']}", known["presence"])
    if known["cause"] in NUMBERED and known["connection"] is not None:
        title = words("timeline.numbered", title=title, connection=known["connection"])
    return widgets.Event(state, title, words.minute(event.at))


def _span(words: Words, event: Event) -> Content:
    """From when until when a line with several changes was; a long one goes on in the next line."""
    began = from_us(event.detail["began_at"])
    if event.detail["times"] == 1:
        return words.minute(event.at)
    if event.at - began < HOUR:
        return f"{words.minute(began)}–{words.hour(event.at)}"
    return join(f"{words.minute(began)}–", tag("wbr"), words.minute(event.at))


def _twin(words: Words, _names: Names, event: Event) -> widgets.Event:
    when, number = words.minute(event.at), str(event.detail["version"][1])
    if event.what == "told":
        return widgets.Event("sent", words("timeline.told", number=number), when, _parts(words, event.detail["parts"]))
    problems = " ".join(event.detail["problems"])
    explained: Content = _parts(words, event.detail["changed"])
    if problems:
        explained = join(words("timeline.problem"), tag("span", problems, lang="en"))
    return widgets.Event(REPORTS[event.what], words(f"timeline.{event.what}", number=number), when, explained)


def _parts(words: Words, parts: Sequence[str]) -> str | None:
    """Which parts of a twin, or which settings, are others than before."""
    named = [words.known(f"twin.{part}", words.known(f"field.{part}", part)) for part in parts]
    return words("timeline.parts", parts=words("audit.and_short").join(named)) if named else None


def _command(words: Words, _names: Names, event: Event) -> widgets.Event:
    known, when = event.detail, words.minute(event.at)
    name = words.known(f"command.{known['command']}", known["command"])
    if event.what == "asked":
        return widgets.Event("sent", words("timeline.by", who=known["who"], what=name), when)
    reason = known["reason"] and words.known(f"command.reason_{known['reason']}", known["reason"])
    state = words.known(f"command.state_{event.what}", event.what)
    return widgets.Event(event.what, words("timeline.ended", command=name, state=state), when, reason)


def _alarm(words: Words, _names: Names, event: Event) -> widgets.Event:
    """The alarm's name leads to the alarm."""
    known = event.detail
    name = words.either(known["name"], known["name_en"])
    said = words(f"timeline.alarm_{event.what}", name=name, who=known["who"] or "")
    state = saying.SYMBOLS[known["severity"]] if event.what in RAISED else ALARM_STATES[event.what]
    title = link(f"/alarms/{known['id']}", said, class_="rl-quiet")
    return widgets.Event(state, title, words.minute(event.at), _alarm_explained(words, event))


def _alarm_explained(words: Words, event: Event) -> Content:
    known = event.detail
    if event.what == "cleared":
        return words.maybe(f"alarm.why_{known['why']}")
    if event.what == "grouped" and known["into"]:
        return link(f"/alarms/{known['into']}", words("timeline.alarm_larger"))
    if event.what not in RAISED:
        return None
    parts = [words(f"alarm.{known['severity']}")]
    if known["metric"] and known["value"] is not None and known["kind"] in {RuleKind.THRESHOLD, RuleKind.RATE}:
        parts.append(metric_words.reading(words, known["metric"], known["value"]))
    if (known["members"] or 1) > 1:
        parts.append(words("alarm.terminals", n=known["members"]))
    return " · ".join(parts)


def _mark(words: Words, _names: Names, event: Event) -> widgets.Event:
    if event.what == "quarantine":
        when = words.span(event.at, from_us(event.detail["until"]))
        return widgets.Event("warn", words("timeline.quarantine", n=event.detail["count"]), _day(words, event, when))
    said = words.known(f"mark.{event.what}", event.what)
    return widgets.Event("warn", said[:1].upper() + said[1:], words.minute(event.at))


def _check_in(words: Words, _names: Names, event: Event) -> widgets.Event:
    known = event.detail
    when = _day(words, event, words.span(event.at, from_us(known["until"])))
    others = known["count"] - known["heads"]
    explained = words("timeline.others", n=others) if others else None
    return widgets.Event("linked", words("timeline.check_ins", n=known["heads"]), when, explained)


def _day(words: Words, event: Event, span: str) -> str:
    """A span of hours, with the day before it when it is not today."""
    return words.minute(event.at).replace(words.hour(event.at), span)


def _audit(words: Words, names: Names, event: Event) -> widgets.Event:
    action = words.known(f"action.{event.what}", words("audit.other"))
    title = words("timeline.by", who=naming.who(words, event.row), what=action)
    return widgets.Event("info", title, words.minute(event.at), naming.detail(words, event.row, names) or None)


_TELLING: Final[Mapping[Sort, Callable[[Words, Names, Event], widgets.Event]]] = {
    Sort.CONNECTION: _connection,
    Sort.ALARM: _alarm,
    Sort.TWIN: _twin,
    Sort.COMMAND: _command,
    Sort.MARK: _mark,
    Sort.CHECK_IN: _check_in,
    Sort.AUDIT: _audit,
}
