"""Record batches encoded before the clock runs: what a terminal's outbox would send, as bytes. Pure.

Promises that every check-in is of a known member and a new attendance, as long as there are members and occurrences enough.
Called by the publishers, and by the benches that fill a ledger without a broker.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from firmware_specs.messages import CheckIn, CredentialReference, Header, Health, Method, Outcome
from firmware_specs.wire import chain_next, chain_start, encode_batch, encode_header, encode_record
from tests.pen import Pen
from tests.town import person

FULL_RECORDS, FULL_BYTES = 200, 64 * 1024
EVERY_US = 60_000_000
UPTIME_MS = 40 * 86_400_000
"""What the terminals say of their boot, so that records of an outage still belong to it."""
HEADER_BYTES = 700
"""At most, for a header whose count is not known yet."""


@dataclass(frozen=True)
class Mix:
    """What is sent: `records` per terminal, at most `per_batch` in a batch, every `check_in_every`-th a check-in."""

    records: int
    per_batch: int = FULL_RECORDS
    check_in_every: int = 10


@dataclass
class Writer:
    """One terminal's batches. `place` is its index in the fleet: who comes to it follows from that."""

    terminal: str
    place: int
    config: tuple[int, int]
    members: int
    occurrences: list[str]
    mix: Mix
    pen: Pen = field(init=False)
    people: int = field(init=False)

    def __post_init__(self) -> None:
        self.pen = Pen(self.terminal, self.config)
        self._chance = random.Random(self.place)
        self.people = self.place * (self.mix.records // self.mix.check_in_every + 1)

    def batches(self) -> Iterator[bytes]:
        """Every payload in order, as full as the mix and the contract allow."""
        chain, first = chain_start(self.terminal, self.pen.stream), 1
        lines: list[bytes] = []
        size = HEADER_BYTES
        for number in range(1, self.mix.records + 1):
            line = self._line(number)
            if len(lines) == self.mix.per_batch or size + len(line) + 1 > FULL_BYTES:
                payload, chain = self._batch(first, chain, lines)
                yield payload
                first, lines, size = number, [], HEADER_BYTES
            lines.append(line)
            size += len(line) + 1
        yield self._batch(first, chain, lines)[0]

    def _line(self, number: int) -> bytes:
        ago_us = (self.mix.records - number) * EVERY_US if self.mix.per_batch > 1 else 0
        stamp = self.pen.stamp(mono_ms=_mono_ms() - ago_us // 1000)
        stamp["at"] -= ago_us
        if number % self.mix.check_in_every == 0:
            return encode_record(self._check_in(stamp))
        return encode_record(Health(**stamp, metrics=self._metrics(number)))

    def _check_in(self, stamp: dict[str, object]) -> CheckIn:
        who, turn = person(1 + self.people % self.members), self.people // self.members
        self.people += 1
        card = CredentialReference(issuer="TOWN", subject=who.subject, id=who.card, key_id="0a0b0c0d")
        told = {"method": Method.QR, "outcome": Outcome.ACCEPTED, "credential": card}
        return CheckIn(**stamp, **told, occurrence=self.occurrences[turn % len(self.occurrences)])  # type: ignore[arg-type]

    def _metrics(self, number: int) -> dict[str, float]:
        """What an agent measures (edge/health.py), plausible and changing."""
        chance = self._chance
        return {
            "cpu_percent": round(chance.uniform(1, 40), 1),
            "memory_percent": round(chance.uniform(38, 44), 1),
            "memory_mb": round(chance.uniform(60, 75), 1),
            "temperature_c": round(chance.uniform(40, 55), 1),
            "disk_percent": 23.1,
            "disk_free_bytes": float(round(chance.gauss(2e10, 5e7))),
            "outbox_depth": float(number),
            "uptime_s": float(number * 60),
            "camera_fps": round(chance.uniform(9, 10), 1),
            "page_alive": 1.0,
        }

    def _batch(self, first: int, prev: bytes, lines: list[bytes]) -> tuple[bytes, bytes]:
        chain = prev
        for line in lines:
            chain = chain_next(chain, line)
        header = Header(
            v=1,
            stream=self.pen.stream,
            first=first,
            count=len(lines),
            prev=prev.hex(),
            chain=chain.hex(),
            sent_at=time.time_ns() // 1000,
            sent_mono_ms=_mono_ms(),
            boot=self.pen.boot,
            clock=self.pen.clock,
        )
        assert len(encode_header(header)) < HEADER_BYTES
        return encode_batch(header, lines), chain


def _mono_ms() -> int:
    return UPTIME_MS + time.monotonic_ns() // 1_000_000
