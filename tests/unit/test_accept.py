"""What ingest takes and what it answers otherwise: header, count, chain, place in the stream."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.ingest.accept import Delivery, Position, Positions, Verdict, accept, question, start_of
from firmware_specs.fields import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from firmware_specs.messages import Clock, Header, StoredError
from firmware_specs.wire import chain_over, chain_start, decode_batch, encode_header
from tests.pen import Pen


def pen(records: int = 5, **attributes: str) -> Pen:
    written = Pen(**attributes)  # type: ignore[arg-type]
    for _ in range(records):
        written.health()
    return written


def stored(written: Pen, through: int, terminal: str | None = None) -> Positions:
    return Positions({written.stream: Position(terminal or written.terminal, through, written.chain(through))})


def verdict_on(delivery: Delivery, positions: Positions | None = None) -> Verdict:
    (verdict,) = accept([delivery], positions or Positions())
    return verdict


def test_first_batch_of_a_new_stream_is_taken_from_its_beginning() -> None:
    written = pen()
    verdict = verdict_on(written.delivery())
    assert verdict.taken
    assert verdict.position == start_of(written.terminal, written.stream)
    assert verdict.after() == Position(written.terminal, 5, written.chain(5))


def test_batch_that_continues_what_is_stored_is_taken() -> None:
    written = pen()
    verdict = verdict_on(written.delivery(4), stored(written, 3))
    assert verdict.taken
    assert verdict.after().through == 5


@pytest.mark.parametrize(("first", "through"), [(1, 5), (1, 3), (3, 5), (5, 3), (2, 0)])
def test_batch_out_of_place_changes_nothing_and_is_answered_with_what_is_stored(first: int, through: int) -> None:
    written = pen()
    verdict = verdict_on(written.delivery(first), stored(written, through))
    assert (verdict.taken, verdict.error, verdict.mark) == (False, None, None)
    assert verdict.position == Position(written.terminal, through, written.chain(through))


def test_question_is_answered_with_what_is_stored() -> None:
    written = pen()
    verdict = verdict_on(written.delivery(4, 0), stored(written, 3))
    assert (verdict.taken, verdict.error) == (False, None)
    assert verdict.position == Position(written.terminal, 3, written.chain(3))


def test_question_that_the_cloud_puts_itself_is_one_a_terminal_could_send_and_is_answered_like_it() -> None:
    written = pen()
    put = question(written.terminal, written.stream, 1_764_000_000_000_000)
    assert (put.terminal, put.received_at, put.unasked) == (written.terminal, 1_764_000_000_000_000, True)
    start = chain_start(written.terminal, written.stream).hex()
    batch = decode_batch(put.payload)
    assert batch.lines == ()
    assert batch.header.model_copy(update={"check": None}) == Header(
        v=1, stream=written.stream, first=1, count=0, prev=start, chain=start, sent_at=1_764_000_000_000_000,
        sent_mono_ms=0, boot=written.stream, clock=Clock.UNSET,
    )  # fmt: skip
    verdict = verdict_on(put, stored(written, 3))
    assert (verdict.taken, verdict.error, verdict.mark) == (False, None, None)
    assert verdict.position == Position(written.terminal, 3, written.chain(3))


def test_question_about_an_unknown_stream_is_answered_with_its_beginning_and_opens_nothing() -> None:
    written = pen()
    asked, batch = accept([written.delivery(1, 0), written.delivery()], Positions(streams_per_day=1))
    assert asked.position == start_of(written.terminal, written.stream)
    assert not asked.taken
    assert batch.taken


@pytest.mark.parametrize("count", [None, 0])
def test_other_history_at_the_same_place_is_a_fork(count: int | None) -> None:
    ours, theirs = pen(stream=str(uuid.uuid4())), pen()
    theirs.stream = ours.stream
    verdict = verdict_on(theirs.delivery(4, count), stored(ours, 3))
    assert (verdict.taken, verdict.error, verdict.mark) == (False, StoredError.FORK, StoredError.FORK)
    assert verdict.position == Position(ours.terminal, 3, ours.chain(3))


def test_stream_of_another_terminal_is_foreign_and_nothing_is_said_of_it() -> None:
    ours = pen()
    thief = Pen(terminal="kiosk-2", stream=ours.stream)
    thief.health()
    for delivery in (thief.delivery(), thief.delivery(1, 0)):
        verdict = verdict_on(delivery, stored(ours, 5))
        assert (verdict.taken, verdict.error, verdict.position) == (False, StoredError.FOREIGN_STREAM, None)


def test_of_two_terminals_that_begin_the_same_stream_the_first_has_it() -> None:
    first, second = pen(), Pen(terminal="kiosk-2")
    second.stream = first.stream
    second.health()
    verdicts = accept([first.delivery(), second.delivery()], Positions())
    assert [verdict.taken for verdict in verdicts] == [True, False]
    assert verdicts[1].error == StoredError.FOREIGN_STREAM


def test_chain_of_another_terminal_does_not_begin_a_stream() -> None:
    written = pen()
    written_elsewhere = Delivery("kiosk-2", written.batch(), 0)
    assert verdict_on(written_elsewhere).error == StoredError.FORK


def test_streams_beyond_the_days_limit_are_refused_and_those_that_are_known_go_on() -> None:
    known, new = pen(), pen()
    positions = Positions({known.stream: Position("kiosk-1", 3, known.chain(3))}, {"kiosk-1": 20}, 20)
    opening = new.delivery()
    refused, taken = accept([opening, known.delivery(4)], positions)
    assert (refused.taken, taken.taken) == (False, True)
    assert (refused.error, refused.position) == (StoredError.TOO_MANY_STREAMS, None)
    assert refused.mark == StoredError.TOO_MANY_STREAMS
    assert refused.delivery == opening


def test_streams_opened_by_one_group_count_towards_the_limit() -> None:
    pens = [pen(), pen(), pen()]
    verdicts = accept([each.delivery() for each in pens], Positions(opened={"kiosk-1": 1}, streams_per_day=3))
    assert [verdict.taken for verdict in verdicts] == [True, True, False]


def test_repeat_in_the_same_group_is_taken_once() -> None:
    written = pen()
    first, second = accept([written.delivery(), written.delivery()], Positions())
    assert first.taken
    assert not second.taken
    assert second.position == Position(written.terminal, 5, written.chain(5))


def test_consecutive_batches_of_one_group_are_both_taken() -> None:
    written = pen()
    assert [each.taken for each in accept([written.delivery(1, 3), written.delivery(4)], Positions())] == [True, True]


def test_broken_batch_of_a_known_stream_is_answered_with_what_is_stored() -> None:
    written = pen()
    broken = written.batch(4).replace(b"12.5", b"12.6", 1)
    verdict = verdict_on(Delivery(written.terminal, broken, 0), stored(written, 3))
    assert (verdict.taken, verdict.error, verdict.mark) == (False, StoredError.BROKEN, StoredError.BROKEN)
    assert verdict.position == Position(written.terminal, 3, written.chain(3))
    assert verdict.reading.wrong


@pytest.mark.parametrize("payload", [b"", b"\n", b"{}\n", b"\xff\n", b"[]", b'{"v":1', b"null\n" * 3])
def test_bytes_that_are_no_batch_are_broken_and_name_no_stream(payload: bytes) -> None:
    verdict = verdict_on(Delivery("kiosk-1", payload, 0))
    assert (verdict.error, verdict.position, verdict.reading.stream) == (StoredError.BROKEN, None, None)


def test_unknown_version_is_told() -> None:
    payload = pen().batch().replace(b'"v":1', b'"v":2', 1)
    assert verdict_on(Delivery("kiosk-1", payload, 0)).error == StoredError.UNKNOWN_VERSION


def test_batch_beyond_the_limit_is_too_large() -> None:
    written = pen(0)
    written.lines = [b"x" * 8000] * (MAX_BATCH_BYTES // 8000 + 1)
    assert verdict_on(written.delivery()).error == StoredError.TOO_LARGE


def test_wrong_count_is_broken() -> None:
    written = pen()
    lines = written.batch().split(b"\n")
    payload = b"\n".join([*lines[:-2], b""])
    assert verdict_on(Delivery("kiosk-1", payload, 0)).error == StoredError.BROKEN


def test_most_records_and_one_line_of_rubbish_are_taken_because_no_record_is_looked_at() -> None:
    written = pen(0)
    written.lines = [b"rubbish"] * MAX_BATCH_RECORDS
    assert verdict_on(written.delivery()).taken


@given(st.binary(max_size=300))
def test_no_payload_breaks_it(payload: bytes) -> None:
    verdict = verdict_on(Delivery("kiosk-1", payload, 0))
    assert not verdict.taken
    assert verdict.error is not None


@given(
    lines=st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line), min_size=1, max_size=8),
    through=st.integers(0, 8),
    first=st.integers(1, 10),
    count=st.integers(0, 8),
    lie=st.sampled_from(["", "prev", "chain"]),
)
def test_a_batch_is_taken_exactly_when_it_continues_what_is_stored(
    lines: list[bytes], through: int, first: int, count: int, lie: str
) -> None:
    written = Pen(lines=lines)
    through, batch = min(through, len(lines)), lines[first - 1 : first - 1 + count]
    header = Header(
        v=1, stream=written.stream, first=first, count=len(batch), prev=written.chain(first - 1),
        chain=written.chain(first - 1 + len(batch)), sent_at=0, sent_mono_ms=0, boot=written.boot, clock=Clock.SYNCED,
    )  # fmt: skip
    header = header.model_copy(update={lie: "ab" * 32} if lie else {})
    payload = b"\n".join([encode_header(header), *batch, b""])
    verdict = verdict_on(Delivery(written.terminal, payload, 0), stored(written, through))
    assert verdict.taken == (not lie and bool(batch) and first == through + 1)
    if verdict.taken:
        assert verdict.after() == Position(written.terminal, through + len(batch), written.chain(through + len(batch)))


def test_start_is_the_chains_beginning() -> None:
    assert start_of("kiosk-1", "s").chain == chain_over(chain_start("kiosk-1", "s"), []).hex()
