"""Records, batches and a full outbox, as the tests of the outbox in memory make and read them."""

from edge.clock import SteppedClock
from edge.errors import OutboxFull
from edge.outbox import Outbox
from firmware_specs.messages import CheckIn, Health, Method, Outcome, Record
from firmware_specs.wire import Batch, decode_batch, decode_record

OCCURRENCE = "act_1/20261123T093000Z"
MIB = 1024 * 1024
DAY_US = 86_400_000_000


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


def fill(outbox: Outbox, record: Record) -> int:
    """Append until there is no room; how many went in."""
    count = 0
    while True:
        try:
            outbox.append([record])
        except OutboxFull:
            return count
        count += 1


def everything(outbox: Outbox) -> list[Record]:
    """All that waits, by batches that are not marked stored until the end."""
    records: list[Record] = []
    stream = outbox.status().stream
    while (batch := outbox.next_batch(200, 65_536)) is not None:
        records += [decode_record(line) for line in decode_batch(batch.payload).lines]
        outbox.stored(stream, batch.last, 1)
    outbox.stored(stream, 0, 2)
    return records
