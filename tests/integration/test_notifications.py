"""Alarms are told by mail: a real mail server, both databases. Once each, over restarts, tried again, in bounds."""

from datetime import timedelta

import pytest

from cloud.bulk import Bulk, Row
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import Conflict, Unavailable
from cloud.notifications import claiming, following, service
from cloud.notifications.deciding import State
from cloud.notifications.following import MOST_WAITING, Follower
from cloud.paging import Paging
from cloud.scope import EVERYWHERE
from tests.mail_server import Mailbox
from tests.notifying import DESK, PUBLIC_URL, WAITING, Told, kinds


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
