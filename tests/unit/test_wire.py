"""Bytes to messages and back: whatever is encoded is read back, and whatever is spoilt on the way is refused."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from firmware_specs import fields, messages, wire
from firmware_specs.errors import DecodeError, TooLarge, UnknownVersion
from firmware_specs.strict import MAX_DEPTH, json_object, nested_deeper_than
from firmware_specs.vectors import samples

words = st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=200)
uuids = st.uuids().map(str)
numbers = st.integers(1, fields.MAX_NUMBER)
positions = st.integers(0, fields.MAX_NUMBER)
credentials = st.builds(
    messages.CredentialReference,
    issuer=st.none() | st.just("test"),
    subject=st.none() | st.just(samples.SUBJECT),
    id=st.just("0" * 16),
    key_id=st.none() | st.just("7e570001"),
)
base: dict[str, st.SearchStrategy[Any]] = {
    "id": uuids,
    "at": st.integers(0, fields.MAX_TIME_US),
    "boot": uuids,
    "mono_ms": positions,
    "clock": st.sampled_from(messages.Clock),
    "config": st.tuples(positions, positions),
}
occurrence_ids = st.none() | st.just("act_1/20380119T031408Z")
records = st.one_of(
    st.builds(messages.Dropped, **base, dropped_type=words, reason=words),
    st.builds(messages.Interaction, **base, screen=words, minute_at=base["at"], touches=st.integers(0, 100_000)),
    st.builds(messages.CheckOut, **base, credential=credentials, occurrence=occurrence_ids),
    st.builds(
        messages.Health,
        **base,
        metrics=st.dictionaries(words, st.floats(-1e15, 1e15) | st.integers(-(10**15), 10**15), max_size=8),
    ),
    st.builds(
        messages.CheckIn,
        **base,
        method=st.sampled_from(messages.Method),
        outcome=st.sampled_from(messages.Outcome),
        credential=st.none() | credentials,
        occurrence=occurrence_ids,
        reason=st.none() | st.sampled_from(messages.Reason) | words.filter(lambda w: w not in set(messages.Reason)),
        flags=st.lists(st.sampled_from(messages.Flag), max_size=8),
    ),
    st.builds(
        messages.Started,
        **base,
        versions=st.dictionaries(words, texts, max_size=3),
        reason=words,
        gap=st.none()
        | numbers.flatmap(
            lambda n: st.builds(messages.Gap, stream=uuids, first=st.integers(1, n), last=st.just(n), reason=words)
        ),
    ),
)
BATCH = samples.batch(samples.three())


def meaning(payload: bytes) -> object:
    """What a reader gets from a batch; the header's own check is no meaning."""
    batch = wire.decode_batch(payload)
    return batch.header.model_copy(update={"check": None}), batch.lines


# --- round trips --------------------------------------------------------------------------------------------------


@given(records)
def test_record_is_read_back(record: messages.Record) -> None:
    assert wire.decode_record(wire.encode_record(record)) == record


@given(st.lists(records, max_size=5), numbers, st.binary(min_size=32, max_size=32))
def test_batch_is_read_back(sent: list[messages.Record], first: int, prev: bytes) -> None:
    lines = samples.lines_of(sent)
    batch = wire.decode_batch(samples.batch(lines, first=first, prev=prev))
    assert batch.lines == tuple(lines)
    assert batch.last == first + len(sent) - 1
    assert wire.decode_records(batch.lines) == sent


def test_chain_is_the_one_of_the_design() -> None:
    start = hashlib.sha256(b"roomlink/v1\0kiosk-302-a\0" + samples.STREAM.encode()).digest()
    assert wire.chain_start(samples.TERMINAL, samples.STREAM) == start
    assert wire.chain_next(start, b"abc") == hashlib.sha256(start + b"\0\0\0\3abc").digest()
    assert wire.chain_over(start, [b"a", b"b"]) == wire.chain_next(wire.chain_next(start, b"a"), b"b")
    assert wire.chain_over(start, []) == start


