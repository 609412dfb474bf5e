"""Reads any payload of the contract and says in one line what it is: what `python -m firmware_specs check` prints.

Pure; raises ContractError, whose text says what is wrong and where. Also what the golden vectors are tried with.
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from firmware_specs import roster, signing, topics, wire
from firmware_specs.credentials import card_id, check_validity, read, read_unverified
from firmware_specs.errors import CredentialError, CredentialReason, DecodeError
from firmware_specs.topics import Channel

NEWLINE: Final = b"\n"


def check_payload(topic: str, payload: bytes) -> str:
    """Check a message under its topic."""
    return check_kind(CHANNELS[topics.parse(topic).channel], payload)


def check_kind(kind: str, payload: bytes) -> str:
    """Check bytes as one of KINDS."""
    return KINDS[kind](payload)


def check_credential(text: str, given: Mapping[str, Any]) -> str:
    """Check a QR code's text; ``given`` is empty, or holds ``keys`` (issuer, key_id, public_key) and ``now`` (seconds)."""
    if not given:
        credential = read_unverified(text)
        return f"credential {credential.id} of issuer {credential.issuer}, signature not checked: no key was given"
    keys = {
        (key["issuer"], key["key_id"]): Ed25519PublicKey.from_public_bytes(bytes.fromhex(key["public_key"]))
        for key in given["keys"]
    }
    credential = read(text, keys)
    check_validity(credential, datetime.fromtimestamp(given["now"], UTC))
    return f"credential {credential.id} of issuer {credential.issuer}, good"


def check_signed(payload: bytes, given: Mapping[str, Any]) -> str:
    """Check a batch and its signature; ``given`` holds ``terminal`` and its ``keys``, DER SubjectPublicKeyInfo in hex."""
    what = check_kind("batch", payload)
    found = [load_der_public_key(bytes.fromhex(key)) for key in given["keys"]]
    keys = {signing.key_id(key): key for key in found if isinstance(key, ec.EllipticCurvePublicKey)}
    key = signing.verify(given["terminal"], payload.partition(NEWLINE)[0], keys)
    return f"{what}, signed by key {key} of {given['terminal']}"


def check_decision(given: Mapping[str, Any]) -> str:
    """Check what a decision vector gives a kiosk: its twin as a document, its files as texts; not the decision itself."""
    known = []
    if "twin" in given:
        known.append(_desired(json.dumps(given["twin"], ensure_ascii=False).encode()))
    files = (kind for kind in ("roster", "revocations", "occurrences") if kind in given)
    known += [check_kind(kind, given[kind].encode()) for kind in files]
    return "decision, made with " + ("; ".join(known) or "nothing known")


def _batch(payload: bytes) -> str:
    """A batch with every record; the first that is not understood is named by its line."""
    batch = wire.decode_batch(payload)
    types = []
    for index, record in enumerate(wire.decode_records(batch.lines), 1):
        if isinstance(record, DecodeError):
            raise DecodeError(f"line {index} (number {batch.header.first + index - 1}): {record.where}", record.what)
        types.append(record.type)
    if not types:
        return f"question, next is {batch.header.first}, stream {batch.header.stream}"
    return f"batch, records {batch.header.first} to {batch.last} ({', '.join(sorted(set(types)))}), stream {batch.header.stream}"


def _record(line: bytes) -> str:
    return f"record, {wire.decode_record(line.removesuffix(NEWLINE)).type}"


def _stored(payload: bytes) -> str:
    stored = wire.decode_stored(payload)
    through = "says nothing of a position" if stored.through is None else f"stored through {stored.through}"
    return f"answer, {through}, epoch {stored.epoch}" + (f", error {stored.error}" if stored.error else "")


def _state(payload: bytes) -> str:
    state = wire.decode_state(payload)
    return f"{state.event}, connection {state.connection} of incarnation {state.incarnation}"


def _desired(payload: bytes) -> str:
    twin = wire.decode_desired(payload)
    return f"desired twin {twin.version[0]}.{twin.version[1]}, {len(twin.occurrences)} occurrences"


def _reported(payload: bytes) -> str:
    twin = wire.decode_reported(payload)
    return f"reported twin {twin.version[0]}.{twin.version[1]}, {'applied' if twin.applied else 'not applied'}"


def _command(payload: bytes) -> str:
    command = wire.decode_command(payload)
    return f"command {command.name} {command.id}"


def _roster(payload: bytes) -> str:
    head, entries = roster.read_roster(payload.splitlines(keepends=True))
    return f"roster of {sum(1 for _ in entries)} members, as its head counts ({head.count})"


def _revocations(payload: bytes) -> str:
    head, revoked = roster.read_revocations(payload.splitlines(keepends=True))
    return f"revocations of epoch {head.epoch}, {len(revoked)} credentials"


def _occurrences(payload: bytes) -> str:
    head, occurrences = roster.read_occurrences(payload.splitlines(keepends=True))
    return f"{len(occurrences)} occurrences, known until {head.until}"


def _credential(payload: bytes) -> str:
    return check_credential(_text(payload), {})


def _card_number(payload: bytes) -> str:
    try:
        return f"card number of credential {card_id(_text(payload))}"
    except ValueError as error:
        raise CredentialError(CredentialReason.UNREADABLE, str(error)) from None


def _topic(payload: bytes) -> str:
    topic = topics.parse(_text(payload))
    return f"topic {topic.channel} of terminal {topic.terminal}"


def _text(payload: bytes) -> str:
    try:
        return payload.decode().removesuffix("\n")
    except UnicodeDecodeError:
        raise CredentialError(CredentialReason.UNREADABLE, "not a text") from None


KINDS: Final[Mapping[str, Callable[[bytes], str]]] = {
    "batch": _batch,
    "record": _record,
    "stored": _stored,
    "state": _state,
    "desired": _desired,
    "reported": _reported,
    "command": _command,
    "roster": _roster,
    "revocations": _revocations,
    "occurrences": _occurrences,
    "credential": _credential,
    "card_number": _card_number,
    "topic": _topic,
}
"""What bytes can be checked as."""
CHANNELS: Final[Mapping[Channel, str]] = {
    Channel.RECORDS: "batch",
    Channel.STORED: "stored",
    Channel.STATE: "state",
    Channel.DESIRED: "desired",
    Channel.REPORTED: "reported",
    Channel.COMMANDS: "command",
}
