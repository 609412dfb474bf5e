"""What a receiver is told of an alarm, by tables: whom it concerns, events, steps of escalation, and whether still. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from cloud.alarms.events import EventKind
from cloud.alarms.grouping import Reach
from cloud.alarms.rules import Severity
from cloud.alarms.standing import Standing
from cloud.notifications.deciding import SETTLES, Listener, State, Told, Verdict, What, is_escalated, judge, on_event
from cloud.notifications.failures import GROWS, LONGEST_ASKED, MOST_ATTEMPTS, pause
from cloud.notifications.quiet import Quiet, Weekday

NOW = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)  # 23:00 in Shanghai
MINUTE = timedelta(minutes=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")
ALARM = Standing(
    "alm_1", "alr_1", "终端离线", "Terminal offline", "", "", Severity.WARNING, Reach.TERMINAL, "kiosk-1", "rm_1", 1,
    NOW - 30 * MINUTE, NOW - 20 * MINUTE, 1, paths=("/org_a/org_b/",),
)  # fmt: skip
CLEARED = replace(ALARM, cleared_at=NOW - MINUTE, cleared_why="well")
DESK = Listener(
    "rcv_desk", "/", Severity.WARNING, frozenset(), frozenset({What.RAISED, What.REOPENED, What.CLEARED}), timedelta(),
    NOW - timedelta(days=1), SHANGHAI,
)  # fmt: skip
CHIEF = replace(DESK, id="rcv_chief", after=15 * MINUTE)
BRANCH, ELSEWHERE = replace(DESK, path="/org_a/"), replace(CLEARED, paths=("/org_c/",))
NIGHT = Quiet(SHANGHAI, time(22), time(7), frozenset(Weekday))
MORNING = datetime(2026, 11, 27, 23, 0, tzinfo=UTC)


def told(what: What, state: State = State.DELIVERED, receiver: str = "rcv_desk", **more: object) -> Told:
    return replace(Told(1, receiver, what, state), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("listener", "alarm", "concerned"),
    [
        (DESK, ALARM, True),
        (replace(DESK, severity=Severity.CRITICAL), ALARM, False),
        (replace(DESK, severity=Severity.INFO), ALARM, True),
        (replace(DESK, rule_ids=frozenset({"alr_2"})), ALARM, False),
        (replace(DESK, rule_ids=frozenset({"alr_1", "alr_2"})), ALARM, True),
        (replace(DESK, path="/org_a/"), ALARM, True),
        (replace(DESK, path="/org_c/"), ALARM, False),
        (DESK, replace(ALARM, paths=(), reach=Reach.CLOUD), True),
        (replace(DESK, path="/org_a/"), replace(ALARM, paths=(), reach=Reach.CLOUD), False),
    ],
)
def test_an_alarm_concerns_those_of_its_branch_severity_and_rule(
    listener: Listener, alarm: Standing, concerned: bool
) -> None:
    assert listener.is_about(alarm) is concerned
    adding = on_event(EventKind.RAISED, 7, NOW, alarm, [listener], []).adding
    assert [each.what for each in adding] == [What.RAISED] * concerned


@pytest.mark.parametrize(
    ("kind", "listener", "alarm", "before", "expected"),
    [
        (EventKind.RAISED, DESK, ALARM, [], [What.RAISED]),
        (EventKind.RAISED, CHIEF, ALARM, [], []),  # a step is told by how the alarm stands
        (EventKind.RAISED, replace(DESK, what=frozenset({What.CLEARED})), ALARM, [], []),
        (EventKind.RAISED, replace(DESK, since_at=NOW + MINUTE), ALARM, [], []),
        (EventKind.REOPENED, DESK, ALARM, [], [What.REOPENED]),
        (EventKind.REOPENED, DESK, ALARM, [told(What.RAISED), told(What.CLEARED)], [What.REOPENED]),
        (EventKind.GREW, DESK, ALARM, [told(What.RAISED)], []),
        (EventKind.GREW, replace(DESK, what=frozenset(What)), ALARM, [told(What.RAISED)], [What.GREW]),
        (EventKind.CLEARED, DESK, CLEARED, [told(What.RAISED)], [What.CLEARED]),
        (EventKind.CLEARED, DESK, CLEARED, [], []),  # it never heard of it
        (EventKind.CLEARED, DESK, CLEARED, [told(What.RAISED, State.DROPPED)], []),
        (EventKind.CLEARED, DESK, CLEARED, [told(What.RAISED, State.DEAD)], []),
        (EventKind.CLEARED, DESK, CLEARED, [told(What.RAISED, receiver="rcv_other")], []),
        (EventKind.CLEARED, CHIEF, CLEARED, [told(What.ESCALATED, receiver="rcv_chief")], [What.CLEARED]),
        (EventKind.ACKNOWLEDGED, DESK, ALARM, [told(What.RAISED)], []),
        (EventKind.ACKNOWLEDGED, replace(DESK, what=frozenset(What)), ALARM, [told(What.RAISED)], [What.ACKNOWLEDGED]),
        (EventKind.CLEARED, BRANCH, ELSEWHERE, [told(What.RAISED)], [What.CLEARED]),  # its terminal was moved away
        (EventKind.CLEARED, BRANCH, ELSEWHERE, [], []),
        (EventKind.CLEARED, BRANCH, ELSEWHERE, [told(What.RAISED, State.DROPPED)], []),
        (EventKind.REOPENED, BRANCH, replace(ELSEWHERE, cleared_at=None), [told(What.RAISED)], []),
        (EventKind.GROUPED, DESK, CLEARED, [told(What.RAISED)], []),
        (EventKind.COMMENTED, replace(DESK, what=frozenset(What)), ALARM, [told(What.RAISED)], []),
        (EventKind.ESCALATED, replace(DESK, what=frozenset(What)), ALARM, [told(What.RAISED)], []),
    ],
)
def test_an_event_is_told_to_those_who_want_it_and_know_of_the_alarm(
    kind: EventKind, listener: Listener, alarm: Standing, before: Sequence[Told], expected: list[What]
) -> None:
    plan = on_event(kind, 7, NOW, alarm, [listener], before)
    assert [(each.what, each.event_id, each.due_at) for each in plan.adding] == [(what, 7, NOW) for what in expected]
    assert plan.dropping == []


def test_what_comes_and_goes_is_told_as_cleared_when_it_is_over_for_good() -> None:
    flapping = replace(CLEARED, times=2)
    (cleared,) = on_event(EventKind.CLEARED, 9, NOW, flapping, [DESK], [told(What.RAISED)]).adding
    assert cleared.due_at == NOW + SETTLES
    waiting = Told(5, DESK.id, What.CLEARED, State.WAITING)
    plan = on_event(EventKind.REOPENED, 10, NOW, replace(ALARM, times=3), [DESK], [told(What.RAISED), waiting])
    assert (plan.adding, plan.dropping) == ([], [5])


@pytest.mark.parametrize(
    ("beginning", "listener", "expected"),
    [
        (State.DELIVERED, DESK, []),
        (State.WAITING, DESK, []),
        (State.DROPPED, DESK, [What.REOPENED]),
        (State.DEAD, DESK, [What.REOPENED]),
        (State.DROPPED, replace(DESK, what=frozenset({What.RAISED, What.CLEARED})), []),
        (State.DROPPED, CHIEF, []),
    ],
)
def test_what_came_back_is_told_to_those_who_were_not_told_that_it_began(
    beginning: State, listener: Listener, expected: list[What]
) -> None:
    before = [told(What.RAISED, beginning, listener.id), Told(5, listener.id, What.CLEARED, State.WAITING)]
    plan = on_event(EventKind.REOPENED, 10, NOW, replace(ALARM, times=2), [listener], before)
    assert ([each.what for each in plan.adding], plan.dropping) == (expected, [5])


@pytest.mark.parametrize(
    ("changes", "listener", "before", "escalated"),
    [
        ({}, CHIEF, [], True),
        ({}, replace(CHIEF, after=20 * MINUTE), [], True),
        ({}, replace(CHIEF, after=21 * MINUTE), [], False),
        ({}, DESK, [], False),
        ({"acknowledged_at": NOW}, CHIEF, [], False),
        ({"cleared_at": NOW}, CHIEF, [], False),
        ({"snoozed_until_at": NOW + MINUTE}, CHIEF, [], False),
        ({"snoozed_until_at": NOW - MINUTE}, CHIEF, [], True),
        ({"severity": Severity.INFO}, CHIEF, [], False),
        ({"times": 4}, CHIEF, [], True),  # that it came back gives nobody more time
        ({}, replace(CHIEF, since_at=NOW - 10 * MINUTE), [], False),  # it was raised before the receiver was there
        ({}, CHIEF, [told(What.ESCALATED, receiver="rcv_chief")], False),
        ({}, CHIEF, [told(What.ESCALATED, receiver="rcv_other")], True),
        ({}, CHIEF, [told(What.ESCALATED, State.WAITING, receiver="rcv_chief")], False),
        ({}, CHIEF, [told(What.ESCALATED, State.DEAD, receiver="rcv_chief")], False),
        ({"times": 2}, CHIEF, [told(What.ESCALATED, State.DROPPED, receiver="rcv_chief")], True),
    ],
)
def test_a_step_is_told_when_nobody_has_acknowledged_for_so_long(
    changes: dict[str, object], listener: Listener, before: Sequence[Told], escalated: bool
) -> None:
    alarm = replace(ALARM, **changes)  # type: ignore[arg-type]
    assert is_escalated(listener, alarm, before, NOW) is escalated


QUIET = replace(DESK, quiet=NIGHT, through=Severity.CRITICAL)
CRITICAL = replace(ALARM, severity=Severity.CRITICAL)
UNCONCERNED = Verdict(dropped="not_concerned")
ASLEEP = replace(ALARM, snoozed_until_at=NOW + 5 * MINUTE)


@pytest.mark.parametrize(
    ("one", "alarm", "listener", "before", "verdict"),
    [
        (told(What.RAISED, State.WAITING), ALARM, DESK, [], Verdict()),
        (told(What.RAISED, State.WAITING), ALARM, QUIET, [], Verdict(until=MORNING)),
        (told(What.RAISED, State.WAITING), CRITICAL, QUIET, [], Verdict()),
        (told(What.RAISED, State.WAITING), CRITICAL, replace(QUIET, through=None), [], Verdict(until=MORNING)),
        (told(What.RAISED, State.WAITING), ASLEEP, DESK, [], Verdict(until=NOW + 5 * MINUTE)),
        (told(What.RAISED, State.WAITING), ASLEEP, QUIET, [], Verdict(until=MORNING)),
        (told(What.RAISED, State.WAITING), CLEARED, DESK, [], Verdict()),  # it says so itself
        (told(What.RAISED, State.WAITING, held=True), CLEARED, DESK, [], Verdict(dropped="cleared")),
        (told(What.RAISED, State.WAITING), replace(CLEARED, cleared_why="grouped"), DESK, [], Verdict(dropped="grouped")),
        (told(What.CLEARED, State.WAITING), CLEARED, DESK, [told(What.RAISED)], Verdict()),
        (told(What.CLEARED, State.WAITING), ALARM, DESK, [told(What.RAISED)], Verdict(dropped="came_back")),
        (told(What.CLEARED, State.WAITING, held=True), CLEARED, DESK, [told(What.RAISED)], Verdict()),
        (told(What.CLEARED, State.WAITING, held=True), CLEARED, DESK, [told(What.RAISED, State.WAITING, held=True)],
         Verdict(dropped="cleared")),
        (told(What.ESCALATED, State.WAITING), CLEARED, DESK, [], Verdict(dropped="cleared")),
        (told(What.ESCALATED, State.WAITING), replace(ALARM, acknowledged_at=NOW), DESK, [], Verdict(dropped="acknowledged")),
        (told(What.RAISED, State.WAITING), ALARM, replace(DESK, severity=Severity.CRITICAL), [], UNCONCERNED),
        (told(What.RAISED, State.WAITING), ALARM, replace(DESK, path="/org_c/"), [], UNCONCERNED),
        (told(What.RAISED, State.WAITING), ALARM, replace(DESK, rule_ids=frozenset({"alr_2"})), [], UNCONCERNED),
        (told(What.RAISED, State.WAITING), ALARM, replace(DESK, what=frozenset({What.CLEARED})), [], UNCONCERNED),
        (told(What.RAISED, State.WAITING), ALARM, CHIEF, [], UNCONCERNED),  # it is to be told later now, if at all
        (told(What.ESCALATED, State.WAITING), ALARM, CHIEF, [], Verdict()),
        (told(What.ESCALATED, State.WAITING), ALARM, replace(CHIEF, path="/org_c/"), [], UNCONCERNED),
        (told(What.CLEARED, State.WAITING), ELSEWHERE, BRANCH, [told(What.RAISED)], Verdict()),
        (told(What.CLEARED, State.WAITING), ELSEWHERE, BRANCH, [told(What.RAISED, State.WAITING)], UNCONCERNED),
        (told(What.CLEARED, State.WAITING), CLEARED, replace(DESK, what=frozenset({What.RAISED})), [told(What.RAISED)],
         UNCONCERNED),
        (told(What.RAISED, State.WAITING, attempts=1), ALARM, replace(DESK, path="/org_c/"), [], Verdict()),
        (told(What.RAISED, State.WAITING), None, DESK, [], Verdict(dropped="alarm_gone")),
        (told(What.RAISED, State.WAITING), ALARM, None, [], Verdict(dropped="receiver_off")),
        (told(What.RAISED, State.WAITING, attempts=1), CLEARED, QUIET, [], Verdict()),
        (told(What.RAISED, State.WAITING, asked=True, held=True), CLEARED, QUIET, [], Verdict()),
    ],
)  # fmt: skip
def test_when_its_turn_comes_it_is_told_held_back_or_not_worth_it_any_more(
    one: Told, alarm: Standing | None, listener: Listener | None, before: Sequence[Told], verdict: Verdict
) -> None:
    assert judge(one, alarm, listener, before, NOW) == verdict


def test_pauses_grow_to_about_a_day_in_all_and_then_it_is_given_up() -> None:
    pauses = [pause(attempts, draw=lambda: 0.5) for attempts in range(1, MOST_ATTEMPTS + 1)]
    assert pauses[-1] is None
    spans = [each for each in pauses if each is not None]
    assert len(spans) == MOST_ATTEMPTS - 1
    assert spans[0] == timedelta(seconds=30)
    assert all(abs(after / before - GROWS) < 0.001 for before, after in pairwise(spans))
    assert timedelta(hours=23) < sum(spans, timedelta()) < timedelta(hours=27)
    assert pause(1, draw=lambda: 0.0) == timedelta(seconds=24)
    assert pause(1, draw=lambda: 1.0) == timedelta(seconds=36)


def test_a_server_that_asks_for_patience_gets_it_within_bounds() -> None:
    assert pause(1, timedelta(minutes=20), draw=lambda: 0.5) == timedelta(minutes=20)
    assert pause(1, timedelta(seconds=1), draw=lambda: 0.5) == timedelta(seconds=30)
    assert pause(1, timedelta(days=9), draw=lambda: 0.5) == LONGEST_ASKED
