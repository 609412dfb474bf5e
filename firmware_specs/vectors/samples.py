"""One terminal, one stream and a few records, from which the vectors are made. All made up, and always the same."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

from firmware_specs.messages import (
    CheckIn,
    Clock,
    CredentialReference,
    Flag,
    Header,
    Health,
    Interaction,
    Method,
    Outcome,
    Record,
    Started,
)
from firmware_specs.signing import BatchSigner
from firmware_specs.topics import Channel, topic
from firmware_specs.wire import chain_over, chain_start, encode_batch, encode_record

TERMINAL: Final = "kiosk-302-a"
STREAM: Final = "00000000-0000-4000-8000-000000000001"
OTHER_STREAM: Final = "00000000-0000-4000-8000-000000000002"
BOOT: Final = "00000000-0000-4000-8000-0000000000b0"
AT: Final = 1_795_426_200_000_000  # 2026-11-23T09:30:00Z
EPOCH: Final = 1_795_426_000_000
CONFIG: Final = (EPOCH, 7)
SUBJECT: Final = "TestTestTestTestTestTQ"
RECORDS: Final = topic(TERMINAL, Channel.RECORDS)


def record_id(number: int) -> str:
    """A record's id; real ones are random."""
    return f"00000000-0000-4000-8000-1{number:011d}"


def base(number: int, at: int = AT, clock: Clock = Clock.SYNCED) -> dict[str, Any]:
    """What every record carries."""
    return {
        "id": record_id(number),
        "at": at,
        "boot": BOOT,
        "mono_ms": 60_000 + number,
        "clock": clock,
        "config": CONFIG,
    }


def started(number: int = 1, **more: Any) -> Started:
    """The first record of a stream."""
    return Started(**base(number), versions={"agent": "0.1.0"}, reason="boot", **more)


def check_in(number: int = 2, **more: Any) -> CheckIn:
    """An accepted card."""
    fields: dict[str, Any] = {
        "method": Method.QR,
        "outcome": Outcome.ACCEPTED,
        "credential": CredentialReference(issuer="test", subject=SUBJECT, id="000000174876e7ff", key_id="7e570001"),
        "occurrence": "act_test/20261123T093000Z",
    }
    return CheckIn(**base(number), **(fields | more))


def guest(number: int) -> CheckIn:
    """A guest, taken in while the clock was unset."""
    return CheckIn(
        **base(number, at=AT, clock=Clock.UNSET),
        method=Method.GUEST,
        outcome=Outcome.ACCEPTED,
        occurrence="act_test/20261123T093000Z",
        flags=[Flag.CLOCK_UNSURE],
    )


def health(number: int = 3) -> Health:
    """One sample."""
    return Health(**base(number), metrics={"cpu_percent": 12.5, "outbox_records": 3})


def interaction(number: int) -> Interaction:
    """Touches of one minute."""
    return Interaction(**base(number), screen="waiting", minute_at=AT, touches=4)


def lines_of(records: Sequence[Record]) -> list[bytes]:
    """Record lines without newlines."""
    return [encode_record(record) for record in records]


def three() -> list[bytes]:
    """Records 1 to 3 of the stream."""
    return lines_of([started(1), check_in(2), health(3)])


def chain_at(number: int, lines: Sequence[bytes] | None = None) -> str:
    """The chain of the sample stream at a number, hex."""
    return chain_over(chain_start(TERMINAL, STREAM), (three() if lines is None else lines)[:number]).hex()


def header_fields(lines: Sequence[bytes], first: int = 1, prev: bytes | None = None) -> dict[str, Any]:
    """The fields of a header that fits the lines."""
    before = chain_start(TERMINAL, STREAM) if prev is None else prev
    return {
        "v": 1,
        "stream": STREAM,
        "first": first,
        "count": len(lines),
        "prev": before.hex(),
        "chain": chain_over(before, lines).hex(),
        "sent_at": AT + 250_000,
        "sent_mono_ms": 60_253,
        "boot": BOOT,
        "clock": Clock.SYNCED,
    }


def batch(
    lines: Sequence[bytes],
    *,
    first: int = 1,
    prev: bytes | None = None,
    signer: BatchSigner | None = None,
    **more: Any,
) -> bytes:
    """A whole payload."""
    return encode_batch(Header(**(header_fields(lines, first, prev) | more)), lines, signer)


def with_header(lines: Sequence[bytes], **changes: Any) -> bytes:
    """A payload whose header has fields that no model would write, without check; None takes a field away."""
    fields = header_fields(lines) | changes
    kept = {name: value for name, value in fields.items() if value is not None}
    return b"\n".join((compact(kept), *lines)) + b"\n"


def compact(document: Any) -> bytes:
    """Compact JSON, non-ASCII as it is."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def filler(count: int, line_bytes: int) -> list[bytes]:
    """Good records of exactly ``line_bytes`` each, made long by a field that nobody knows."""
    lines = []
    for number in range(1, count + 1):
        plain = encode_record(interaction(number))[:-1]
        room = line_bytes - len(plain) - len(b',"filler":""}')
        lines.append(plain + b',"filler":"' + b"x" * room + b'"}')
    return lines


def digest(text: str) -> bytes:
    """32 bytes that look random and are not."""
    return hashlib.sha256(text.encode()).digest()
