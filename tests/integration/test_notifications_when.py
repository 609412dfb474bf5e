"""When alarms are told by mail, on both databases: escalated, after sleep and quiet hours, and to whom that was changed."""

from datetime import timedelta
from typing import Any

from cloud.clock import to_us
from cloud.database import transaction
from cloud.notifications import claiming, receivers
from cloud.notifications.failures import Undelivered
from cloud.notifications.following import MOST_WAITING, Follower
from cloud.notifications.receiver_form import form_of
from cloud.scope import EVERYWHERE
from tests.mail_server import Mailbox
from tests.notifying import WAITING, Told, kinds
from tests.town import ORGANISATION


def test_who_is_told_later_hears_of_it_only_if_nobody_acknowledged(told: Told, mailbox: Mailbox) -> None:
    told.add(address="chief@example.org", after_minutes=15)
    told.gone()
    told.turn(14 * 60)
    assert mailbox.taken == []
    told.restart()
    told.turn(61)
    told.turn(3600)
    assert mailbox.subjects == [
        "[Roomlink] Critical, acknowledged by nobody: Terminal offline · 302 活动室, terminal kiosk-1"
    ]
    assert told.watch.events() == ["raised", "escalated"]
    assert told.watch.details()[1] == {"receivers": 1, "minutes": 15}
    told.back()
    assert mailbox.subjects[1:] == ["[Roomlink] Cleared: Terminal offline · 302 活动室, terminal kiosk-1"]


def test_an_acknowledgement_before_the_step_ends_it(told: Told, mailbox: Mailbox) -> None:
    told.add(address="chief@example.org", after_minutes=15)
    told.gone()
    told.turn(10 * 60)
    told.acknowledge()
    told.turn(3600)
    told.back()
    assert (mailbox.taken, told.watch.events()) == ([], ["raised", "acknowledged", "cleared"])


def test_an_alarm_that_cleared_before_the_step_ends_it(told: Told, mailbox: Mailbox) -> None:
    told.add(address="chief@example.org", after_minutes=15)
    told.gone()
    told.back()
    told.turn(3600)
    assert mailbox.taken == []


def test_an_alarm_that_sleeps_is_told_when_it_wakes(told: Told, mailbox: Mailbox) -> None:
    told.add(address="chief@example.org", after_minutes=15)
    told.gone()
    told.snooze(60)
    told.turn(30 * 60)
    assert mailbox.taken == []
    told.turn(31 * 60)
    assert len(mailbox.taken) == 1


