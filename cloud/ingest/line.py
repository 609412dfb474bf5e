"""The straight line: accept, advance, journal, record, and only then the answers.

Promises that an answer saying "stored" is given after the commit, that a failed transaction answers nobody, and that
every other delivery of a known terminal gets its answer. Called by the worker with a group at a time.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from sqlalchemy import Engine

from cloud.bulk import Bulk, Row
from cloud.database import transaction
from cloud.ingest import alarm, store
from cloud.ingest.accept import STREAMS_PER_DAY, Delivery, Keys, Position, Positions, Reading, Verdict, place, read
from cloud.ingest.lookups import Lookups, TerminalFacts
from cloud.ingest.prepare import Prepared, prepare
from cloud.journal.epoch import current_epoch
from cloud.journal.format import REPEAT, UNREADABLE
from firmware_specs.messages import Stored, StoredError
from firmware_specs.wire import encode

RETRY_AFTER_S: Final = 10.0
"""Senders that were told to come later come back within one to two of these, spread by chance."""

MOST_AHEAD: Final = 1_000_000
"""No terminal keeps so many records: its outbox is bounded by its disk budget."""


class Answer(NamedTuple):
    """What one terminal is told on `down/stored`, as it goes out; the epoch in it."""

    terminal: str
    epoch: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should look at: `mark` is its word, `wrong` a sentence where there is one."""

    terminal: str
    stream: str | None
    mark: str
    wrong: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a group. `strangers` are terminals that are not registered: they get no answer."""

    answers: Sequence[Answer] = ()
    alarms: Sequence[Alarm] = ()
    strangers: Sequence[str] = ()
    batches: int = 0
    records: int = 0
    repeats: int = 0
    unreadable: int = 0


@dataclass(frozen=True)
class Line:
    """One worker's line. Not for two threads at once; several processes may each have one on PostgreSQL."""

    engine: Engine
    lookups: Lookups = field(default_factory=Lookups)
    streams_per_day: int = STREAMS_PER_DAY
    jitter: Callable[[], float] = random.random

    def ingest(self, deliveries: Sequence[Delivery]) -> Result:
        """Store every fresh batch exactly once; its answers are to be sent now. Unavailable: nothing was changed."""
        readings = [read(delivery) for delivery in deliveries]
        with transaction(self.engine, read_only=True) as session:
            bulk, epoch = Bulk.of(session), current_epoch(session)
            terminals, verdicts = self._judge(bulk, readings)
            ready = prepare(bulk, self.lookups, [verdict for verdict in verdicts if verdict.taken], terminals)
        refused = [verdict for verdict in verdicts if verdict.mark]
        stored, now = self._store(ready, refused, [said for each in verdicts if (said := _said(each))], epoch)
        answers = [Answer(each.delivery.terminal, epoch, self._answer(each, stored, now, epoch)) for each in verdicts]
        strangers = [delivery.terminal for delivery in deliveries if delivery.terminal not in terminals]
        return _result(answers, refused, strangers, list(stored.values()))

    def open(self) -> None:
        """It is ready as soon as it is made."""

    def close(self) -> None:
        """It holds nothing: the engine is the caller's."""

    def _judge(self, bulk: Bulk, readings: Sequence[Reading]) -> tuple[dict[str, TerminalFacts], list[Verdict]]:
        """The terminals that are known, and a verdict on each reading of theirs.

        Whoever seems to have signed by no key of its own is judged again by keys that are looked up at once: a terminal that was
        claimed or renewed within TERMINAL_FRESH_S would wait ten minutes for nothing. The others' verdicts stand.
        """
        ids = {each.delivery.terminal for each in readings}
        terminals = self.lookups.terminals(bulk, ids)
        verdicts = self._place(bulk, readings, terminals, {})
        doubted = {each.delivery.terminal for each in verdicts if each.error == StoredError.BAD_SIGNATURE}
        if not doubted:
            return terminals, verdicts
        terminals = self.lookups.terminals(bulk, ids, anew=doubted)
        settled = [each for each in verdicts if each.delivery.terminal not in doubted]
        taken = {each.batch.header.stream: each.after() for each in settled if each.taken}
        again = [each for each in readings if each.delivery.terminal in doubted]
        return terminals, [*settled, *self._place(bulk, again, terminals, taken)]

    def _place(
        self,
        bulk: Bulk,
        readings: Sequence[Reading],
        terminals: Mapping[str, TerminalFacts],
        taken: Mapping[str, Position],
    ) -> list[Verdict]:
        """Verdicts in the order of the readings; `taken` is where streams of others in the group are going to be."""
        known = [each for each in readings if each.delivery.terminal in terminals]
        keys: dict[str, Keys] = {}
        for delivery in (each.delivery for each in known):
            in_force = terminals[delivery.terminal].keys_at(delivery.received_at)
            if in_force is not None:
                keys[delivery.terminal] = in_force
        have = self._positions(bulk, known)
        return place(known, replace(have, streams={**have.streams, **taken}, keys=keys))

    def _positions(self, bulk: Bulk, readings: Sequence[Reading]) -> Positions:
        """What `place` needs to know about these readings."""
        streams = store.positions_of(bulk, (each.stream for each in readings if each.stream))
        opening = {
            each.delivery.terminal: each.delivery.received_at
            for each in readings
            if each.batch and each.batch.header.count and each.stream not in streams
        }
        opened = store.opened_since(bulk, opening, min(opening.values()) - store.DAY_US) if opening else {}
        return Positions(streams, opened, self.streams_per_day)

    def _store(
        self, ready: Sequence[Prepared], refused: Sequence[Verdict], said: Sequence[Row], epoch: int
    ) -> tuple[dict[tuple[str, int], Prepared], Mapping[str, Position]]:
        """What is stored now, by stream and first number; and where the streams are whose batches lost."""
        if not (ready or refused or said):
            return {}, {}
        with transaction(self.engine) as session:
            bulk = Bulk.of(session)
            fresh = store.single(bulk, store.advance(bulk, ready))
            store.journal(bulk, fresh, epoch)
            store.record(bulk, fresh)
            if marks := alarm.marks_of(refused, fresh):
                alarm.mark(
                    bulk, marks, max(each.delivery.received_at for each in (*refused, *(e.verdict for e in fresh)))
                )
            alarm.keep_payloads(bulk, refused)
            store.note_said(bulk, said)
            stored = {(each.stream, each.first): each for each in fresh}
            lost = [each.stream for each in ready if (each.stream, each.first) not in stored]
            return stored, store.positions_of(bulk, lost) if lost else {}

    def _answer(
        self, verdict: Verdict, stored: Mapping[tuple[str, int], Prepared], now: Mapping[str, Position], epoch: int
    ) -> bytes:
        stream, position, error = verdict.reading.stream, verdict.position, verdict.error
        unasked = verdict.delivery.unasked or None
        if stream is not None and stream in now:
            # What the verdict held for stored was not: an earlier batch lost. So it may be no fork either.
            position, error = now[stream], None if error == StoredError.FORK else error
        if verdict.taken:
            done = stored.get((verdict.batch.header.stream, verdict.batch.header.first))
            if done is not None and done.verdict is verdict:
                through, chain = verdict.batch.last, verdict.batch.header.chain
                rejected = _rejected(done)
                return encode(Stored(epoch=epoch, stream=stream, through=through, chain=chain, rejected=rejected))
        if position is None or position.terminal != verdict.delivery.terminal:
            error = error or StoredError.FOREIGN_STREAM
            later = RETRY_AFTER_S * (1 + self.jitter()) if error == StoredError.TOO_MANY_STREAMS else None
            return encode(Stored(epoch=epoch, stream=stream, error=error, retry_after_s=later, unasked=unasked))
        through, chain = position.through, position.chain
        return encode(Stored(epoch=epoch, stream=stream, through=through, chain=chain, error=error, unasked=unasked))


