"""The outbox in memory: a new stream after a fork, and what goes along."""

import threading
from collections.abc import Iterator

import pytest

from edge.acknowledgement import OpenStream
from edge.clock import SteppedClock
from edge.database import MEMORY
from edge.outbox import Accepted, Limits, Outbox
from edge.stream import as_parent
from firmware_specs.messages import (
    Gap,
    Record,
    Started,
)
from firmware_specs.wire import chain_start, decode_batch
from tests.unit.outbox_contents import MIB, OCCURRENCE, batch_of, check_in, fill, health, records_of, store_all


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


def verdict_of(outbox: Outbox, known: int, gap: Gap | None = None) -> OpenStream:
    position = outbox.position()
    chain = position.chain_at(known)
    assert chain is not None
    return OpenStream(as_parent(position.state.stream, known, chain), known, gap, 3, "diverged")


def test_fork_takes_along_every_fact_and_what_is_not_known_to_be_stored(outbox: Outbox, clock: SteppedClock) -> None:
    old: list[Record] = [check_in(clock), health(clock), check_in(clock)]
    outbox.append(old)
    store_all(outbox)
    new: list[Record] = [health(clock), check_in(clock)]
    outbox.append(new)
    batch_of(outbox)
    outbox.open_stream(verdict_of(outbox, known=4))
    started, *copied = records_of(outbox)
    assert [record.id for record in copied] == [old[0].id, old[2].id, new[0].id, new[1].id]
    assert isinstance(started, Started)
    assert started.reason == "diverged"


def test_fork_names_its_parent_in_every_batch_and_begins_at_one(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock)])
    store_all(outbox)
    verdict = verdict_of(outbox, known=2)
    outbox.open_stream(verdict)
    for header in (batch_of(outbox).header, decode_batch(outbox.question().payload).header):
        assert header.parent == verdict.parent
        assert (header.first, header.prev) == (1, chain_start("kiosk-1", header.stream).hex())
    state = outbox.position().state
    assert (state.epoch, state.through_epoch, state.trimmed) == (3, 3, 0)


def test_fork_declares_its_gap(outbox: Outbox) -> None:
    store_all(outbox)
    gap = Gap(stream=outbox.status().stream, first=1, last=1, reason="trimmed")
    outbox.open_stream(verdict_of(outbox, 1, gap))
    started = records_of(outbox)[0]
    assert isinstance(started, Started)
    assert started.gap == gap


def test_verdict_on_a_stream_that_has_ended_opens_no_other(outbox: Outbox) -> None:
    store_all(outbox)
    verdict = verdict_of(outbox, 1)
    outbox.open_stream(verdict)
    stream = outbox.status().stream
    outbox.open_stream(verdict)
    assert outbox.status().stream == stream


def test_lines_of_a_fork_are_as_they_were(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock)])
    before = batch_of(outbox).lines
    outbox.open_stream(verdict_of(outbox, 0))
    assert batch_of(outbox).lines[1:] == before


def test_accepted_survives_a_fork(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock)], accepted=[Accepted(OCCURRENCE, "s:one", clock.now_us())])
    store_all(outbox)
    outbox.open_stream(verdict_of(outbox, 2))
    assert outbox.is_accepted(OCCURRENCE, ["s:one"])


def test_large_fork_in_little_space_fits(small: Outbox, clock: SteppedClock) -> None:
    count = fill(small, check_in(clock))
    batch_of(small)
    small.open_stream(verdict_of(small, 0))
    assert small.status().depth == count + 2
    assert small.status().state == "full"


def test_whoever_waits_long_for_the_file_is_told_in_the_own_thread(outbox: Outbox, clock: SteppedClock) -> None:
    told: list[str] = []
    is_held, may_end = threading.Event(), threading.Event()

    def tell() -> None:
        told.append(threading.current_thread().name)
        may_end.set()

    def fork() -> None:
        with outbox._store.held():
            is_held.set()
            assert may_end.wait(10)

    outbox.on_wait = tell
    thread = threading.Thread(target=fork)
    thread.start()
    assert is_held.wait(10)
    assert outbox.append([check_in(clock)]) == 2
    thread.join()
    assert told == [threading.current_thread().name]
    outbox.append([check_in(clock)])
    assert len(told) == 1


def test_line_that_rotted_after_it_was_sent_leads_to_a_new_stream(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock)])
    before = batch_of(outbox)
    outbox._store.run(lambda t: t.sql.execute("UPDATE records SET line = x'7b220a7d' WHERE place = 2"))
    batch = batch_of(outbox)
    assert batch.header.stream != before.header.stream
    assert batch.header.parent is not None
    assert batch.lines[1:] == (before.lines[0], b'{" }')
