"""What terminals say of themselves beside records: births, deaths, reported twins, and when they were last heard.

`hear_…` only hands over (paho's thread); `write` applies what was taken in one transaction. Bounds: of each terminal the
newest STATES births and deaths wait, and the newest of the rest; of more than TERMINALS terminals, those heard last.
"""

import json
import threading
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeVar

import structlog

from cloud.bulk import Bulk
from cloud.ingest import alarm, metrics, presence_log, reported_log
from cloud.ingest.report_loop import ReportLoops
from cloud.ingest.standings import read_standings, write_standings
from cloud.terminals import locks, presence
from cloud.terminals.presence import Standing
from cloud.terminals.presence_changes import Cause, Change, cause_of, change_of
from cloud.terminals.versions import order_of, version_of
from firmware_specs.errors import DecodeError
from firmware_specs.messages import Reported
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.wire import decode_reported, decode_state

TERMINALS: Final = 20_000
LOOPS: Final = "report_loop"
"""The mark of a terminal that reports its twin in a loop."""
STATES: Final = 4
"""The newest birth is among these: a terminal's births and deaths alternate, but for a will that came late."""

V = TypeVar("V")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class StateMessage:
    """A message on `up/state`."""

    terminal: str
    payload: bytes
    at: int
    retained: bool


@dataclass(slots=True)
class Heard:
    """What was heard and is not written yet, by terminal; times in microseconds."""

    states: dict[str, deque[StateMessage]] = field(default_factory=dict)
    reported: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)
    looping: set[str] = field(default_factory=set)
    """Of those that reported: who does so in a loop."""

    def terminals(self) -> set[str]:
        """Whom it is about."""
        return self.states.keys() | self.reported.keys() | self.live.keys()

    def add_state(self, message: StateMessage) -> None:
        """A birth or a death, the newest of its terminal."""
        states = self.states.get(message.terminal) or deque(maxlen=STATES)
        states.append(message)
        _put(self.states, message.terminal, states)

    def add(self, other: "Heard") -> None:
        """What was heard after this."""
        for states in other.states.values():
            for message in states:
                self.add_state(message)
        for terminal, reported in other.reported.items():
            _put(self.reported, terminal, reported)
        for terminal, at in other.live.items():
            _put(self.live, terminal, at)
        self.looping |= other.looping & self.reported.keys()

    def split(self, at: int) -> "tuple[Heard, Heard]":
        """What was heard until `at`, and what was heard since."""
        until, since = Heard(), Heard()
        for states in self.states.values():
            for message in states:
                (until if message.at <= at else since).add_state(message)
        for terminal, reported in self.reported.items():
            part = until if reported[1] <= at else since
            part.reported[terminal] = reported
            part.looping |= self.looping & {terminal}
        for terminal, heard_at in self.live.items():
            (until if heard_at <= at else since).live[terminal] = heard_at
        return until, since


@dataclass(frozen=True, slots=True)
class Written:
    """What others act upon: whose birth came live, which versions of twins were reported, and the streams of births, live or
    retained, after which nothing was heard yet: what their terminals sent meanwhile may be lost."""

    born: frozenset[str] = frozenset()
    reported: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)


class StateBoard:
    """Collects what is heard. Who reports in a loop is written rarely, and marked."""

    def __init__(self, loops: ReportLoops | None = None) -> None:
        self._lock = threading.Lock()
        self._heard = Heard()
        self._loops = loops or ReportLoops()

    def hear_state(self, message: StateMessage) -> None:
        """A birth or a death."""
        with self._lock:
            self._heard.add_state(message)

    def hear_reported(self, terminal: str, payload: bytes, at: int) -> None:
        """A reported twin."""
        with self._lock:
            self._loops.hear(terminal)
            _put(self._heard.reported, terminal, (payload, at))

    def hear_live(self, terminal: str, at: int) -> None:
        """Anything else, not retained."""
        with self._lock:
            _put(self._heard.live, terminal, at)

    def take(self) -> Heard:
        """Everything that waits, but for reports of those who loop and had one written lately."""
        with self._lock:
            heard, self._heard = self._heard, Heard()
            held = {each for each in heard.reported if not self._loops.may_write(each)}
            for each in held:
                self._heard.reported[each] = heard.reported.pop(each)
            heard.looping = {each for each in heard.reported if self._loops.is_looping(each)}
            return heard

    def put_back(self, heard: Heard) -> None:
        """What could not be written, before what came since."""
        with self._lock:
            heard.add(self._heard)
            self._heard = heard


