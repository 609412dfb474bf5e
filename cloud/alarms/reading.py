"""What the evaluator reads of the tables: rules, places, windows, conditions, what is open. One query each."""

import json
from collections.abc import Iterable
from typing import Final, NamedTuple

from cloud.alarms.grouping import Reach
from cloud.alarms.judging import Key
from cloud.alarms.rules import SECOND_US, Compare, Condition, Place, Rule, RuleKind, Severity
from cloud.bulk import Bulk

WINDOW_ECHOES_US: Final = 3600 * SECOND_US
"""So long after its end a window still says when its terminals are to be counted as fallen: all at once, at its end."""


class Progress(NamedTuple):
    """Up to where the journal was looked at, in which turn; how often what terminals are and where has changed; twins made."""

    journal_id: int
    turn: int
    inputs: int
    twins: int


class Window(NamedTuple):
    """A maintenance window: what it covers, and when."""

    path: str
    room_id: str
    terminal: str
    starts_at: int
    ends_at: int

    def covers(self, place: Place) -> bool:
        """Whether a terminal there is meant. The cloud itself is meant by a window over everything."""
        if self.terminal:
            return self.terminal == place.terminal
        if self.room_id:
            return self.room_id == place.room_id
        return place.path.startswith(self.path)


class Member(NamedTuple):
    """A terminal of an open alarm."""

    rule_id: str
    terminal: str
    alarm_id: str
    since_at: int
    reach: Reach


class Active(NamedTuple):
    """An alarm that is not cleared, or was cleared of late."""

    id: str
    rule_id: str
    reach: Reach
    place_id: str
    since_at: int
    until_at: int


def progress(bulk: Bulk) -> Progress:
    """Where the last turn ended."""
    (row,) = bulk.rows(
        "SELECT p.journal_id, p.turn, i.value, t.value FROM alarm_progress p "
        "JOIN counters i ON i.name = 'twin_inputs' JOIN counters t ON t.name = 'twins'"
    )
    return Progress(*row)


def rules(bulk: Bulk) -> list[Rule]:
    """Those in force, by id."""
    rows = bulk.rows(
        "SELECT r.id, r.version, r.kind, r.severity, o.path, r.room_id, r.terminal_kind, r.metric, r.compare, r.level, "
        "r.clear_level, r.for_s, r.clear_for_s, r.days, r.wanted, r.mark FROM alarm_rules r "
        "LEFT JOIN organisations o ON o.id = r.organisation_id WHERE r.enabled AND r.deleted_at IS NULL ORDER BY r.id"
    )
    return [
        Rule(row[0], row[1], RuleKind(row[2]), Severity(row[3]), row[4] or "", row[5] or "", row[6] or "", row[7] or "",
             Compare(row[8] or Compare.ABOVE), row[9] or 0.0, row[10] or 0.0, row[11], row[12], row[13] or 0.0,
             row[14] or "", row[15] or "")
        for row in rows
    ]  # fmt: skip


def places(bulk: Bulk) -> dict[str, Place]:
    """Of every terminal in service: enabled, and not replaced by another."""
    rows = bulk.rows(
        "SELECT t.id, t.kind, t.room_id, r.organisation_id, o.path, COALESCE(t.twin_settings, t.settings) FROM terminals t "
        "LEFT JOIN rooms r ON r.id = t.room_id LEFT JOIN organisations o ON o.id = r.organisation_id "
        "WHERE t.enabled AND t.replaced_by IS NULL"
    )
    return {
        row[0]: Place(row[0], row[1], row[2] or "", row[3] or "", row[4] or "",
                      float(json.loads(row[5]).get("health_every_s") or 60.0))
        for row in rows
    }  # fmt: skip


def windows(bulk: Bulk, now: int) -> list[Window]:
    """Those that are on, and those that have just ended."""
    rows = bulk.rows(
        "SELECT o.path, w.room_id, w.terminal_id, w.starts_at, w.ends_at FROM maintenance_windows w "
        "LEFT JOIN organisations o ON o.id = w.organisation_id WHERE w.starts_at <= ? AND w.ends_at > ?",
        (now, now - WINDOW_ECHOES_US),
    )
    return [Window(path or "", room or "", terminal or "", *span) for path, room, terminal, *span in rows]


def conditions(bulk: Bulk) -> dict[Key, Condition]:
    """All that hold."""
    rows = bulk.rows(
        "SELECT rule_id, terminal_id, since_at, active, well_since_at, value, seen_at FROM alarm_conditions"
    )
    return {(row[0], row[1]): Condition(row[2], bool(row[3]), *row[4:]) for row in rows}


def members(bulk: Bulk) -> dict[Key, Member]:
    """Every terminal that is in an open alarm, by rule and terminal."""
    rows = bulk.rows(
        "SELECT m.rule_id, m.terminal_id, m.alarm_id, m.since_at, a.reach FROM alarm_members m "
        "JOIN alarms a ON a.id = m.alarm_id WHERE m.over_at IS NULL"
    )
    return {(row[0], row[1]): Member(row[0], row[1], row[2], row[3], Reach(row[4])) for row in rows}


def groups(bulk: Bulk) -> list[Active]:
    """The group alarms that are not cleared."""
    rows = bulk.rows(
        "SELECT id, rule_id, reach, place_id, since_at, until_at FROM alarms WHERE cleared_at IS NULL "
        "AND reach IN ('room', 'organisation', 'all')"
    )
    return [Active(row[0], row[1], Reach(row[2]), *row[3:]) for row in rows]


def cleared_since(bulk: Bulk, at: int) -> dict[tuple[str, Reach, str], str]:
    """Alarms that went of themselves since then: id by rule, reach and place."""
    rows = bulk.rows(
        "SELECT rule_id, reach, place_id, id FROM alarms WHERE cleared_at > ? AND cleared_why = 'well' ORDER BY cleared_at",
        (at,),
    )
    return {(rule_id, Reach(reach), place_id): alarm_id for rule_id, reach, place_id, alarm_id in rows}


def trails(bulk: Bulk, keys: Iterable[Key]) -> dict[Key, list[tuple[int, float]]]:
    """The earlier values of these."""
    wanted = set(keys)
    rows = bulk.rows_in(
        "SELECT rule_id, terminal_id, points FROM alarm_trails WHERE terminal_id IN",
        sorted({each for _, each in wanted}),
    )
    return {(row[0], row[1]): [(at, value) for at, value in json.loads(row[2])] for row in rows if row[:2] in wanted}
