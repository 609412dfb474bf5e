"""The evaluator over time: what it looks at again, what it does not write, tell or keep, and what begins anew."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from cloud.alarms import evaluating, ruling
from cloud.alarms.evaluating import Evaluator
from cloud.alarms.ruling import RuleForm
from cloud.alarms.service import KEPT_DAYS
from cloud.alarms.windows import KEPT_DAYS as WINDOWS_KEPT_DAYS
from cloud.audit.service import Change
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.scope import EVERYWHERE
from tests.alarming import ROOM, Watch
from tests.integration.test_alarms_evaluator import COOL, HOT, HOT_ALARM, heat, rule
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


def edited(watch: Watch, what: str, **more: object) -> None:
    """An operator replaces a rule of this metric by another of the same id."""
    rule_id = rule(watch, what)
    with transaction(watch.engine) as session:
        version = ruling.get(session, EVERYWHERE, rule_id).version
        form = RuleForm.model_validate({"name": "changed", "compare": "above", "everywhere": True, **more})
        ruling.edit(session, Change("anna", watch.now), EVERYWHERE, rule_id, version, form)


def test_a_rule_that_asks_for_another_metric_does_not_judge_it_by_the_values_of_the_first(watch: Watch) -> None:
    watch.present("asleep", "kiosk-1", "kiosk-2")
    edited(watch, "cpu_percent", kind="rate", metric="network_errors", level=6000)
    for _ in range(4):
        watch.health(network_errors=5.0, uptime_s=1e6)
        watch.turn(300)
    edited(watch, "network_errors", kind="rate", metric="uptime_s", level=6000)
    for later_s in (300, 600, 900):
        watch.health(network_errors=5.0, uptime_s=1e6 + later_s)
        watch.turn(300)
    assert watch.active() == []


def test_an_alarm_of_a_rule_that_asks_something_else_now_clears_though_no_sample_says_so(watch: Watch) -> None:
    heat(watch)
    edited(watch, "temperature_c", kind="threshold", metric="camera_fps", level=900)
    watch.turn(2)
    assert watch.active() == []


def test_an_alarm_stays_where_only_the_level_of_its_rule_is_another(watch: Watch) -> None:
    heat(watch)
    edited(watch, "temperature_c", kind="threshold", metric="temperature_c", level=70)
    watch.turn(2)
    assert (watch.active(), watch.events()) == ([HOT_ALARM], ["raised"])


def test_a_turn_under_way_does_not_keep_what_an_edit_has_just_made_forget(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.sample("kiosk-1", HOT)
    write = watch.evaluator._write

    def overtaken(*arguments: Any) -> Any:
        edited(watch, "temperature_c", kind="threshold", metric="camera_fps", level=900)
        return write(*arguments)

    monkeypatch.setattr(watch.evaluator, "_write", overtaken)
    with pytest.raises(Unavailable):
        watch.evaluator.turn()
    monkeypatch.undo()
    watch.turn(2)
    assert watch.rows("SELECT rule_id FROM alarm_conditions") == []


def test_nothing_is_kept_of_a_rule_that_is_taken_away(watch: Watch) -> None:
    edited(watch, "cpu_percent", kind="rate", metric="uptime_s", level=6000)
    watch.health(uptime_s=7.0)
    watch.turn()
    rule_id = rule(watch, "uptime_s")
    assert watch.rows("SELECT rule_id FROM alarm_trails WHERE rule_id = ?", [rule_id])
    with transaction(watch.engine) as session:
        ruling.delete(session, Change("anna", watch.now), EVERYWHERE, rule_id, 2)
    watch.turn(2)
    assert watch.rows("SELECT rule_id FROM alarm_trails WHERE rule_id = ?", [rule_id]) == []


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
