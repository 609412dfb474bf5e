"""What terminals say of themselves beside records: births, deaths, reported twins, and when they were last heard.

`hear_…` only hands over (paho's thread); `write` applies what was taken in one transaction. Bounds: of each terminal the
newest STATES births and deaths wait, and the newest of the rest; of more than TERMINALS terminals, those heard last.
"""

import json
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeVar

import structlog

from cloud.bulk import Bulk, Row
from cloud.ingest import alarm, metrics
from cloud.terminals import presence
from cloud.terminals.presence import CONNECTED, Presence, Standing
from firmware_specs.errors import DecodeError
from firmware_specs.messages import Reported
from firmware_specs.presence_messages import Birth, Death
from firmware_specs.wire import decode_reported, decode_state

TERMINALS: Final = 20_000
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

    def split(self, at: int) -> "tuple[Heard, Heard]":
        """What was heard until `at`, and what was heard since."""
        until, since = Heard(), Heard()
        for states in self.states.values():
            for message in states:
                (until if message.at <= at else since).add_state(message)
        for terminal, reported in self.reported.items():
            (until if reported[1] <= at else since).reported[terminal] = reported
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
    """Collects what is heard."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard = Heard()

    def hear_state(self, message: StateMessage) -> None:
        """A birth or a death."""
        with self._lock:
            self._heard.add_state(message)

    def hear_reported(self, terminal: str, payload: bytes, at: int) -> None:
        """A reported twin."""
        with self._lock:
            _put(self._heard.reported, terminal, (payload, at))

    def hear_live(self, terminal: str, at: int) -> None:
        """Anything else, not retained."""
        with self._lock:
            _put(self._heard.live, terminal, at)

    def take(self) -> Heard:
        """Everything that waits."""
        with self._lock:
            heard, self._heard = self._heard, Heard()
            return heard

    def put_back(self, heard: Heard) -> None:
        """What could not be written, before what came since."""
        with self._lock:
            heard.add(self._heard)
            self._heard = heard


def write(bulk: Bulk, heard: Heard) -> Written:
    """Apply it to the terminals' rows; what unknown terminals said is passed over."""
    standings = read_standings(bulk, heard.terminals())
    after, births, born = dict(standings), {}, set()
    marks: dict[str, set[str]] = {}
    waiting: dict[str, str] = {}
    for each in chain.from_iterable(heard.states.values()):
        if each.terminal not in standings or not each.payload:
            continue  # empty is how MQTT deletes a retained message (3.3.1.3): it says nothing of the terminal
        message = _read(each)
        if message is None:
            marks.setdefault(each.terminal, set()).add("broken_state")
            continue
        if isinstance(message, Birth) and not each.retained and presence.goes_back(after[each.terminal], message):
            marks.setdefault(each.terminal, set()).add("two_devices")
        after[each.terminal] = presence.on_state(after[each.terminal], message, each.at, retained=each.retained)
        if isinstance(message, Birth) and _names(after[each.terminal], message):
            births[each.terminal] = each.payload.decode()
            if not each.retained:
                born.add(each.terminal)
            if heard.live.get(each.terminal, -1) < each.at:
                waiting[each.terminal] = message.incarnation
        else:
            waiting.pop(each.terminal, None)
    _apply_live(heard.live, after)
    write_standings(bulk, {each: new for each, new in after.items() if new != standings[each]})
    bulk.run_many("UPDATE terminals SET birth = ? WHERE id = ?", [(text, each) for each, text in births.items()])
    if marks:
        alarm.mark(bulk, marks, max(states[-1].at for states in heard.states.values()))
    return Written(frozenset(born), _write_reported(bulk, heard.reported, standings), waiting)


def _apply_live(live: Mapping[str, int], after: dict[str, Standing]) -> None:
    for terminal, at in live.items():
        if terminal in after and not presence.is_no_news(after[terminal], at):
            after[terminal] = presence.on_heard(after[terminal], at)


def suspect_all(bulk: Bulk, at: int) -> int:
    """The broker or the cloud was away: nothing is known until a terminal speaks. How many were connected."""
    marks = ",".join("?" * len(CONNECTED))
    return bulk.run(
        f"UPDATE terminals SET presence = ?, presence_at = ? WHERE presence IN ({marks})",  # noqa: S608
        (Presence.SUSPECT.value, at, *sorted(CONNECTED)),
    )


def suspect_silent(bulk: Bulk, at: int) -> int:
    """Time has passed: those that are online and have said nothing for longer than they may. How many."""
    silent = bulk.rows(
        "SELECT id, settings FROM terminals WHERE presence = ? AND COALESCE(last_heard_at, 0) < ? "
        "AND COALESCE(presence_at, 0) < ?",
        (Presence.ONLINE.value, at - presence.SILENT_US, at - presence.SILENT_US),
    )
    may_be_silent_us = {row[0]: presence.silent_us(json.loads(row[1]).get("health_every_s")) for row in silent}
    before = read_standings(bulk, set(may_be_silent_us))
    after = {each: presence.on_time(before[each], at, may_be_silent_us[each]) for each in before}
    changed = {each: new for each, new in after.items() if new != before[each]}
    write_standings(bulk, changed)
    return len(changed)


def read_standings(bulk: Bulk, terminals: set[str]) -> dict[str, Standing]:
    """Of those that are registered."""
    rows = bulk.rows_in(
        "SELECT id, presence, presence_at, incarnation, connection, last_heard_at, birth FROM terminals WHERE id IN",
        sorted(terminals),
    )
    return {row[0]: Standing(Presence(row[1]), row[2], row[3], row[4], row[5], _said(row[6])) for row in rows}


def _said(birth: str | None) -> Presence:
    """The state that the birth in force says: what a terminal that was suspect is again, once it is heard."""
    message = None if birth is None else decode_state(birth.encode())
    return Presence(message.state) if isinstance(message, Birth) else Presence.ONLINE


def write_standings(bulk: Bulk, standings: Mapping[str, Standing]) -> None:
    """Into the terminals' rows."""
    rows: Sequence[Row] = [
        (each.presence.value, each.since_at, each.incarnation, each.connection, each.heard_at, terminal)
        for terminal, each in sorted(standings.items())
    ]
    bulk.run_many(
        "UPDATE terminals SET presence = ?, presence_at = ?, incarnation = ?, connection = ?, last_heard_at = ? "
        "WHERE id = ?",
        rows,
    )


def _write_reported(
    bulk: Bulk, reported: Mapping[str, tuple[bytes, int]], known: Mapping[str, Standing]
) -> dict[str, tuple[int, int]]:
    read: dict[str, tuple[Reported, int]] = {}
    for terminal, (payload, at) in reported.items():
        try:
            read[terminal] = decode_reported(payload), at
        except DecodeError as error:
            log.warning("reported_unreadable", terminal=terminal, wrong=str(error))
    rows = [(each.model_dump_json(), at, terminal) for terminal, (each, at) in read.items() if terminal in known]
    bulk.run_many("UPDATE terminals SET reported = ?, reported_at = ? WHERE id = ?", rows)
    return {terminal: each.version for terminal, (each, _) in read.items() if terminal in known}


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
