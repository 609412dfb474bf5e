"""Vectors of `down/stored`: what a terminal at a given position must make of an answer, and which it must not trust."""

from collections.abc import Iterator
from typing import Any

from firmware_specs.vectors import samples
from firmware_specs.vectors.vector import Vector

STORED = f"roomlink/v1/{samples.TERMINAL}/down/stored"
LATER = samples.EPOCH + 5_000


def judged() -> Iterator[Vector]:
    """Answers to a terminal that has records 1 to 4, three of them sent, one known to be stored."""
    yield from _trusted()
    yield from _not_trusted()
    yield from _errors()
    yield from _errors_about_a_stream()
    yield from _refused()


def _trusted() -> Iterator[Vector]:
    yield _answer("forward", "more is stored", {"judgement": "go_on", "through": 3}, through=3)
    yield _answer("same", "nothing new", {"judgement": "go_on", "through": 1}, through=1)
    yield _answer(
        "unasked",
        "the cloud saw a birth: what is in flight may be lost, and goes again soon",
        {"judgement": "go_on", "through": 1},
        through=1,
        unasked=True,
    )
    yield _answer(
        "new-epoch", "restored, and all is still there", {"judgement": "go_on", "through": 3}, through=3, epoch=LATER
    )
    yield _answer(
        "rewind", "the cloud was restored to before", {"judgement": "send_again", "after": 0}, through=0, epoch=LATER
    )
    yield _answer(
        "rewind-same-epoch",
        "an old answer that came late, or a cloud that forgot: send again, it costs a repeat at worst",
        {"judgement": "send_again", "after": 0, "sure": False},
        through=0,
    )
    yield _answer(
        "future-fields", "unknown fields are ignored", {"judgement": "go_on", "through": 2}, through=2, mood="fine"
    )
    yield _answer(
        "rejected",
        "records that were not understood are stored all the same",
        {"judgement": "go_on", "through": 3},
        through=3,
        rejected=[3],
    )


def _not_trusted() -> Iterator[Vector]:
    opened = {"judgement": "new_stream", "known": 1}
    yield _answer(
        "wrong-chain",
        "the cloud has another record 2: this disk was rolled back or cloned",
        opened,
        through=2,
        chain="f" * 64,
    )
    yield _answer("wrong-chain-at-0", "even c(0) must be equal", opened, through=0, chain="f" * 64)
    yield _answer("beyond-sent", "record 4 was never sent from this disk", opened, through=4, chain=samples.chain_at(3))
    yield _answer(
        "beyond-all", "a number that this terminal has never given", opened, through=1_000_000, chain="e" * 64
    )
    yield _answer("highest-number", "2**53 - 1", opened, through=2**53 - 1, chain="e" * 64)
    yield _answer(
        "diverged-after-restore",
        "after a restore nothing is known to be stored: copy all",
        {"judgement": "new_stream", "known": 0},
        through=2,
        chain="f" * 64,
        epoch=LATER,
    )
    yield _answer(
        "trimmed",
        "asked for what is kept no longer: declare the gap",
        {"judgement": "new_stream", "known": 1, "gap": [2, 2]},
        {"through": 3, "trimmed": 2},
        through=1,
        epoch=LATER,
    )
    yield _answer("lower-epoch", "from before a restore", {"judgement": "ignore"}, {"epoch": LATER}, through=3)
    yield _answer(
        "other-stream",
        "about a stream that is not in use any more",
        {"judgement": "ignore"},
        through=3,
        stream=samples.OTHER_STREAM,
    )


def _errors() -> Iterator[Vector]:
    wait = {"judgement": "wait"}
    yield _answer("busy", "not before five seconds", wait | {"at_least_s": 5}, error="busy", retry_after_s=5)
    yield _answer("broken-without-stream", "its header could not be read", wait, stream=None, error="broken")
    yield _answer("broken", "and it says how far it is", wait, through=1, error="broken")
    yield _answer(
        "broken-forward",
        "an error beside news: the news count",
        {"judgement": "go_on", "through": 2},
        through=2,
        error="broken",
    )
    yield _answer("too-large", "send smaller batches", wait | {"smaller": True}, stream=None, error="too_large")
    yield _answer(
        "unknown-version", "keep everything, and wait for an update", wait, stream=None, error="unknown_version"
    )
    yield _answer(
        "too-many-streams", "wait long", wait | {"at_least_s": 60}, error="too_many_streams", retry_after_s=60
    )
    yield _answer(
        "bad-signature",
        "no key of this terminal signed it: keep everything, try again after long",
        wait | {"at_least_s": 600},
        error="bad_signature",
    )
    yield _answer(
        "future-error", "an error that is not known here counts as busy", wait, error="out_of_coffee", retry_after_s=2
    )


