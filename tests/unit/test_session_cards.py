"""The kiosk's session: from a card in view to a record on the disk and only then to the screen; coming and leaving."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.kiosk import session as module
from edge.kiosk.views import Touch
from firmware_specs.messages import CheckOut, Clock, Flag, Method, Outcome, Reason
from tests.kiosk import PHONES, TALK, FakeRoster, Stage, card, code, hash_pin, twin


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with Stage(tmp_path, twin(TALK, PHONES, pin_hash=hash_pin())) as stage:
        yield stage


def test_card_is_kept_before_the_screen_turns_green(stage: Stage) -> None:
    on_the_disk: list[int] = []
    stage.listeners.append(
        lambda s: on_the_disk.append(len(stage.check_ins())) if s["view"]["field"] == "yes" else None
    )
    view = stage.see(code(card()))
    assert (view["field"], view["title"]["zh"], view["sound"]) == ("yes", "签到成功", "yes")
    assert on_the_disk == [1]
    record = stage.check_ins()[0]
    assert (record.method, record.outcome, record.occurrence) == (Method.QR, Outcome.ACCEPTED, TALK.id)
    assert record.flags == [Flag.NO_ROSTER]
    assert record.config == (1, 1)
    assert record.at == stage.clock.wall_us


def test_card_held_in_view_is_one_check_in(stage: Stage) -> None:
    for _ in range(10):
        stage.see(code(card()))
        stage.wait(module.HOLD_S - 0.5)
    assert len(stage.check_ins()) == 1


def test_card_shown_again_is_already_in_and_offers_to_leave(stage: Stage) -> None:
    stage.see(code(card()))
    stage.wait(module.HOLD_S)
    view = stage.see(code(card()))
    assert (view["title"]["zh"], view["symbol"], view["sound"]) == ("您已签到", "tick2", "again")
    assert [b["touch"] for b in view["buttons"]] == ["leave"]
    assert [record.outcome for record in stage.check_ins()] == [Outcome.ACCEPTED, Outcome.ALREADY_IN]


def test_two_cards_in_view_in_turns_are_two_check_ins(stage: Stage) -> None:
    for _ in range(5):
        stage.see(code(card(1)), code(card(2)))
        stage.wait(0.2)
    assert len(stage.check_ins()) == 2


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
    assert [(r.outcome, r.reason) for r in stage.check_ins()] == [(Outcome.REFUSED, reason)]


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
    assert len(stage.check_ins()) == 1


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
    assert [(r.method, r.outcome) for r in stage.check_ins()] == [
        (Method.QR, Outcome.REFUSED),
        (Method.GUEST, Outcome.ACCEPTED),
    ]


def test_kiosk_that_never_reached_the_cloud_keeps_cards_for_it_to_check(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        view = stage.see(code(card()))
        assert (view["field"], view["lines"]["zh"]) == ("yes", "联网后计入您参加的活动。")
        record = stage.check_ins()[0]
        assert record.flags == [Flag.NO_ROSTER, Flag.NOT_VERIFIED]
        assert record.credential is not None
        assert record.credential.subject == card().subject
        assert record.config == (0, 0)


def test_unset_clock_turns_nobody_away_and_shows_no_time(stage: Stage) -> None:
    stage.clock.claimed = Clock.UNSET
    stage.wait(1)
    assert stage.snapshot["head"]["clock"] == "--:--"
    assert stage.see(code(card(valid_days=(-900, -800))))["field"] == "yes"
    assert stage.check_ins()[0].flags == [Flag.CLOCK_UNSURE, Flag.NO_ROSTER]
    assert stage.check_ins()[0].occurrence is None


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
    assert len(stage.check_ins()) == 1


def test_card_that_never_left_the_view_leaves_too(stage: Stage) -> None:
    for _ in range(4):
        stage.see(code(card()))
        stage.wait(1)
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.LEAVE)
    assert stage.see(code(card()))["title"]["zh"] == "签退成功"


def test_time_at_the_end_of_the_calendar_does_not_stop_the_screen(tmp_path: Path) -> None:
    last = TALK.model_copy(update={"starts_at": 253_402_300_799_000_000, "ends_at": 253_402_300_799_999_999})
    with Stage(tmp_path, twin(last)) as stage:
        assert stage.see(code(card()))["screen"] == "result"


def test_bad_code_while_leaving_is_refused_like_any(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.LEAVE)
    assert stage.see("RL1:NOT A CARD")["title"]["zh"] == "请再试一次"
