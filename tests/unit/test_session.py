"""The kiosk's session: from a code or a touch to a record on the disk and only then to the screen."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.errors import OutboxFull, OutboxReadOnly
from edge.kiosk import session as module
from edge.kiosk.session import Seen, Touched
from edge.kiosk.views import Touch
from firmware_specs.messages import CheckIn, CheckOut, Clock, Flag, Interaction, Method, Outcome, Reason
from tests.kiosk import PHONES, PIN, TALK, FakeRoster, Stage, card, code, hash_pin, twin


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, twin(TALK, PHONES, pin_hash=hash_pin())) as stage:
        yield stage


def check_ins(stage: Stage) -> list[CheckIn]:
    return [record for record in stage.records() if isinstance(record, CheckIn)]


# --- cards ----------------------------------------------------------------------------------------------------------


def test_card_is_kept_before_the_screen_turns_green(stage: Stage) -> None:
    on_the_disk: list[int] = []
    stage.listeners.append(lambda s: on_the_disk.append(len(check_ins(stage))) if s["view"]["field"] == "yes" else None)
    view = stage.see(code(card()))
    assert (view["field"], view["title"]["zh"], view["sound"]) == ("yes", "签到成功", "yes")
    assert on_the_disk == [1]
    record = check_ins(stage)[0]
    assert (record.method, record.outcome, record.occurrence) == (Method.QR, Outcome.ACCEPTED, TALK.id)
    assert record.flags == [Flag.NO_ROSTER]
    assert record.config == (1, 1)
    assert record.at == stage.clock.wall_us


def test_card_held_in_view_is_one_check_in(stage: Stage) -> None:
    for _ in range(10):
        stage.see(code(card()))
        stage.wait(module.HOLD_S - 0.5)
    assert len(check_ins(stage)) == 1


def test_card_shown_again_is_already_in_and_offers_to_leave(stage: Stage) -> None:
    stage.see(code(card()))
    stage.wait(module.HOLD_S)
    view = stage.see(code(card()))
    assert (view["title"]["zh"], view["symbol"], view["sound"]) == ("您已签到", "tick2", "again")
    assert [b["touch"] for b in view["buttons"]] == ["leave"]
    assert [record.outcome for record in check_ins(stage)] == [Outcome.ACCEPTED, Outcome.ALREADY_IN]


def test_two_cards_in_view_in_turns_are_two_check_ins(stage: Stage) -> None:
    for _ in range(5):
        stage.see(code(card(1)), code(card(2)))
        stage.wait(0.2)
    assert len(check_ins(stage)) == 2


def test_new_card_wins_over_a_result_that_is_still_shown(stage: Stage) -> None:
    stage.see(code(card(1, valid_days=(-9, -1))))
    assert stage.view["title"]["zh"] == "二维码已过期"
    assert stage.see(code(card(2)))["title"]["zh"] == "签到成功"


def test_new_card_wins_over_a_keypad(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.STAFF)
    assert stage.view["screen"] == "pin"
    assert stage.see(code(card(2)))["field"] == "yes"


def test_acceptance_is_remembered_over_a_restart(stage: Stage, tmp_path: Path) -> None:
    stage.see(code(card()))
    stage.outbox.close()
    with Stage(tmp_path, stage.twin.desired) as again:
        assert again.see(code(card()))["title"]["zh"] == "您已签到"


@pytest.mark.parametrize(
    ("text", "reason", "title"),
    [
        ("https://example.org/pay", Reason.UNKNOWN_ISSUER, "不是本处的码"),
        ("RL1:NOT A CARD", Reason.UNREADABLE, "请再试一次"),
        (code(card(), Ed25519PrivateKey.from_private_bytes(bytes(32))), Reason.FORGED, "不是本处的码"),
        (code(replace(card(), issuer="OTHER")), Reason.UNKNOWN_ISSUER, "不是本处的码"),
        (code(card(valid_days=(-9, -1))), Reason.EXPIRED, "二维码已过期"),
        (code(card(valid_days=(1, 9))), Reason.NOT_YET_VALID, "还没到生效日"),
    ],
)
def test_bad_code_gets_words_for_a_person_and_is_kept_as_refused(
    stage: Stage, text: str, reason: Reason, title: str
) -> None:
    view = stage.see(text)
    assert (view["field"], view["title"]["zh"], view["sound"]) == ("no", title, "no")
    assert [(r.outcome, r.reason) for r in check_ins(stage)] == [(Outcome.REFUSED, reason)]


def test_revoked_card_is_refused_without_a_reason_on_the_screen(stage: Stage) -> None:
    stage.twin.revoked_ids = frozenset({card().id})
    view = stage.see(code(card()))
    assert (view["title"]["zh"], view["lines"]["zh"]) == ("此码已停用", "请到服务台，工作人员会帮您。")


def test_foreign_code_in_the_room_never_wipes_out_a_result_and_is_told_once(stage: Stage) -> None:
    poster = "https://example.org/poster"
    stage.see(code(card()))
    assert stage.see(poster)["title"]["zh"] == "签到成功"
    stage.wait(5)
    for _ in range(5):
        assert stage.see(poster)["screen"] == "waiting"
        stage.wait(module.FOREIGN_HOLD_S - 1)
    assert len(check_ins(stage)) == 1


def test_new_keys_of_the_twin_are_used_at_once(stage: Stage) -> None:
    other = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    assert stage.see(code(card(), other))["title"]["zh"] == "不是本处的码"
    desired = twin(TALK, version=2)
    public = other.public_key().public_bytes_raw().hex()
    keys = [desired.issuer_keys[0].model_copy(update={"public_key": public})]
    stage.twin.desired = desired.model_copy(update={"issuer_keys": keys})
    stage.wait(5)
    assert stage.see(code(card(), other))["title"]["zh"] == "签到成功"


def test_not_on_the_list_offers_guest_and_staff(stage: Stage) -> None:
    stage.twin.members = FakeRoster({card().subject: {"b1"}})
    stage.twin.desired = twin(TALK.model_copy(update={"audience": ["b9"]}), version=2)
    view = stage.see(code(card()))
    assert view["title"]["zh"] == "不在本场名单"
    assert [(b["touch"], b["main"]) for b in view["buttons"]] == [("guest", False), ("help", True)]
    assert stage.touch(Touch.GUEST)["title"]["zh"] == "访客已登记"
    assert [(r.method, r.outcome) for r in check_ins(stage)] == [
        (Method.QR, Outcome.REFUSED),
        (Method.GUEST, Outcome.ACCEPTED),
    ]


def test_kiosk_that_never_reached_the_cloud_keeps_cards_for_it_to_check(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        view = stage.see(code(card()))
        assert (view["field"], view["lines"]["zh"]) == ("yes", "联网后计入您参加的活动。")
        record = check_ins(stage)[0]
        assert record.flags == [Flag.NO_ROSTER, Flag.NOT_VERIFIED]
        assert record.credential is not None
        assert record.credential.subject == card().subject
        assert record.config == (0, 0)


def test_unset_clock_turns_nobody_away_and_shows_no_time(stage: Stage) -> None:
    stage.clock.claimed = Clock.UNSET
    stage.wait(1)
    assert stage.snapshot["head"]["clock"] == "--:--"
    assert stage.see(code(card(valid_days=(-900, -800))))["field"] == "yes"
    assert check_ins(stage)[0].flags == [Flag.CLOCK_UNSURE, Flag.NO_ROSTER]
    assert check_ins(stage)[0].occurrence is None


# --- leaving --------------------------------------------------------------------------------------------------------


def test_leaving_is_a_touch_and_then_the_card(stage: Stage) -> None:
    stage.see(code(card()))
    stage.wait(4)
    stage.touch(Touch.NO_CODE)
    assert stage.touch(Touch.LEAVE)["screen"] == "leave"
    view = stage.see(code(card()))
    assert (view["field"], view["title"]["zh"]) == ("yes", "签退成功")
    left = [record for record in stage.records() if isinstance(record, CheckOut)]
    assert [(record.occurrence, record.credential.subject) for record in left] == [(TALK.id, card().subject)]
    assert stage.see(code(card()))["title"]["zh"] == "签退成功"  # still in view: not a new check-in
    assert len(check_ins(stage)) == 1


def test_bad_code_while_leaving_is_refused_like_any(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.LEAVE)
    assert stage.see("RL1:NOT A CARD")["title"]["zh"] == "请再试一次"


# --- storage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [OutboxFull("full"), OutboxReadOnly("read-only")])
def test_nobody_is_green_when_nothing_can_be_kept(stage: Stage, failure: OutboxFull | OutboxReadOnly) -> None:
    stage.outbox.broken = failure
    view = stage.see(code(card()))
    assert (view["field"], view["title"]["zh"], view["deadline_ms"]) == ("stop", "本机暂停签到", None)
    stage.wait(30)
    assert stage.view["screen"] == "stop"
    assert check_ins(stage) == []


def test_stop_ends_by_itself_and_the_same_card_is_green_then(stage: Stage) -> None:
    stage.outbox.broken = OutboxFull("full")
    stage.see(code(card()))
    stage.outbox.broken = None
    assert stage.see(code(card()))["field"] == "yes"
    stage.wait(20)
    assert stage.view["screen"] == "waiting"


def test_full_disk_is_said_before_anybody_shows_a_card(stage: Stage) -> None:
    stage.outbox.broken, stage.outbox.depth = OutboxFull("full"), 48_211
    assert stage.wait(1)["screen"] == "stop"
    assert stage.line == "存储已满，48,211 条待上传"
    stage.outbox.broken = None
    assert stage.wait(1)["screen"] == "waiting"


def test_leaving_and_guests_stop_too_when_nothing_can_be_kept(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.outbox.broken = OutboxFull("full")
    assert stage.touch(Touch.GUEST)["field"] == "stop"
    stage.outbox.broken = None
    stage.wait(20)
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.LEAVE)
    stage.outbox.broken = OutboxFull("full")
    assert stage.see(code(card()))["field"] == "stop"


# --- touches --------------------------------------------------------------------------------------------------------


def test_guest_is_two_touches_and_one_head(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    view = stage.touch(Touch.GUEST)
    assert view["title"]["en"] == "Guest checked in"
    stage.touch(Touch.GUEST, view=view["number"])
    stage.touch(Touch.GUEST, view=view["number"] - 1)
    assert [(r.method, r.credential) for r in check_ins(stage)] == [(Method.GUEST, None)]


def test_touch_made_on_an_older_view_does_nothing(stage: Stage) -> None:
    number = stage.view["number"]
    stage.see(code(card()))
    assert stage.touch(Touch.NO_CODE, view=number)["screen"] == "result"


def test_result_returns_after_its_time_and_a_touch_gives_ten_seconds_more(stage: Stage) -> None:
    stage.see(code(card(valid_days=(-9, -1))))
    assert stage.wait(11.9)["screen"] == "result"
    stage.touch(Touch.SCREEN)
    assert stage.wait(9.9)["screen"] == "result"
    assert stage.wait(0.3)["screen"] == "waiting"


def test_touches_never_hold_a_screen_for_longer_than_a_minute(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    for _ in range(50):
        stage.touch(Touch.SCREEN)
    assert stage.wait(61)["screen"] == "waiting"


def test_touches_are_counted_per_screen_and_minute(stage: Stage) -> None:
    for _ in range(3):
        stage.touch(Touch.SCREEN)
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.BACK)
    assert [r for r in stage.records() if isinstance(r, Interaction)] == []
    stage.wait(60)
    counts = [(r.screen, r.touches, r.help_called) for r in stage.records() if isinstance(r, Interaction)]
    assert counts == [("waiting", 4, 0), ("choose", 1, 0)]


def test_call_for_help_is_recorded_at_once_and_told_truthfully(stage: Stage) -> None:
    view = stage.touch(Touch.HELP)
    assert view["title"]["zh"] == "已请工作人员"
    assert [(r.screen, r.help_called) for r in stage.records() if isinstance(r, Interaction)] == [("waiting", 1)]
    stage.touch(Touch.BACK)
    stage.connected = False
    assert stage.touch(Touch.HELP)["title"]["zh"] == "请到服务台"


def test_touches_are_kept_at_the_end_and_over_a_full_disk(stage: Stage) -> None:
    stage.touch(Touch.SCREEN)
    stage.outbox.broken = OutboxFull("full")
    stage.wait(61)
    stage.outbox.broken = None
    stage.touch(Touch.SCREEN)
    stage.session.stop()
    assert [(r.screen, r.touches) for r in stage.records() if isinstance(r, Interaction)] == [
        ("waiting", 1),
        ("stop", 1),
    ]


def test_flood_of_inputs_is_let_go_beyond_a_bound(stage: Stage) -> None:
    taken = [stage.session.put(Touched(Touch.SCREEN, 0)) for _ in range(module.QUEUE + 5)]
    assert taken == [True] * module.QUEUE + [False] * 5
    assert not stage.session.put(Seen("x", 0.0))


# --- staff ----------------------------------------------------------------------------------------------------------


def number_of(index: int) -> str:
    return f"{int(card(index).id, 16):012d}"


def enter_staff(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.STAFF)
    stage.touch(Touch.PIN, PIN)


def test_staff_types_a_number_that_decides_like_a_qr(stage: Stage) -> None:
    enter_staff(stage)
    assert stage.view["screen"] == "number"
    view = stage.touch(Touch.NUMBER, number_of(1))
    assert view["title"]["zh"] == "代签成功"
    assert [(r.method, r.outcome) for r in check_ins(stage)] == [(Method.STAFF, Outcome.ACCEPTED)]
    assert stage.touch(Touch.STAFF)["screen"] == "number"
    assert stage.touch(Touch.NUMBER, number_of(1))["title"]["zh"] == "您已签到"
    stage.wait(4)
    assert stage.see(code(card(1)))["title"]["zh"] == "您已签到"


def test_wrong_number_is_asked_for_again_and_not_recorded(stage: Stage) -> None:
    enter_staff(stage)
    view = stage.touch(Touch.NUMBER, "123456789012")
    assert (view["screen"], view["lines"]["zh"]) == ("number", "卡号不对，请再核对一次。")
    assert check_ins(stage) == []


def test_number_without_the_pin_is_not_taken(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.NUMBER, number_of(1))
    assert stage.view["screen"] == "choose"
    enter_staff(stage)
    stage.touch(Touch.SCREEN)
    stage.now_s += 61  # the keypad's own time is not over yet for a page that was held up
    stage.session.put(Touched(Touch.NUMBER, stage.view["number"], number_of(1)))
    stage.session.step()
    assert check_ins(stage) == []


def test_going_back_asks_for_the_pin_again(stage: Stage) -> None:
    enter_staff(stage)
    stage.touch(Touch.BACK)
    stage.touch(Touch.NO_CODE)
    assert stage.touch(Touch.STAFF)["screen"] == "pin"


def test_five_wrong_pins_make_a_pause_that_is_said(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.STAFF)
    lines = [stage.touch(Touch.PIN, "0000")["lines"]["zh"] for _ in range(5)]
    assert lines[0] == "PIN 不对，还可以试 4 次。"
    assert lines[4] == "试得太多，请等 30 秒。"
    assert stage.touch(Touch.PIN, PIN)["screen"] == "pin"
    stage.wait(31)
    enter_staff(stage)
    assert stage.view["screen"] == "number"


def test_staff_entry_is_not_offered_without_a_pin(stage: Stage) -> None:
    stage.twin.desired = twin(TALK, version=2)
    assert [b["touch"] for b in stage.touch(Touch.NO_CODE)["buttons"]] == ["guest", "leave", "back"]


# --- around ---------------------------------------------------------------------------------------------------------


def test_state_line_says_what_needs_a_hand_first(stage: Stage) -> None:
    def say() -> str:
        stage.wait(1)
        return stage.line

    stage.outbox.depth = 0
    assert say() == "在线，记录已全部存好"
    stage.outbox.depth = 12
    assert say() == "12 条正在上传"
    stage.connected = False
    assert say() == "网络断开，签到照常。12 条稍后上传"
    stage.outbox.depth = 0
    assert say() == "网络断开，签到照常"
    stage.outbox.depth, stage.outbox.oldest_at_us = 12, stage.clock.wall_us - 21 * 86_400_000_000
    assert say() == "自 11月2日 起没有存到云端，签到照常"
    stage.camera = False
    assert say() == "摄像头没有画面，请按下面的按钮"
    stage.outbox.broken = OutboxReadOnly("read-only")
    assert say() == "存储不能写入，12 条待上传"


def test_screen_dims_after_ten_minutes_and_lights_up_for_motion(stage: Stage) -> None:
    stage.wait(599)
    assert not stage.snapshot["dim"]
    stage.wait(2)
    assert stage.snapshot["dim"]
    stage.session.moved()
    stage.wait(1)
    assert not stage.snapshot["dim"]


def test_nothing_is_shown_again_while_nothing_changes(stage: Stage) -> None:
    stage.outbox.depth = 0
    stage.wait(1)
    before = len(stage.shown)
    for _ in range(10):
        stage.wait(1)
    assert len(stage.shown) == before


def test_time_from_frame_to_screen_is_kept(stage: Stage) -> None:
    stage.session.put(Seen(code(card()), stage.now_s - 0.05))
    stage.session.step()
    timing = stage.session.timings[-1]
    assert (timing.captured_mono_s, timing.shown_mono_s) == (stage.now_s - 0.05, stage.now_s)
    assert stage.view["captured_ms"] == round((stage.now_s - 0.05) * 1000)


def test_thread_takes_inputs_and_outlives_a_fault(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    failed = False

    def fail_once(_: object) -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise RuntimeError("broken screen")

    stage.listeners.append(fail_once)
    stage.session.start()
    stage.session.put(Seen(code(card(1)), stage.now_s))
    stage.session.put(Seen(code(card(2)), stage.now_s))
    wait_until(lambda: len(check_ins(stage)) == 2)
    stage.session.stop()
    assert "an input could not be handled" in caplog.text


def wait_until(true: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Poll until a condition holds."""
    deadline_s = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.01)
