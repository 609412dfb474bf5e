"""The history of presence: one line a change, one line for a link that comes and goes, nothing blamed on a terminal that was
the broker's; and the histories of the issue as a table."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.terminals.presence import (
    SILENT_US,
    Presence,
    Standing,
    is_second,
    on_broker_lost,
    on_heard,
    on_state,
    on_time,
)
from cloud.terminals.presence_changes import (
    FLAPPING,
    HOUR_US,
    RECENT,
    STILL_FLAPPING,
    Cause,
    Change,
    Line,
    cause_of,
    change_of,
    fold,
    recent_of,
)
from firmware_specs.presence_messages import Birth, Death

A, B = "aaaaaaaa-0000-4000-8000-000000000000", "bbbbbbbb-0000-4000-8000-000000000000"
SECOND_US, MINUTE_US = 1_000_000, 60_000_000


def birth(connection: int, *, boot: str = A, state: str = "online", retained: bool = False) -> tuple[Birth, bool]:
    told = {
        "incarnation": A,
        "connection": connection,
        "boot": boot,
        "profile": "kiosk",
        "versions": {},
        "state": state,
    }
    return Birth.model_validate(told), retained


def death(connection: int, reason: str = "lost", *, retained: bool = False) -> tuple[Death, bool]:
    return Death.model_validate({"incarnation": A, "connection": connection, "reason": reason}), retained


Happened = tuple[Birth | Death, bool] | str


class History:
    """A terminal's presence and its lines, as ingest keeps them."""

    def __init__(self) -> None:
        self.now, self.boot, self.lines = Standing(), None, list[Line]()

    def happens(self, what: Happened, at: int) -> None:
        """A birth or death with whether it is retained; `heard`, `broker lost` or `time`."""
        before = self.now
        if isinstance(what, tuple):
            message, retained = what
            second = isinstance(message, Birth) and not retained and is_second(before, message, self.boot)
            self.now = on_state(before, message, at, retained=retained)
            cause = cause_of(message, retained=retained, second=second)
            if isinstance(message, Birth) and self.now.connection == message.connection:
                self.boot = message.boot  # type: ignore[assignment]
        else:
            apply, cause = {
                "heard": (on_heard, Cause.HEARD), "broker lost": (on_broker_lost, Cause.BROKER), "time": (on_time, Cause.SILENT),
            }[what]  # fmt: skip
            self.now = apply(before, at)
        change = change_of(before, self.now, cause, at)
        if change is not None:
            line = fold(self.lines[-1] if self.lines else None, change)
            self.lines = [each for each in self.lines if each.number != line.number] + [line]

    def said(self) -> list[tuple[str, str, int]]:
        """Each line's presence, cause and how many changes it stands for."""
        return [(str(line.presence), str(line.cause), line.times) for line in self.lines]


def history(*happened: Happened, every_us: int = 20 * MINUTE_US) -> History:
    story = History()
    for turn, what in enumerate(happened, 1):
        story.happens(what, turn * every_us)
    return story


