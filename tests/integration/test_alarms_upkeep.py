"""The evaluator over time: what it looks at again, what it does not write, tell or keep, and what begins anew."""

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from cloud.alarms import evaluating
from cloud.alarms.evaluating import Evaluator
from cloud.alarms.service import KEPT_DAYS
from cloud.alarms.windows import KEPT_DAYS as WINDOWS_KEPT_DAYS
from cloud.clock import to_us
from tests.alarming import ROOM, Watch
from tests.integration.test_alarms_evaluator import COOL, HOT, heat, rule
from tests.town import Town


@pytest.fixture
def watch(town: Town) -> Watch:
    watch = Watch(town, town.now)
    watch.present("online", "kiosk-1", "kiosk-2")
    watch.turn()
    return watch


def test_a_terminal_that_its_new_twin_lets_measure_rarely_is_not_said_to_store_nothing(watch: Watch) -> None:
    """Twins follow their inputs some at a time: the evaluator has looked at the inputs long before."""
    watch.present("asleep", "kiosk-2")
    watch.health(cpu_percent=1.0)
    watch.turn()
    watch.run("UPDATE terminals SET twin_settings = ? WHERE id = ?", [('{"health_every_s": 3600}', "kiosk-1")])
    watch.run("UPDATE counters SET value = value + 1 WHERE name = ?", [("twins",)])
    for _ in range(4):
        watch.turn(900)
    assert watch.active() == []


def test_a_process_that_has_lost_the_lease_does_not_go_on_telling_how_many_are_active(watch: Watch) -> None:
    mine = [True]
    watch.evaluator = Evaluator(watch.engine, lambda: watch.now, lambda: mine[0])
    heat(watch)
    assert REGISTRY.get_sample_value("roomlink_alarms_active", {"severity": "warning"}) == 1
    mine[0] = False
    watch.turn()
    assert REGISTRY.get_sample_value("roomlink_alarms_active", {"severity": "warning"}) == 0


def test_an_old_sample_that_raises_nothing_does_not_make_every_turn_write(watch: Watch) -> None:
    for age_s in (90_000, 89_000, 88_000):
        watch.sample("kiosk-1", HOT, age_s)
    watch.turn()
    turns = watch.rows("SELECT turn FROM alarm_progress")
    watch.turn(2)
    watch.turn(2)
    assert watch.rows("SELECT turn FROM alarm_progress") == turns


def test_cleared_alarms_are_forgotten_after_a_year_and_a_month(watch: Watch) -> None:
    heat(watch)
    watch.sample("kiosk-1", COOL)
    watch.turn(1)
    (old,) = watch.rows("SELECT id FROM alarms")
    watch.now += timedelta(days=KEPT_DAYS + 1)
    watch.restart()
    watch.turn()
    for table, column in (("alarms", "id"), ("alarm_members", "alarm_id"), ("alarm_events", "alarm_id")):
        assert watch.rows(f"SELECT COUNT(*) FROM {table} WHERE {column} = ?", old) == [(0,)]


def test_however_many_alarms_are_too_old_all_of_them_are_forgotten(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "FORGOTTEN_AT_ONCE", 2)
    old, of = to_us(watch.now - timedelta(days=KEPT_DAYS + 1)), rule(watch, "temperature_c")
    watch.run(
        "INSERT INTO alarms (id, rule_id, reach, place_id, severity, since_at, until_at, raised_at, cleared_at, times, members) "
        "VALUES (?, ?, 'terminal', 'kiosk-1', 'info', ?, ?, ?, ?, 1, 0)",
        [(f"alm_{number}", of, old, old, old, old) for number in range(5)],
    )
    watch.restart()
    for _ in range(3):
        watch.turn()
    assert watch.rows("SELECT COUNT(*) FROM alarms") == [(0,)]


def test_windows_that_are_long_over_are_forgotten_so_that_their_room_can_go(watch: Watch) -> None:
    ends = [to_us(watch.now - timedelta(days=WINDOWS_KEPT_DAYS + more)) for more in (1, -1)]
    watch.run(
        "INSERT INTO maintenance_windows (id, room_id, starts_at, ends_at, reason, made_by, made_at) "
        "VALUES (?, ?, 0, ?, 'x', 'anna', 0)",
        [("mwn_old", ROOM, ends[0]), ("mwn_new", ROOM, ends[1])],
    )
    watch.restart()
    watch.turn()
    assert watch.rows("SELECT id FROM maintenance_windows") == [("mwn_new",)]
