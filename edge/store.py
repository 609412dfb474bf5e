"""The outbox's file as one thing that loads, changes in transactions, makes room, forks, and begins again when damaged.

Promises that the state in memory is the one on the disk, and one lock around both. Called by the outbox, and by its export.
"""

import contextlib
import logging
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from edge import kept_commands, rows, stream
from edge.acknowledgement import OpenStream
from edge.ballast import Ballast
from edge.clock import Clock
from edge.database import MEMORY, PAGE_BYTES, Database
from edge.errors import OutboxDamaged, OutboxError, OutboxFull
from edge.rows import Kept, Row
from edge.salvage import Wreck
from firmware_specs.errors import DecodeError
from firmware_specs.messages import Clock as Quality
from firmware_specs.messages import Gap, Started
from firmware_specs.wire import decode_desired

log = logging.getLogger(__name__)
T = TypeVar("T")

DAY_US: Final = 86_400_000_000
OWN_PAGES: Final = 32
"""Kept free for marks and the twin, so that a full outbox can still be drained."""
ACCEPTED_KEPT_US: Final = 45 * DAY_US
"""So long after an occurrence began it is kept who was accepted for it."""
ACCEPTED_SHARE_BYTES: Final = 1024
"""Of these there is one for each so many bytes of the outbox: about a tenth of it, 262,144 of 256 MiB; checked once a day."""
PATIENCE_S: Final = 0.2
"""Whoever waits for the file so long is told: a new stream for 100,000 records takes a second, more on a slow disk."""
TIDY_AFTER_MS: Final = 3_600_000
TIDY_EVERY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class Limits:
    """Space and time of the outbox.

    ``max_bytes``: size of the file, beside its log of some MiB. ``reserved_bytes``: of these, what health samples never
    take. ``keep_us``: how long stored records stay, within the space. ``ballast_bytes``: held back on the disk, and given
    up when it is full.
    """

    max_bytes: int = 256 * 1024 * 1024
    reserved_bytes: int = 128 * 1024 * 1024
    keep_us: int = 14 * DAY_US
    ballast_bytes: int = 4 * 1024 * 1024


class Transaction:
    """One transaction: its connection, and the stream's state as it changes."""

    def __init__(self, sql: sqlite3.Connection, kept: Kept, store: "Store") -> None:
        self.sql = sql
        self.kept = kept
        self.store = store

    @property
    def state(self) -> stream.StreamState:
        """The pure part of what is kept."""
        return self.kept.state

    def change(self, **changes: Any) -> None:
        """Replace fields of what is kept; it is written at the commit."""
        self.kept = replace(self.kept, **changes)

    def add(self, added: list[Row]) -> None:
        """Append records; the caller has made room."""
        rows.insert(self.sql, self.kept.base + self.state.last, added)
        self.change(state=stream.appended(self.state, len(added)))

    def make_room(self, needed_bytes: int, *, for_samples: bool = False) -> bool:
        """Trim what is stored and then replace samples; whether there is room now. For samples, nothing makes room."""
        limits, database = self.store.limits, self.store.database
        reserved = limits.reserved_bytes // PAGE_BYTES if for_samples else 0
        most = database.max_pages - OWN_PAGES - reserved - needed_bytes // PAGE_BYTES - 1
        if for_samples:
            return database.pages(self.sql) <= most
        while database.pages(self.sql) > most:
            if self.trim(self.state.through, at_most=500):
                continue
            if not rows.replace_samples(self.sql, self.kept.base + self.state.fixed, 500):
                return False
        return True

    def trim(self, through: int, *, at_most: int) -> bool:
        """Remove stored records up to a number, and keep the chain at it; whether any was removed."""
        boundary = min(through, self.state.through, self.state.trimmed + at_most)
        chain = rows.chain_at(self.sql, self.kept, boundary)
        if boundary <= self.state.trimmed or chain is None:
            return False
        rows.delete_through(self.sql, self.kept.base + boundary)
        self.change(state=stream.trimmed(self.state, boundary, chain))
        return True

    def fork(self, verdict: OpenStream) -> None:
        """Begin a new stream that takes along what a verdict says."""
        old = self.kept
        started = self.store.started(verdict.reason, verdict.gap)
        base, last = rows.move_to_new_stream(self.sql, old, verdict.known, started)
        epoch = max(old.state.epoch, verdict.epoch)
        state = stream.new_stream(self.store.terminal, str(uuid.uuid4()), parent=verdict.parent, epoch=epoch)
        self.change(state=stream.appended(state, last), base=base)
        log.warning(
            "stream %s continues %s, stored there through %d: %s",
            state.stream,
            old.state.stream,
            verdict.known,
            verdict.reason,
        )