def write(bulk: Bulk, heard: Heard) -> Written:
    """Apply it to the terminals' rows and histories; what unknown terminals said is passed over."""
    standings = read_standings(bulk, heard.terminals())
    turn = _Turn(dict(standings), _boots(bulk, heard.states))
    turn.marks |= {each: {LOOPS} for each in heard.looping & standings.keys()}
    for each in chain.from_iterable(heard.states.values()):
        if each.terminal in standings and each.payload:  # an empty one deletes a retained message (MQTT 5, 3.3.1.3)
            turn.apply(each)
            if heard.live.get(each.terminal, -1) >= each.at:
                turn.waiting.pop(each.terminal, None)
    for terminal, at in heard.live.items():
        turn.hear(terminal, at)
    changed = {each: new for each, new in turn.standings.items() if new != standings[each]}
    told = changed.keys() | turn.births.keys() | turn.marks.keys() | (heard.reported.keys() & standings.keys())
    locks.lock(bulk, told)
    write_standings(bulk, changed)
    births = [_birth_row(terminal, payload) for terminal, payload in turn.births.items()]
    bulk.run_many("UPDATE terminals SET birth = ?, agent_version = ?, agent_order = ? WHERE id = ?", births)
    presence_log.note(bulk, turn.changes)
    if turn.marks:
        times = [*(states[-1].at for states in heard.states.values()), *(at for _, at in heard.reported.values())]
        alarm.mark(bulk, turn.marks, max(times))
    return Written(frozenset(turn.born), _write_reported(bulk, heard.reported, standings), turn.waiting)


@dataclass(slots=True)
class _Turn:
    """What one turn makes of what was heard, by terminal."""

    standings: dict[str, Standing]
    boots: dict[str, str]
    births: dict[str, str] = field(default_factory=dict)
    born: set[str] = field(default_factory=set)
    waiting: dict[str, str] = field(default_factory=dict)
    marks: dict[str, set[str]] = field(default_factory=dict)
    changes: dict[str, list[Change]] = field(default_factory=dict)

    def apply(self, each: StateMessage) -> None:
        """A birth or a death of a registered terminal."""
        message, terminal = _read(each), each.terminal
        if message is None:
            self.marks.setdefault(terminal, set()).add("broken_state")
            return
        before = self.standings[terminal]
        second = isinstance(message, Birth) and not each.retained and (
            presence.is_second(before, message, self.boots.get(terminal)))  # fmt: skip
        if second:
            self.marks.setdefault(terminal, set()).add("two_devices")
        after = presence.on_state(before, message, each.at, retained=each.retained)
        self._become(terminal, after, cause_of(message, retained=each.retained, second=second), each.at)
        self.waiting.pop(terminal, None)
        if isinstance(message, Birth) and _names(after, message):
            self.births[terminal], self.boots[terminal] = each.payload.decode(), message.boot
            self.waiting[terminal] = message.incarnation
            if not each.retained:
                self.born.add(terminal)

    def hear(self, terminal: str, at: int) -> None:
        """Something else came from it, live."""
        if terminal in self.standings and not presence.is_no_news(self.standings[terminal], at):
            self._become(terminal, presence.on_heard(self.standings[terminal], at), Cause.HEARD, at)

    def _become(self, terminal: str, after: Standing, cause: Cause, at: int) -> None:
        change = change_of(self.standings[terminal], after, cause, at)
        self.standings[terminal] = after
        if change is not None:
            self.changes.setdefault(terminal, []).append(change)


def _birth_row(terminal: str, payload: str) -> tuple[str, str, str, str]:
    """The birth, with the agent's version beside it, by which terminals are looked for."""
    version = version_of(json.loads(payload))
    return payload, version, order_of(version), terminal


def _boots(bulk: Bulk, terminals: Collection[str]) -> dict[str, str]:
    """The boot of each one's birth in force."""
    found = bulk.rows_in("SELECT id, birth FROM terminals WHERE birth IS NOT NULL AND id IN", sorted(terminals))
    return {terminal: str(json.loads(birth).get("boot")) for terminal, birth in found}


def _write_reported(
    bulk: Bulk, reported: Mapping[str, tuple[bytes, int]], known: Mapping[str, Standing]
) -> dict[str, tuple[int, int]]:
    read: dict[str, tuple[Reported, int]] = {}
    for terminal, (payload, at) in reported.items():
        try:
            read[terminal] = decode_reported(payload), at
        except DecodeError as error:
            log.warning("reported_unreadable", terminal=terminal, wrong=str(error))
    theirs = {terminal: each for terminal, each in read.items() if terminal in known}
    reported_log.note(bulk, theirs)
    rows = [(each.model_dump_json(), at, terminal) for terminal, (each, at) in theirs.items()]
    bulk.run_many("UPDATE terminals SET reported = ?, reported_at = ? WHERE id = ?", rows)
    return {terminal: each.version for terminal, (each, _) in theirs.items()}


def _read(each: StateMessage) -> Birth | Death | None:
    try:
        return decode_state(each.payload)
    except DecodeError as error:
        log.warning("state_unreadable", terminal=each.terminal, wrong=str(error))
        return None


def _names(standing: Standing, birth: Birth) -> bool:
    return (standing.incarnation, standing.connection) == (birth.incarnation, birth.connection)


def _put(by_terminal: dict[str, V], terminal: str, value: V) -> None:
    """As the newest; the one that was heard longest ago makes room."""
    by_terminal.pop(terminal, None)
    by_terminal[terminal] = value
    if len(by_terminal) > TERMINALS:
        del by_terminal[next(iter(by_terminal))]
        metrics.DROPPED.inc()
