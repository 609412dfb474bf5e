"""The outbox in memory: numbers, batches, what is stored and trimmed, space, forks."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from edge.acknowledgement import OpenStream
from edge.clock import SteppedClock
from edge.database import MEMORY
from edge.errors import LineTooLong, OutboxFull
from edge.outbox import Accepted, Limits, Outbox
from edge.stream import as_parent
from firmware_specs.errors import TooLarge
from firmware_specs.messages import (
    CheckIn,
    CredentialReference,
    Dropped,
    Gap,
    Health,
    Interaction,
    Method,
    Outcome,
    Record,
    Started,
)
from firmware_specs.wire import Batch, chain_start, decode_batch, decode_record, encode_record

OCCURRENCE = "act_1/20261123T093000Z"
MIB = 1024 * 1024
DAY_US = 86_400_000_000


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def outbox(clock: SteppedClock) -> Iterator[Outbox]:
    """Empty but for its first `started` record."""
    outbox = Outbox.open(MEMORY, terminal="kiosk-1", clock=clock, versions={"agent": "test"})
    yield outbox
    outbox.close()


def check_in(clock: SteppedClock) -> CheckIn:
    return CheckIn(**clock.stamp((7, 9)), method=Method.GUEST, outcome=Outcome.VISIT)


def health(clock: SteppedClock) -> Health:
    return Health(**clock.stamp((7, 9)), metrics={f"metric_{index}": 1.0 for index in range(12)})


def batch_of(outbox: Outbox, max_records: int = 200, max_bytes: int = 65_536) -> Batch:
    outgoing = outbox.next_batch(max_records, max_bytes)
    assert outgoing is not None
    assert len(outgoing.payload) <= max_bytes
    return decode_batch(outgoing.payload)


def records_of(outbox: Outbox) -> list[Record]:
    return [decode_record(line) for line in batch_of(outbox).lines]


def store_all(outbox: Outbox) -> None:
    while (batch := outbox.next_batch(200, 65_536)) is not None:
        outbox.stored(batch.stream, batch.last, 1)


# --- appending --------------------------------------------------------------------------------------------------------


def test_numbers_follow_one_another(outbox: Outbox, clock: SteppedClock) -> None:
    assert outbox.append([check_in(clock)]) == 2
    assert outbox.append([check_in(clock), check_in(clock)]) == 4
    assert outbox.status().depth == 4


def test_first_record_says_that_the_agent_started(outbox: Outbox) -> None:
    (started,) = records_of(outbox)
    assert isinstance(started, Started)
    assert (started.reason, started.versions, started.config) == ("start", {"agent": "test"}, (0, 0))


def test_append_tells_who_listens(outbox: Outbox, clock: SteppedClock) -> None:
    told: list[int] = []
    outbox.on_append = lambda: told.append(1)
    outbox.append([check_in(clock)])
    assert told == [1]


def test_accepted_is_remembered_with_its_record(outbox: Outbox, clock: SteppedClock) -> None:
    record = check_in(clock)
    outbox.append(
        [record], accepted=[Accepted(OCCURRENCE, "s:one", record.at), Accepted(OCCURRENCE, "c:two", record.at)]
    )
    assert outbox.is_accepted(OCCURRENCE, ["x", "c:two"])
    assert not outbox.is_accepted(OCCURRENCE, ["x"])
    assert not outbox.is_accepted("act_2/20261123T093000Z", ["s:one"])
    assert not outbox.is_accepted(OCCURRENCE, [])


def test_line_beyond_the_contract_is_refused_before_it_is_stored(outbox: Outbox, clock: SteppedClock) -> None:
    huge = Started(**clock.stamp((0, 0)), reason="start", versions={f"part_{i}": "测" * 200 for i in range(20)})
    with pytest.raises(TooLarge):
        outbox.append([huge])
    assert outbox.status().depth == 1


def test_threads_that_append_together_get_a_number_each(outbox: Outbox, clock: SteppedClock) -> None:
    numbers: list[int] = []

    def work() -> None:
        numbers.extend(outbox.append([check_in(clock)]) for _ in range(50))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(2, 402))


def test_twin_is_kept(outbox: Outbox) -> None:
    assert outbox.load_twin() is None
    outbox.save_twin(b"one")
    outbox.save_twin(b"two")
    assert outbox.load_twin() == b"two"


def test_connections_are_counted(outbox: Outbox) -> None:
    incarnation, first = outbox.next_connection()
    assert (incarnation, first) == (outbox.status().stream, 1)
    assert outbox.next_connection() == (incarnation, 2)


# --- batches ----------------------------------------------------------------------------------------------------------


def test_batch_holds_the_lines_as_they_were_encoded(outbox: Outbox, clock: SteppedClock) -> None:
    record = check_in(clock)
    outbox.append([record])
    batch = batch_of(outbox)
    assert batch.lines[1] == encode_record(record)
    assert batch.header.prev == chain_start("kiosk-1", batch.header.stream).hex()
    assert (batch.header.first, batch.header.count, batch.header.boot) == (1, 2, clock.boot)


def test_batch_keeps_to_both_limits(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock) for _ in range(300)])
    assert batch_of(outbox).header.count == 200
    assert batch_of(outbox, 7).header.count == 7
    assert 5 < batch_of(outbox, 200, 3000).header.count < 15


def test_chain_is_fixed_once_and_the_same_in_every_cut(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock) for _ in range(9)])
    whole = batch_of(outbox)
    part = batch_of(outbox, 4)
    outbox.stored(part.header.stream, 4, 1)
    rest = batch_of(outbox)
    assert rest.header.prev == part.header.chain
    assert rest.header.chain == whole.header.chain
    assert part.lines + rest.lines == whole.lines


def test_header_tells_the_time_of_sending_not_of_recording(outbox: Outbox, clock: SteppedClock) -> None:
    first = batch_of(outbox)
    clock.step(30)
    again = batch_of(outbox)
    assert again.header.sent_at - first.header.sent_at == 30_000_000
    assert again.header.sent_mono_ms - first.header.sent_mono_ms == 30_000
    assert again.lines == first.lines


def test_nothing_waiting_gives_no_batch(outbox: Outbox) -> None:
    store_all(outbox)
    assert outbox.next_batch(200, 65_536) is None
    assert outbox.status().oldest_at_us is None


def test_question_stands_where_the_next_batch_would(outbox: Outbox, clock: SteppedClock) -> None:
    store_all(outbox)
    outbox.append([check_in(clock)])
    asked = decode_batch(outbox.question().payload).header
    batch = batch_of(outbox).header
    assert (asked.first, asked.count, asked.prev, asked.chain) == (batch.first, 0, batch.prev, batch.prev)


def test_line_that_does_not_fit_is_named(outbox: Outbox) -> None:
    with pytest.raises(LineTooLong, match="Record 1 has 2"):
        outbox.next_batch(200, 500)
    assert outbox.status().state == "ok"
    assert batch_of(outbox).header.count == 1


# --- stored, rewound, trimmed -------------------------------------------------------------------------------------------


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


# --- space ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(clock: SteppedClock) -> Iterator[Outbox]:
    outbox = Outbox.open(MEMORY, terminal="kiosk-1", clock=clock, limits=Limits(MIB, MIB // 2))
    yield outbox
    outbox.close()


def fill(outbox: Outbox, record: Record) -> int:
    """Append until there is no room; how many went in."""
    count = 0
    while True:
        try:
            outbox.append([record])
        except OutboxFull:
            return count
        count += 1


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


def everything(outbox: Outbox) -> list[Record]:
    """All that waits, by batches that are not marked stored until the end."""
    records: list[Record] = []
    stream = outbox.status().stream
    while (batch := outbox.next_batch(200, 65_536)) is not None:
        records += [decode_record(line) for line in decode_batch(batch.payload).lines]
        outbox.stored(stream, batch.last, 1)
    outbox.stored(stream, 0, 2)
    return records


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


def test_interactions_are_facts(small: Outbox, clock: SteppedClock) -> None:
    fill(small, health(clock))
    small.append([Interaction(**clock.stamp((0, 0)), screen="waiting", minute_at=60_000_000, touches=3)])


# --- forks ------------------------------------------------------------------------------------------------------------


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


def test_line_that_rotted_after_it_was_sent_leads_to_a_new_stream(outbox: Outbox, clock: SteppedClock) -> None:
    outbox.append([check_in(clock)])
    before = batch_of(outbox)
    outbox._store.run(lambda t: t.sql.execute("UPDATE records SET line = x'7b220a7d' WHERE place = 2"))
    batch = batch_of(outbox)
    assert batch.header.stream != before.header.stream
    assert batch.header.parent is not None
    assert batch.lines[1:] == (before.lines[0], b'{" }')


def test_credential_reference_is_stored_as_given(outbox: Outbox, clock: SteppedClock) -> None:
    card = CredentialReference(issuer="rl", subject="A" * 22, id="0" * 16, key_id="0" * 8)
    record = replace_credential(check_in(clock), card)
    outbox.append([record])
    assert records_of(outbox)[1] == record


def replace_credential(record: CheckIn, card: CredentialReference) -> CheckIn:
    return record.model_copy(update={"credential": card})


def test_limits_can_be_changed_one_by_one() -> None:
    assert replace(Limits(), keep_us=DAY_US).max_bytes == 256 * MIB