class Store:
    """The file of one terminal. ``config`` is the version of the twin in force, for the records made here."""

    def __init__(
        self,
        path: Path | str,
        terminal: str,
        limits: Limits,
        clock: Clock,
        versions: Mapping[str, str],
        reason: str = "start",
    ) -> None:
        self.terminal = terminal
        self.limits = limits
        self.clock = clock
        self.config = (0, 0)
        self.on_wait: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self.database = Database(path, limits.max_bytes)
        self._ballast = Ballast(Path(f"{path}.ballast"), 0 if path == MEMORY else limits.ballast_bytes)
        self.problem: OutboxError | None = None
        self.kept: Kept | None = None
        self._versions = dict(versions)
        self._reason: str | None = reason
        self._tidy_at_ms = clock.mono_ms() + TIDY_AFTER_MS

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Nobody else uses the file meanwhile. ``on_wait`` is called, in the same thread, where that takes long to get."""
        if not self._lock.acquire(timeout=PATIENCE_S):
            self.on_wait()
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def run(self, work: Callable[[Transaction], T], *, durable: bool = True) -> T:
        """Do ``work`` in one transaction. A damaged file is moved aside, and the work done on the new one."""
        with self.held():
            try:
                return self._attempt(work, durable=durable)
            except OutboxDamaged as error:
                self._begin_again(error)
                return self._attempt(work, durable=durable)
            except OutboxFull as error:
                if not self._make_do(error):
                    raise
                return self._attempt(work, durable=durable)
            except OutboxError as error:
                self.problem = error
                raise

    def _make_do(self, error: OutboxFull) -> bool:
        """The disk is full: give up the ballast, so that what waits can be sent; whether that is worth another try."""
        self.problem = error
        if not self._ballast.drop() and self.database.is_capped:
            return False
        log.warning("%s The outbox makes do with the space that it has.", error)
        with contextlib.suppress(OutboxError):
            self.database.stop_growing()
        return True

    def take_ballast(self) -> None:
        """Where the disk has room again, hold some back for the next time, and let the file grow."""
        with self.held():
            if self._ballast.take():
                self.database.grow_again()

    def tidy(self) -> None:
        """Once a day, where the clock can tell: forget who was accepted for what is long over, and old damaged files.

        Not soon after a start, when a clock may still be far off.
        """
        now_ms = self.clock.mono_ms()
        if now_ms < self._tidy_at_ms or self.clock.quality() is not Quality.SYNCED:
            return
        self._tidy_at_ms = now_ms + TIDY_EVERY_MS
        before_us, most = self.clock.now_us() - ACCEPTED_KEPT_US, self.limits.max_bytes // ACCEPTED_SHARE_BYTES
        self.run(lambda transaction: rows.forget_accepted(transaction.sql, before_us, most))
        self.database.wrecks.forget_old(self.clock.now_us())

    def read(self, work: Callable[[sqlite3.Connection, Kept], T]) -> T:
        """Single SELECT statements, without a transaction."""
        with self.held():
            try:
                return self._look(work)
            except OutboxDamaged as error:
                self._begin_again(error)
                return self._look(work)

    def close(self) -> None:
        """Close the file and let another agent use it."""
        with self.held():
            self.database.close()

    def started(self, reason: str, gap: Gap | None = None) -> Row:
        """The record that begins a run of the agent, or a stream."""
        stamp = self.clock.stamp(self.config)
        return rows.row_of(Started(**stamp, versions=self._versions, reason=reason, gap=gap))

    def _attempt(self, work: Callable[[Transaction], T], *, durable: bool) -> T:
        kept = self._loaded()
        with self.database.transaction(durable=durable) as sql:
            before = sql.total_changes
            transaction = Transaction(sql, kept, self)
            result = work(transaction)
            if transaction.kept is not kept:
                rows.save(sql, transaction.kept)
            wrote = sql.total_changes > before
        self.kept = transaction.kept
        if wrote:
            self.problem = None
        return result

    def _look(self, work: Callable[[sqlite3.Connection, Kept], T]) -> T:
        kept = self._loaded()
        with self.database.reading() as sql:
            return work(sql, kept)

    def _loaded(self) -> Kept:
        """What is kept, read anew after each opening: a commit that failed may have reached the disk all the same."""
        if self.kept is None or not self.database.is_open:
            self.kept = self._load()
        return self.kept

    def _load(self) -> Kept:
        with self.database.transaction() as sql:
            found = rows.load(sql)
            transaction = Transaction(sql, found or self._new(), self)
            wrecks = [] if found is not None else [Wreck(file) for file in self.database.wrecks.unsaved()]
            if wrecks:
                self._go_on_from(wrecks, transaction)
            self._recall_config(sql)
            if self._reason is not None and not rows.is_whole(sql, transaction.kept):
                raise OutboxDamaged("The outbox file does not hold the records that it speaks of.")
            if transaction.state.terminal != self.terminal:
                self._leave_clone(transaction)
            elif self._reason is not None and not wrecks and transaction.make_room(1024):
                transaction.add([self.started(self._reason)])
            rows.save(sql, transaction.kept)
        self._reason = None
        self.database.wrecks.mark_saved()
        self.database.wrecks.forget_old(self.clock.now_us())
        self._ballast.take()
        return transaction.kept

    def _recall_config(self, sql: sqlite3.Connection) -> None:
        """Records made before the twin is in force again are made under the one that is kept."""
        found = sql.execute("SELECT document FROM twin").fetchone()
        if self.config == (0, 0) and found is not None:
            with contextlib.suppress(DecodeError):  # the twin's own reader says what is wrong with it
                self.config = decode_desired(found[0]).version

    def _new(self) -> Kept:
        return Kept(stream.new_stream(self.terminal, str(uuid.uuid4())), base=0, connection=0, last_stored_at_us=None)

    def _leave_clone(self, transaction: Transaction) -> None:
        """The file was another terminal's: go on in a stream of one's own, and leave its commands to it."""
        state = transaction.state
        chain = rows.chain_at(transaction.sql, transaction.kept, state.through) or state.start
        parent = stream.as_parent(state.stream, state.through, chain)
        transaction.fork(OpenStream(parent, state.through, None, state.epoch, "cloned"))
        kept_commands.forget_all(transaction.sql)

    def _go_on_from(self, wrecks: list[Wreck], transaction: Transaction) -> None:
        """A new stream with what damaged files still gave; the `started` record, its first, tells of the gap.

        There is more than one only where the file that was to save the first was damaged too.
        """
        sql, last_place = transaction.sql, 1
        for wreck in wrecks:
            for row in wreck.copied():
                last_place = rows.insert(sql, last_place, [row])
            sql.executemany("INSERT OR IGNORE INTO accepted VALUES (?, ?, ?)", wreck.accepted)
            sql.executemany("INSERT OR IGNORE INTO twin VALUES (?, ?)", wreck.twin)
            sql.executemany("INSERT OR IGNORE INTO staff VALUES (?, ?)", wreck.staff)
            kept_commands.restore(sql, wreck.commands)
        self._recall_config(sql)
        known = [(wreck, wreck.kept) for wreck in wrecks if wreck.kept is not None]
        if known:
            last, kept = known[-1]
            started, parent, epoch = self.started("damaged", last.gap), last.parent, kept.state.epoch
        else:
            started, parent, epoch = self.started("damaged_parent_unknown"), None, 0
        rows.insert(sql, 0, [started])
        state = stream.new_stream(self.terminal, str(uuid.uuid4()), parent=parent, epoch=epoch)
        transaction.change(state=stream.appended(state, last_place))

    def _begin_again(self, error: OutboxDamaged) -> None:
        """A damaged file is moved aside and a new stream goes on from it: never a crash loop.

        Which file that is, is told by the folder, not remembered: a kill at any moment changes nothing about it.
        """
        self.kept = None
        aside = self.database.move_aside(self.clock.now_us())
        log.error("%s It was moved to %s.", error, aside)
        self._reason = "damaged"
