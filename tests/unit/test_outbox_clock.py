"""The outbox and a clock that is wrong: nothing is forgotten by it that a right clock would keep."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.clock import EARLIEST_US, SteppedClock
from edge.database import MEMORY
from edge.outbox import Accepted, Limits, Outbox
from edge.store import ACCEPTED_SHARE_BYTES
from firmware_specs.messages import Clock as Quality
from firmware_specs.messages import Desired, Started
from firmware_specs.wire import decode_record, encode
from tests.unit.outbox_contents import DAY_US, MIB, batch_of, check_in, store_all

OCCURRENCE = "act_1/20261123T093000Z"
HOUR_S = 3600
DAY_S = 86_400


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def outbox(clock: SteppedClock) -> Iterator[Outbox]:
    outbox = Outbox.open(MEMORY, terminal="kiosk-1", clock=clock, limits=Limits(MIB))
    yield outbox
    outbox.close()


def store_some(outbox: Outbox, clock: SteppedClock, count: int = 20) -> None:
    outbox.append([check_in(clock) for _ in range(count)])
    store_all(outbox)


def trimmed(outbox: Outbox) -> int:
    return outbox.position().state.trimmed


def accept(outbox: Outbox, clock: SteppedClock, occurrence: str, key: str = "c:1") -> None:
    outbox.append([check_in(clock)], accepted=[Accepted(occurrence, key, clock.now_us())])


def test_clock_that_was_never_set_makes_nothing_old(outbox: Outbox, clock: SteppedClock) -> None:
    store_some(outbox, clock)
    true_us = clock.now_us()
    clock.set_wall(1_000_000_000)
    clock.claimed = Quality.UNSET
    store_some(outbox, clock)
    clock.set_wall(true_us + HOUR_S * 1_000_000)
    clock.claimed = Quality.SYNCED
    store_some(outbox, clock)
    assert trimmed(outbox) == 0
    clock.step(13 * DAY_S)
    store_some(outbox, clock, 1)
    assert trimmed(outbox) == 0
    clock.step(2 * DAY_S)
    store_some(outbox, clock, 1)
    assert trimmed(outbox) == 61


def test_clock_that_is_unset_trims_nothing_whatever_it_says(outbox: Outbox, clock: SteppedClock) -> None:
    store_some(outbox, clock)
    clock.step(400 * DAY_S)
    clock.claimed = Quality.UNSET
    store_some(outbox, clock)
    assert trimmed(outbox) == 0


def test_mark_is_never_older_than_that_of_a_lower_place(outbox: Outbox, clock: SteppedClock) -> None:
    store_some(outbox, clock)
    true_us = clock.now_us()
    clock.claimed = Quality.HOLDOVER
    clock.set_wall(EARLIEST_US)
    store_some(outbox, clock)
    clock.claimed = Quality.SYNCED
    clock.set_wall(true_us + HOUR_S * 1_000_000)
    store_some(outbox, clock)
    assert trimmed(outbox) == 0


def test_mark_of_a_clock_that_ran_ahead_is_mended(outbox: Outbox, clock: SteppedClock) -> None:
    true_us = clock.now_us()
    clock.claimed = Quality.HOLDOVER
    clock.set_wall(true_us + 4000 * DAY_US)
    store_some(outbox, clock)
    clock.claimed = Quality.SYNCED
    clock.set_wall(true_us)
    store_some(outbox, clock)
    clock.step(13 * DAY_S)
    store_some(outbox, clock)
    assert trimmed(outbox) == 0
    clock.step(2 * DAY_S)
    store_some(outbox, clock)
    assert trimmed(outbox) == 41


def test_who_was_accepted_is_remembered_over_a_start_with_a_wrong_clock(tmp_path: Path, clock: SteppedClock) -> None:
    true_us = clock.now_us()
    for wall_us in (true_us, true_us + 60 * DAY_US, 0, true_us):
        clock.set_wall(wall_us)
        outbox = Outbox.open(tmp_path / "outbox.db", terminal="kiosk-1", clock=clock)
        outbox.probe()
        if wall_us == true_us:
            accept(outbox, clock, OCCURRENCE)
        assert outbox.is_accepted(OCCURRENCE, ["c:1"])
        outbox.close()


def test_who_was_accepted_is_forgotten_once_it_is_long_over(outbox: Outbox, clock: SteppedClock) -> None:
    accept(outbox, clock, OCCURRENCE)
    clock.step(50 * DAY_S)
    accept(outbox, clock, "act_1/20270110T093000Z")
    accept(outbox, clock, "long/20261101T093000Z")
    clock.claimed = Quality.HOLDOVER
    outbox.probe()
    assert outbox.is_accepted(OCCURRENCE, ["c:1"])
    clock.claimed = Quality.SYNCED
    outbox.probe()
    assert not outbox.is_accepted(OCCURRENCE, ["c:1"])
    assert outbox.is_accepted("act_1/20270110T093000Z", ["c:1"])
    assert outbox.is_accepted("long/20261101T093000Z", ["c:1"])


def test_who_was_accepted_has_a_bound_and_what_began_first_goes_first(outbox: Outbox, clock: SteppedClock) -> None:
    most = MIB // ACCEPTED_SHARE_BYTES
    everybody = [Accepted(OCCURRENCE, f"c:{index}", clock.now_us()) for index in range(most)]
    outbox.append([check_in(clock)], accepted=everybody)
    accept(outbox, clock, "act_1/20261124T093000Z")
    accept(outbox, clock, "act_1/20261120T093000Z")
    clock.step(2 * HOUR_S)
    outbox.probe()
    rows = outbox._store.read(lambda sql, _: sql.execute("SELECT count(*) FROM accepted").fetchone()[0])
    assert rows == most
    assert outbox.is_accepted("act_1/20261124T093000Z", ["c:1"])
    assert not outbox.is_accepted("act_1/20261120T093000Z", ["c:1"])


def test_start_is_recorded_under_the_twin_that_is_kept(tmp_path: Path, clock: SteppedClock) -> None:
    outbox = Outbox.open(tmp_path / "outbox.db", terminal="kiosk-1", clock=clock)
    outbox.save_twin(encode(Desired(version=(7, 3))))
    outbox.close()
    again = Outbox.open(tmp_path / "outbox.db", terminal="kiosk-1", clock=clock)
    records = [decode_record(line) for line in batch_of(again).lines]
    assert [(type(record), record.config) for record in records] == [(Started, (0, 0)), (Started, (7, 3))]
    again.close()