HISTORIES: list[tuple[str, tuple[Happened, ...], list[tuple[str, str, int]]]] = [
    (
        "a will that comes late, after the next birth",
        (birth(1), birth(2), death(1)),
        [("online", "birth", 1), ("online", "birth", 1)],
    ),
    (
        "the retained birth of a dead terminal",
        (birth(1), death(1), birth(1, retained=True)),
        [("online", "birth", 1), ("offline", "lost", 1)],
    ),
    (
        "the retained birth of a terminal that nobody knew",
        (birth(3, retained=True), "heard"),
        [("suspect", "retained", 1), ("online", "heard", 1)],
    ),
    (
        "a broker that restarts, and has lost what it retained",
        (birth(1), "broker lost", "heard"),
        [("online", "birth", 1), ("online", "broker", 2)],
    ),
    (
        "a broker that restarts, and the terminal connects anew",
        (birth(1), "broker lost", birth(2)),
        [("online", "birth", 1), ("suspect", "broker", 1), ("online", "birth", 1)],
    ),
    (
        "a terminal that died while the broker was away",
        (birth(1), "broker lost", death(1, retained=True)),
        [("online", "birth", 1), ("suspect", "broker", 1), ("offline", "lost", 1)],
    ),
    (
        "a restart in order",
        (birth(1), death(1, "restarting"), birth(2)),
        [("online", "birth", 1), ("offline", "restarting", 1), ("online", "birth", 1)],
    ),
    (
        "asleep at night, and a broker that was lost meanwhile",
        (birth(1), birth(2, state="asleep"), "broker lost", birth(3)),
        [("online", "birth", 1), ("asleep", "birth", 1), ("suspect", "broker", 1), ("online", "birth", 1)],
    ),
    (
        "asleep, and not heard for long: it said so",
        (birth(1, state="asleep"), "time"),
        [("asleep", "birth", 1)],
    ),
    (
        "maintenance, entered and left",
        (birth(1), birth(2, state="maintenance"), "heard", "time", birth(3)),
        [("online", "birth", 1), ("maintenance", "birth", 1), ("online", "birth", 1)],
    ),
    (
        "maintenance, and the power is pulled",
        (birth(1, state="maintenance"), death(1)),
        [("maintenance", "birth", 1), ("offline", "lost", 1)],
    ),
    (
        "silence, and a word again",
        (birth(1), "time", "heard"),
        [("online", "birth", 1), ("suspect", "silent", 1), ("online", "heard", 1)],
    ),
    (
        "two devices that count on disks of their own",
        (birth(7), birth(3, boot=B)),
        [("online", "birth", 1), ("online", "two_devices", 1)],
    ),
    (
        "two devices that count up in step, being copies of one disk",
        (birth(7), birth(7, boot=B), birth(8), birth(8, boot=B)),
        [("online", "birth", 1), ("online", "birth", 1)],
    ),
    (
        "one birth that is delivered twice",
        (birth(7), birth(7)),
        [("online", "birth", 1)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("happened", "lines"), [each[1:] for each in HISTORIES], ids=[each[0] for each in HISTORIES])
def test_history_of_presence_is_told_as_it_was(
    happened: tuple[Happened, ...], lines: list[tuple[str, str, int]]
) -> None:
    assert history(*happened).said() == lines


@pytest.mark.parametrize(("boot", "second"), [(A, False), (B, True), (None, False)])
def test_the_same_number_from_another_machine_tells_of_two_devices(boot: str | None, second: bool) -> None:
    told, _ = birth(7, boot=A)
    assert is_second(Standing(Presence.ONLINE, 1, A, 7, 1), told, boot) is second


def come_and_go(times: int, every_us: int) -> History:
    return history(*(each for turn in range(1, times + 1) for each in (birth(turn), death(turn))), every_us=every_us)


def test_link_that_comes_and_goes_is_one_line_with_every_change_counted() -> None:
    lines = come_and_go(50, 10 * SECOND_US).lines
    assert [line.times for line in lines] == [1] * FLAPPING + [100 - FLAPPING]
    assert [line.flapping for line in lines] == [False] * FLAPPING + [True]
    assert len(recent_of(lines[-1], lines[-1].at)) == 100


def test_link_that_is_well_again_for_an_hour_has_lines_of_its_own_again() -> None:
    story = come_and_go(5, MINUTE_US)
    story.happens(birth(6), 11 * MINUTE_US + HOUR_US)
    assert [(line.times, line.flapping) for line in story.lines[-2:]] == [(10 - FLAPPING, True), (1, False)]


def test_link_goes_on_flapping_in_one_line_while_it_is_half_as_bad() -> None:
    story = come_and_go(5, MINUTE_US)
    every = HOUR_US // (STILL_FLAPPING + 1)
    for turn in range(20):
        story.happens(birth(6 + turn), 10 * MINUTE_US + (turn + 1) * every)
    assert (len(story.lines), story.lines[-1].times) == (FLAPPING + 1, 30 - FLAPPING)


def test_only_so_many_times_are_kept_of_a_link_that_is_worse() -> None:
    assert len(come_and_go(RECENT, SECOND_US).lines[-1].recent) == RECENT


def test_two_devices_that_push_each_other_out_are_one_line_that_says_so() -> None:
    story = History()
    for turn in range(40):
        for device, boot in enumerate((A, B)):
            story.happens(birth(100 * (2 - device) + turn, boot=boot), (2 * turn + device + 1) * SECOND_US)
    assert len(story.lines) == FLAPPING + 1
    assert (story.lines[-1].cause, story.lines[-1].times) == (Cause.TWO_DEVICES, 80 - FLAPPING)


def test_broker_that_comes_and_goes_is_one_line_and_blames_no_terminal() -> None:
    story = history(birth(1), *(["broker lost", "heard"] * 10), every_us=MINUTE_US)
    assert story.said() == [("online", "birth", 1), ("online", "broker", 20)]
    assert len(recent_of(story.lines[-1], story.lines[-1].at)) == 1


def test_clock_that_was_ahead_makes_no_link_flap() -> None:
    story = come_and_go(2, SECOND_US)
    for turn in range(4):
        story.happens(birth(10 + turn), HOUR_US * 100 + turn)
    story.happens(birth(20), HOUR_US)
    assert not story.lines[-1].flapping


states = st.one_of(
    st.builds(birth, st.integers(1, 4), boot=st.sampled_from([A, B]), retained=st.booleans(),
              state=st.sampled_from(["online", "asleep", "maintenance"])),
    st.builds(death, st.integers(1, 4), st.sampled_from(["lost", "stopped", "restarting"]), retained=st.booleans()),
    st.sampled_from(["heard", "broker lost", "time"]),
)  # fmt: skip


@given(st.lists(st.tuples(states, st.integers(1, 2 * SILENT_US)), max_size=60))
def test_whatever_happens_every_change_is_counted_once_and_lines_are_few(happened: list[tuple[Happened, int]]) -> None:
    story, at, changes = History(), 0, list[Change]()
    for what, later in happened:
        at += later
        before = story.now
        story.happens(what, at)
        if (before.presence, before.connection) != (story.now.presence, story.now.connection):
            changes.append(Change(at, story.now.presence, Cause.BIRTH, story.now.connection))
    assert sum(line.times for line in story.lines) == len(changes)
    assert [line.number for line in story.lines] == list(range(1, len(story.lines) + 1))
    if story.lines:
        newest = story.lines[-1]
        assert (newest.presence, newest.connection, newest.at) == (
            story.now.presence,
            story.now.connection,
            changes[-1].at,
        )
    for before_line, line in pairwise(story.lines):
        assert before_line.at <= line.began_at <= line.at
    for first in range(len(story.lines)):
        within = [
            line for line in story.lines if story.lines[first].at <= line.began_at < story.lines[first].at + HOUR_US
        ]
        own = [line for line in within if line.cause is not Cause.BROKER and not line.flapping]
        assert len(own) <= 2 * FLAPPING
