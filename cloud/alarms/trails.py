"""Earlier values of a metric, by which a rate or a trend is judged. Pure.

Promises at most POINTS values for each terminal and rule, and no verdict from too short a time.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from cloud.alarms.rules import SECOND_US, Compare, Rule, RuleKind

POINTS: Final = 25
HOUR_US: Final = 3_600 * SECOND_US
DAY_US: Final = 24 * HOUR_US
NEVER_DAYS: Final = 10_000.0
"""In the place of the days left where nothing leads to the level."""


class Span(NamedTuple):
    """How far apart the points of a rule are, how far back they reach, and from which length on they say something."""

    apart_us: int
    back_us: int
    least_us: int


SPANS: Final = {
    RuleKind.RATE: Span(150 * SECOND_US, HOUR_US, HOUR_US // 6),
    RuleKind.TREND: Span(3 * HOUR_US, 3 * DAY_US, 12 * HOUR_US),
}

Trail = Sequence[tuple[int, float]]
"""Time and value, in order."""


def is_due(rule: Rule, last_at: int | None, at: int) -> bool:
    """Whether a value is far enough from the last one kept."""
    return last_at is None or at - last_at >= SPANS[rule.kind].apart_us


def extended(rule: Rule, trail: Trail, at: int, value: float) -> Trail:
    """With the new value, and without what is too old."""
    since_at = at - SPANS[rule.kind].back_us
    kept = [point for point in trail if since_at <= point[0] < at]
    return [*kept[-(POINTS - 1) :], (at, value)]


def written(trail: Trail) -> str:
    """As it is kept."""
    return json.dumps(trail, separators=(",", ":"))


def judge(rule: Rule, trail: Trail) -> float | None:
    """The increase of a counter in an hour, or the days until a gauge is at its level; None from too short a time."""
    if len(trail) < 2 or trail[-1][0] - trail[0][0] < SPANS[rule.kind].least_us:
        return None
    return _per_hour(trail) if rule.kind is RuleKind.RATE else _days_left(rule, trail)


def _per_hour(trail: Trail) -> float:
    """A counter that falls began anew at 0."""
    grown = sum(after - before if after >= before else after for (_, before), (_, after) in pairwise(trail))
    return round(grown * HOUR_US / (trail[-1][0] - trail[0][0]), 3)


def _days_left(rule: Rule, trail: Trail) -> float:
    """By the line of least squares through the points, from its end."""
    last_at = trail[-1][0]
    days = [(at - last_at) / DAY_US for at, _ in trail]
    mean_day, mean = sum(days) / len(days), sum(value for _, value in trail) / len(trail)
    spread = sum((day - mean_day) ** 2 for day in days)
    slope = sum((day - mean_day) * (value - mean) for day, (_, value) in zip(days, trail, strict=True)) / spread
    end = mean - slope * mean_day
    left = (rule.level - end) * (1 if rule.compare is Compare.ABOVE else -1)
    toward = slope * (1 if rule.compare is Compare.ABOVE else -1)
    if left <= 0:
        return 0.0
    return round(min(left / toward, NEVER_DAYS), 1) if toward > 0 else NEVER_DAYS