def _errors_about_a_stream() -> Iterator[Vector]:
    yield _answer(
        "fork-equal-chain",
        "a fork seen there, yet the chain here is equal: not this disk's doing",
        {"judgement": "wait"},
        through=1,
        error="fork",
    )
    yield _answer(
        "fork",
        "another chain at the same place",
        {"judgement": "new_stream", "known": 1},
        through=1,
        chain="f" * 64,
        error="fork",
    )
    yield _answer(
        "bad-signature-other-chain",
        "what it says of a position is not looked at: nobody knows whose batch it answers",
        {"judgement": "wait", "at_least_s": 600},
        through=1,
        chain="f" * 64,
        error="bad_signature",
    )
    yield _answer(
        "foreign-stream",
        "this disk is a clone of another terminal's",
        {"judgement": "new_stream", "known": 1},
        error="foreign_stream",
    )
    yield _answer(
        "foreign-stream-unnamed", "whose stream?", {"judgement": "ignore"}, stream=None, error="foreign_stream"
    )


def _refused() -> Iterator[Vector]:
    yield _refuse("through-without-chain", "they come together", "stored", through=1, chain=None)
    yield _refuse("chain-without-through", "they come together", "stored", chain="0" * 64)
    yield _refuse("through-without-stream", "of which stream?", "stored", through=1, stream=None)
    yield _refuse("says-nothing", "neither how far nor what is wrong", "stored")
    yield _refuse("no-epoch", "every answer has one", "stored.epoch", through=1, epoch=None)
    yield _refuse("through-negative", "numbers begin at 0 here", "stored.through", through=-1, chain="0" * 64)
    yield _refuse("through-2-to-53", "larger than every reader keeps", "stored.through", through=2**53, chain="0" * 64)
    yield _refuse("through-text", "a number is no text", "stored.through", through="3", chain="0" * 64)
    yield _refuse("through-true", "nor a truth", "stored.through", through=True, chain="0" * 64)
    yield _refuse("chain-cut", "63 digits", "stored.chain", through=1, chain="0" * 63)
    yield _refuse("retry-negative", "before now", "stored.retry_after_s", error="busy", retry_after_s=-1)
    yield _refuse("version-2", "another major version", "stored.v", through=1, v=2)
    yield _refuse("unasked-text", "a truth is no text", "stored.unasked", through=1, unasked="yes")
    yield _refuse("unasked-number", "nor a number", "stored.unasked", through=1, unasked=1)
    good = _payload({"through": 1})
    yield _bytes(
        "key-twice", "which through is meant?", "stored", good.replace(b'"through":1', b'"through":1,"through":3')
    )
    yield _bytes("cut", "cut within", "stored", good[:-9])
    yield _bytes("retry-nan", "NaN is no JSON", "stored", good.replace(b'"through"', b'"retry_after_s":NaN,"through"'))


def _answer(
    name: str, shows: str, expect: dict[str, Any], position: dict[str, Any] | None = None, **fields: Any
) -> Vector:
    given: dict[str, Any] = {
        "stream": samples.STREAM,
        "epoch": samples.EPOCH,
        "last": 4,
        "sent": 3,
        "through": 1,
        "through_epoch": samples.EPOCH,
        "trimmed": 0,
    }
    given |= position or {}
    given["chains"] = {str(number): samples.chain_at(number) for number in range(given["trimmed"], given["sent"] + 1)}
    return Vector("answer", name, shows, _payload(fields), expect, STORED, {"position": given})


def _refuse(name: str, shows: str, where: str, **fields: Any) -> Vector:
    return _bytes(name, shows, where, _payload(fields))


def _bytes(name: str, shows: str, where: str, payload: bytes) -> Vector:
    refused = "unknown_version" if where.endswith(".v") else "broken"
    return Vector("answer", name, shows, payload, {"refused": refused, "where": where}, STORED)


def _payload(fields: dict[str, Any]) -> bytes:
    """An answer about the sample stream; ``chain`` is the right one where none is given, None leaves a field out."""
    answer: dict[str, Any] = {"v": 1, "epoch": samples.EPOCH, "stream": samples.STREAM} | fields
    through = fields.get("through")
    if "chain" not in fields and type(through) is int and 0 <= through <= 3:
        answer["chain"] = samples.chain_at(through)
    return samples.compact({name: value for name, value in answer.items() if value is not None})
