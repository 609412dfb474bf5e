"""The evaluator: reads on in the journal, looks at what is so now, and brings the alarms into line. One turn, one commit.

Promises that what it knows is in the database with the cursor, in the same transaction: after a crash, a restart or in another
process it goes on where the last turn ended, raises nothing anew and forgets nothing. One process evaluates, by a lease; if two
ever did, the second's turn is refused by the turn's number.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from cloud.alarms import following, looks, metrics, raising, reading, trails
from cloud.alarms.judging import Holding, Judging, Key, Sample
from cloud.alarms.raising import Settled, Situation
from cloud.alarms.reading import Progress, Window
from cloud.alarms.rules import Place, Rule, RuleKind, Severity
from cloud.alarms.service import KEPT_DAYS
from cloud.alarms.trails import DAY_US
from cloud.alarms.windows import KEPT_DAYS as WINDOWS_KEPT_DAYS
from cloud.bulk import Bulk, Row
from cloud.clock import Clock, to_us
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.journal.reading import last_id, one_snapshot

EVERY_S: Final = 2.0
LOOK_EVERY_S: Final[Mapping[RuleKind, float]] = {
    RuleKind.ABSENCE: 0.0,
    RuleKind.MARK: 10.0,
    RuleKind.NOTHING_STORED: 10.0,
    RuleKind.VERSION: 60.0,
    RuleKind.REVOCATION_LIST: 60.0,
}
"""How often is looked at what changes slowly, or takes a query over all terminals."""
PLACES_EVERY_US: Final = 60_000_000
"""How often is looked at what new twins say: each day all terminals get one, a hundred at a time."""
FORGET_EVERY_S: Final = 3600.0
FORGOTTEN_AT_ONCE: Final = 500

_CONDITION: Final = """INSERT INTO alarm_conditions (rule_id, terminal_id, since_at, active, well_since_at, value, seen_at)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (rule_id, terminal_id) DO UPDATE SET since_at = excluded.since_at,
active = excluded.active, well_since_at = excluded.well_since_at, value = excluded.value, seen_at = excluded.seen_at"""
_TRAIL: Final = """INSERT INTO alarm_trails (rule_id, terminal_id, last_at, points) VALUES (?, ?, ?, ?)
ON CONFLICT (rule_id, terminal_id) DO UPDATE SET last_at = excluded.last_at, points = excluded.points"""

log = structlog.get_logger(__name__)


@dataclass
class _Known:
    """What was read at earlier turns and is still so, as long as the database is at this process's own turn."""

    turn: int
    inputs: int
    twins: int
    places_at: int
    rules: list[Rule]
    judging: Judging
    newest_at: dict[str, int]
    trail_at: dict[Key, int]
    held_back: bool = True
    looked_at: dict[RuleKind, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Read:
    """What one turn has read."""

    progress: Progress
    reached: int
    samples: list[Sample]
    windows: list[Window]
    not_online: Mapping[str, looks.NotOnline]
    looked: list[tuple[Rule, Mapping[str, Holding]]]
    trails: dict[Key, list[tuple[int, float]]]


class Evaluator:
    """Its `turn` is for a Loop; `is_mine` says whether this process is the one that evaluates."""

    def __init__(self, engine: Engine, clock: Clock, is_mine: Callable[[], bool | None] = lambda: True) -> None:
        self._engine, self._clock, self._is_mine = engine, clock, is_mine
        self._known: _Known | None = None
        self._forget_due_s = 0.0

    def turn(self) -> float:
        """Once around; the seconds until the next."""
        if not self._is_mine():
            self._known = None
            _tell_active({})  # another process tells them
            return EVERY_S
        with metrics.TURN_SECONDS.time():
            known, self._known = self._known, None  # kept only if this turn succeeds
            known, more = self._once(known)
            self._known = known
            self._forget()
        return 0.0 if more else EVERY_S

    def _once(self, known: _Known | None) -> tuple[_Known, bool]:
        now = to_us(self._clock())
        with transaction(self._engine, read_only=True) as session:
            until = last_id(Bulk.of(session))
        with transaction(self._engine, read_only=True) as session:
            bulk = Bulk.of(session)
            one_snapshot(bulk)
            known, renewed = _renewed(bulk, known, now)
            read = self._read(session, bulk, known, until, now)
        rows = _judge(known, read, now)
        settled = self._write(known, read, rows, now, renewed)
        known.held_back = settled.held_back
        metrics.RAISED.inc(settled.raised)
        metrics.CLEARED.inc(settled.cleared)
        if settled.raised or settled.cleared:
            log.info("alarms_changed", raised=settled.raised, cleared=settled.cleared)
        return known, read.reached < until

    def _read(self, session: Session, bulk: Bulk, known: _Known, until: int, now: int) -> _Read:
        progress = reading.progress(bulk)
        samples, reached = following.samples_after(bulk, progress.journal_id, until)
        fresh = following.later(samples, known.newest_at)
        not_online = looks.not_online(bulk)
        keys = _due_trails(known, following.newest(fresh))
        return _Read(
            progress, reached, fresh, reading.windows(bulk, now), not_online,
            self._look(session, bulk, known, not_online, now), reading.trails(bulk, keys),
        )  # fmt: skip

    def _look(
        self, session: Session, bulk: Bulk, known: _Known, not_online: Mapping[str, looks.NotOnline], now: int
    ) -> list[tuple[Rule, Mapping[str, Holding]]]:
        """Each rule that is due, with those for whom it is so."""
        due = {
            kind
            for kind, every_s in LOOK_EVERY_S.items()
            if not 0 <= now - known.looked_at.get(kind, -now) < every_s * 1e6
        }
        known.looked_at |= dict.fromkeys(due, now)
        wanted = [rule for rule in known.rules if rule.kind in due]
        versions = looks.versions(bulk) if any(rule.kind is RuleKind.VERSION for rule in wanted) else {}
        places = known.judging.places
        look: Mapping[RuleKind, Callable[[Rule], Mapping[str, Holding]]] = {
            RuleKind.ABSENCE: lambda _: looks.absent(not_online, now),
            RuleKind.MARK: lambda rule: looks.marked(bulk, rule.mark),
            RuleKind.NOTHING_STORED: lambda _: looks.nothing_stored(bulk, places, now),
            RuleKind.VERSION: lambda rule: looks.differing(versions, rule, places, now),
            RuleKind.REVOCATION_LIST: lambda rule: looks.list_ending(session, rule, now),
        }
        return [(rule, look[rule.kind](rule)) for rule in wanted]

    def _write(self, known: _Known, read: _Read, trail_rows: list[Row], now: int, renewed: bool) -> Settled:
        newest = following.newest(read.samples)
        moved = read.reached != read.progress.journal_id
        if not (moved or known.judging.changed or known.held_back or renewed):
            return Settled(held_back=known.held_back)
        with transaction(self._engine) as session:
            bulk = Bulk.of(session)
            _advance(bulk, read)
            following.keep(bulk, newest)
            bulk.run_many(_TRAIL, trail_rows)
            _save(bulk, known.judging)
            settled = Settled()
            if known.judging.changed or known.held_back or renewed:
                settled = raising.settle(bulk, Situation(known.judging, read.windows, read.not_online, now))
                _count_active(bulk)
        known.turn = read.progress.turn + 1
        known.newest_at |= {terminal: sample.at for terminal, sample in newest.items()}
        known.trail_at |= {(row[0], row[1]): row[2] for row in trail_rows}
        known.judging.changed.clear()
        return settled

    def _forget(self) -> None:
        """Cleared alarms and windows that are too old; of alarms some each turn, until none is left."""
        if time.monotonic() < self._forget_due_s:
            return
        self._forget_due_s = time.monotonic() + FORGET_EVERY_S
        now = to_us(self._clock())
        with transaction(self._engine) as session:
            bulk = Bulk.of(session)
            before = now - KEPT_DAYS * DAY_US
            old = bulk.rows("SELECT id FROM alarms WHERE cleared_at < ? LIMIT ?", (before, FORGOTTEN_AT_ONCE))
            for table, column in (("alarm_events", "alarm_id"), ("alarm_members", "alarm_id"), ("alarms", "id")):
                bulk.run_many(f"DELETE FROM {table} WHERE {column} = ?", old)  # noqa: S608 - words of our own
            bulk.run("DELETE FROM maintenance_windows WHERE ends_at < ?", (now - WINDOWS_KEPT_DAYS * DAY_US,))
        if len(old) == FORGOTTEN_AT_ONCE:
            self._forget_due_s = 0.0


def _renewed(bulk: Bulk, known: _Known | None, now: int) -> tuple[_Known, bool]:
    """What is known, read anew where it may not be so any more; and whether rules or places are not what they were."""
    progress, rules = reading.progress(bulk), reading.rules(bulk)
    if known is not None and known.turn == progress.turn:
        if (
            known.inputs == progress.inputs
            and known.rules == rules
            and not _has_other_twins(bulk, known, progress, now)
        ):
            return known, False
        before: list[Rule] = known.rules
        conditions = dict(known.judging.items())
        newest_at, trail_at = known.newest_at, known.trail_at
    else:
        before, conditions = [], reading.conditions(bulk)
        newest_at = dict(bulk.rows("SELECT terminal_id, at FROM newest_health"))
        rows = bulk.rows("SELECT rule_id, terminal_id, last_at FROM alarm_trails")
        trail_at = {(rule_id, terminal): at for rule_id, terminal, at in rows}
    places: Mapping[str, Place] = reading.places(bulk)
    judging = Judging(rules, places, conditions)
    judging.drop_foreign()
    if [rule for rule in rules if rule not in before]:
        for sample in following.known(bulk):
            judging.sample(sample)
    return _Known(progress.turn, progress.inputs, progress.twins, now, rules, judging, newest_at, trail_at), True


def _has_other_twins(bulk: Bulk, known: _Known, progress: Progress, now: int) -> bool:
    """Whether twins that were made since say that terminals measure more often, or more rarely: they follow their inputs late."""
    if known.twins == progress.twins or 0 <= now - known.places_at < PLACES_EVERY_US:
        return False
    known.twins, known.places_at = progress.twins, now
    return reading.places(bulk) != known.judging.places


def _due_trails(known: _Known, newest: Mapping[str, Sample]) -> list[Key]:
    return [
        (rule.id, terminal)
        for terminal, sample in newest.items()
        for rule in known.judging.about(terminal)
        if rule.kind is not RuleKind.THRESHOLD
        and rule.value_of(sample.metrics) is not None
        and trails.is_due(rule, known.trail_at.get((rule.id, terminal)), sample.at)
    ]


def _judge(known: _Known, read: _Read, now: int) -> list[Row]:
    """Apply everything; the rows of the trails that grew."""
    judging = known.judging
    for sample in read.samples:
        judging.sample(sample)
    rows: list[Row] = []
    newest = following.newest(read.samples)
    for rule_id, terminal in _due_trails(known, newest):
        rule, sample = judging.rules[rule_id], newest[terminal]
        value = rule.value_of(sample.metrics)
        assert value is not None  # noqa: S101 - else it would not be due
        trail = trails.extended(rule, read.trails.get((rule_id, terminal), []), sample.at, value)
        rows.append((rule_id, terminal, sample.at, trails.written(trail)))
        verdict = trails.judge(rule, trail)
        if verdict is not None:
            judging.measured(rule, terminal, sample.at, verdict)
    for rule, holding in read.looked:
        judging.look(rule, holding, now)
    return rows


def _advance(bulk: Bulk, read: _Read) -> None:
    moved = bulk.run(
        "UPDATE alarm_progress SET journal_id = ?, turn = turn + 1 WHERE turn = ?", (read.reached, read.progress.turn)
    )
    if moved != 1:
        raise Unavailable("Another process evaluates the alarms.", retry_after_s=2, code="evaluated_elsewhere")


def _save(bulk: Bulk, judging: Judging) -> None:
    """The conditions that differ."""
    after = {key: judging.get(*key) for key in sorted(judging.changed)}
    gone = [key for key, condition in after.items() if condition is None]
    bulk.run_many("DELETE FROM alarm_conditions WHERE rule_id = ? AND terminal_id = ?", gone)
    rows = [
        (*key, each.since_at, each.active, each.well_since_at, each.value, each.seen_at)
        for key, each in after.items()
        if each is not None
    ]
    bulk.run_many(_CONDITION, rows)


def _count_active(bulk: Bulk) -> None:
    _tell_active(dict(bulk.rows("SELECT severity, COUNT(*) FROM alarms WHERE cleared_at IS NULL GROUP BY severity")))


def _tell_active(counts: Mapping[str, int]) -> None:
    for severity in Severity:
        metrics.ACTIVE.labels(severity.value).set(counts.get(severity.value, 0))
