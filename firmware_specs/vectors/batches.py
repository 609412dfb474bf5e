"""Vectors of `up/records`: batches that can be read or not, and what the cloud does with one at its position."""

from collections.abc import Iterator, Sequence
from typing import Any

from firmware_specs.fields import MAX_NUMBER, MAX_TIME_US
from firmware_specs.messages import Gap, Parent
from firmware_specs.vectors import samples
from firmware_specs.vectors.vector import Vector
from firmware_specs.wire import chain_start


def readable() -> Iterator[Vector]:
    """Batches whose header, count and chain are right; single records may still be unreadable."""
    three = samples.three()
    yield _read("one-record", "a kiosk's first record", samples.batch(three[:1]), ["started"])
    yield _read(
        "three-records", "the worked example of the README", samples.batch(three), ["started", "check_in", "health"]
    )
    yield _read("question", "no records: how far are you?", samples.batch([], first=4, prev=_chain(3)), [])
    yield _read("full", "200 records", samples.batch(_guests(200)), ["check_in"] * 200)
    yield _read("exactly-64-kib", "65,536 bytes are allowed", _of_size(65_536), ["interaction"] * 9)
    yield _read(
        "future-fields",
        "unknown fields in header and records are ignored",
        samples.with_header([_with(three[0], b',"mood":{"a":[1,2]}')], colour="blue", check=None),
        ["started"],
    )
    yield _read(
        "future-words",
        "unknown words where they only inform are taken: a clock's quality, a reason, a flag",
        samples.with_header([_future_words(three[1])], clock="atomic"),
        ["check_in"],
    )
    unknown = three[2].replace(b'"health"', b'"telepathy"')
    yield _read(
        "unknown-type", "quarantined, and the stream goes on", samples.batch([three[0], unknown]), ["started", None]
    )
    yield _read(
        "broken-record", "not JSON, but under the chain", samples.batch([three[0], b'{"type":']), ["started", None]
    )
    yield _read("empty-line", "an empty record line is a record that cannot be read", samples.batch([b""]), [None])
    yield _read("new-stream", "a stream that continues another", _new_stream(), ["started", "check_in"])
    late = samples.lines_of([samples.guest(1).model_copy(update={"at": at}) for at in (2**31 * 10**6, MAX_TIME_US)])
    yield _read(
        "year-2038", "one second after 32 bits are full, and the last instant", samples.batch(late), ["check_in"] * 2
    )
    yield _read("highest-number", "2**53 - 1", samples.batch(three[:1], first=MAX_NUMBER, prev=b"\1" * 32), ["started"])
    yield _read("without-check", "a header need not carry its check", samples.with_header(three[:1]), ["started"])


def refused() -> Iterator[Vector]:
    """Batches of which nothing is taken, with the word that the cloud answers."""
    three = samples.three()
    yield from _cut(three)
    yield from _wrong_chains(three)
    yield from _wrong_checks(three)
    yield from _wrong_headers(three)
    head = samples.batch(three).partition(b"\n")[0]
    yield from _wrong_json(head)
    yield from _wrong_texts(head)
    yield from _too_large(head)


def _cut(three: Sequence[bytes]) -> Iterator[Vector]:
    good = samples.batch(three)
    yield _refuse("cut-in-line", "cut within the last line", good[:-40], "broken", "batch")
    yield _refuse("cut-newline", "the last newline is missing", good[:-1], "broken", "batch")
    yield _refuse(
        "cut-line", "a whole line is missing", samples.batch(three).rpartition(three[2])[0], "broken", "batch"
    )
    yield _refuse("one-line-more", "a line more than the header counts", good + three[2] + b"\n", "broken", "batch")
    yield _refuse("empty", "no byte at all", b"", "broken", "batch")
    yield _refuse("only-a-newline", "an empty header", b"\n", "broken", "header")
    yield _refuse("not-json", "a header that is no JSON", b"hello\n", "broken", "header")
    yield _refuse("header-list", "a header that is no object", b"[1]\n", "broken", "header")


