"""Applies observations to the conditions of all rules. Pure: what is read before and written after is the caller's part.

Promises that only what an observation changes is marked as changed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from cloud.alarms.rules import CLOUD, SAMPLED, Condition, Place, Rule, RuleKind, step

Key = tuple[str, str]
"""Rule and terminal."""


class Sample(NamedTuple):
    """One health sample: its effective time, when it came in, and what was measured."""

    terminal: str
    at: int
    received_at: int
    metrics: Mapping[str, float]


class Holding(NamedTuple):
    """That something is so now for a terminal, since when, and how much where there is a number."""

    since_at: int
    value: float | None = None


class Judging:
    """The conditions as they were and as they become. `changed` holds the keys of those that differ."""

    def __init__(self, rules: Iterable[Rule], places: Mapping[str, Place], conditions: Mapping[Key, Condition]) -> None:
        self.rules = {rule.id: rule for rule in rules}
        self.places = places
        self.changed: set[Key] = set()
        self._by_rule: dict[str, dict[str, Condition]] = {}
        for (rule_id, terminal), condition in conditions.items():
            self._by_rule.setdefault(rule_id, {})[terminal] = condition
        self._about: dict[tuple[str, str, str], list[Rule]] = {}

    def drop_foreign(self) -> None:
        """End the conditions of rules that are gone and of terminals that they are not about any more."""
        for key, _ in list(self.items()):
            rule, place = self.rules.get(key[0]), self.place(key[1])
            if rule is None or place is None or not rule.is_about(place):
                self._put(key, None)

    def place(self, terminal: str) -> Place | None:
        """Where it stands; None for one that is not registered or not in service."""
        return self.places.get(terminal) if terminal else CLOUD

    def sample(self, sample: Sample) -> None:
        """What a health sample says of all thresholds."""
        for rule in self.about(sample.terminal):
            if rule.kind is not RuleKind.THRESHOLD:
                continue
            value = rule.value_of(sample.metrics)
            if value is not None:
                self.measured(rule, sample.terminal, sample.at, value)

    def measured(self, rule: Rule, terminal: str, at: int, value: float) -> None:
        """A value of a sampled rule; for rates the rate, for trends the days that are left."""
        condition = self.get(rule.id, terminal)
        holds = rule.is_wrong(value, active=condition is not None and condition.active)
        if holds or condition is not None:
            self._put((rule.id, terminal), step(rule, condition, at, holds=holds, value=value))

    def look(self, rule: Rule, holding: Mapping[str, Holding], at: int) -> None:
        """What is so now, of all terminals for which it is so."""
        known = self._by_rule.get(rule.id, {})
        for terminal, found in holding.items():
            place = self.place(terminal)
            if place is None or not rule.is_about(place):
                continue
            before = known.get(terminal)
            if before is not None and rule.kind is RuleKind.NOTHING_STORED and found.since_at > before.since_at:
                before = None  # something was stored in between: it began anew
            after = step(rule, before, at, holds=True, value=found.value, since_at=found.since_at)
            self._put_seen((rule.id, terminal), before, after)
        for terminal in [each for each in known if each not in holding]:
            self._put_seen((rule.id, terminal), known[terminal], step(rule, known[terminal], at, holds=False))

    def about(self, terminal: str) -> list[Rule]:
        """The sampled rules that are about a terminal."""
        place = self.place(terminal)
        if place is None:
            return []
        key = (place.kind, place.room_id, place.path)
        if key not in self._about:
            self._about[key] = [rule for rule in self.rules.values() if rule.kind in SAMPLED and rule.is_about(place)]
        return self._about[key]

    def get(self, rule_id: str, terminal: str) -> Condition | None:
        """The condition now."""
        return self._by_rule.get(rule_id, {}).get(terminal)

    def items(self) -> Iterable[tuple[Key, Condition]]:
        """All that hold."""
        for rule_id, found in self._by_rule.items():
            for terminal, condition in found.items():
                yield (rule_id, terminal), condition

    def _put_seen(self, key: Key, before: Condition | None, after: Condition | None) -> None:
        """That it was only looked at once more is not kept: it would be written for every terminal at every look."""
        if before is None or after is None or replace(after, seen_at=before.seen_at) != before:
            self._put(key, after)

    def _put(self, key: Key, condition: Condition | None) -> None:
        rule_id, terminal = key
        known = self._by_rule.setdefault(rule_id, {})
        if known.get(terminal) == condition:
            return
        self.changed.add(key)
        if condition is None:
            known.pop(terminal, None)
        else:
            known[terminal] = condition
