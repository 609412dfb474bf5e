"""Which frames the motion gate lets through."""

import numpy as np
from numpy.typing import NDArray

from edge.kiosk.motion import AWAKE_S, KEEP_ALIVE_S, MotionGate

Picture = NDArray[np.uint8]


def room(brightness: int = 120, seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    picture = np.full((720, 1280), brightness) + rng.integers(-6, 7, (720, 1280))
    picture[200:400, 100:300] -= 60
    return picture.astype(np.uint8)


def with_card(picture: Picture) -> Picture:
    shown = picture.copy()
    shown[300:420, 600:720] = 250
    return shown


def asleep() -> tuple[MotionGate, float]:
    """A gate that has seen the empty room for long enough, and the time."""
    gate, now_s = MotionGate(), 0.0
    while now_s < AWAKE_S + 1:
        gate.wants(room(seed=int(now_s * 10)), now_s)
        now_s += 0.1
    return gate, now_s


def test_first_frame_is_wanted() -> None:
    assert MotionGate().wants(room(), 0.0)


def test_empty_room_is_looked_at_about_once_a_second() -> None:
    gate, now_s = asleep()
    wanted = sum(gate.wants(room(seed=i), now_s + i / 10) for i in range(100))
    assert 9 <= wanted <= 11


def test_card_coming_into_view_is_wanted_at_once() -> None:
    gate, now_s = asleep()
    assert gate.wants(room(), now_s + KEEP_ALIVE_S)
    assert gate.wants(with_card(room()), now_s + KEEP_ALIVE_S + 0.1)


def test_card_held_still_is_wanted_for_some_seconds() -> None:
    gate, now_s = asleep()
    gate.wants(with_card(room()), now_s)
    frames = int(AWAKE_S * 10) - 1
    assert all(gate.wants(with_card(room(seed=i)), now_s + i / 10) for i in range(frames))


def test_card_held_still_for_ever_is_wanted_every_second() -> None:
    gate, now_s = asleep()
    for i in range(200):
        gate.wants(with_card(room()), now_s + i / 10)
    later = [gate.wants(with_card(room()), now_s + 20 + i / 10) for i in range(50)]
    assert 4 <= sum(later) <= 6


def test_flickering_light_is_no_motion() -> None:
    gate, now_s = asleep()
    wanted = sum(gate.wants(room(120 + 12 * (i % 2)), now_s + i / 10) for i in range(30))
    assert wanted <= 4


def test_change_of_frame_size_is_survived() -> None:
    gate, now_s = asleep()
    assert gate.wants(room()[:480, :640], now_s + KEEP_ALIVE_S)
