"""The evaluator over a real ledger: samples through the line, presence in the tables, alarms and events out of it."""

import json
from datetime import timedelta
from typing import Any

import pytest

from cloud.alarms import events, service
from cloud.alarms.evaluating import Evaluator
from cloud.alarms.service import AcknowledgeForm
from cloud.audit.service import Change
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.scope import EVERYWHERE
from tests.alarming import ORG, ROOM, Watch
from tests.town import Town

HOT = {"temperature_c": 91.0}
COOL = {"temperature_c": 51.0}
HOT_ALARM = ("temperature_c", "terminal", "kiosk-1", 1)
GONE = ("absence", "terminal", "kiosk-1", 1)


@pytest.fixture
def watch(town: Town) -> Watch:
    watch = Watch(town, town.now)
    watch.present("online", "kiosk-1", "kiosk-2")
    watch.turn()
    return watch


def heat(watch: Watch, terminal: str = "kiosk-1") -> None:
    """Hot for six minutes."""
    for later_s in (0, 180, 180):
        watch.now += timedelta(seconds=later_s)
        watch.sample(terminal, HOT)
    watch.turn()


def rule(watch: Watch, what: str) -> str:
    """The id of a built-in rule, by its metric, mark or kind."""
    found = watch.rows("SELECT id FROM alarm_rules WHERE COALESCE(metric, mark, kind) = ? ORDER BY id", (what,))
    return str(found[0][0])


def set_rule(watch: Watch, what: str, **values: Any) -> None:
    """Change it, as an edit would."""
    columns = ", ".join(f"{name} = ?" for name in values)
    watch.run(
        f"UPDATE alarm_rules SET {columns}, version = version + 1 WHERE id = ?", [(*values.values(), rule(watch, what))]
    )


def test_a_threshold_raises_after_its_duration_and_clears_behind_the_hysteresis(watch: Watch) -> None:
    watch.sample("kiosk-1", HOT)
    watch.turn(240)
    watch.sample("kiosk-1", HOT)
    watch.turn()
    assert watch.active() == []
    watch.turn(61)
    watch.sample("kiosk-1", HOT)
    watch.turn()
    assert watch.active() == [HOT_ALARM]
    watch.health(temperature_c=77.0)
    watch.turn(30)
    assert watch.active() == [HOT_ALARM]
    watch.sample("kiosk-1", COOL)
    watch.turn()
    assert watch.active() == []
    assert watch.events() == ["raised", "cleared"]


def test_a_restart_neither_raises_again_nor_forgets(watch: Watch) -> None:
    watch.sample("kiosk-1", HOT)
    watch.turn(200)
    watch.restart()  # while it is pending: its time goes on
    watch.sample("kiosk-1", HOT)
    watch.turn(101)
    watch.sample("kiosk-1", HOT)
    watch.turn()
    assert watch.active() == [HOT_ALARM]
    for _ in range(3):
        watch.restart()
        watch.turn(60)
        watch.sample("kiosk-1", HOT)
        watch.turn()
    assert (watch.active(), watch.events()) == ([HOT_ALARM], ["raised"])
    watch.restart()
    watch.sample("kiosk-1", COOL)
    watch.turn(1)
    assert (watch.active(), watch.events()) == ([], ["raised", "cleared"])


def test_two_processes_that_both_believe_they_evaluate_raise_once(watch: Watch) -> None:
    other = Evaluator(watch.engine, lambda: watch.now)
    other.turn()
    heat(watch)
    watch.sample("kiosk-1", HOT)
    other.turn()
    watch.turn()
    assert (watch.active(), watch.events()) == ([HOT_ALARM], ["raised"])


