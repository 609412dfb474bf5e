"""What terminals say of themselves beside records: births, deaths, reported twins, and when they were last heard.

`hear_…` only hands over (paho's thread); `write` applies what was taken in one transaction. Bounds: MESSAGES births and
deaths wait at most, newer ones are dropped and counted; of the rest only the newest of each terminal is kept.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from cloud.bulk import Bulk, Row
from cloud.ingest import alarm, metrics
from cloud.terminals import presence
from cloud.terminals.presence import CONNECTED, Presence, Standing
from firmware_specs.errors import DecodeError
from firmware_specs.messages import Birth, Death, Reported
from firmware_specs.wire import decode_reported, decode_state

MESSAGES: Final = 20_000

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
    """What was heard and is not written yet; times in microseconds."""

    states: list[StateMessage] = field(default_factory=list)
    reported: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    live: dict[str, int] = field(default_factory=dict)

    def terminals(self) -> set[str]:
        """Whom it is about."""
        return {each.terminal for each in self.states} | self.reported.keys() | self.live.keys()


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
            if len(self._heard.states) < MESSAGES:
                self._heard.states.append(message)
            else:
                metrics.DROPPED.inc()

    def hear_reported(self, terminal: str, payload: bytes, at: int) -> None:
        """A reported twin."""
        with self._lock:
            self._heard.reported[terminal] = payload, at
            _keep_newest(self._heard.reported)

    def hear_live(self, terminal: str, at: int) -> None:
        """Anything else, not retained."""
        with self._lock:
            self._heard.live[terminal] = at
            _keep_newest(self._heard.live)

    def take(self) -> Heard:
        """Everything that waits."""
        with self._lock:
            heard, self._heard = self._heard, Heard()
            return heard

    def put_back(self, heard: Heard) -> None:
        """What could not be written, before what came since."""
        with self._lock:
            since = self._heard
            states = [*heard.states, *since.states][:MESSAGES]
            self._heard = Heard(states, heard.reported | since.reported, heard.live | since.live)


def write(bulk: Bulk, heard: Heard) -> Written:
    """Apply it to the terminals' rows; what unknown terminals said is passed over."""
    standings = read_standings(bulk, heard.terminals())
    after, births, born, broken = dict(standings), {}, set(), {}
    waiting: dict[str, str] = {}
    for each in heard.states:
        if each.terminal not in standings or not each.payload:
            continue  # empty is how MQTT deletes a retained message (3.3.1.3): it says nothing of the terminal
        message = _read(each)
        if message is None:
            broken[each.terminal] = {"broken_state"}
            continue
        after[each.terminal] = presence.on_state(after[each.terminal], message, each.at, retained=each.retained)
        if isinstance(message, Birth) and _names(after[each.terminal], message):
            births[each.terminal] = each.payload.decode()
            if not each.retained:
                born.add(each.terminal)
            if heard.live.get(each.terminal, -1) < each.at:
                waiting[each.terminal] = message.incarnation
        else:
            waiting.pop(each.terminal, None)
    for terminal, at in heard.live.items():
        if terminal in standings:
            after[terminal] = presence.on_heard(after[terminal], at)
    write_standings(bulk, {each: new for each, new in after.items() if new != standings[each]})
    bulk.run_many("UPDATE terminals SET birth = ? WHERE id = ?", [(text, each) for each, text in births.items()])
    alarm.mark(bulk, broken)
    return Written(frozenset(born), _write_reported(bulk, heard.reported, standings), waiting)


def suspect_all(bulk: Bulk, at: int) -> int:
    """The broker or the cloud was away: nothing is known until a terminal speaks. How many were connected."""
    marks = ",".join("?" * len(CONNECTED))
    return bulk.run(
        f"UPDATE terminals SET presence = ?, presence_at = ? WHERE presence IN ({marks})",  # noqa: S608
        (Presence.SUSPECT.value, at, *sorted(CONNECTED)),
    )


def suspect_silent(bulk: Bulk, at: int) -> int:
    """The rule of `presence.on_time`, for all rows at once."""
    return bulk.run(
        "UPDATE terminals SET presence = ?, presence_at = ? WHERE presence = ? AND COALESCE(last_heard_at, 0) < ? "
        "AND COALESCE(presence_at, 0) < ?",
        (Presence.SUSPECT.value, at, Presence.ONLINE.value, at - presence.SILENT_US, at - presence.SILENT_US),
    )


def read_standings(bulk: Bulk, terminals: set[str]) -> dict[str, Standing]:
    """Of those that are registered."""
    rows = bulk.rows_in(
        "SELECT id, presence, presence_at, incarnation, connection, last_heard_at FROM terminals WHERE id IN",
        sorted(terminals),
    )
    return {row[0]: Standing(Presence(row[1]), *row[2:]) for row in rows}


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


def _keep_newest(by_terminal: dict[str, V]) -> None:
    if len(by_terminal) > MESSAGES:
        del by_terminal[next(iter(by_terminal))]
