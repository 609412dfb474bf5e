"""Writes what an outbox still holds to a file that the cloud takes in by hand: of a terminal that is revoked, broken, or away.

Promises that every line is fixed before it is written, so that terminal and cloud agree, whoever hears of the
other first, and that batches are signed like those that are sent. Called by the command line; the agent must not run.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from edge import identity, rows
from edge.agent import clock_of, limits_of, versions
from edge.errors import ExportFailed
from edge.rows import Kept
from edge.settings import Settings
from edge.store import Store, Transaction
from edge.stream import sent
from firmware_specs.exported import entry_line, head_line
from firmware_specs.fields import MAX_BATCH_BYTES, MAX_BATCH_RECORDS
from firmware_specs.messages import Header
from firmware_specs.signing import SIGN_BYTES, BatchSigner
from firmware_specs.wire import chain_over, encode_batch, encode_header

AT_ONCE: Final = 2_000
PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written. ``signed`` is the key's id; None for a terminal without a certificate, whose file no cloud takes in."""

    terminal: str
    stream: str
    first: int
    last: int
    batches: int
    signed: str | None

    def __str__(self) -> str:
        if self.last < self.first:
            return f"{self.terminal}: nothing waits; --all writes what is stored already, too."
        what = f"{self.terminal}: records {self.first} to {self.last} of stream {self.stream}, {self.batches} batches"
        by = f", signed by key {self.signed}" if self.signed else ", NOT SIGNED: this terminal has no certificate"
        return what + by


def export_outbox(settings: Settings, file: Path, *, everything: bool = False) -> Exported:
    """Write what is not known to be stored, or all that is kept. Raises OutboxError, IdentityError, and ExportFailed where the
    file exists or cannot be written."""
    if not any(settings.data_dir.glob(f"{settings.outbox_file.name}*")):
        raise ExportFailed(f"There is no outbox at {settings.outbox_file}.")
    known = identity.load(settings.identity_dir) if settings.has_certificate else None
    signer = None if known is None else known.batch_signer()
    own = [] if known is None else [known.certificate.public_bytes(Encoding.PEM).decode()]
    whose = (settings.outbox_file, settings.terminal, limits_of(settings), clock_of(settings), versions())
    store = Store(*whose, reason="export")
    try:
        kept, sure = _fixed(store)
        writing = _Writing(store, kept, sure, signer, everything=everything)
        _write(file, head_line(settings.terminal, "outbox", own), writing.lines())
    finally:
        store.close()
    return writing.exported()


def _fixed(store: Store) -> tuple[Kept, int]:
    """Fix the chain of every line, some thousands in a transaction; the stream then, and up to where it was fixed before."""
    sure = store.run(lambda transaction: transaction.state.fixed)
    while store.run(_fix_some):
        pass
    return store.run(lambda transaction: transaction.kept), sure


def _fix_some(transaction: Transaction) -> bool:
    state, base = transaction.state, transaction.kept.base
    if state.fixed == state.last:
        return False
    prev = rows.chain_at(transaction.sql, transaction.kept, state.fixed)
    assert prev is not None  # noqa: S101 - what is fixed has a chain
    place = base + state.fixed
    lines = [line for line, _ in rows.lines_after(transaction.sql, place, AT_ONCE, AT_ONCE * MAX_BATCH_BYTES)]
    rows.fix_chain(transaction.sql, place, prev, lines, after=place)
    transaction.change(state=sent(state, state.fixed + len(lines)))
    return True


class _Writing:
    """Batches of one stream, in order.

    Where the cloud stands is not known: it may have stored any batch that was ever sent. So all that was fixed before goes in
    batches of one record, of which some fits at any place; the rest goes in full ones.
    """

    def __init__(self, store: Store, kept: Kept, sure: int, signer: BatchSigner | None, *, everything: bool) -> None:
        self._store, self._kept, self._sure, self._signer = store, kept, sure, signer
        self._first = (kept.state.trimmed if everything else kept.state.through) + 1
        self._batches = 0

    def exported(self) -> Exported:
        state, key = self._kept.state, None if self._signer is None else self._signer.key_id
        return Exported(state.terminal, state.stream, self._first, state.last, self._batches, key)

    def lines(self) -> Iterator[bytes]:
        """Their lines of the file."""
        number = self._first
        prev = self._store.read(lambda sql, kept: rows.chain_at(sql, kept, self._first - 1))
        while number <= self._kept.state.last:
            assert prev is not None  # noqa: S101 - all was fixed
            found = self._next(number)
            lines = [line for line, _ in found]
            header = self._header(number, prev, lines)
            yield entry_line(header.stream, number, encode_batch(header, lines, self._signer), header.sent_at)
            self._batches += 1
            number += len(found)
            prev = found[-1][1]  # as it was fixed: a line that rotted spoils its own batch only

    def _next(self, number: int) -> list[tuple[bytes, bytes]]:
        """The next batch's lines, each with its chain; at least one, because a record fits into any batch of ours."""
        at_most = 1 if number <= self._sure else MAX_BATCH_RECORDS
        header = encode_header(self._header(number, bytes(32), []))
        room = MAX_BATCH_BYTES - SIGN_BYTES - len(header) - len(str(MAX_BATCH_RECORDS))
        place = self._kept.base + number - 1
        return self._store.read(lambda sql, _: rows.lines_after(sql, place, at_most, room))

    def _header(self, number: int, prev: bytes, lines: list[bytes]) -> Header:
        state, clock = self._kept.state, self._store.clock
        return Header(
            v=1, stream=state.stream, parent=state.parent, first=number, count=len(lines), prev=prev.hex(),
            chain=chain_over(prev, lines).hex(), sent_at=clock.now_us(), sent_mono_ms=clock.mono_ms(), boot=clock.boot,
            clock=clock.quality(),
        )  # fmt: skip


def _write(file: Path, head: bytes, lines: Iterator[bytes]) -> None:
    """For its owner only: it tells who was where. One that exists is never written over; what was begun and failed goes."""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise ExportFailed(
            f"{file} cannot be written ({error.strerror}). Name a file that does not exist yet."
        ) from None
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(head)
            out.writelines(lines)
            out.flush()
            os.fsync(out.fileno())
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise ExportFailed(f"{file} cannot be written ({error.strerror}). Name one on another disk.") from None
        raise