def test_a_turn_that_another_process_has_overtaken_changes_nothing(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.sample("kiosk-1", HOT)
    write = watch.evaluator._write

    def overtaken(*arguments: Any) -> Any:
        watch.run("UPDATE alarm_progress SET turn = turn + ? WHERE id = 1", [(1,)])
        return write(*arguments)

    monkeypatch.setattr(watch.evaluator, "_write", overtaken)
    with pytest.raises(Unavailable):
        watch.evaluator.turn()
    monkeypatch.undo()
    assert watch.rows("SELECT COUNT(*) FROM newest_health") == [(0,)]
    watch.turn()
    assert watch.rows("SELECT COUNT(*) FROM newest_health") == [(1,)]


def test_a_process_without_the_lease_does_nothing(watch: Watch) -> None:
    watch.sample("kiosk-1", HOT)
    Evaluator(watch.engine, lambda: watch.now, lambda: False).turn()
    assert watch.rows("SELECT COUNT(*) FROM newest_health") == [(0,)]


def test_what_comes_back_within_minutes_is_the_same_alarm_and_stays_acknowledged(watch: Watch) -> None:
    watch.present("offline", "kiosk-1")
    watch.turn(301)
    (found,) = watch.rows("SELECT id FROM alarms")
    with transaction(watch.engine) as session:
        service.acknowledge(session, Change("anna", watch.now), EVERYWHERE, found[0], AcknowledgeForm())
    watch.present("online", "kiosk-1")
    watch.turn(10)
    watch.present("offline", "kiosk-1")
    watch.turn(301)
    assert watch.events() == ["raised", "acknowledged", "cleared", "reopened"]
    assert watch.rows("SELECT times, acknowledged_by FROM alarms") == [(2, "anna")]
    watch.present("online", "kiosk-1")
    watch.turn(10)
    watch.present("offline", "kiosk-1")
    watch.turn(1000)
    assert watch.rows("SELECT COUNT(*) FROM alarms WHERE rule_id = ?", [rule(watch, "absence")]) == [(2,)]


def test_old_samples_of_a_terminal_that_was_away_raise_nothing(watch: Watch) -> None:
    for age_s in (90_000, 89_000, 88_000):
        watch.sample("kiosk-1", HOT, age_s)
    watch.turn()
    assert watch.active() == []
    watch.sample("kiosk-1", HOT)
    watch.turn()
    assert watch.active() == [HOT_ALARM]


@pytest.mark.parametrize("presence", ["offline", "suspect"])
def test_an_absence_is_raised_after_five_minutes_and_clears_when_it_is_back(watch: Watch, presence: str) -> None:
    watch.present(presence, "kiosk-1")
    watch.turn(299)
    assert watch.active() == []
    watch.restart()
    watch.turn(2)
    assert watch.active() == [GONE]
    watch.present("online", "kiosk-1")
    watch.turn(1)
    assert watch.active() == []


@pytest.mark.parametrize("presence", ["asleep", "maintenance", "never"])
def test_one_that_sleeps_or_was_never_there_is_not_absent(watch: Watch, presence: str) -> None:
    watch.present(presence, "kiosk-1")
    watch.turn(890)
    assert watch.active() == []


def test_a_terminal_in_maintenance_raises_nothing_until_it_is_back(watch: Watch) -> None:
    watch.present("maintenance", "kiosk-1")
    heat(watch)
    assert watch.active() == []
    watch.present("online", "kiosk-1")
    watch.turn(1)
    assert watch.active() == [HOT_ALARM]


@pytest.mark.parametrize("out", ["enabled = ?", "replaced_by = ?"])
def test_a_terminal_that_is_disabled_or_replaced_has_no_alarms(watch: Watch, out: str) -> None:
    heat(watch)
    assert watch.active() == [HOT_ALARM]
    value = "kiosk-2" if "replaced" in out else False
    watch.run(f"UPDATE terminals SET {out} WHERE id = ?", [(value, "kiosk-1")])
    watch.run("UPDATE counters SET value = value + 1 WHERE name = ?", [("twin_inputs",)])
    watch.turn(1)
    assert watch.active() == []
    assert watch.rows("SELECT cleared_why FROM alarms") == [("not_about",)]


def test_a_dead_broker_is_one_alarm_of_a_thousand_terminals_and_each_leaves_it_by_itself(watch: Watch) -> None:
    names = watch.add_terminals(500, 2)
    watch.turn()
    everybody = ["kiosk-1", "kiosk-2", *names]
    watch.present("suspect", *everybody)
    watch.turn(301)
    assert watch.active() == [("absence", "all", "", 1002)]
    assert (watch.events(), watch.details()) == (["raised"], [{"members": 1002}])
    watch.restart()
    watch.present("online", *names)
    watch.turn(5)
    assert watch.active() == [("absence", "all", "", 2)]
    watch.present("online", "kiosk-1", "kiosk-2")
    watch.turn(5)
    assert (watch.active(), watch.events()) == ([], ["raised", "cleared"])


def test_a_rooms_power_cut_is_one_alarm_though_its_wills_come_apart(watch: Watch) -> None:
    watch.add_terminals(20, 3)
    watch.turn()
    for place in range(3):
        watch.present("offline", f"kiosk-7-{place}")
        watch.turn(40)
    watch.turn(190)
    assert watch.active() == [("absence", "room", "rm_more_7", 1)]
    watch.turn(100)
    assert watch.active() == [("absence", "room", "rm_more_7", 3)]
    watch.present("offline", "kiosk-9-0")
    watch.turn(301)
    assert watch.active() == [("absence", "room", "rm_more_7", 3), ("absence", "terminal", "kiosk-9-0", 1)]


def test_two_groups_of_one_turn_are_not_both_the_alarm_that_comes_back(watch: Watch) -> None:
    watch.add_terminals(20, 4)
    watch.turn()
    everybody = [f"kiosk-7-{place}" for place in range(4)]
    watch.present("offline", *everybody)
    watch.turn(301)
    watch.present("online", *everybody)
    watch.turn(10)
    watch.present("offline", *everybody[:2])
    watch.now += timedelta(seconds=200)
    watch.present("offline", *everybody[2:])
    watch.turn(301)
    assert sorted(watch.rows("SELECT times, members FROM alarms")) == [(1, 2), (2, 2)]


def test_terminals_with_alarms_of_their_own_are_taken_into_the_group(watch: Watch) -> None:
    watch.add_terminals(20, 4)
    watch.turn()
    watch.present("offline", "kiosk-7-0")
    watch.turn(120)
    watch.present("offline", "kiosk-7-9")  # nobody: only time passes
    watch.turn(181)
    assert watch.active() == [("absence", "terminal", "kiosk-7-0", 1)]
    watch.run("UPDATE terminals SET presence = 'offline', presence_at = ? WHERE id = ?",
              [(to_us(watch.now) - 250_000_000, "kiosk-7-1")])  # fmt: skip
    watch.turn(60)
    assert watch.active() == [("absence", "room", "rm_more_7", 2)]
    assert watch.events() == ["raised", "raised", "grouped"]
    assert watch.rows("SELECT cleared_why FROM alarms WHERE reach = 'terminal'") == [("grouped",)]


def test_nothing_is_raised_in_a_maintenance_window_and_all_that_is_left_at_its_end_is(watch: Watch) -> None:
    start, end = to_us(watch.now), to_us(watch.now) + 3600 * 1_000_000
    watch.run(
        "INSERT INTO maintenance_windows (id, room_id, starts_at, ends_at, reason, made_by, made_at) "
        "VALUES ('mwn_1', ?, ?, ?, 'x', 'anna', ?)",
        [(ROOM, start, end, start)],
    )
    watch.present("offline", "kiosk-1")
    watch.turn(900)
    watch.present("offline", "kiosk-2")
    watch.turn(900)
    watch.restart()
    watch.turn(60)
    assert (watch.active(), watch.events()) == ([], [])
    watch.turn(1800)
    assert watch.active() == [("absence", "room", ROOM, 2)]  # they fell apart, and count from the window's end


def test_an_alarm_that_was_there_before_a_window_goes_on_and_clears_in_it(watch: Watch) -> None:
    heat(watch)
    at = to_us(watch.now)
    watch.run(
        "INSERT INTO maintenance_windows (id, organisation_id, starts_at, ends_at, reason, made_by, made_at) "
        "VALUES ('mwn_1', ?, ?, ?, 'x', 'anna', ?)",
        [(ORG, at, at + 3_600_000_000, at)],
    )
    watch.turn(30)
    assert watch.active() == [HOT_ALARM]
    watch.sample("kiosk-1", COOL)
    watch.turn(30)
    assert watch.active() == []


def test_a_changed_rule_is_judged_anew_by_the_newest_sample(watch: Watch) -> None:
    watch.health(cpu_percent=60.0)
    watch.turn()
    set_rule(watch, "cpu_percent", level=50.0, clear_level=40.0, for_s=0)
    watch.turn(1)
    assert watch.active() == [("cpu_percent", "terminal", "kiosk-1", 1)]
    set_rule(watch, "cpu_percent", enabled=False)
    watch.turn(1)
    assert watch.active() == []
    assert watch.rows("SELECT cleared_why FROM alarms") == [("rule_gone",)]


def test_a_rule_of_one_room_is_about_its_terminals_only(watch: Watch) -> None:
    set_rule(watch, "temperature_c", room_id="rm_303")
    heat(watch)
    assert watch.active() == []


def test_marks_versions_and_what_is_not_stored_are_looked_at(watch: Watch) -> None:
    watch.add_terminals(1, 4)
    at = to_us(watch.now)
    watch.run("UPDATE terminals SET marks = ?, marked_at = ? WHERE id = ?", [('["two_devices"]', at, "kiosk-2")])
    born = [
        (json.dumps({"versions": {"agent": "1.0" if number else "0.9"}}), f"kiosk-0-{number}") for number in range(4)
    ]
    watch.run("UPDATE terminals SET birth = ? WHERE id = ?", born)
    set_rule(watch, "version", for_s=0)
    watch.restart()
    watch.health("kiosk-0-1", cpu_percent=1.0)
    watch.turn()
    assert watch.active() == [("two_devices", "terminal", "kiosk-2", 1), ("version", "terminal", "kiosk-0-0", 1)]
    for _ in range(2):
        watch.now += timedelta(seconds=500)
        watch.health("kiosk-1", cpu_percent=1.0)
        watch.turn()
    nothing = [each for each in watch.active() if each[0] == "nothing_stored"]
    assert nothing == [("nothing_stored", "organisation", ORG, 5)] or nothing == [("nothing_stored", "all", "", 5)]


def test_a_disk_that_fills_is_seen_days_before(watch: Watch) -> None:
    watch.present("asleep", "kiosk-2")
    for hour in range(0, 60, 3):
        watch.now += timedelta(hours=3)
        watch.health(disk_free_bytes=1e9 - hour * 1e7)
        watch.turn()
    assert watch.active() == [("disk_free_bytes", "terminal", "kiosk-1", 1)]
    (value,) = watch.rows("SELECT value FROM alarm_conditions WHERE rule_id = ?", (rule(watch, "disk_free_bytes"),))
    assert 1.5 < value[0] < 6
    for hour in range(0, 200, 3):
        watch.now += timedelta(hours=3)
        watch.health(disk_free_bytes=9e8 + hour * 1e6)
        watch.turn()
    assert watch.events() == ["raised", "cleared"]


def test_a_rate_is_counted_by_the_hour(watch: Watch) -> None:
    watch.present("asleep", "kiosk-2")
    set_rule(watch, "cpu_percent", kind="rate", metric="uptime_s", level=60.0, clear_level=60.0, for_s=0)
    for minute in range(0, 90, 5):
        watch.health(uptime_s=minute * 60.0)
        watch.turn(300)
    assert watch.active() == [("uptime_s", "terminal", "kiosk-1", 1)]


def test_events_are_read_on_by_cursor(watch: Watch) -> None:
    heat(watch)
    watch.sample("kiosk-1", COOL)
    watch.turn(1)
    with transaction(watch.engine, read_only=True) as session:
        first = events.after(session, 0, limit=1)
        rest = events.after(session, first[-1].id)
        none = events.after(session, rest[-1].id)
    assert [[each.kind for each in part] for part in (first, rest, none)] == [["raised"], ["cleared"], []]
