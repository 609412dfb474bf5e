"""The kiosk's session: a disk that refuses, the state line, dimming, and the thread that decides."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.errors import OutboxFull, OutboxReadOnly
from edge.kiosk import session as module
from edge.kiosk.session import Seen
from edge.kiosk.views import Touch
from tests.kiosk import PHONES, TALK, Stage, card, code, hash_pin, twin
from tests.process import wait_until


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, twin(TALK, PHONES, pin_hash=hash_pin())) as stage:
        yield stage


@pytest.mark.parametrize("failure", [OutboxFull("full"), OutboxReadOnly("read-only")])
def test_nobody_is_green_when_nothing_can_be_kept(stage: Stage, failure: OutboxFull | OutboxReadOnly) -> None:
    stage.outbox.broken = failure
    view = stage.see(code(card()))
    assert (view["field"], view["title"]["zh"], view["deadline_ms"]) == ("stop", "本机暂停签到", None)
    stage.wait(30)
    assert stage.view["screen"] == "stop"
    assert stage.check_ins() == []


def test_stop_ends_by_itself_and_the_same_card_is_green_then(stage: Stage) -> None:
    stage.outbox.broken = OutboxFull("full")
    stage.see(code(card()))
    stage.outbox.broken = None
    assert stage.see(code(card()))["field"] == "stop"  # the same frame again: no hundred tries a second
    stage.wait(module.RETRY_S)
    assert stage.see(code(card()))["field"] == "yes"
    stage.wait(20)
    assert stage.view["screen"] == "waiting"


def test_card_that_must_wait_for_the_disk_is_told_so_and_then_green(stage: Stage) -> None:
    is_held, may_end = threading.Event(), threading.Event()

    def fork() -> None:
        with stage.outbox._store.held():
            is_held.set()
            assert may_end.wait(10)

    def look(snapshot: dict[str, Any]) -> None:
        if snapshot["view"]["title"]["zh"] == "请稍等":
            may_end.set()

    stage.listeners.append(look)
    thread = threading.Thread(target=fork)
    thread.start()
    assert is_held.wait(10)
    assert stage.see(code(card()))["field"] == "yes"
    thread.join()
    assert [shown["view"]["field"] for shown in stage.shown[-2:]] == ["note", "yes"]


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
    stage.camera = False
    assert say() == "摄像头没有画面，请按下面的按钮"
    stage.outbox.depth, stage.outbox.oldest_at_us = 12, stage.clock.wall_us - 21 * 86_400_000_000
    assert say() == "自 11月2日 起没有存到云端，签到照常"
    stage.outbox.broken = OutboxReadOnly("read-only")
    assert say() == "存储不能写入，12 条待上传"


def test_kiosk_that_is_to_have_no_camera_does_not_miss_one(tmp_path: Path) -> None:
    with Stage(tmp_path, twin(TALK), has_camera=False) as stage:
        stage.camera, stage.outbox.depth = False, 0
        stage.wait(1)
        assert stage.line == "在线，记录已全部存好"


def test_a_card_left_in_view_does_not_keep_the_screen_lit(stage: Stage) -> None:
    for _ in range(610):
        stage.wait(1)
        stage.see(code(card()))
    stage.wait(1)
    assert stage.snapshot["dim"]


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
    assert wait_until(lambda: len(stage.check_ins()) == 2)
    stage.session.stop()
    assert "an input could not be handled" in caplog.text
