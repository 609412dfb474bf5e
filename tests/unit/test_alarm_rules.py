"""What is known of a condition after each history of observations: durations, hysteresis, flapping, order. Pure."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.alarms.judging import Holding, Judging, Sample
from cloud.alarms.rules import CLOUD, SECOND_US, Compare, Condition, Place, Rule, RuleKind, Severity, step
from cloud.alarms.trails import HOUR_US, NEVER_DAYS, POINTS, extended, is_due, judge

HOT = Rule("alr_1", 1, RuleKind.THRESHOLD, Severity.WARNING, metric="temperature_c", level=80, clear_level=75, for_s=60)
SLOW = Rule(
    "alr_2", 1, RuleKind.THRESHOLD, Severity.WARNING, metric="temperature_c", level=80, clear_level=75, clear_for_s=60
)
LOW = Rule(
    "alr_3", 1, RuleKind.THRESHOLD, Severity.INFO, metric="camera_fps", compare=Compare.BELOW, level=1, clear_level=5
)
OFF = Rule(
    "alr_4",
    1,
    RuleKind.THRESHOLD,
    Severity.INFO,
    metric="clock_offset_ms",
    compare=Compare.BEYOND,
    level=50,
    clear_level=9,
)
GONE = Rule("alr_5", 1, RuleKind.ABSENCE, Severity.CRITICAL, for_s=300)
RULES = (HOT, SLOW, LOW, OFF)
PLACES = {
    name: Place(name, "kiosk", f"rm_{name[-1]}", "org_1", "/org_1/") for name in ("kiosk-1", "kiosk-2", "kiosk-3")
}

History = Sequence[tuple[int, float]]
"""Seconds and value."""


def after(rule: Rule, history: History) -> Condition | None:
    condition = None
    for at_s, value in history:
        holds = rule.is_wrong(value, active=condition is not None and condition.active)
        condition = step(rule, condition, at_s * SECOND_US, holds=holds, value=value)
    return condition


def standing(condition: Condition | None) -> str:
    if condition is None:
        return "clear"
    if not condition.active:
        return "pending"
    return "active" if condition.well_since_at is None else "clearing"


@pytest.mark.parametrize(
    ("rule", "history", "expected"),
    [
        (HOT, [], "clear"),
        (HOT, [(0, 80)], "clear"),  # at the level is not beyond it
        (HOT, [(0, 81)], "pending"),
        (HOT, [(0, 81), (59, 90)], "pending"),
        (HOT, [(0, 81), (60, 90)], "active"),
        (HOT, [(0, 81), (30, 79), (60, 90)], "pending"),  # flapped below the level: it begins anew
        (HOT, [(0, 81), (30, 77), (31, 90), (90, 90)], "pending"),  # the clear level counts only once it is active
        (HOT, [(0, 81), (60, 81), (90, 76)], "active"),  # not back behind the clear level
        (HOT, [(0, 81), (60, 81), (90, 75)], "clear"),
        (HOT, [(0, 81), (60, 81), (90, 75), (91, 81)], "pending"),
        (SLOW, [(0, 81)], "active"),  # no duration
        (SLOW, [(0, 81), (10, 20)], "clearing"),
        (SLOW, [(0, 81), (10, 20), (69, 20)], "clearing"),
        (SLOW, [(0, 81), (10, 20), (70, 20)], "clear"),
        (SLOW, [(0, 81), (10, 20), (40, 81), (80, 20)], "clearing"),  # flapped: being well begins anew
        (LOW, [(0, 0)], "active"),
        (LOW, [(0, 0), (10, 3)], "active"),
        (LOW, [(0, 0), (10, 5)], "clear"),
        (OFF, [(0, -51)], "active"),
        (OFF, [(0, 51), (5, -51)], "active"),
        (OFF, [(0, -51), (5, 0)], "clear"),
    ],
)
def test_history_leads_to(rule: Rule, history: History, expected: str) -> None:
    assert standing(after(rule, history)) == expected


def test_a_condition_keeps_since_when_it_holds_and_its_newest_value() -> None:
    assert after(HOT, [(7, 81), (70, 90), (80, 77)]) == Condition(7 * SECOND_US, True, None, 77, 80 * SECOND_US)


def test_an_older_observation_changes_nothing() -> None:
    before = after(HOT, [(0, 81), (60, 90)])
    assert step(HOT, before, 59 * SECOND_US, holds=False, value=1) == before


def test_the_same_observation_twice_is_the_same_as_once() -> None:
    for rule, history in itertools.product((HOT, SLOW), ([(0, 81), (60, 90)], [(0, 81), (60, 90), (90, 20)])):
        assert after(rule, [each for each in history for _ in range(2)]) == after(rule, history)


def test_what_is_learnt_later_about_an_earlier_beginning_counts_and_a_later_one_does_not() -> None:
    seen = step(GONE, None, 400 * SECOND_US, holds=True)
    assert seen == Condition(400 * SECOND_US, False, None, None, 400 * SECOND_US)
    earlier = step(GONE, seen, 410 * SECOND_US, holds=True, since_at=100 * SECOND_US)
    assert earlier == Condition(100 * SECOND_US, True, None, None, 410 * SECOND_US)
    later = step(GONE, earlier, 420 * SECOND_US, holds=True, since_at=415 * SECOND_US)
    assert later == Condition(100 * SECOND_US, True, None, None, 420 * SECOND_US)


def test_an_absence_counts_from_when_the_terminal_went_and_not_from_when_somebody_looked() -> None:
    judging = Judging([GONE], PLACES, {})
    judging.look(GONE, {"kiosk-1": Holding(0)}, 300 * SECOND_US)
    condition = judging.get(GONE.id, "kiosk-1")
    assert condition is not None
    assert condition.active
    judging.look(GONE, {}, 301 * SECOND_US)
    assert judging.get(GONE.id, "kiosk-1") is None


def test_a_look_that_finds_the_same_changes_nothing() -> None:
    judging = Judging([GONE], PLACES, {})
    for second in (1, 2, 3):
        judging.look(GONE, {"kiosk-1": Holding(0)}, second * SECOND_US)
        assert bool(judging.changed) == (second == 1)
        judging.changed.clear()


def test_while_it_is_well_but_not_for_long_enough_a_look_changes_nothing() -> None:
    rule = replace(GONE, clear_for_s=60)
    judging = Judging([rule], PLACES, {})
    judging.look(rule, {"kiosk-1": Holding(0)}, 300 * SECOND_US)
    judging.changed.clear()
    for second in (301, 303, 359):
        judging.look(rule, {}, second * SECOND_US)
        assert bool(judging.changed) == (second == 301)
        judging.changed.clear()
    judging.look(rule, {}, 361 * SECOND_US)
    assert judging.get(rule.id, "kiosk-1") is None


@pytest.mark.parametrize(
    ("rule", "place", "about"),
    [
        (HOT, PLACES["kiosk-1"], True),
        (Rule("r", 1, RuleKind.ABSENCE, Severity.INFO, path="/org_1/"), PLACES["kiosk-1"], True),
        (Rule("r", 1, RuleKind.ABSENCE, Severity.INFO, path="/org_1/org_2/"), PLACES["kiosk-1"], False),
        (Rule("r", 1, RuleKind.ABSENCE, Severity.INFO, path="/org_1/"), Place("tv-1", "tv", "", "", ""), False),
        (Rule("r", 1, RuleKind.ABSENCE, Severity.INFO, room_id="rm_1"), PLACES["kiosk-1"], True),
        (Rule("r", 1, RuleKind.ABSENCE, Severity.INFO, room_id="rm_1"), PLACES["kiosk-2"], False),
        (Rule("r", 1, RuleKind.ABSENCE, Severity.INFO, terminal_kind="tv"), PLACES["kiosk-1"], False),
        (Rule("r", 1, RuleKind.REVOCATION_LIST, Severity.INFO), PLACES["kiosk-1"], False),
        (Rule("r", 1, RuleKind.REVOCATION_LIST, Severity.INFO), CLOUD, True),
        (HOT, CLOUD, False),
    ],
)
def test_a_rule_is_about(rule: Rule, place: Place, about: bool) -> None:
    assert rule.is_about(place) is about


def test_what_a_rule_is_not_about_any_more_is_dropped() -> None:
    condition = Condition(0, True, None, 90, 0)
    keys = [(HOT.id, "kiosk-1"), (HOT.id, "kiosk-9"), ("alr_9", "kiosk-1")]
    judging = Judging([HOT], PLACES, dict.fromkeys(keys, condition))
    judging.drop_foreign()
    assert [key for key, _ in judging.items()] == keys[:1]
    assert judging.changed == set(keys[1:])


def test_an_empty_outbox_has_no_age_which_is_as_good_as_none() -> None:
    rule = Rule("r", 1, RuleKind.THRESHOLD, Severity.INFO, metric="outbox_age_s", level=60)
    assert rule.value_of({"outbox_depth": 0.0}) == 0.0
    assert rule.value_of({"outbox_depth": 1.0}) is None
    assert rule.value_of({"outbox_depth": 1.0, "outbox_age_s": 70.0}) == 70.0


# --- properties ------------------------------------------------------------------------------------------------------

Steps = list[tuple[str, int, float]]
steps = st.lists(
    st.tuples(st.sampled_from(sorted(PLACES)), st.integers(1, 40), st.sampled_from([0.0, 60.0, 77.0, 90.0, -60.0])),
    max_size=40,
)


def samples_of(history: Steps) -> list[Sample]:
    """Each terminal's samples are apart by so many seconds."""
    at: dict[str, int] = {}
    made = []
    for terminal, gap_s, value in history:
        at[terminal] = at.get(terminal, 0) + gap_s * SECOND_US
        metrics: Mapping[str, float] = {"temperature_c": value, "camera_fps": value, "clock_offset_ms": value}
        made.append(Sample(terminal, at[terminal], at[terminal], metrics))
    return made