def _said(verdict: Verdict) -> Row | None:
    """Stream, number and time, where a terminal speaks of records that are not stored and cannot be taken yet.

    Nothing proves the number: one that no outbox reaches is passed over, and the stream's next question takes it back.
    """
    position, batch, delivery = verdict.position, verdict.reading.batch, verdict.delivery
    if verdict.taken or position is None or batch is None or delivery.unasked:
        return None
    through = max(batch.last, position.through)
    more = position.said < through <= position.through + MOST_AHEAD
    taken_back = batch.header.count == 0 and through < position.said
    return (batch.header.stream, through, delivery.received_at) if more or taken_back else None


def _rejected(prepared: Prepared) -> list[int] | None:
    marks = prepared.fixed.marks
    numbers: Iterable[int] = (prepared.first + index for index, mark in enumerate(marks) if mark & UNREADABLE)
    return list(numbers) or None


def _result(
    answers: Sequence[Answer], refused: Sequence[Verdict], strangers: Sequence[str], stored: Sequence[Prepared]
) -> Result:
    marks = [each.fixed.marks for each in stored]
    alarms = [
        Alarm(each.delivery.terminal, each.reading.stream, str(each.mark), each.reading.wrong) for each in refused
    ]
    alarms += [
        Alarm(each.verdict.delivery.terminal, each.stream, word, None) for each, word in alarm.confessions(stored)
    ]
    return Result(
        answers,
        alarms,
        strangers,
        batches=len(marks),
        records=sum(map(len, marks)),
        repeats=sum(1 for each in marks for mark in each if mark & REPEAT),
        unreadable=sum(1 for each in marks for mark in each if mark & UNREADABLE),
    )
