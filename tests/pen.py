"""Writes what a terminal would send: records, and batches that continue a stream. Pure; keeps no disk."""

import itertools
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from cloud.ingest.accept import Delivery
from firmware_specs.messages import (
    CheckIn,
    Clock,
    CredentialReference,
    Header,
    Health,
    Method,
    Outcome,
    Parent,
    Record,
    Started,
)
from firmware_specs.signing import BatchSigner
from firmware_specs.wire import chain_over, chain_start, encode_batch, encode_record
from tests.town import Person


def now_us() -> int:
    """The system's clock, in microseconds."""
    return time.time_ns() // 1000


@dataclass
class Pen:
    """One stream of one terminal; `lines` are all it has ever written. `clock` is what its records say of theirs."""

    terminal: str = "kiosk-1"
    config: tuple[int, int] = (0, 0)
    stream: str = field(default_factory=lambda: str(uuid.uuid4()))
    boot: str = field(default_factory=lambda: str(uuid.uuid4()))
    clock: Clock = Clock.SYNCED
    parent: Parent | None = None
    signer: BatchSigner | None = None
    lines: list[bytes] = field(default_factory=list)

    def stamp(self, **changed: Any) -> dict[str, Any]:
        """What every record carries."""
        mono_ms = time.monotonic_ns() // 1_000_000
        return {
            "id": str(uuid.UUID(int=random.getrandbits(128))), "at": now_us(), "boot": self.boot, "mono_ms": mono_ms,
            "clock": self.clock, "config": self.config,
        } | changed  # fmt: skip

    def write(self, record: Record | bytes) -> int:
        """Append a record, or a line that is none; its number."""
        self.lines.append(record if isinstance(record, bytes) else encode_record(record))
        return len(self.lines)

    def check_in(self, who: Person | None, occurrence: str | None, **changed: Any) -> int:
        """A card is shown (or a guest touches): accepted unless `changed` says otherwise."""
        card = CredentialReference(issuer="TOWN", subject=who.subject, id=who.card, key_id="0a0b0c0d") if who else None
        told = {"outcome": Outcome.ACCEPTED, "credential": card, "occurrence": occurrence}
        told["method"] = Method.QR if who else Method.GUEST
        return self.write(CheckIn(**self.stamp(**(told | changed))))

    def health(self, **changed: Any) -> int:
        """A sample."""
        return self.write(Health(**self.stamp(metrics={"cpu_percent": 12.5, "outbox_depth": 3.0}, **changed)))

    def started(self, **changed: Any) -> int:
        """The agent begins."""
        return self.write(Started(**self.stamp(**({"versions": {"agent": "1"}, "reason": "boot"} | changed))))

    def chain(self, through: int) -> str:
        """c(through), hex."""
        return chain_over(chain_start(self.terminal, self.stream), itertools.islice(self.lines, through)).hex()

    def batch(self, first: int = 1, count: int | None = None, **changed: Any) -> bytes:
        """The payload with `count` records from `first` on (all, without it; 0 asks); `changed` are header fields."""
        lines = self.lines[first - 1 : None if count is None else first - 1 + count]
        header: dict[str, Any] = {
            "v": 1, "stream": self.stream, "parent": self.parent, "first": first, "count": len(lines),
            "prev": self.chain(first - 1), "chain": self.chain(first - 1 + len(lines)), "sent_at": now_us(),
            "sent_mono_ms": time.monotonic_ns() // 1_000_000, "boot": self.boot, "clock": self.clock,
        }  # fmt: skip
        return encode_batch(Header(**(header | changed)), lines, self.signer)

    def delivery(self, first: int = 1, count: int | None = None, **changed: Any) -> Delivery:
        """The same, as ingest receives it now."""
        return Delivery(self.terminal, self.batch(first, count, **changed), now_us())