def judged(
    samples: Sequence[Sample], rules: Sequence[Rule], cuts: Sequence[int] = ()
) -> dict[tuple[str, str], Condition]:
    """What is known after all of them, in turns that end at `cuts`, each of which knows only what the one before kept."""
    known: dict[tuple[str, str], Condition] = {}
    ends = sorted({*(cut % (len(samples) + 1) for cut in cuts), len(samples)})
    begin = 0
    for end in ends:
        judging = Judging(rules, PLACES, known)
        for sample in samples[begin:end]:
            judging.sample(sample)
        known, begin = dict(judging.items()), end
    return known


@given(steps, st.permutations(RULES), st.lists(st.integers(0, 40), max_size=5))
def test_neither_the_order_of_rules_nor_turns_nor_restarts_change_the_result(
    history: Steps, rules: list[Rule], cuts: list[int]
) -> None:
    samples = samples_of(history)
    assert judged(samples, rules, cuts) == judged(samples, RULES)


@given(steps)
def test_the_order_of_terminals_does_not_change_the_result(history: Steps) -> None:
    samples = samples_of(history)
    assert judged(sorted(samples, key=lambda each: each.terminal), RULES) == judged(samples, RULES)


@given(steps)
def test_it_is_active_only_after_its_duration_and_clears_only_after_it_was_active(history: Steps) -> None:
    judging = Judging(RULES, PLACES, {})
    was: dict[tuple[str, str], Condition] = {}
    for sample in samples_of(history):
        judging.sample(sample)
        now = dict(judging.items())
        for key, condition in now.items():
            rule = judging.rules[key[0]]
            if condition.active:
                before = was.get(key)
                assert (
                    before is not None and before.active
                ) or sample.at - condition.since_at >= rule.for_s * SECOND_US
            if condition.well_since_at is not None:
                assert was[key].active
        was = now


