"""Console: how a metric, a value of it, and a rule about it are said, in short words of the console's own.

Promises a plain sentence for every metric of a profile; one that is newer than the catalogues goes by its profile's name.
Called by `saying`, the form of a rule and the timeline.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from cloud.alarms.measures import is_switch, metrics
from cloud.alarms.rules import Compare
from cloud.console.words import Language, Words

UNITS: Final[Mapping[Language, Mapping[str, str]]] = {
    Language.ENGLISH: {"1": "", "Cel": "°C", "By": "B", "1/s": "frames/s", "dB[mW]": "dBm"},
    Language.CHINESE: {"1": "", "Cel": "℃", "By": "字节", "1/s": "帧/秒", "dB[mW]": "dBm", "s": "秒", "ms": "毫秒"},
}
"""UCUM symbols that people write otherwise."""
ONE_OF: Final[Mapping[str, str]] = {"frames/s": "frame/s"}
SIZES: Final[Mapping[str, int]] = {"GiB": 1024**3, "MiB": 1024**2}
AS_SPAN_S: Final = 120.0
"""From here on seconds are said as people say a span."""


def noun(words: Words, name: str) -> str:
    """What the metric is called within a sentence."""
    found = metrics().get(name)
    profile = name if found is None else found.zh if words.language is Language.CHINESE else found.en
    return words.known(f"measured.{name}", profile)


def option(words: Words, name: str) -> str:
    """The metric in a choice, with what a level of it is counted in."""
    said = noun(words, name)
    said = said[:1].upper() + said[1:]
    if is_switch(name):
        return words("alarm_rule.option_switch", metric=said)
    unit = _unit(words, name)
    return words("alarm_rule.option", metric=said, unit=unit) if unit else said


def value(words: Words, name: str | None, number: float) -> str:
    """A value with the unit of its metric."""
    found = metrics().get(name or "")
    if found is not None and found.unit == "By":
        for size, of in SIZES.items():
            if abs(number) >= of:
                return f"{words.number(round(number / of, 1))} {size}"
    if found is not None and found.unit == "s" and number >= AS_SPAN_S:
        return words.duration(timedelta(seconds=number))
    unit = _unit(words, name or "")
    return f"{words.number(round(number, 2))} {ONE_OF.get(unit, unit) if number == 1 else unit}".rstrip()


def reading(words: Words, name: str, number: float) -> str:
    """A metric and its value; of one that is 1 or 0, what that means."""
    said = words.maybe(f"measured_{'yes' if number else 'no'}.{name}") if is_switch(name) else None
    return said or f"{noun(words, name)} {value(words, name, number)}"


def threshold(words: Words, name: str, compare: Compare, level: float) -> str:
    """The metric beyond the level."""
    said = _switched(words, name, compare, level)
    if said is not None:
        return said
    found = metrics().get(name)
    if compare is Compare.BEYOND and found is not None and found.low >= 0:
        compare = Compare.ABOVE
    shown = value(words, name, level)
    said = words.maybe(f"measured_{compare}.{name}", level=shown)
    return said or words(f"alarm_rule.says_{compare}", metric=noun(words, name), level=shown)


def rate(words: Words, name: str, compare: Compare, level: float) -> str:
    """The increase of the counter in an hour beyond the level."""
    return words(f"alarm_rule.says_rate_{compare}", metric=noun(words, name), level=value(words, name, level))


def trend(words: Words, name: str, compare: Compare, level: float, days: float) -> str:
    """The metric at the level within so many days."""
    within = {"n": days, "days": words.number(days)}
    switched = _switched(words, name, compare, level)
    if switched is not None:
        return words("alarm_rule.says_trend_switch", what=switched, **within)
    end = _end(name, compare, level)
    said = words.maybe(f"measured_at_{end}.{name}", **within) if end else None
    return said or words("alarm_rule.says_trend", metric=noun(words, name), level=value(words, name, level), **within)


def _switched(words: Words, name: str, compare: Compare, level: float) -> str | None:
    """What is so when a metric that is 1 or 0 is beyond the level; None for another, and for a level that neither is beyond."""
    if not is_switch(name):
        return None
    if compare is Compare.BELOW:
        return words.maybe(f"measured_no.{name}") if level > 0 else None
    return words.maybe(f"measured_yes.{name}") if level < 1 else None


def _end(name: str, compare: Compare, level: float) -> str | None:
    """At which end of what the metric can be the level lies: where there is a word of its own for it, as for a full disk."""
    found = metrics().get(name)
    if found is None:
        return None
    if compare is Compare.BELOW:
        return "low" if level <= found.low else None
    return "high" if level >= found.high else None


def _unit(words: Words, name: str) -> str:
    found = metrics().get(name)
    return "" if found is None else UNITS[words.language].get(found.unit, found.unit)
