"""The cloud's acceptance of a batch: what continues a stream is taken, all else changes nothing and is answered."""

import pytest

from cloud.ingest.accept import Delivery, Position, Positions, Verdict, accept, read, start_of
from firmware_specs.messages import StoredError
from firmware_specs.vectors import samples

THREE = samples.three()
START = start_of(samples.TERMINAL, samples.STREAM)


def at(through: int, terminal: str = samples.TERMINAL) -> Position:
    """The sample stream, stored through a number."""
    return Position(terminal, through, samples.chain_at(through))


def batch(first: int = 1, count: int = 1, **changed: object) -> bytes:
    """Some records of the sample stream."""
    prev = bytes.fromhex(samples.chain_at(first - 1))
    return samples.batch(THREE[first - 1 : first - 1 + count], first=first, prev=prev, **changed)


def verdicts(*payloads: bytes, have: Position | None = None, opened: int = 0, per_day: int = 20) -> list[Verdict]:
    """What is decided about payloads that come together from one terminal."""
    streams = {} if have is None else {samples.STREAM: have}
    deliveries = [Delivery(samples.TERMINAL, payload, 0) for payload in payloads]
    decided = accept(deliveries, Positions(streams, {samples.TERMINAL: opened} if opened else {}, per_day))
    assert [verdict.delivery for verdict in decided] == deliveries
    return decided


def told(verdict: Verdict) -> tuple[bool, int | None, StoredError | None, str | None]:
    """Taken, through, error, mark."""
    through = None if verdict.position is None else verdict.position.through
    return verdict.taken, through, verdict.error, verdict.mark


def test_first_batch_of_a_stream_is_taken_and_moves_its_position() -> None:
    (verdict,) = verdicts(batch(count=2))
    assert told(verdict) == (True, 0, None, None)
    assert verdict.position == START
    assert verdict.after() == at(2)
    assert verdict.delivery.payload == batch(count=2)


def test_batch_that_continues_is_taken() -> None:
    (verdict,) = verdicts(batch(first=2, count=2), have=at(1))
    assert told(verdict) == (True, 1, None, None)
    assert verdict.after() == at(3)


@pytest.mark.parametrize(("first", "through"), [(3, 1), (1, 1), (1, 3), (2, 3)])
def test_batch_that_leaves_a_gap_or_repeats_changes_nothing(first: int, through: int) -> None:
    (verdict,) = verdicts(batch(first=first), have=at(through))
    assert told(verdict) == (False, through, None, None)
    assert verdict.position == at(through)


def test_batch_on_another_chain_is_a_fork_and_marked() -> None:
    (verdict,) = verdicts(batch(first=2), have=Position(samples.TERMINAL, 1, "f" * 64))
    assert told(verdict) == (False, 1, StoredError.FORK, "fork")


def test_question_is_answered_with_what_is_stored() -> None:
    question = samples.batch([], first=4, prev=bytes.fromhex(samples.chain_at(3)))
    assert told(verdicts(question, have=at(3))[0]) == (False, 3, None, None)
    assert told(verdicts(question, have=at(1))[0]) == (False, 1, None, None)
    assert told(verdicts(question)[0]) == (False, 0, None, None)


def test_stream_of_another_terminal_is_refused_and_nothing_is_said_of_it() -> None:
    (verdict,) = verdicts(batch(), have=at(0, terminal="kiosk-9"))
    assert told(verdict) == (False, None, StoredError.FOREIGN_STREAM, "foreign_stream")


def test_batches_that_come_together_are_taken_one_after_the_other() -> None:
    decided = verdicts(batch(1), batch(1), batch(2), batch(3), have=at(0))
    assert [told(verdict)[:2] for verdict in decided] == [(True, 0), (False, 1), (True, 1), (True, 2)]


@pytest.mark.parametrize(("opened", "taken"), [(0, True), (1, True), (2, False), (3, False)])
def test_new_streams_of_a_day_are_limited(opened: int, taken: bool) -> None:
    (verdict,) = verdicts(batch(), opened=opened, per_day=2)
    error = None if taken else StoredError.TOO_MANY_STREAMS
    assert told(verdict) == (taken, 0 if taken else None, error, error)


def test_known_stream_goes_on_where_no_new_one_may_be_opened() -> None:
    assert verdicts(batch(first=2), have=at(1), opened=9, per_day=2)[0].taken
    assert verdicts(batch(), per_day=1)[0].taken


def test_streams_opened_together_count_together_and_each_terminal_for_itself() -> None:
    def first_of(terminal: str, number: int) -> Delivery:
        stream = f"00000000-0000-4000-8000-{number:012d}"
        prev = bytes.fromhex(start_of(terminal, stream).chain)
        return Delivery(terminal, samples.batch(THREE[:1], prev=prev, stream=stream), 0)

    deliveries = [first_of("kiosk-1", 11), first_of("kiosk-1", 12), first_of("kiosk-1", 13), first_of("kiosk-2", 14)]
    decided = accept(deliveries, Positions(streams_per_day=2))
    assert [verdict.taken for verdict in decided] == [True, True, False, True]


@pytest.mark.parametrize(
    ("payload", "error", "names_its_stream"),
    [
        (batch()[:-1], StoredError.BROKEN, True),
        (b"hello\n", StoredError.BROKEN, False),
        (samples.with_header(THREE, v=2), StoredError.UNKNOWN_VERSION, False),
        (samples.batch(samples.filler(1, 8193)), StoredError.TOO_LARGE, True),
    ],
)
def test_payload_that_breaks_the_contract_is_answered_and_marked(
    payload: bytes, error: StoredError, names_its_stream: bool
) -> None:
    (verdict,) = verdicts(payload, have=at(2))
    assert told(verdict) == (False, 2 if names_its_stream else None, error, error)
    assert (verdict.reading.wrong or "").startswith(("batch: ", "header", "line 1: "))
    (unknown,) = verdicts(payload)
    assert told(unknown) == (False, 0 if names_its_stream else None, error, error)


def test_reading_looks_at_no_record() -> None:
    reading = read(Delivery(samples.TERMINAL, samples.batch([b"no record at all"]), 7))
    assert (reading.stream, reading.error, reading.wrong) == (samples.STREAM, None, None)
    assert reading.batch is not None
    assert reading.delivery.received_at == 7
