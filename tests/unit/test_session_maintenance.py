"""A kiosk under maintenance says so, turns nobody green whatever is shown or touched, and goes on when it has ended."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.errors import OutboxFull
from edge.kiosk.session import Identify
from edge.kiosk.views import Touch
from edge.mode import Mode
from tests.kiosk import PHONES, PIN, TALK, Stage, card, code, hash_pin, twin


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, twin(TALK, PHONES, pin_hash=hash_pin())) as stage:
        yield stage


def close(stage: Stage) -> None:
    stage.mode = Mode(maintenance=True)


def test_it_says_so_within_a_step_and_offers_nothing(stage: Stage) -> None:
    close(stage)
    view = stage.wait(0.1)
    assert (view["screen"], view["field"], view["buttons"], view["back_ms"]) == ("maintenance", "stop", [], None)
    assert stage.line == "维护结束后恢复签到"


def test_no_card_is_kept_or_green_from_the_moment_that_it_is_in_force(stage: Stage) -> None:
    close(stage)  # the screen has not changed yet
    assert stage.see(code(card()))["field"] == "stop"
    assert stage.see(code(card(2)), "https://example.org/pay")["screen"] == "maintenance"
    assert stage.check_ins() == []


@pytest.mark.parametrize("touches", [[Touch.NO_CODE, Touch.GUEST], [Touch.NO_CODE, Touch.LEAVE]])
def test_touches_that_were_under_way_lead_nowhere(stage: Stage, touches: list[Touch]) -> None:
    for touch in touches[:-1]:
        stage.touch(touch)
    close(stage)
    assert stage.touch(touches[-1])["screen"] == "maintenance"
    assert stage.check_ins() == []


def test_number_that_staff_were_typing_checks_nobody_in(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.STAFF)
    stage.touch(Touch.PIN, PIN)
    close(stage)
    assert stage.touch(Touch.NUMBER, f"{int(card(7).id, 16):012d}")["screen"] == "maintenance"
    assert stage.check_ins() == []


def test_result_of_who_came_just_before_is_shown_to_its_end(stage: Stage) -> None:
    stage.see(code(card()))
    close(stage)
    assert stage.wait(0.5)["field"] == "yes"
    assert stage.wait(5)["screen"] == "maintenance"


def test_it_can_be_identified_and_checks_nobody_in_meanwhile(stage: Stage) -> None:
    close(stage)
    stage.session.put(Identify(30))
    assert stage.wait(0.1)["screen"] == "identify"
    assert stage.see(code(card()))["screen"] == "identify"
    assert stage.touch(Touch.BACK)["screen"] == "maintenance"
    assert stage.check_ins() == []


def test_state_line_says_what_is_wrong_with_the_disk_first(stage: Stage) -> None:
    close(stage)
    stage.outbox.broken = OutboxFull("full")
    stage.wait(1)
    assert stage.line.startswith("存储已满")
    assert stage.view["screen"] == "maintenance"


def test_it_goes_on_when_maintenance_has_ended(stage: Stage) -> None:
    close(stage)
    stage.wait(1)
    stage.mode = Mode()
    assert stage.wait(0.1)["screen"] == "waiting"
    assert stage.see(code(card()))["field"] == "yes"
    assert len(stage.check_ins()) == 1


def test_page_is_told_the_volume(stage: Stage) -> None:
    assert stage.snapshot["volume"] == 100
    stage.mode = Mode(volume=0)
    stage.wait(1)
    assert stage.snapshot["volume"] == 0
