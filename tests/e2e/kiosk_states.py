"""Every state of the kiosk's screen, as a stage is led to it; for the page's tests and for taking its pictures."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.errors import OutboxFull
from edge.kiosk.decision import to_us
from edge.kiosk.views import Touch
from edge.mode import Mode
from firmware_specs.messages import Clock
from tests.kiosk import PHONES, PIN, START, TALK, FakeRoster, Stage, card, code, hash_pin, occurrence, twin

LONG = occurrence(
    "long",
    "中老年朋友冬季心脑血管健康与合理用药专题讲座（第三讲，含现场血压测量）",
    "Winter heart and circulation health for older residents, lecture three, with blood pressure readings",
    START + timedelta(minutes=6),
    1.5,
)


def accepted(stage: Stage) -> None:
    stage.see(code(card(1)))


def already_in(stage: Stage) -> None:
    stage.see(code(card(1)))
    stage.wait(60)
    stage.see(code(card(1)))


def visit(stage: Stage) -> None:
    stage.twin.desired = twin(PHONES, version=2)
    stage.see(code(card(1)))


def not_on_the_list(stage: Stage) -> None:
    stage.twin.members = FakeRoster({card(1).subject: {"b1"}})
    limited = TALK.model_copy(update={"audience": ["b9"]})
    stage.twin.desired = twin(limited, PHONES, version=2)
    stage.see(code(card(1)))


def expired(stage: Stage) -> None:
    stage.see(code(card(1, valid_days=(-30, -1))))


def not_yet_valid(stage: Stage) -> None:
    stage.see(code(card(1, valid_days=(1, 30))))


def revoked(stage: Stage) -> None:
    stage.twin.revoked_ids = frozenset({card(1).id})
    stage.see(code(card(1)))


def foreign(stage: Stage) -> None:
    stage.see("https://example.org/pay")


def unreadable(stage: Stage) -> None:
    stage.see("RL1:NOT A CARD")


def guest(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.GUEST)


def choose(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)


def help_called(stage: Stage) -> None:
    stage.touch(Touch.HELP)


def help_unheard(stage: Stage) -> None:
    stage.connected = False
    stage.touch(Touch.HELP)


def leave(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.LEAVE)


def checked_out(stage: Stage) -> None:
    stage.see(code(card(1)))
    stage.wait(60)
    leave(stage)
    stage.see(code(card(1)))


def pin(stage: Stage) -> None:
    stage.touch(Touch.NO_CODE)
    stage.touch(Touch.STAFF)


def pin_wrong(stage: Stage) -> None:
    pin(stage)
    stage.touch(Touch.PIN, "0000")


def pin_paused(stage: Stage) -> None:
    pin(stage)
    for _ in range(5):
        stage.touch(Touch.PIN, "0000")


def number(stage: Stage) -> None:
    pin(stage)
    stage.touch(Touch.PIN, PIN)


def number_wrong(stage: Stage) -> None:
    number(stage)
    stage.touch(Touch.NUMBER, "123456789012")


def staff_accepted(stage: Stage) -> None:
    number(stage)
    stage.touch(Touch.NUMBER, f"{int(card(7).id, 16):012d}")


def full(stage: Stage) -> None:
    stage.outbox.broken = OutboxFull("full")
    stage.outbox.depth = 48_211
    stage.wait(1)


def maintenance(stage: Stage) -> None:
    stage.mode = Mode(maintenance=True)
    stage.wait(1)


def offline(stage: Stage) -> None:
    stage.connected = False
    stage.outbox.depth = 12
    stage.wait(1)


def unstored(stage: Stage) -> None:
    stage.connected = False
    stage.outbox.depth, stage.outbox.oldest_at_us = 1200, stage.clock.now_us() - 21 * 86_400_000_000
    stage.wait(1)


def sending(stage: Stage) -> None:
    stage.outbox.depth = 12
    stage.wait(1)


def no_camera(stage: Stage) -> None:
    stage.camera = False
    stage.wait(1)


def never_reached(stage: Stage) -> None:
    stage.twin.desired, stage.connected = None, False
    stage.wait(1)


def never_reached_accepted(stage: Stage) -> None:
    never_reached(stage)
    stage.see(code(card(1)))


def clock_unset(stage: Stage) -> None:
    stage.clock.claimed = Clock.UNSET
    stage.wait(1)


def nothing_planned(stage: Stage) -> None:
    stage.twin.desired = twin(version=2)
    stage.wait(1)


def schedule_ended(stage: Stage) -> None:
    stage.twin.desired = twin(TALK, version=2, occurrences_until=to_us(START))
    stage.wait(1)


def schedule_ended_accepted(stage: Stage) -> None:
    schedule_ended(stage)
    stage.see(code(card(1)))


def another_day(stage: Stage) -> None:
    later = occurrence("choir", "合唱团", "Choir", START + timedelta(days=2), 2)
    stage.twin.desired = twin(PHONES, later, version=2, pin_hash=hash_pin())
    stage.wait(1)


def overlong(stage: Stage) -> None:
    """The longest texts that the contract lets through."""
    stage.twin.desired = twin(LONG, PHONES.model_copy(update={"title": "长" * 100, "title_en": "l" * 200}), version=2)
    room = stage.twin.desired.room
    assert room is not None
    names = {"number": "B-3021 东", "name": "梧桐社区党群服务中心三楼多功能活动室", "name_en": "Wutong " * 28}
    stage.twin.desired = stage.twin.desired.model_copy(update={"room": room.model_copy(update=names)})
    stage.wait(1)


def overlong_accepted(stage: Stage) -> None:
    overlong(stage)
    stage.see(code(card(1)))


def right_to_left(stage: Stage) -> None:
    """Right-to-left and combining characters stay within their own place."""
    title = "\u202eمحاضرة صحية e\u0301\u0302\u0303\u0304\u0305"
    stage.twin.desired = twin(TALK.model_copy(update={"title": title, "title_en": "صحة (health)"}), PHONES, version=2)
    stage.wait(1)


def english(stage: Stage) -> None:
    stage.twin.desired = twin(TALK, PHONES, version=2, pin_hash=hash_pin(), language="en")
    stage.wait(1)


def english_accepted(stage: Stage) -> None:
    english(stage)
    accepted(stage)


def english_overlong_accepted(stage: Stage) -> None:
    overlong(stage)
    assert stage.twin.desired is not None
    stage.twin.desired = stage.twin.desired.model_copy(update={"language": "en"})
    stage.see(code(card(1)))
    stage.wait(1)


def english_checked_out(stage: Stage) -> None:
    english(stage)
    checked_out(stage)


def english_refused(stage: Stage) -> None:
    english(stage)
    expired(stage)


def english_full(stage: Stage) -> None:
    english(stage)
    full(stage)


def english_maintenance(stage: Stage) -> None:
    english(stage)
    maintenance(stage)


def english_choose(stage: Stage) -> None:
    english(stage)
    choose(stage)


def english_number(stage: Stage) -> None:
    english(stage)
    number(stage)


def waiting(stage: Stage) -> None:
    stage.wait(1)


def forged(stage: Stage) -> None:
    stage.see(code(card(1), Ed25519PrivateKey.from_private_bytes(bytes(32))))


STATES: Final[tuple[Callable[[Stage], None], ...]] = (
    waiting,
    accepted,
    already_in,
    visit,
    not_on_the_list,
    expired,
    not_yet_valid,
    revoked,
    foreign,
    forged,
    unreadable,
    guest,
    choose,
    help_called,
    help_unheard,
    leave,
    checked_out,
    pin,
    pin_wrong,
    pin_paused,
    number,
    number_wrong,
    staff_accepted,
    full,
    maintenance,
    offline,
    unstored,
    sending,
    no_camera,
    never_reached,
    never_reached_accepted,
    clock_unset,
    nothing_planned,
    schedule_ended,
    schedule_ended_accepted,
    another_day,
    overlong,
    overlong_accepted,
    right_to_left,
    english,
    english_accepted,
    english_overlong_accepted,
    english_checked_out,
    english_refused,
    english_full,
    english_maintenance,
    english_choose,
    english_number,
)
