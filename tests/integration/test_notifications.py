"""Alarms are told by mail: a real mail server, both databases. Once each, over restarts, held back, escalated, tried again."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.bulk import Bulk, Row
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import Conflict, Unavailable
from cloud.notifications import claiming, following, receivers, service
from cloud.notifications.deciding import State
from cloud.notifications.failures import Undelivered
from cloud.notifications.following import MOST_WAITING, Follower
from cloud.notifications.receiver_form import form_of
from cloud.paging import Paging
from cloud.scope import EVERYWHERE
from tests.alarming import Watch
from tests.authorities import Authorities
from tests.mail_server import PASSWORD, USER, Mailbox
from tests.notifying import DESK, PUBLIC_URL, Told
from tests.town import ORGANISATION, Town

WAITING = (
    "INSERT INTO notifications (receiver_id, alarm_id, what, event_id, at, state, due_at, held, asked, attempts, message_id)"
    " VALUES (?, ?, 'raised', ?, 0, 'waiting', ?, FALSE, FALSE, ?, 'msg')"
)
"""Receiver, alarm, event, when it is due, attempts."""


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture
def told(town: Town, mailbox: Mailbox, tmp_path: Path) -> Told:
    watch = Watch(town, town.now)
    watch.present("online", "kiosk-1", "kiosk-2")
    watch.turn()
    return Told(watch, tmp_path, mailbox.server())


def kinds(mailbox: Mailbox) -> list[str]:
    """How the subjects begin."""
    return [each.split(": ")[0].removeprefix("[Roomlink] ") for each in mailbox.subjects]


def test_an_alarm_is_told_once_by_mail_with_where_since_when_and_what_to_do(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.gone()
    told.turn(60)
    told.restart()
    told.turn(60)
    (mail,) = mailbox.taken
    assert mailbox.subjects[0] == "[Roomlink] Critical: Terminal offline · 302 活动室, terminal kiosk-1"
    assert (mail["To"], mail["Auto-Submitted"], mailbox.recipients) == (DESK, "auto-generated", [DESK])
    text = mail.get_content()
    for said in ("Where: 302 活动室, terminal kiosk-1", "Now: active, acknowledged by nobody", "What to do: ",
                 f"Look: {PUBLIC_URL}/alarms/{told.alarm()}", "“值班室”"):  # fmt: skip
        assert said in text
    assert told.states() == [("raised", "delivered")]


def test_what_becomes_of_it_is_told_in_the_receivers_language(told: Told, mailbox: Mailbox) -> None:
    told.add(language="zh")
    told.gone()
    told.back()
    assert mailbox.subjects == [
        "【Roomlink】紧急：终端离线 · 302 活动室，终端 kiosk-1",
        "【Roomlink】已恢复：终端离线 · 302 活动室，终端 kiosk-1",
    ]
    assert "现在：" in mailbox.taken[1].get_content()


def test_a_follower_that_dies_before_its_commit_or_comes_twice_tells_once(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.watch.present("offline", "kiosk-1")
    told.watch.turn(301)
    with transaction(told.watch.engine) as session:
        assert following._follow(session, following._cursor(session)) == 1
        session.rollback()  # the process dies before the commit
    assert told.states() == []
    Follower(told.watch.engine).turn(told.watch.now)
    with transaction(told.watch.engine) as session:
        read = following._cursor(session)
        with pytest.raises(Unavailable):
            following._follow(session, read - 1)  # another process, which has read before the commit
        session.rollback()
    told.restart()
    told.turn()
    assert (len(mailbox.taken), told.states()) == (1, [("raised", "delivered")])


def test_what_a_process_had_claimed_when_it_died_is_sent_again_under_the_same_id(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.watch.present("offline", "kiosk-1")
    told.watch.turn(301)
    Follower(told.watch.engine).turn(told.watch.now)
    with transaction(told.watch.engine) as session:
        (due,) = claiming.due_receivers(session, told.watch.now)
        letter = claiming.claim(session, due.receiver_id, None, told.watch.now)
    assert letter is not None
    told.restart()
    told.turn(60)
    assert mailbox.taken == []  # it may be on its way
    told.turn(300)
    (mail,) = mailbox.taken
    assert str(mail["Message-ID"]).startswith(f"<{letter.message_id}@")


def test_terminals_that_fell_together_make_one_message(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.gone("kiosk-1", "kiosk-2")
    assert mailbox.subjects == ["[Roomlink] Critical: Terminal offline · 302 活动室, 2 terminals"]


def test_one_who_was_told_of_a_terminal_is_told_of_the_larger_alarm_and_of_one_end(
    told: Told, mailbox: Mailbox
) -> None:  # fmt: skip
    told.add()
    told.gone("kiosk-1")
    told.watch.present("offline", "kiosk-2")
    told.watch.run("UPDATE terminals SET presence_at = presence_at - ? WHERE id = 'kiosk-2'", [(301_000_000,)])
    told.turn(2)
    told.back("kiosk-1", "kiosk-2")
    assert kinds(mailbox) == ["Critical", "Critical", "Cleared"]


def test_several_alarms_at_once_are_one_message(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.watch.run("UPDATE terminals SET marks = ?, marked_at = ? WHERE id = 'kiosk-2'", [('["fork"]', 1)])
    told.gone("kiosk-1")
    assert len(mailbox.taken) == 1
    assert kinds(mailbox) == ["2 alarms"]
    assert told.states() == [("raised", "delivered")] * 2


def test_a_mail_server_that_is_away_delays_and_loses_nothing(told: Told, mailbox: Mailbox) -> None:
    told.add()
    mailbox.stop()
    told.gone()
    told.turn(50)
    told.turn(150)
    assert told.states() == [("raised", "waiting")]
    (attempts, why) = told.watch.rows("SELECT attempts, why FROM notifications")[0]
    assert (attempts, why) == (3, '{"code":"mail_away"}')
    mailbox.start()
    told.turn(600)
    assert (len(mailbox.taken), told.states()) == (1, [("raised", "delivered")])


def test_news_of_an_alarm_never_overtakes_what_is_tried_again(told: Told, mailbox: Mailbox) -> None:
    told.add()
    mailbox.answers = ["451 later"]
    told.gone()
    told.back()
    assert mailbox.taken == []
    told.turn(60)
    told.turn(2)
    assert kinds(mailbox) == ["Critical", "Cleared"]
    assert "Now: cleared since" in mailbox.taken[0].get_content()  # it is true when it is sent


def test_much_that_waits_for_a_retry_holds_up_no_other_alarm(told: Told, mailbox: Mailbox) -> None:
    receiver_id, _ = told.add()
    tried = [(receiver_id, "alm_tried", 0, to_us(told.watch.now + timedelta(hours=9)), 1)]
    behind_it = [(receiver_id, "alm_tried", number, 0, 0) for number in range(1, claiming.READ_AT_ONCE + 1)]
    told.watch.run(WAITING, tried + behind_it)
    told.gone()
    assert kinds(mailbox) == ["Critical"]
    assert told.watch.rows("SELECT COUNT(*) FROM notifications WHERE state = 'waiting'") == [(1 + len(behind_it),)]


def test_a_mailbox_that_is_refused_for_good_is_a_dead_letter_and_can_be_sent_again(
    told: Told, mailbox: Mailbox
) -> None:
    told.add()
    mailbox.answers = ["550 no such user here"]
    told.gone()
    assert told.states() == [("raised", "dead")]
    with transaction(told.watch.engine) as session:
        (dead,) = service.list_notifications(session, EVERYWHERE, Paging(), State.DEAD).rows
        assert dead.why == {"code": "mail_refused", "code_number": 550}
        service.resend(session, told.change, EVERYWHERE, dead.id)
    told.back()
    assert kinds(mailbox) == ["Critical", "Cleared"]
    with transaction(told.watch.engine) as session, pytest.raises(Conflict):
        service.resend(session, told.change, EVERYWHERE, dead.id)


def test_after_eight_attempts_over_a_day_it_is_given_up(told: Told, mailbox: Mailbox) -> None:
    told.add()
    mailbox.answers = ["451 later"] * 9
    told.gone()
    for _ in range(8):
        told.turn(22 * 3600)
    assert told.states() == [("raised", "dead")]
    assert told.watch.rows("SELECT attempts FROM notifications") == [(8,)]


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


def test_of_an_alarm_that_came_and_went_a_thousand_times_little_is_read(told: Told) -> None:
    receiver_id, _ = told.add()
    often = [("cleared", "dropped"), ("cleared", "delivered"), ("reopened", "delivered")] * 1_000
    settled = (
        "INSERT INTO notifications (receiver_id, alarm_id, what, event_id, at, state, due_at, held, asked, attempts, message_id)"
        " VALUES (?, 'alm_flaps', ?, ?, 0, ?, 0, FALSE, FALSE, 1, 'msg')"
    )
    told.watch.run(settled, [(receiver_id, what, number, state) for number, (what, state) in enumerate(often)])
    told.watch.run(WAITING, [(receiver_id, "alm_flaps", number, 0, 0) for number in range(2)])
    with transaction(told.watch.engine, read_only=True) as session:
        known = following.told_of(Bulk.of(session), ["alm_flaps"])["alm_flaps"]
    assert [(each.what, each.state) for each in known] == [
        ("cleared", "delivered"), ("reopened", "delivered"), ("raised", "waiting"), ("raised", "waiting"),
    ]  # fmt: skip


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


def test_what_waits_for_one_receiver_is_bounded_and_what_is_beyond_is_shown(told: Told) -> None:
    receiver_id, _ = told.add()
    told.watch.run(WAITING, [(receiver_id, f"alm_{number}", 1, 9 * 10**15, 0) for number in range(MOST_WAITING)])
    told.gone()
    newest = told.watch.rows("SELECT state, why FROM notifications ORDER BY id DESC LIMIT 1")
    assert newest == [("dropped", '{"code":"too_many"}')]


def sweep(told: Told, days: int) -> list[Row]:
    """What is left so many days later."""
    with transaction(told.watch.engine) as session:
        service.sweep(session, told.watch.now + timedelta(days=days))
    return told.states()


def test_what_was_settled_long_ago_is_let_go_of(told: Told, mailbox: Mailbox) -> None:
    told.add()
    mailbox.answers = ["550 no"]
    told.gone()
    told.watch.present("online", "kiosk-1")
    told.turn(700)
    told.gone("kiosk-2")
    told.back("kiosk-2")
    assert told.states() == [("raised", "dead"), ("raised", "delivered"), ("cleared", "delivered")]
    for days, left in ((29, 3), (31, 1), (89, 1), (91, 0)):
        assert len(sweep(told, days)) == left


def test_what_was_told_of_an_alarm_that_lasts_is_not_forgotten(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.add(address="chief@example.org", after_minutes=15)
    told.gone()
    told.turn(16 * 60)
    delivered = [("raised", "delivered"), ("escalated", "delivered")]
    assert sweep(told, 100) == delivered
    told.turn(100 * 86_400)
    assert told.states() == delivered
    told.back()
    assert kinds(mailbox)[2:] == ["Cleared", "Cleared"]
    assert len(sweep(told, 29)) == 4
    assert sweep(told, 31) == []


def test_of_an_alarm_that_comes_and_goes_for_long_only_the_newest_is_kept(told: Told, mailbox: Mailbox) -> None:
    told.add()
    told.gone()
    told.watch.run("UPDATE notifications SET what = ?", [("reopened",)])
    again = (
        "INSERT INTO notifications (receiver_id, alarm_id, what, event_id, at, state, due_at, held, asked, attempts, "
        "message_id, settled_at) SELECT receiver_id, alarm_id, what, ?, at, state, due_at, held, asked, attempts, "
        "message_id, settled_at FROM notifications WHERE event_id = 1"
    )
    told.watch.run(again, [(number,) for number in range(2, 9)])
    assert len(sweep(told, 29)) == 8
    assert sweep(told, 31) == [("reopened", "delivered")]


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_goes_over_tls_with_a_verified_certificate_and_a_password(told: Told, tmp_path: Path, tls: str) -> None:
    ca = Authorities(tmp_path / "ca")
    with Mailbox(ca.server("127.0.0.1"), with_login=True, implicit=tls == "tls") as secured:
        told.server = secured.server(tls, ca, user=USER, password=PASSWORD)
        told.restart()
        told.add()
        told.gone()
        assert (len(secured.taken), secured.over_tls) == (1, [True])


@pytest.mark.parametrize(
    ("tls", "trusted", "login", "why"),
    [
        ("starttls", False, True, "mail_certificate"),
        ("none", True, True, "mail_password_open"),
        ("starttls", True, False, "mail_login"),
    ],
)
def test_mail_is_put_off_where_the_server_is_not_who_it_should_be_or_does_not_know_us(
    told: Told, tmp_path: Path, tls: str, trusted: bool, login: bool, why: str
) -> None:
    ca = Authorities(tmp_path / "ca")
    with Mailbox(ca.server("127.0.0.1"), with_login=True) as secured:
        trust = ca if trusted else Authorities(tmp_path / "other")
        told.server = secured.server(tls, trust, user=USER, password=PASSWORD if login else "wrong-" + PASSWORD)
        told.restart()
        told.add()
        told.gone()
        assert secured.taken == []
    (state, said) = told.watch.rows("SELECT state, why FROM notifications")[0]
    assert (state, said.startswith(f'{{"code":"{why}"')) == ("waiting", True)
    assert PASSWORD not in said


def test_a_mail_that_was_taken_is_delivered_whatever_the_server_says_when_we_leave(
    told: Told, mailbox: Mailbox
) -> None:
    mailbox.farewell = "421 too busy to say goodbye"
    told.add()
    told.gone()
    assert (len(mailbox.taken), told.states()) == (1, [("raised", "delivered")])


def test_a_password_that_the_sign_in_cannot_carry_is_said(told: Told, tmp_path: Path) -> None:
    ca = Authorities(tmp_path / "ca")
    with Mailbox(ca.server("127.0.0.1"), with_login=True) as secured:
        told.server = secured.server("starttls", ca, user=USER, password="口令" + PASSWORD)
        told.restart()
        told.add()
        told.gone()
    assert told.watch.rows("SELECT state, why FROM notifications") == [("waiting", '{"code":"mail_login_letters"}')]


def test_a_server_without_starttls_gets_nothing(told: Told, mailbox: Mailbox) -> None:
    told.server = mailbox.server("starttls")
    told.restart()
    told.add()
    told.gone()
    assert mailbox.taken == []
    assert told.watch.rows("SELECT why FROM notifications") == [('{"code":"mail_no_tls"}',)]