# --- mutations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_a_batch_is_refused_or_changes_nothing(bit: int) -> None:
    intended = meaning(BATCH)
    changed = []
    for place in range(len(BATCH)):
        spoilt = bytearray(BATCH)
        spoilt[place] ^= 1 << bit
        try:
            if meaning(bytes(spoilt)) != intended:
                changed.append(place)
        except DecodeError:
            continue
    assert changed == []


@given(st.integers(0, len(BATCH) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_every_byte_put_in_taken_out_or_replaced_is_refused_or_changes_nothing(
    place: int, inserted: bytes, removed: int
) -> None:
    spoilt = BATCH[:place] + inserted + BATCH[place + removed :]
    try:
        assert meaning(spoilt) == meaning(BATCH)
    except DecodeError:
        return


@given(st.integers(0, len(BATCH) - 1))
def test_cut_batch_is_refused(length: int) -> None:
    with pytest.raises(DecodeError):
        wire.decode_batch(BATCH[:length])


@given(st.binary(max_size=200))
@example(b"[" * 9000)
@example(b'{"v":' + b"9" * 5000 + b"}\n")
@example(b'{"v":1' + b'{"a":' * 500)
def test_any_bytes_are_refused_with_a_decode_error_and_nothing_else(payload: bytes) -> None:
    readers = (
        wire.decode_batch,
        wire.decode_record,
        wire.decode_stored,
        wire.decode_state,
        wire.decode_desired,
        wire.decode_reported,
    )
    for read in readers:
        with pytest.raises(DecodeError):
            read(payload)
    assert wire.stream_of(payload) is None


@given(records, st.data())
def test_quick_way_takes_nothing_that_the_strict_way_refuses(record: messages.Record, data: st.DataObject) -> None:
    """A record's text is changed at random; both ways must say the same of it."""
    line = wire.encode_record(record)
    place = data.draw(st.integers(0, len(line) - 1))
    piece = data.draw(
        st.sampled_from([line[:place], b'"at":1,', b'"at" :1,', b",", b":", b'"', b'"a":NaN,', b"\\", b" "])
    )
    spoilt = line[:place] + piece + line[place + data.draw(st.integers(0, 2)) :]
    assert outcome(wire.decode_record, spoilt) == outcome(strictly, spoilt)


def test_plain_records_and_headers_go_the_quick_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A third of the strict way's cost: the ingest's budget rests on it."""

    def no_strict_way(where: str, payload: bytes) -> dict[str, Any]:
        raise AssertionError(f"{where} went the strict way")

    monkeypatch.setattr(wire, "json_object", no_strict_way)
    out = messages.CheckOut(**samples.base(5), credential=messages.CredentialReference(id="0" * 16))
    lines = [*samples.three()[1:], *samples.lines_of([samples.guest(3), samples.interaction(4), out])]
    parent = messages.Parent(stream=samples.OTHER_STREAM, through=1, chain="0" * 64)
    for payload in (samples.batch(lines), samples.batch(lines, parent=parent)):
        assert not any(
            isinstance(record, Exception) for record in wire.decode_records(wire.decode_batch(payload).lines)
        )


def strictly(line: bytes) -> messages.Record:
    json_object("record", line)
    adapter: TypeAdapter[messages.Record] = TypeAdapter(messages.Record)
    return adapter.validate_json(line)


def outcome(read: Any, line: bytes) -> object:
    try:
        return read(line)
    except (DecodeError, ValidationError):
        return "refused"


# --- single rules -------------------------------------------------------------------------------------------------


def test_wrong_line_does_not_take_its_neighbours_along() -> None:
    lines = samples.three()
    read = wire.decode_records([lines[0], b"{}", lines[2]])
    assert [type(one) for one in read] == [messages.Started, DecodeError, messages.Health]


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"health","metrics":{"a":1,"a":1}}',
        b'{"type":"health","metrics" :{"a" :1,"a" :1}}',
        b'{"type":"check_in","credential":{"id":"0000000000000000","id":"0000000000000000"}}',
    ],
)
def test_key_that_stands_twice_is_named(line: bytes) -> None:
    with pytest.raises(DecodeError, match="stands twice"):
        wire.decode_record(line)


@pytest.mark.parametrize("bad", [b"\xed\xa0\x80", b"\\ud800", b"\\udc00x"])
def test_lone_surrogate_is_refused_even_where_nobody_looks(bad: bytes) -> None:
    line = samples.three()[2]
    with pytest.raises(DecodeError):
        wire.decode_record(line[:-1] + b',"new":"' + bad + b'"}')


def test_stream_of_a_broken_batch_is_known_while_its_header_is_whole() -> None:
    assert wire.stream_of(BATCH[:-1]) == samples.STREAM
    assert wire.stream_of(BATCH.replace(b'"sent_at":17', b'"sent_at":18')) is None


def test_stream_is_known_of_a_header_as_long_as_a_line_may_be() -> None:
    head, _, rest = BATCH.partition(b"\n")
    body = head[:-28]
    for length, stream in ((fields.MAX_LINE_BYTES, samples.STREAM), (fields.MAX_LINE_BYTES + 1, None)):
        filler = b',"filler":"' + b"x" * (length - len(body) - len(b',"filler":""}')) + b'"}'
        payload = body + filler + b"\n" + rest
        assert len(payload.split(b"\n")[0]) == length
        assert wire.stream_of(payload) == stream
        assert (wire.stream_of(payload[:length]) or None) == stream


def test_record_too_long_for_a_line_is_not_encoded() -> None:
    long = samples.started().model_copy(update={"versions": {f"part_{n}": "x" * 200 for n in range(50)}})
    with pytest.raises(TooLarge, match=r"^record: \d+ bytes, at most 8192$"):
        wire.encode_record(long)


def test_header_whose_check_is_given_gets_its_own() -> None:
    header = wire.decode_batch(BATCH).header
    again = wire.encode_header(header.model_copy(update={"check": "0" * 16}))
    assert again == BATCH.split(b"\n")[0]


def test_other_version_is_told_from_a_broken_one() -> None:
    for payload in (b'{"v":2}', b'{"v":0}', b'{"v":-1}'):
        with pytest.raises(UnknownVersion, match=r"^desired\.v: "):
            wire.decode_desired(payload)
        with pytest.raises(UnknownVersion, match=r"^state\.v: version -?\d, here 1 is spoken$"):
            wire.decode_state(payload)


def test_words_of_a_newer_terminal_are_kept_or_counted_as_the_careful_one() -> None:
    line = samples.three()[1]
    newer = line.replace(b'"synced"', b'"atomic"').replace(b"[]", b'["weightless"]')[:-1] + b',"reason":"low_gravity"}'
    record = wire.decode_record(newer)
    assert isinstance(record, messages.CheckIn)
    assert (record.clock, record.reason, record.flags) == (messages.Clock.UNSET, "low_gravity", ["weightless"])
    with pytest.raises(DecodeError, match="clock"):
        wire.decode_record(line.replace(b'"synced"', b"5"))


def test_error_quotes_nothing_that_cannot_be_logged_or_stored() -> None:
    with pytest.raises(DecodeError) as caught:
        wire.decode_record(b'{"type":"a\\u0000b\\nc\\u202e' + b"x" * 1000 + b'"}')
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


# --- nesting ------------------------------------------------------------------------------------------------------


@given(st.recursive(st.integers(0, 9) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=30))
def test_depth_is_that_of_the_value(value: Any) -> None:
    def depth(item: Any) -> int:
        return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0

    payload = json.dumps(value).encode()
    for limit in range(MAX_DEPTH + 1):
        assert nested_deeper_than(payload, limit) == (depth(value) > limit)


def test_brackets_in_strings_do_not_nest() -> None:
    payload = json.dumps({"a": '[[[[[[[[[[{{{{\\"[[[', "b": ["]]", "\\", "[[[[["]}).encode()
    assert not nested_deeper_than(payload, 2)
    assert nested_deeper_than(payload, 1)


# --- the twin that fits -------------------------------------------------------------------------------------------


def occurrence(minute: int, title: str = "书法") -> messages.Occurrence:
    starts_at = samples.AT + minute * 60_000_000
    return messages.Occurrence(
        id=f"act_{minute}/20261123T093000Z",
        title=title,
        starts_at=starts_at,
        ends_at=starts_at + 1,
        opens_at=starts_at,
    )


def test_all_occurrences_that_fit_are_kept_in_order() -> None:
    twin = messages.Desired(version=(1, 1), occurrences_until=7)
    fitted = wire.fit_desired(twin, [occurrence(2), occurrence(1)])
    assert [one.starts_at for one in fitted.occurrences] == [samples.AT + 60_000_000, samples.AT + 120_000_000]
    assert fitted.occurrences_until == 7


@pytest.mark.parametrize(("count", "title"), [(401, "a"), (401, "𠮷" * 200)])
def test_twin_with_too_many_occurrences_keeps_the_next_ones_and_says_until_when(count: int, title: str) -> None:
    fitted = wire.fit_desired(messages.Desired(version=(1, 1)), [occurrence(n, title) for n in range(count)])
    payload = wire.encode(fitted)
    assert wire.decode_desired(payload) == fitted
    kept = len(fitted.occurrences)
    assert fitted.occurrences_until == samples.AT + kept * 60_000_000
    if kept < fields.MAX_OCCURRENCES:
        assert len(payload) + len(wire.encode(occurrence(kept, title))) + 1 > fields.MAX_TWIN_BYTES


def test_twin_says_until_when_it_is_known_by_the_first_check_in_that_it_leaves_out() -> None:
    early = occurrence(900).model_copy(update={"opens_at": samples.AT + 5})
    fitted = wire.fit_desired(messages.Desired(version=(1, 1)), [*(occurrence(n) for n in range(401)), early])
    assert fitted.occurrences_until == early.opens_at


def test_twin_is_filled_to_the_last_byte_that_is_counted() -> None:
    twin = messages.Desired(version=(1, 1), occurrences_until=fields.MAX_TIME_US)
    many = [occurrence(n, "a" * 120) for n in range(200)]
    room = fields.MAX_TWIN_BYTES - 1 - len(wire.encode(twin.model_copy(update={"occurrences": many})))
    more, last = divmod(room, len(wire.encode(occurrence(200, "a"))) + 1)
    many += [occurrence(200 + n, "a") for n in range(more - 1)]
    rest = last + len(wire.encode(occurrence(200, "a"))) + 1 - len(wire.encode(occurrence(999, ""))) - 1
    fitting = occurrence(999, "a" * rest)
    assert len(wire.fit_desired(twin, [*many, fitting]).occurrences) == len(many) + 1
    assert len(wire.encode(wire.fit_desired(twin, [*many, fitting]))) == fields.MAX_TWIN_BYTES - 1
    cut = wire.fit_desired(twin, [*many, occurrence(999, "a" * (rest + 1))])
    assert (len(cut.occurrences), cut.occurrences_until) == (len(many), fitting.starts_at)


def test_twin_that_fits_not_even_without_occurrences_is_refused() -> None:
    keys = [messages.IssuerKey(issuer="test", key_id="7e570001", public_key="0" * 64)] * 700
    twin = messages.Desired(version=(1, 1)).model_copy(update={"issuer_keys": keys})
    with pytest.raises(TooLarge, match=r"^desired: [1-9]\d* bytes too large even without occurrences, at most 65536$"):
        wire.fit_desired(twin, [occurrence(1)])
