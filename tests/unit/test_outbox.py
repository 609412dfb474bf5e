"""The outbox in memory: numbers, what is remembered with them, and batches."""

import threading
from collections.abc import Iterator

import pytest

from edge.clock import SteppedClock
from edge.database import MEMORY
from edge.errors import LineTooLong
from edge.outbox import Accepted, Outbox
from firmware_specs.errors import TooLarge
from firmware_specs.messages import (
    CheckIn,
    CredentialReference,
    Started,
)
from firmware_specs.wire import chain_start, decode_batch, encode_record
from tests.unit.outbox_contents import (
    OCCURRENCE,
    batch_of,
    check_in,
    records_of,
    store_all,
)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def outbox(clock: SteppedClock) -> Iterator[Outbox]:
    """Empty but for its first `started` record."""
    outbox = Outbox.open(MEMORY, terminal="kiosk-1", clock=clock, versions={"agent": "test"})
    yield outbox
    outbox.close()


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


def test_credential_reference_is_stored_as_given(outbox: Outbox, clock: SteppedClock) -> None:
    card = CredentialReference(issuer="rl", subject="A" * 22, id="0" * 16, key_id="0" * 8)
    record = replace_credential(check_in(clock), card)
    outbox.append([record])
    assert records_of(outbox)[1] == record


def replace_credential(record: CheckIn, card: CredentialReference) -> CheckIn:
    return record.model_copy(update={"credential": card})


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
