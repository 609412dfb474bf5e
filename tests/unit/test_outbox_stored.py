"""The outbox in memory: what is stored, sent again and trimmed, and what happens when there is no room."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge.clock import SteppedClock
from edge.database import MEMORY
from edge.errors import OutboxFull
from edge.outbox import Limits, Outbox
from firmware_specs.messages import (
    CheckIn,
    Dropped,
    Health,
    Interaction,
    Started,
)
from firmware_specs.wire import chain_start, encode_record
from tests.unit.outbox_contents import DAY_US, MIB, batch_of, check_in, everything, fill, health, store_all


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def outbox(clock: SteppedClock) -> Iterator[Outbox]:
    """Empty but for its first `started` record."""
    outbox = Outbox.open(MEMORY, terminal="kiosk-1", clock=clock, versions={"agent": "test"})
    yield outbox
    outbox.close()


@pytest.fixture
def small(clock: SteppedClock) -> Iterator[Outbox]:
    outbox = Outbox.open(MEMORY, terminal="kiosk-1", clock=clock, limits=Limits(MIB, MIB // 2))
    yield outbox
    outbox.close()


def test_word_about_another_stream_changes_nothing(outbox: Outbox) -> None:
    batch_of(outbox)
    outbox.stored("00000000-0000-4000-8000-000000000001", 1, 1)
    assert outbox.status().through == 0


def test_status_says_when_something_was_stored_last(outbox: Outbox, clock: SteppedClock) -> None:
    assert outbox.status().last_stored_at_us is None
    store_all(outbox)
    at_us = clock.now_us()
    assert outbox.status().last_stored_at_us == at_us
    clock.step(60)
    outbox.stored(outbox.status().stream, 1, 1)
    assert outbox.status().last_stored_at_us == at_us


def test_rewind_sends_the_same_lines_again(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock) for _ in range(5)])
    before = batch_of(outbox)
    store_all(outbox)
    outbox.stored(before.header.stream, 0, 2)
    assert batch_of(outbox).lines == before.lines
    assert outbox.position().state.through_epoch == 2


def test_stored_records_stay_for_two_weeks(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock) for _ in range(5)])
    store_all(outbox)
    clock.step(13.9 * 86_400)
    outbox.append([check_in(clock)])
    store_all(outbox)
    assert outbox.position().state.trimmed == 0
    clock.step(0.2 * 86_400)
    outbox.append([check_in(clock)])
    store_all(outbox)
    assert outbox.position().state.trimmed == 6


def test_chain_at_the_boundary_of_what_was_trimmed_is_kept(outbox: Outbox, clock: SteppedClock) -> None:
    store_all(outbox)
    chain = outbox.position().chain_at(1)
    clock.step(15 * 86_400)
    outbox.append([check_in(clock), check_in(clock)])
    store_all(outbox)
    position = outbox.position()
    assert position.state.trimmed == 1
    assert position.chain_at(1) == chain
    assert position.chain_at(0) == chain_start("kiosk-1", position.state.stream)
    assert [position.chain_at(number) is None for number in (2, 3, 4)] == [False, False, True]


def test_what_was_rewound_is_not_trimmed_by_its_old_age(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock) for _ in range(5)])
    store_all(outbox)
    clock.step(15 * 86_400)
    outbox.stored(outbox.status().stream, 2, 2)
    state = outbox.position().state
    assert (state.trimmed, state.through) == (0, 2)


def test_epoch_is_remembered_and_never_goes_back(outbox: Outbox) -> None:
    assert outbox.saw_epoch(5)
    assert not outbox.saw_epoch(5)
    assert not outbox.saw_epoch(4)
    assert outbox.position().state.epoch == 5


def test_samples_leave_the_reserve_to_facts(small: Outbox, clock: SteppedClock) -> None:
    samples = fill(small, health(clock))
    assert small.status().state == "ok"
    small.append([check_in(clock)])
    assert samples > 200


def test_samples_never_sent_give_way_to_facts(small: Outbox, clock: SteppedClock) -> None:
    samples = fill(small, health(clock))
    sent = batch_of(small, 50)
    facts = fill(small, check_in(clock))
    records = [record for record in everything(small) if not isinstance(record, Started)]
    assert sum(isinstance(record, CheckIn) for record in records) == facts
    assert sum(isinstance(record, Health) for record in records) == 49
    dropped = [record for record in records if isinstance(record, Dropped)]
    assert len(dropped) == samples - 49
    assert {(record.dropped_type, record.reason, record.config) for record in dropped} == {("health", "space", (7, 9))}
    assert sent.lines == tuple(encode_record(record) for record in everything(small)[:50])


def test_full_outbox_says_so_and_recovers_once_records_are_stored(small: Outbox, clock: SteppedClock) -> None:
    fill(small, check_in(clock))
    assert small.status().state == "full"
    small.probe()
    assert small.status().state == "full"
    store_all(small)
    small.probe()
    assert small.status().state == "ok"
    small.append([check_in(clock)])


def test_sample_that_finds_no_room_does_not_call_the_disk_full(small: Outbox, clock: SteppedClock) -> None:
    fill(small, health(clock))
    assert small.status().state == "ok"


def test_stored_records_give_way_before_anything_is_refused(small: Outbox, clock: SteppedClock) -> None:
    for _ in range(40):
        small.append([check_in(clock) for _ in range(200)])
        store_all(small)
    assert small.position().state.trimmed > 4000


def test_sample_never_costs_what_is_stored(small: Outbox, clock: SteppedClock) -> None:
    for _ in range(20):
        small.append([check_in(clock) for _ in range(100)])
    store_all(small)
    with pytest.raises(OutboxFull):
        small.append([health(clock)])
    assert small.position().state.trimmed == 0
    assert small.status().state == "ok"


def test_interactions_are_facts(small: Outbox, clock: SteppedClock) -> None:
    fill(small, health(clock))
    small.append([Interaction(**clock.stamp((0, 0)), screen="waiting", minute_at=60_000_000, touches=3)])


def test_limits_can_be_changed_one_by_one() -> None:
    assert replace(Limits(), keep_us=DAY_US).max_bytes == 256 * MIB