# --- rates and trends ------------------------------------------------------------------------------------------------

RATE = Rule("alr_6", 1, RuleKind.RATE, Severity.INFO, metric="uptime_s", level=10)
TREND = Rule(
    "alr_7", 1, RuleKind.TREND, Severity.INFO, metric="disk_free_bytes", compare=Compare.BELOW, level=0, days=7
)
RISING = Rule("alr_8", 1, RuleKind.TREND, Severity.INFO, metric="disk_percent", level=100, days=7)


def line(hours: int, start: float, per_hour: float) -> list[tuple[int, float]]:
    return [(hour * HOUR_US, start + hour * per_hour) for hour in range(0, hours + 1, 3)]


@pytest.mark.parametrize(
    ("rule", "trail", "expected"),
    [
        (RATE, [(0, 0.0), (HOUR_US // 2, 10.0)], 20.0),
        (RATE, [(0, 100.0), (HOUR_US // 2, 4.0), (HOUR_US, 10.0)], 10.0),  # it began anew in between
        (RATE, [(0, 0.0), (HOUR_US // 10, 10.0)], None),  # from too short a time
        (TREND, line(48, 1000, -10), (1000 - 480) / 240),
        (TREND, line(6, 1000, -10), None),
        (TREND, line(48, 1000, 10), NEVER_DAYS),
        (TREND, line(48, 1000, 0), NEVER_DAYS),
        (TREND, line(48, 400, -10), 0.0),
        (RISING, line(24, 50, 1), (100 - 74) / 24),
        (RISING, line(24, 50, -1), NEVER_DAYS),
    ],
)
def test_a_trail_is_judged(rule: Rule, trail: list[tuple[int, float]], expected: float | None) -> None:
    found = judge(rule, trail)
    assert found == (None if expected is None else pytest.approx(expected, abs=0.06))


def test_a_trend_clears_only_with_half_as_many_days_again() -> None:
    assert TREND.is_wrong(6.9, active=False)
    assert TREND.is_wrong(10.4, active=True)
    assert not TREND.is_wrong(10.5, active=True)


@given(st.lists(st.integers(1, 20), max_size=80))
def test_a_trail_is_bounded_in_number_and_time(gaps_h: list[int]) -> None:
    trail: Sequence[tuple[int, float]] = []
    at = 0
    for gap in gaps_h:
        at += gap * HOUR_US
        if is_due(TREND, trail[-1][0] if trail else None, at):
            trail = extended(TREND, trail, at, 1.0)
    assert len(trail) <= POINTS
    assert not trail or trail[-1][0] - trail[0][0] <= 72 * HOUR_US


def test_what_is_stored_in_between_begins_anew() -> None:
    rule = Rule("alr_9", 1, RuleKind.NOTHING_STORED, Severity.INFO, for_s=900)
    judging = Judging([rule], PLACES, {})
    for at_s in (300, 600, 900, 1200):
        judging.look(rule, {"kiosk-1": Holding((at_s - 200) * SECOND_US)}, at_s * SECOND_US)
    condition = judging.get(rule.id, "kiosk-1")
    assert condition is not None
    assert (condition.since_at, condition.active) == (1000 * SECOND_US, False)
