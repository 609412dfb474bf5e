"""Terminals' presence as their rows hold it: read, written, and changed by time and by the loss of the broker.

Promises that whatever changes here is in the terminal's history as well. Writes within the caller's transaction.
"""

import json
from collections.abc import Mapping, Sequence

from cloud.bulk import Bulk, Row
from cloud.ingest import presence_log
from cloud.terminals import presence
from cloud.terminals.presence import CONNECTED, Presence, Standing
from cloud.terminals.presence_changes import Cause, change_of
from firmware_specs.presence_messages import Birth
from firmware_specs.wire import decode_state


def suspect_all(bulk: Bulk, at: int) -> int:
    """The broker or the cloud was away: nothing is known until a terminal speaks. How many were connected."""
    before = read_standings(bulk, connected(bulk))
    after = {each: presence.on_broker_lost(standing, at) for each, standing in before.items()}
    return _write_changed(bulk, before, after, Cause.BROKER, at)


def connected(bulk: Bulk) -> set[str]:
    """Those that have a connection, as far as is known."""
    words = ",".join("?" * len(CONNECTED))
    rows = bulk.rows(f"SELECT id FROM terminals WHERE presence IN ({words})", sorted(CONNECTED))  # noqa: S608
    return {row[0] for row in rows}


def suspect_silent(bulk: Bulk, at: int) -> int:
    """Time has passed: those that are online and have said nothing for longer than they may. How many."""
    silent = bulk.rows(
        "SELECT id, COALESCE(twin_settings, settings) FROM terminals WHERE presence = ? AND COALESCE(last_heard_at, 0) < ? "
        "AND COALESCE(presence_at, 0) < ?",
        (Presence.ONLINE.value, at - presence.SILENT_US, at - presence.SILENT_US),
    )
    may_be_silent_us = {row[0]: presence.silent_us(json.loads(row[1]).get("health_every_s")) for row in silent}
    before = read_standings(bulk, set(may_be_silent_us))
    after = {each: presence.on_time(before[each], at, may_be_silent_us[each]) for each in before}
    return _write_changed(bulk, before, after, Cause.SILENT, at)


def _write_changed(
    bulk: Bulk, before: Mapping[str, Standing], after: Mapping[str, Standing], cause: Cause, at: int
) -> int:
    changed = {each: new for each, new in after.items() if new != before[each]}
    write_standings(bulk, changed)
    changes = {each: change_of(before[each], new, cause, at) for each, new in changed.items()}
    presence_log.note(bulk, {each: [change] for each, change in changes.items() if change is not None})
    return len(changed)


def read_standings(bulk: Bulk, terminals: set[str]) -> dict[str, Standing]:
    """Of those that are registered. What the birth says is read of suspects only: nobody else becomes that again."""
    rows = bulk.rows_in(
        "SELECT id, presence, presence_at, incarnation, connection, last_heard_at, "
        "CASE presence WHEN 'suspect' THEN birth END FROM terminals WHERE id IN",
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
