"""The durable, numbered, hash-chained queue between a terminal and the cloud.

Promises that a number returned by `append` is on the disk, that facts are never dropped, and that a damaged, full or
read-only disk is a state with a name and never a crash. Called by kiosk, health and uplink, from any thread.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from edge import kept_commands, rows
from edge.acknowledgement import OpenStream, Position
from edge.clock import Clock
from edge.errors import LineTooLong, OutboxError, OutboxFull, OutboxInUse, StorageState
from edge.kept_commands import KeptCommand
from edge.rows import Row
from edge.store import Limits, Store, Transaction
from edge.stream import SAMPLE_TYPE, agrees, as_parent, seen, sent, stored
from firmware_specs.messages import Clock as Quality
from firmware_specs.messages import Header, Record
from firmware_specs.signing import SIGN_BYTES, BatchSigner
from firmware_specs.wire import encode_batch, encode_header

__all__ = ["Accepted", "Limits", "Outbox", "Outgoing", "Status"]

log = logging.getLogger(__name__)

TRIM_AT_ONCE: Final = 2_000
_Unsigned = tuple[Header, list[bytes]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The kiosk's own state: who was accepted for which occurrence. ``key`` is a subject or a card's id."""

    occurrence: str
    key: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Status:
    """What the screen, the health sample and the command line say about the outbox."""

    depth: int
    oldest_at_us: int | None
    through: int
    last_stored_at_us: int | None
    state: StorageState
    stream: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One batch, ready to be sent; a question where ``count`` is 0."""

    payload: bytes
    stream: str
    first: int
    count: int

    @property
    def last(self) -> int:
        """Number of its last record; first - 1 for a question."""
        return self.first + self.count - 1


@dataclass(slots=True, eq=False)
class _Request:
    rows: list[Row]
    accepted: tuple[Accepted, ...]
    commands: tuple[KeptCommand, ...]
    outcome: int | OutboxError | None = None

    @property
    def only_samples(self) -> bool:
        return all(row.type == SAMPLE_TYPE for row in self.rows)

    @property
    def needed_bytes(self) -> int:
        return sum(len(row.line) + 64 for row in self.rows) + 128 * len(self.accepted)


class Outbox:
    """One file, one stream at a time. Make it with `Outbox.open`; ``on_append`` is called after each append."""

    def __init__(self, store: Store) -> None:
        self.on_append: Callable[[], None] = lambda: None
        self.signer: BatchSigner | None = None
        """Signs every batch from the next on; the outbox never sees a key."""
        self._store = store
        self._waiting: deque[_Request] = deque()
        self._refused_facts: OutboxFull | None = None

    @classmethod
    def open(
        cls,
        path: Path | str,
        *,
        terminal: str,
        limits: Limits | None = None,
        clock: Clock | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> Self:
        """Open or make the file, and append a `started` record.

        A full, read-only or failing disk does not raise: `status().state` says so, and each call tries again. Raises
        OutboxInUse where another agent holds the file.
        """
        outbox = cls(Store(path, terminal, limits or Limits(), clock or Clock(), versions or {}))
        try:
            outbox._store.run(lambda _: None)
        except OutboxInUse:
            raise
        except OutboxError as error:
            log.warning("the outbox cannot be used yet: %s", error)
        return outbox

    def close(self) -> None:
        """Close the file; everything appended is on the disk already."""
        self._store.close()

    @property
    def config(self) -> tuple[int, int]:
        """Version of the twin in force, for the records that the outbox makes itself."""
        return self._store.config

    @config.setter
    def config(self, version: tuple[int, int]) -> None:
        self._store.config = version

    @property
    def epoch(self) -> int:
        """The highest epoch of the cloud that was seen; 0 before the first, and where the file cannot be read."""
        kept = self._store.kept
        return 0 if kept is None else kept.state.epoch

    @property
    def on_wait(self) -> Callable[[], None]:
        """Called by whichever thread waits for the file longer than 0.2 s, while it waits, as at a fork; it must not use the
        outbox itself."""
        return self._store.on_wait

    @on_wait.setter
    def on_wait(self, listener: Callable[[], None]) -> None:
        self._store.on_wait = listener

    # --- appending ------------------------------------------------------------------------------------------------

    def append(
        self,
        records: Sequence[Record],
        *,
        accepted: Sequence[Accepted] = (),
        commands: Sequence[KeptCommand] = (),
    ) -> int:
        """Store records, and who was accepted by them, and the state of commands that they tell of, in one transaction; the
        last number, once it is on the disk.

        Whoever gets the lock first commits for all who wait. Raises OutboxError: then it is not to be called stored.
        """
        request = _Request([rows.row_of(record) for record in records], tuple(accepted), tuple(commands))
        self._waiting.append(request)
        with self._store.held():
            if request.outcome is None:
                self._commit_waiting()
        if not isinstance(request.outcome, int):
            raise request.outcome or OutboxError("The outbox gave no answer.")
        self.on_append()
        return request.outcome

    def _commit_waiting(self) -> None:
        group: list[_Request] = []
        while self._waiting:
            group.append(self._waiting.popleft())
        outcomes: list[int | OutboxError]
        try:
            outcomes = self._store.run(lambda transaction: [_insert(transaction, request) for request in group])
        except OutboxError as error:
            outcomes = [error] * len(group)
        for request, outcome in zip(group, outcomes, strict=True):
            request.outcome = outcome
            if not request.only_samples:
                self._refused_facts = outcome if isinstance(outcome, OutboxFull) else None

    # --- sending --------------------------------------------------------------------------------------------------

    def next_batch(self, max_records: int, max_bytes: int) -> Outgoing | None:
        """The records after what is stored, as many as fit; None where all is stored. Fixes their chain for ever.

        Raises LineTooLong where not even the first fits. Lines that rotted on the disk lead to a new stream.
        """
        signer = self.signer
        room = max_bytes - (SIGN_BYTES if signer is not None else 0)
        try:
            made = self._store.run(lambda transaction: self._batch(transaction, max_records, room))
        except LineTooLong as error:
            raise error.with_more(max_bytes - room) from None
        return None if made is None else _outgoing(*made, signer)

    def question(self) -> Outgoing:
        """A batch of no records: asks how far the cloud is."""
        made = self._store.run(
            lambda transaction: self._fixed(transaction, [], rows.own_chain(transaction.sql, transaction.kept))
        )
        return _outgoing(*made, self.signer)

    def _batch(self, transaction: Transaction, max_records: int, max_bytes: int) -> _Unsigned | None:
        state = transaction.state
        if state.depth == 0:
            return None
        prev, place = rows.own_chain(transaction.sql, transaction.kept), transaction.kept.base + state.through
        room = max_bytes - len(encode_header(self._header(transaction, max_records, prev, prev))) - 1
        found = rows.lines_after(transaction.sql, place, max_records, room)
        if not found:
            line_bytes = rows.first_line_bytes(transaction.sql, place) or 0
            raise LineTooLong(state.through + 1, line_bytes, max(0, room), max_bytes - room + line_bytes + 1)
        lines = [line for line, _ in found]
        if not agrees(prev, found[: max(0, state.fixed - state.through)]):
            parent = as_parent(state.stream, state.through, prev)
            transaction.fork(OpenStream(parent, state.through, None, state.epoch, "rotted"))
            return self._batch(transaction, max_records, max_bytes)
        return self._fixed(transaction, lines, prev)

    def _fixed(self, transaction: Transaction, lines: list[bytes], prev: bytes) -> _Unsigned:
        state, place = transaction.state, transaction.kept.base + transaction.state.through
        chain = rows.fix_chain(transaction.sql, place, prev, lines, after=transaction.kept.base + state.fixed)
        if state.through + len(lines) > state.fixed:
            transaction.change(state=sent(state, state.through + len(lines)))
        return self._header(transaction, len(lines), prev, chain), lines

    def _header(self, transaction: Transaction, count: int, prev: bytes, chain: bytes) -> Header:
        clock = self._store.clock
        return Header(
            v=1,
            stream=transaction.state.stream,
            parent=transaction.state.parent,
            first=transaction.state.through + 1,
            count=count,
            prev=prev.hex(),
            chain=chain.hex(),
            sent_at=clock.now_us(),
            sent_mono_ms=clock.mono_ms(),
            boot=clock.boot,
            clock=clock.quality(),
        )

    # --- answers --------------------------------------------------------------------------------------------------

    def position(self) -> Position:
        """Where the terminal stands, for `judge`."""
        kept = self._store.read(lambda _, kept: kept)
        return Position(kept.state, lambda number: self._store.read(lambda sql, now: rows.chain_at(sql, now, number)))

    def stored(self, stream: str, through: int, epoch: int, rejected: Iterable[int] = ()) -> None:
        """The cloud's word: of ``stream`` all up to ``through`` is stored, and no more. Trims what has been stored for long.

        Without a sync of its own: a power cut may undo it, and then the cloud is asked again.
        """
        told = list(rejected)

        def mark(transaction: Transaction) -> None:
            if transaction.state.stream == stream:  # it may have ended since the answer was judged
                self._mark(transaction, through, epoch, told)

        self._store.run(mark, durable=False)

    def _mark(self, transaction: Transaction, through: int, epoch: int, rejected: list[int]) -> None:
        sql, base, state = transaction.sql, transaction.kept.base, transaction.state
        now_us, quality = self._store.clock.now_us(), self._store.clock.quality()
        rows.forget_marks(sql, base + through)
        rows.mark_rejected(sql, [base + number for number in rejected if state.trimmed < number <= state.last])
        transaction.change(state=stored(state, through, epoch))
        if through > state.through:
            transaction.change(last_stored_at_us=now_us)
        if quality is Quality.UNSET:  # it cannot tell what is old: the next mark of a set clock covers this place too
            return
        if quality is Quality.SYNCED:
            rows.mend_marks(sql, now_us)
        if through > state.through:
            rows.mark_stored(sql, base + through, now_us)
        old_enough = rows.stored_before(sql, now_us - self._store.limits.keep_us) - base
        transaction.trim(old_enough, at_most=TRIM_AT_ONCE)

    def saw_epoch(self, epoch: int) -> bool:
        """Note the epoch of any message of the cloud; whether it is a new one."""
        if epoch <= self.position().state.epoch:
            return False
        self._store.run(lambda transaction: transaction.change(state=seen(transaction.state, epoch)))
        return True

    def open_stream(self, verdict: OpenStream) -> None:
        """Begin a new stream as a verdict says, with all that must come along, in one transaction."""

        def fork(transaction: Transaction) -> None:
            if transaction.state.stream == verdict.parent.stream:
                transaction.fork(verdict)

        self._store.run(fork)

    # --- presence, the kiosk's own state, the twin ------------------------------------------------------------------

    def next_connection(self, above: int = 0) -> tuple[str, int]:
        """(incarnation, connection number) for the connection that is about to be made: a number higher than ``above``."""

        def count(transaction: Transaction) -> tuple[str, int]:
            transaction.change(connection=max(transaction.kept.connection, above) + 1)
            return transaction.state.stream, transaction.kept.connection

        return self._store.run(count)

    def is_accepted(self, occurrence: str, keys: Iterable[str]) -> bool:
        """Whether any of these keys was accepted for an occurrence."""
        wanted = list(keys)
        query = f"SELECT 1 FROM accepted WHERE occurrence = ? AND key IN ({','.join('?' * len(wanted))})"  # noqa: S608
        return self._store.read(lambda sql, _: sql.execute(query, (occurrence, *wanted)).fetchone() is not None)

    def knows_command(self, command_id: str) -> bool:
        """Whether this command came before."""
        return self._store.read(lambda sql, _: kept_commands.is_known(sql, command_id))

    def unfinished_commands(self) -> list[KeptCommand]:
        """Commands whose end is not recorded."""
        return self._store.read(lambda sql, _: kept_commands.unfinished(sql))

    def save_twin(self, document: bytes) -> None:
        """Keep the desired twin for weeks without a network."""
        self._store.run(lambda t: t.sql.execute("INSERT OR REPLACE INTO twin VALUES (1, ?)", (document,)))

    def load_twin(self) -> bytes | None:
        """The twin that was kept."""
        found = self._store.read(lambda sql, _: sql.execute("SELECT document FROM twin").fetchone())
        return None if found is None else bytes(found[0])

    def save_pin_failures(self, failures: int) -> None:
        """Keep how many wrong staff PINs were typed in a row. Never raises: where nothing can be written, nothing can be
        recorded either, and memory has to do."""
        try:
            self._store.run(lambda t: t.sql.execute("INSERT OR REPLACE INTO staff VALUES (1, ?)", (failures,)))
        except OutboxError as error:
            log.warning("the count of wrong PINs is not kept: %s", error)

    def pin_failures(self) -> int:
        """What was kept; 0 where nothing was, or nothing can be read."""
        try:
            found = self._store.read(lambda sql, _: sql.execute("SELECT failures FROM staff").fetchone())
        except OutboxError as error:
            log.warning("the count of wrong PINs cannot be read: %s", error)
            return 0
        return 0 if found is None else int(found[0])

    def probe(self) -> None:
        """Where the last try failed, try to write again, so that the state is true once the disk is well; else tidy up."""
        self._store.take_ballast()
        if self._store.problem is None and self._refused_facts is None:
            self._store.tidy()
            return
        if self._store.run(_try_to_write):
            self._refused_facts = None

    def status(self) -> Status:
        """Never raises: where the file cannot be read, it says what was known last."""
        oldest_at_us: int | None = None
        problem = self._store.problem or self._refused_facts
        try:
            oldest_at_us = self._store.read(lambda sql, kept: rows.at_of(sql, kept.base + kept.state.through + 1))
        except OutboxError as error:
            problem = error
        state: StorageState = "ok" if problem is None else problem.state
        kept = self._store.kept
        if kept is None:
            return Status(0, None, 0, None, state, "")
        at = kept.state
        return Status(at.depth, oldest_at_us, at.through, kept.last_stored_at_us, state, at.stream)


def _outgoing(header: Header, lines: list[bytes], signer: BatchSigner | None) -> Outgoing:
    """Out of the transaction: a signature may take a while, and a check-in must not wait for it."""
    return Outgoing(encode_batch(header, lines, signer), header.stream, header.first, header.count)


def _insert(transaction: Transaction, request: _Request) -> int | OutboxError:
    if not transaction.make_room(request.needed_bytes, for_samples=request.only_samples):
        return OutboxFull("The outbox is full: nothing can be recorded until records were sent.")
    transaction.add(request.rows)
    transaction.sql.executemany(
        "INSERT OR IGNORE INTO accepted VALUES (?, ?, ?)", [(a.occurrence, a.key, a.at_us) for a in request.accepted]
    )
    kept_commands.keep(transaction.sql, request.commands)
    return transaction.state.last


def _try_to_write(transaction: Transaction) -> bool:
    """Write what is there already, and look for the room that a check-in needs."""
    transaction.change(connection=transaction.kept.connection)
    return transaction.make_room(1024)