def test_what_was_held_back_by_its_sleep_is_told_as_soon_as_the_alarm_is_woken(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.watch.present("offline", "kiosk-1")
    told.watch.turn(301)
    told.snooze(60)
    told.turn()
    assert told.watch.rows("SELECT state, held FROM notifications") == [("waiting", True)]
    told.snooze(120)
    told.turn(61 * 60)
    assert mailbox.taken == []  # it sleeps on
    told.wake()
    told.turn()
    assert kinds(mailbox) == ["Critical"]


def quiet_now(told: Told) -> dict[str, str]:
    """Quiet hours from an hour ago to in an hour, by the clock of UTC."""
    start, end = (f"{told.watch.now + timedelta(hours=each):%H:%M}" for each in (-1, 1))
    return {"quiet_from": start, "quiet_until": end, "timezone": "UTC"}


def test_quiet_hours_hold_back_what_is_still_so_at_their_end_and_make_one_message_of_it(
    told: Told, mailbox: Mailbox
) -> None:
    told.add(**quiet_now(told), quiet_through=None)
    told.gone("kiosk-1")
    told.watch.run("UPDATE terminals SET marks = ?, marked_at = ? WHERE id = 'kiosk-2'", [('["fork"]', 1)])
    told.turn(600)
    assert (mailbox.taken, {state for _, state in told.states()}) == ([], {"waiting"})
    told.turn(3600)
    assert kinds(mailbox) == ["2 alarms"]


def test_what_was_held_back_and_then_failed_is_not_held_any_more(told: Told, mailbox: Mailbox) -> None:
    told.add(**quiet_now(told), quiet_through=None)
    told.gone()
    assert told.watch.rows("SELECT held, attempts FROM notifications") == [(True, 0)]
    mailbox.answers = ["451 later"]
    told.turn(3600)
    assert told.watch.rows("SELECT held, attempts, state FROM notifications") == [(False, 1, "waiting")]


def test_what_cleared_in_quiet_hours_is_not_told(told: Told, mailbox: Mailbox) -> None:
    told.add(**quiet_now(told), quiet_through=None)
    told.gone("kiosk-1")
    told.back("kiosk-1")
    told.turn(2 * 3600)
    assert mailbox.taken == []
    assert told.states() == [("raised", "dropped"), ("cleared", "dropped")]


def test_an_escalation_that_was_not_worth_telling_is_made_again_when_the_alarm_comes_back(
    told: Told, mailbox: Mailbox
) -> None:
    told.add(**quiet_now(told), quiet_through=None, after_minutes=15)
    told.gone()
    told.turn(16 * 60)
    told.turn(36 * 60)
    told.back()
    told.turn(3 * 60)  # the quiet hours are over
    assert told.states() == [("escalated", "dropped"), ("cleared", "dropped")]
    told.gone()
    told.turn(3600)
    assert kinds(mailbox) == ["Critical, acknowledged by nobody"]
    assert told.states() == [("cleared", "dropped"), ("escalated", "delivered")]


def test_an_escalation_that_found_no_place_is_made_when_there_is_one(told: Told, mailbox: Mailbox) -> None:
    receiver_id, _ = told.add(after_minutes=15)
    told.watch.run(WAITING, [(receiver_id, f"alm_{number}", 1, 9 * 10**15, 0) for number in range(MOST_WAITING)])
    told.gone()
    told.turn(16 * 60)
    told.turn(60)
    assert told.watch.rows("SELECT state FROM notifications WHERE what = 'escalated'") == [("dropped",)]
    assert told.watch.events() == ["raised", "escalated"]
    told.watch.run("DELETE FROM notifications WHERE alarm_id = ?", [("alm_0",)])
    told.turn(60)
    assert kinds(mailbox) == ["Critical, acknowledged by nobody"]


def test_what_is_severe_enough_breaks_through_quiet_hours(told: Told, mailbox: Mailbox) -> None:
    told.add(**quiet_now(told), quiet_through="critical")
    told.gone("kiosk-1")
    assert len(mailbox.taken) == 1


def move(told: Told, terminal: str) -> None:
    """The terminal into a room of another organisation."""
    at = to_us(told.watch.now)
    told.watch.run("INSERT INTO organisations (id, name, name_en, path, timezone, version, created_at) "
                   "VALUES ('org_else', '别处', '', '/org_else/', 'UTC', 1, ?)", [(at,)])  # fmt: skip
    told.watch.run("INSERT INTO rooms (id, organisation_id, number, name, name_en, version, created_at) "
                   "VALUES ('rm_else', 'org_else', '1', '活动室', '', 1, ?)", [(at,)])  # fmt: skip
    told.watch.run("UPDATE terminals SET room_id = 'rm_else' WHERE id = ?", [(terminal,)])


def test_whoever_was_told_of_a_terminal_is_told_of_the_end_though_it_was_moved_to_another_branch(
    told: Told, mailbox: Mailbox
) -> None:
    told.add()
    told.watch.run("UPDATE receivers SET organisation_id = ?", [(ORGANISATION,)])
    told.gone()
    move(told, "kiosk-1")
    told.back()
    assert kinds(mailbox) == ["Critical", "Cleared"]


def test_what_comes_and_goes_is_not_told_each_time(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.gone()
    for _ in range(4):
        told.back()
        told.gone()
    told.back()
    told.turn(700)
    assert kinds(mailbox) == ["Critical", "Cleared", "Critical, came back", "Cleared"]


def change(told: Told, receiver_id: str, **more: Any) -> None:
    """Edit a receiver."""
    with transaction(told.watch.engine) as session:
        receiver = receivers.get(session, EVERYWHERE, receiver_id)
        form = receivers.ReceiverForm.model_validate(form_of(receiver).model_dump() | more)
        receivers.edit(session, told.change, EVERYWHERE, receiver_id, receiver.version, form)


def test_a_receiver_that_is_switched_off_is_told_nothing_and_knows_only_what_comes_after(
    told: Told, mailbox: Mailbox
) -> None:
    receiver_id, _ = told.add(**quiet_now(told), quiet_through=None)
    told.gone()
    change(told, receiver_id, enabled=False)
    told.turn(2 * 3600)
    assert (mailbox.taken, told.states()) == ([], [("raised", "dropped")])


def test_what_was_under_way_when_its_receiver_was_switched_off_says_why_it_is_not_tried_again(
    told: Told, mailbox: Mailbox
) -> None:
    receiver_id, _ = told.add()
    told.watch.present("offline", "kiosk-1")
    told.watch.turn(301)
    Follower(told.watch.engine).turn(told.watch.now)
    with transaction(told.watch.engine) as session:
        letter = claiming.claim(session, receiver_id, None, told.watch.now)
    assert letter is not None
    change(told, receiver_id, enabled=False)
    with transaction(told.watch.engine) as session:
        claiming.settle(session, letter, Undelivered("mail_away"), told.watch.now)
    told.turn(60)
    assert told.watch.rows("SELECT state, why FROM notifications") == [("dropped", '{"code":"receiver_off"}')]


def test_what_waits_is_judged_by_what_the_receiver_is_now(told: Told, mailbox: Mailbox) -> None:
    receiver_id, _ = told.add(**quiet_now(told), quiet_through=None)
    told.gone()
    change(told, receiver_id, what=("cleared",), quiet_from=None, quiet_until=None)
    told.turn()
    told.back()
    assert (mailbox.taken, told.states()) == ([], [("raised", "dropped")])
    assert told.watch.rows("SELECT why FROM notifications") == [('{"code":"not_concerned"}',)]