def _wrong_chains(three: Sequence[bytes]) -> Iterator[Vector]:
    head, _, rest = samples.batch(three).partition(b"\n")
    yield _refuse("wrong-count", "the header counts 2 of 3", samples.with_header(three, count=2), "broken", "batch")
    yield _refuse(
        "count-201", "more than 200 records", samples.with_header(_guests(201), count=201), "broken", "header.count"
    )
    yield _refuse(
        "wrong-chain", "the lines give another chain", samples.with_header(three, chain="0" * 64), "broken", "batch"
    )
    yield _refuse(
        "wrong-prev", "prev and chain do not fit", samples.with_header(three, prev="0" * 64), "broken", "batch"
    )
    yield _refuse(
        "lines-swapped", "two lines changed places", b"\n".join([head, *reversed(three), b""]), "broken", "batch"
    )
    yield _refuse(
        "flipped-bit", "one bit of a record", head + b"\n" + rest.replace(b"12.5", b"13.5"), "broken", "batch"
    )


def _wrong_checks(three: Sequence[bytes]) -> Iterator[Vector]:
    good = samples.batch(three)
    head, _, rest = good.partition(b"\n")
    yield _refuse(
        "header-changed",
        "sent_at was changed under way",
        good.replace(b"6200250000", b"6200250001"),
        "broken",
        "header.check",
    )
    yield _refuse(
        "check-not-last",
        "the check must be the last field",
        _check_first(head) + b"\n" + rest,
        "broken",
        "header.check",
    )


def _wrong_headers(three: Sequence[bytes]) -> Iterator[Vector]:
    yield _refuse(
        "upper-case-hex", "hex is lower case", samples.with_header(three, prev="A" * 64), "broken", "header.prev"
    )
    yield _refuse(
        "no-stream", "a header without its stream", samples.with_header(three, stream=None), "broken", "header.stream"
    )
    yield _refuse("first-0", "numbers begin at 1", samples.with_header(three, first=0), "broken", "header.first")
    yield _refuse(
        "first-2-to-53",
        "larger than every reader keeps",
        samples.with_header(three, first=2**53),
        "broken",
        "header.first",
    )
    yield _refuse("first-huge", "400 digits", samples.with_header(three, first=10**400), "broken", "header.first")
    yield _refuse(
        "first-1.0", "integers have no fraction", samples.with_header(three, first=1.0), "broken", "header.first"
    )
    yield _refuse("first-text", "a number is no text", samples.with_header(three, first="1"), "broken", "header.first")
    yield _refuse("version-2", "another major version", samples.with_header(three, v=2), "unknown_version", "header.v")
    yield _refuse("version-text", "a version is a number", samples.with_header(three, v="1"), "broken", "header.v")
    yield _refuse("version-true", "true is not 1", samples.with_header(three, v=True), "broken", "header.v")


def _wrong_json(head: bytes) -> Iterator[Vector]:
    yield _refuse(
        "sent-at-nan", "NaN is no JSON", _raw(head, b'"sent_at":1', b'"sent_at":NaN,"x":1'), "broken", "header"
    )
    yield _refuse(
        "key-twice", "which first is meant?", _raw(head, b'"first":1', b'"first":1,"first":2'), "broken", "header"
    )
    yield _refuse(
        "key-twice-escaped",
        "the same key in two spellings",
        _raw(head, b'"first"', b'"fi\\u0072st":2,"first"'),
        "broken",
        "header",
    )
    yield _refuse("nested", "nine deep", _raw(head, b"{", b'{"x":' + b"[" * 9 + b"]" * 9 + b",", 1), "broken", "header")
    yield _refuse(
        "nested-deeply",
        "two thousand deep",
        _raw(head, b"{", b'{"x":' + b"[" * 2000 + b"]" * 2000 + b",", 1),
        "broken",
        "header",
    )


def _wrong_texts(head: bytes) -> Iterator[Vector]:
    yield _refuse("not-utf-8", "bytes that are no UTF-8", _raw(head, b"{", b'{"x":"\xff\xfe",', 1), "broken", "header")
    yield _refuse(
        "lone-surrogate", "half of a UTF-16 pair", _raw(head, b"{", b'{"x":"\\ud800",', 1), "broken", "header"
    )
    yield _refuse(
        "byte-order-mark", "UTF-8 has none", b"\xef\xbb\xbf" + samples.batch(samples.three()), "broken", "header"
    )


def _too_large(head: bytes) -> Iterator[Vector]:
    yield _refuse("oversized", "65,537 bytes", _of_size(65_537), "too_large", "batch")
    yield _refuse(
        "line-oversized", "a line of 8,193 bytes", samples.batch(samples.filler(1, 8193)), "too_large", "line 1"
    )
    yield _refuse(
        "header-oversized",
        "a header of more than 8 KiB",
        _raw(head, b"{", b'{"x":"' + b"y" * 8192 + b'",', 1),
        "too_large",
        "header",
    )


