"""The kiosk's session: touches, guests, calls for help, and staff entry behind its PIN."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import OutboxFull
from edge.kiosk import session as module
from edge.kiosk.session import Seen, Touched
from edge.kiosk.views import Touch
from firmware_specs.messages import Interaction, Method, Outcome
from tests.kiosk import PHONES, PIN, TALK, Stage, card, code, hash_pin, twin


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, twin(TALK, PHONES, pin_hash=hash_pin())) as stage:
        yield stage


def test_guest_is_two_touches_and_one_head(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    view = stage.touch(Touch.GUEST)
    assert view["title"]["en"] == "Guest checked in"
    stage.touch(Touch.GUEST, view=view["number"])
    stage.touch(Touch.GUEST, view=view["number"] - 1)
    assert [(r.method, r.credential) for r in stage.check_ins()] == [(Method.GUEST, None)]


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


def test_a_card_takes_the_place_of_a_flood_of_touches(stage: Stage) -> None:
    for _ in range(module.QUEUE + 5):
        stage.session.put(Touched(Touch.SCREEN, 0))
    assert stage.session.put(Seen(code(card()), stage.now_s))
    for _ in range(module.QUEUE):
        stage.session.step()
    assert stage.view["title"]["zh"] == "签到成功"


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
    assert [(r.method, r.outcome) for r in stage.check_ins()] == [(Method.STAFF, Outcome.ACCEPTED)]
    assert stage.touch(Touch.STAFF)["screen"] == "number"
    assert stage.touch(Touch.NUMBER, number_of(1))["title"]["zh"] == "您已签到"
    stage.wait(4)
    assert stage.see(code(card(1)))["title"]["zh"] == "您已签到"


def test_wrong_number_is_asked_for_again_and_not_recorded(stage: Stage) -> None:
    enter_staff(stage)
    view = stage.touch(Touch.NUMBER, "123456789012")
    assert (view["screen"], view["lines"]["zh"]) == ("number", "卡号不对，请再核对一次。")
    assert stage.check_ins() == []


def test_number_without_the_pin_is_not_taken(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.NUMBER, number_of(1))
    assert stage.view["screen"] == "choose"
    enter_staff(stage)
    stage.touch(Touch.SCREEN)
    stage.now_s += 61  # the keypad's own time is not over yet for a page that was held up
    stage.session.put(Touched(Touch.NUMBER, stage.view["number"], number_of(1)))
    stage.session.step()
    assert stage.check_ins() == []


@pytest.mark.parametrize("first", ["time", "another's card"])
def test_whoever_comes_after_staff_has_left_is_asked_for_the_pin(stage: Stage, first: str) -> None:
    enter_staff(stage)
    stage.touch(Touch.NUMBER, number_of(1))
    if first == "another's card":
        stage.see(code(card(2)))
    stage.wait(30)
    assert stage.view["screen"] == "waiting"
    stage.touch(Touch.NO_CODE)
    assert stage.touch(Touch.STAFF)["screen"] == "pin"


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
