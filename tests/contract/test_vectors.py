"""Every golden vector is what our readers make of it, ours on the terminal and ours in the cloud alike."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from cloud.ingest.accept import Delivery, Positions, accept
from cloud.ingest.accept import Position as Stored
from edge.acknowledgement import Advance, Ignore, OpenStream, Position, Rewind, Verdict, Wait, judge
from edge.stream import StreamState
from firmware_specs import credentials, roster, signing, topics, vectors, wire
from firmware_specs.errors import CredentialError, DecodeError, SignatureError, TooLarge, TopicError, UnknownVersion
from firmware_specs.vectors import Vector
from firmware_specs.vectors.samples import STREAM, TERMINAL

VECTORS = list(vectors.kept())
READERS: dict[str, Callable[[bytes], Any]] = {
    "answer": wire.decode_stored,
    "record": wire.decode_record,
    "state": wire.decode_state,
    "desired": wire.decode_desired,
    "reported": wire.decode_reported,
    "command": wire.decode_command,
}


def of(*kinds: str) -> pytest.MarkDecorator:
    """One test per vector of these kinds."""
    chosen = [vector for vector in VECTORS if vector.kind in kinds]
    return pytest.mark.parametrize("vector", chosen, ids=[vector.path for vector in chosen])


def test_kept_vectors_are_those_that_are_made() -> None:
    assert {vector.path: vector for vector in vectors.made()} == {vector.path: vector for vector in VECTORS}, (
        "run `python -m firmware_specs vectors --write`"
    )


def test_there_are_at_least_sixty_of_them_and_each_name_is_its_own() -> None:
    assert len(VECTORS) >= 60
    assert len({vector.path for vector in VECTORS}) == len(list(vectors.made()))


@of("batch")
def test_batch_is_read_or_refused(vector: Vector) -> None:
    if "refused" in vector.expect:
        assert_refused(vector, wire.decode_batch)
        return
    batch = wire.decode_batch(vector.payload)
    types = [None if isinstance(record, DecodeError) else record.type for record in wire.decode_records(batch.lines)]
    assert types == vector.expect["records"]


@of("batch")
def test_cloud_answers_a_refused_batch_with_its_word_and_marks_it(vector: Vector) -> None:
    if "refused" in vector.expect:
        (verdict,) = accept([Delivery(TERMINAL, vector.payload, 0)], Positions())
        assert (verdict.taken, verdict.error) == (False, vector.expect["refused"])
        assert verdict.mark == verdict.error
        assert (verdict.reading.wrong or "").startswith(vector.expect["where"])


@of("answer", "record", "state", "desired", "reported", "command")
def test_message_is_read_or_refused_and_named(vector: Vector) -> None:
    if "refused" in vector.expect:
        assert_refused(vector, READERS[vector.kind])
    else:
        READERS[vector.kind](vector.payload)


def assert_refused(vector: Vector, read: Callable[[bytes], Any]) -> None:
    with pytest.raises(DecodeError) as caught:
        read(vector.payload)
    kind = {TooLarge: "too_large", UnknownVersion: "unknown_version"}.get(type(caught.value), "broken")
    assert (kind, caught.value.where) == (vector.expect["refused"], vector.expect["where"])


@of("accept")
def test_cloud_takes_only_what_continues_the_stream(vector: Vector) -> None:
    given = vector.given
    have = Stored(given["stream_of"], given["through"], given["chain"])
    streams = {STREAM: have} if given["through"] or given["stream_of"] != TERMINAL else {}
    (verdict,) = accept([Delivery(TERMINAL, vector.payload, 0)], Positions(streams))
    position = verdict.after() if verdict.taken else verdict.position
    assert verdict.delivery.payload == vector.payload
    assert verdict.mark == verdict.error
    assert {
        "taken": verdict.taken,
        "error": verdict.error,
        "through": position and position.through,
        "chain": position and position.chain,
    } == vector.expect


@of("answer")
def test_terminal_judges_an_answer_by_its_own_chain(vector: Vector) -> None:
    if "judgement" in vector.expect:
        answer = wire.decode_stored(vector.payload)
        verdict = judge(position_of(vector), answer)
        assert isinstance(verdict, Ignore) or verdict.epoch == answer.epoch
        expected = dict(vector.expect)
        least = expected.pop("at_least_s", 0)
        found = described(verdict)
        assert found == {"sure": True} | expected if "sure" in found else found == expected
        assert not isinstance(verdict, Wait) or verdict.retry_after_s >= least


def position_of(vector: Vector) -> Position:
    given = vector.given["position"]
    chains = {int(number): bytes.fromhex(chain) for number, chain in given["chains"].items()}
    state = StreamState(
        terminal=TERMINAL,
        stream=given["stream"],
        parent=None,
        last=given["last"],
        fixed=given["sent"],
        through=given["through"],
        through_epoch=given["through_epoch"],
        trimmed=given["trimmed"],
        trimmed_chain=chains[given["trimmed"]],
        epoch=given["epoch"],
    )
    return Position(state, chains.get)


def described(verdict: Verdict) -> dict[str, Any]:
    """A judgement in the words of the vectors."""
    match verdict:
        case Advance():
            return {"judgement": "go_on", "through": verdict.through}
        case Rewind():
            return {"judgement": "send_again", "after": verdict.through, "sure": verdict.sure}
        case OpenStream():
            gap = {} if verdict.gap is None else {"gap": [verdict.gap.first, verdict.gap.last]}
            return {"judgement": "new_stream", "known": verdict.known, "sure": verdict.sure} | gap
        case Wait():
            return {"judgement": "wait"} | (
                {"smaller": True} if verdict.smaller and verdict.error == "too_large" else {}
            )
        case Ignore():
            return {"judgement": "ignore"}


@of("credential")
def test_credential_is_good_or_refused_with_a_reason(vector: Vector) -> None:
    keys = {
        (key["issuer"], key["key_id"]): Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public_key"]))
        for key in vector.given["keys"]
    }
    now = datetime.fromtimestamp(vector.given["now"], UTC)

    def read() -> credentials.Credential:
        card = credentials.read(vector.payload.decode(), keys)
        credentials.check_validity(card, now)
        return card

    if "reason" in vector.expect:
        with pytest.raises(CredentialError) as caught:
            read()
        assert caught.value.reason == vector.expect["reason"]
        return
    card = read()
    times = {"not_before": int(card.not_before.timestamp()), "expires": int(card.expires.timestamp())}
    claims = {"issuer": card.issuer, "subject": card.subject, "id": card.id, "key_id": card.key_id}
    assert vector.expect == {"good": claims | times}


@of("signed")
def test_signature_is_by_a_key_of_the_terminal_or_refused_with_a_reason(vector: Vector) -> None:
    wire.decode_batch(vector.payload)
    keys = {signing.key_id(key): key for key in map(public_key, vector.given["keys"])}
    header = vector.payload.partition(b"\n")[0]
    if "reason" in vector.expect:
        with pytest.raises(SignatureError) as caught:
            signing.verify(TERMINAL, header, keys)
        assert caught.value.reason == vector.expect["reason"]
        return
    assert {"key_id": signing.verify(TERMINAL, header, keys)} == vector.expect
    assert signing.covered(TERMINAL, header[: header.index(b',"sign"')]).hex() == vector.given["signed"]


def public_key(der_hex: str) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(bytes.fromhex(der_hex))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


@of("card_number")
def test_card_number_is_read_or_refused(vector: Vector) -> None:
    if "refused" in vector.expect:
        with pytest.raises(ValueError, match="card number"):
            credentials.card_id(vector.payload.decode())
    else:
        assert credentials.card_id(vector.payload.decode()) == vector.expect["id"]


@of("topic")
def test_topic_is_read_or_refused(vector: Vector) -> None:
    if "refused" in vector.expect:
        with pytest.raises(TopicError):
            topics.parse(vector.payload.decode())
    else:
        topic = topics.parse(vector.payload.decode())
        assert (topic.terminal, topic.channel) == (vector.expect["terminal"], vector.expect["channel"])
        assert str(topic).encode() == vector.payload


@of("roster")
def test_roster_is_read_or_refused(vector: Vector) -> None:
    def read(content: bytes) -> int:
        head, entries = roster.read_roster(content.splitlines(keepends=True))
        assert sum(1 for _ in entries) == head.count
        return head.count

    if "refused" in vector.expect:
        assert_refused(vector, read)
    else:
        assert read(vector.payload) == vector.expect["members"]


@of("occurrences")
def test_occurrences_are_read_or_refused(vector: Vector) -> None:
    def read(content: bytes) -> tuple[int, int]:
        head, found = roster.read_occurrences(content.splitlines(keepends=True))
        assert b"".join(roster.occurrence_lines(head.until, found)) == content
        return len(found), head.until

    if "refused" in vector.expect:
        assert_refused(vector, read)
    else:
        assert read(vector.payload) == (vector.expect["occurrences"], vector.expect["until"])


@of("revocations")
def test_revocations_are_read_or_refused(vector: Vector) -> None:
    def read(content: bytes) -> int:
        return len(roster.read_revocations(content.splitlines(keepends=True))[1])

    if "refused" in vector.expect:
        assert_refused(vector, read)
    else:
        assert read(vector.payload) == vector.expect["revoked"]