def accepted_or_not() -> Iterator[Vector]:
    """One batch of records 3 and 4, or a question, and what the cloud has of the stream when it comes."""
    lines = samples.lines_of([samples.health(3), samples.check_in(4)])
    continues = samples.batch(lines, first=3, prev=_chain(2))
    after = samples.chain_at(4, [*samples.three()[:2], *lines])
    yield _accept(
        "continues", "first = through + 1, and prev is the chain there", continues, 2, _chain(2).hex(), 4, after
    )
    yield _accept("gap", "records before it are missing", continues, 1, _chain(1).hex())
    yield _accept("repeat", "all of it is stored already", continues, 4, after)
    yield _accept("overlap", "a part of it is stored already", continues, 3, _chain(3).hex())
    yield _accept("fork", "the cloud has other records 1 and 2", continues, 2, "f" * 64, error="fork")
    start = chain_start(samples.TERMINAL, samples.STREAM).hex()
    first = samples.batch(samples.three())
    yield _accept("first-of-stream", "nothing is stored yet", first, 0, start, 3, samples.chain_at(3))
    yield _accept(
        "stream-of-another-chain", "c(0) is made with the terminal's id", _foreign_start(), 0, start, error="fork"
    )
    question = samples.batch([], first=4, prev=_chain(3))
    yield _accept("question", "a question changes nothing", question, 2, _chain(2).hex())
    yield _accept("question-of-nothing", "nothing is stored of this stream", question, 0, start)
    yield Vector(
        "accept",
        "foreign-stream",
        "the stream is another terminal's for ever",
        first,
        {"taken": False, "error": "foreign_stream", "through": None, "chain": None},
        samples.RECORDS,
        {"stream_of": "kiosk-999-z", "through": 0, "chain": start},
    )


def _read(name: str, shows: str, payload: bytes, records: Sequence[str | None]) -> Vector:
    return Vector("batch", name, shows, payload, {"records": records}, samples.RECORDS)


def _refuse(name: str, shows: str, payload: bytes, error: str, where: str) -> Vector:
    return Vector("batch", name, shows, payload, {"refused": error, "where": where}, samples.RECORDS)


def _accept(
    name: str,
    shows: str,
    payload: bytes,
    through: int,
    chain: str,
    to: int | None = None,
    after: str = "",
    error: str | None = None,
) -> Vector:
    expect: dict[str, Any] = {"taken": to is not None, "error": error}
    expect |= {"through": through, "chain": chain} if to is None else {"through": to, "chain": after}
    given = {"stream_of": samples.TERMINAL, "through": through, "chain": chain}
    return Vector("accept", name, shows, payload, expect, samples.RECORDS, given)


def _chain(number: int) -> bytes:
    return bytes.fromhex(samples.chain_at(number))


def _guests(count: int) -> list[bytes]:
    return samples.lines_of([samples.guest(number) for number in range(1, count + 1)])


def _with(line: bytes, more: bytes) -> bytes:
    return line[:-1] + more + b"}"


def _future_words(line: bytes) -> bytes:
    return _with(line.replace(b'"synced"', b'"atomic"').replace(b"[]", b'["weightless"]'), b',"reason":"low_gravity"')


def _new_stream() -> bytes:
    parent = Parent(stream=samples.OTHER_STREAM, through=40, chain="a" * 64)
    gap = Gap(stream=samples.OTHER_STREAM, first=41, last=57, reason="trimmed")
    return samples.batch(samples.lines_of([samples.started(1, gap=gap), samples.check_in(2)]), parent=parent)


def _of_size(size: int) -> bytes:
    """A batch of nine records and exactly ``size`` bytes."""
    rest = size - len(samples.batch([b""] * 9)) - 8 * 8000
    return samples.batch([*samples.filler(8, 8000), samples.filler(9, rest)[8]])


def _raw(head: bytes, old: bytes, new: bytes, times: int = -1) -> bytes:
    """A question whose header was changed as text."""
    return head.replace(old, new, times) + b"\n"


def _check_first(head: bytes) -> bytes:
    body, check = head[:-28], head[-27:-1]
    return b"{" + check + b"," + body[1:] + b"}"


def _foreign_start() -> bytes:
    return samples.batch(samples.three(), prev=chain_start("kiosk-999-z", samples.STREAM))
