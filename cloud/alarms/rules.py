"""What a rule asks, and what is known of its condition from one observation to the next. Pure.

Promises that durations are counted between observations and from stored times, never from when somebody looked: the same
observations give the same result in however many turns, in whatever order of terminals and rules, and after a restart.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

SECOND_US: Final = 1_000_000
TREND_CLEARS: Final = 1.5
"""A trend is well again when there are so many times the days left that it was raised at."""


class RuleKind(StrEnum):
    """What a rule looks at."""

    THRESHOLD = "threshold"
    ABSENCE = "absence"
    RATE = "rate"
    TREND = "trend"
    VERSION = "version"
    NOTHING_STORED = "nothing_stored"
    MARK = "mark"
    REVOCATION_LIST = "revocation_list"


class Severity(StrEnum):
    """How soon a hand is needed: now, today, some time."""

    CRITICAL = "critical"
    WARNING = "warning"
    INFO = "info"


class Compare(StrEnum):
    """On which side of the level it is wrong; `beyond` looks at the value without its sign."""

    ABOVE = "above"
    BELOW = "below"
    BEYOND = "beyond"


SAMPLED: Final = frozenset({RuleKind.THRESHOLD, RuleKind.RATE, RuleKind.TREND})
"""Judged when a health sample comes; the others by what is so now."""


@dataclass(frozen=True, slots=True)
class Place:
    """A terminal, and where it stands; `path` is its organisation's, empty without a room."""

    terminal: str
    kind: str
    room_id: str
    organisation_id: str
    path: str
    health_every_s: float = 60.0


CLOUD: Final = Place("", "", "", "", "")
"""What is wrong with the cloud itself is found at the terminal without a name."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as the evaluator needs it. `path` is that of its organisation, empty for any."""

    id: str
    version: int
    kind: RuleKind
    severity: Severity
    path: str = ""
    room_id: str = ""
    terminal_kind: str = ""
    metric: str = ""
    compare: Compare = Compare.ABOVE
    level: float = 0.0
    clear_level: float = 0.0
    for_s: int = 0
    clear_for_s: int = 0
    days: float = 0.0
    wanted: str = ""
    mark: str = ""

    def is_about(self, place: Place) -> bool:
        """Whether it is about the terminal there."""
        if self.kind is RuleKind.REVOCATION_LIST or not place.terminal:
            return self.kind is RuleKind.REVOCATION_LIST and not place.terminal
        return (
            (not self.terminal_kind or self.terminal_kind == place.kind)
            and (not self.room_id or self.room_id == place.room_id)
            and place.path.startswith(self.path)
        )

    def value_of(self, metrics: Mapping[str, float]) -> float | None:
        """Its metric in a sample. An outbox without records has no age, which is as good as none."""
        value = metrics.get(self.metric)
        if value is None and self.metric == "outbox_age_s" and metrics.get("outbox_depth") == 0:
            return 0.0
        return value

    def is_wrong(self, value: float, *, active: bool) -> bool:
        """Whether the value is beyond the level; of an active condition, whether it is not back behind the clear level.

        Of a rate it is the increase in an hour, of a trend the days that are left.
        """
        if self.kind is RuleKind.TREND:
            return value < (TREND_CLEARS * self.days if active else self.days)
        level = self.clear_level if active else self.level
        if self.compare is Compare.BELOW:
            return value < level
        return (abs(value) if self.compare is Compare.BEYOND else value) > level


@dataclass(frozen=True, slots=True)
class Condition:
    """A rule's condition that holds for a terminal: since when, whether for long enough, and when it was last looked at.

    `well_since_at`: it was active and does not hold any more, but not for long enough yet. Times in microseconds.
    """

    since_at: int
    active: bool
    well_since_at: int | None
    value: float | None
    seen_at: int


def step(
    rule: Rule, condition: Condition | None, at: int, *, holds: bool, value: float | None = None, since_at: int | None = None
) -> Condition | None:  # fmt: skip
    """What is known after an observation at `at`; one that is older than the last changes nothing.

    `since_at` is when it began to hold, where that is known better than from the first observation.
    """
    if condition is not None and at < condition.seen_at:
        return condition
    if holds:
        return _worse(rule, condition, at, value, at if since_at is None else min(at, since_at))
    if condition is None or not condition.active:
        return None
    well_since_at = at if condition.well_since_at is None else condition.well_since_at
    if at - well_since_at >= rule.clear_for_s * SECOND_US:
        return None
    return replace(condition, well_since_at=well_since_at, value=value, seen_at=at)


def _worse(rule: Rule, condition: Condition | None, at: int, value: float | None, since_at: int) -> Condition:
    if condition is not None:
        since_at = min(since_at, condition.since_at)
    active = (condition is not None and condition.active) or at - since_at >= rule.for_s * SECOND_US
    return Condition(since_at, active, None, value, at)
