"""Gives terminals their commands, and ends those whose deadline has passed.

Promises that a command is marked as given before it is published, so that `expired` is said of nothing that may have gone out;
that it goes once after each birth until its terminal has spoken of it; and that every command comes to an end. Called by
housekeeping, one thread.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Engine

from cloud.bulk import Bulk, Row
from cloud.clock import Clock, to_us
from cloud.commands import uploads
from cloud.commands.states import MAY_BE_GIVEN, OPEN, Event, State, after
from cloud.database import transaction
from cloud.terminals.presence import CONNECTED
from firmware_specs.command_messages import Command
from firmware_specs.wire import encode

AT_ONCE: Final = 500
"""Commands given in one turn."""
WORD_MAY_TAKE_US: Final = 60_000_000
"""So long after the deadline a terminal's word is waited for before the state is called unknown."""
SECOND_US: Final = 1_000_000

Publish = Callable[[str, bytes, int], bool]
"""Takes terminal, payload and the seconds until it expires; False when it could not be sent now."""

_BIRTH: Final = "t.incarnation || '/' || CAST(t.connection AS TEXT)"
_IS_THERE: Final = f"""t.enabled AND t.presence IN ({",".join(f"'{each}'" for each in sorted(CONNECTED))})"""
_DUE: Final = f"""SELECT c.id, c.terminal_id, c.name, c.arguments, c.asked_at, c.deadline_at, {_BIRTH}
FROM commands c JOIN terminals t ON t.id = c.terminal_id
WHERE c.settled_at IS NULL AND c.deadline_at > ? AND c.state IN ({",".join(f"'{each}'" for each in sorted(MAY_BE_GIVEN))})
AND {_IS_THERE} AND t.incarnation IS NOT NULL AND t.connection IS NOT NULL
AND (c.given_birth IS NULL OR c.given_birth <> {_BIRTH}) ORDER BY c.asked_at, c.id LIMIT ?"""  # noqa: S608 - words of our own
_OWED: Final = f"""SELECT c.id FROM commands c JOIN terminals t ON t.id = c.terminal_id
WHERE c.state = '{State.SENT}' AND {_IS_THERE} AND c.given_birth = {_BIRTH} AND c.id IN"""  # noqa: S608
_GIVE: Final = f"""UPDATE commands SET state = '{State.SENT}', given_at = COALESCE(given_at, ?), given_birth = ?
WHERE id = ? AND settled_at IS NULL AND state IN ({",".join(f"'{each}'" for each in sorted(MAY_BE_GIVEN))})"""  # noqa: S608
_OVERDUE: Final = """SELECT id, state, given_at FROM commands WHERE settled_at IS NULL AND
(deadline_at <= ? AND given_at IS NULL OR deadline_at <= ?) ORDER BY deadline_at LIMIT ?"""
_END: Final = "UPDATE commands SET state = ?, settled_at = ? WHERE id = ? AND state = ? AND settled_at IS NULL"

log = structlog.get_logger(__name__)


class CommandPush:
    """What is owed to a broker that could not be reached is kept in memory until it is known that its terminal is there under the
    same birth; a restart, or another birth, gives it again. Bound: each command once, until its deadline.
    """

    def __init__(self, engine: Engine, clock: Clock, publish: Publish) -> None:
        self._engine, self._clock, self._publish = engine, clock, publish
        self._owed: list[Row] = []

    def turn(self) -> bool:
        """End what is over and give what is due, AT_ONCE at most; whether more may be left."""
        now = to_us(self._clock())
        with transaction(self._engine, read_only=True) as session:
            bulk = Bulk.of(session)
            due = bulk.rows(_DUE, (now, AT_ONCE))
            overdue = bulk.rows(_OVERDUE, (now, now - WORD_MAY_TAKE_US, AT_ONCE))
            owed = {row[0] for row in bulk.rows_in(_OWED, [row[0] for row in self._owed])}
        self._end(overdue, now)
        given = self._mark_given(due, now)
        known = [row for row in self._owed if row[0] not in given and row[5] > now]
        goes = [row for row in known if row[0] in owed] + [row for row in due if row[0] in given]
        self._owed = [row for row in known if row[0] not in owed]
        self._owed += [row for row in goes if not self._give(row, now)]
        return len(due) == AT_ONCE or len(overdue) == AT_ONCE

    def _end(self, overdue: Sequence[Row], now: int) -> None:
        """By id, as whoever else writes to several commands: or two could wait for each other."""
        if overdue:
            with transaction(self._engine) as session:
                Bulk.of(session).run_many(_END, [_ended(row, now) for row in sorted(overdue)])

    def _mark_given(self, due: Sequence[Row], now: int) -> set[str]:
        """The ids of those that may go out now; written in the same order."""
        if not due:
            return set()
        with transaction(self._engine) as session:
            bulk = Bulk.of(session)
            return {row[0] for row in sorted(due) if bulk.run(_GIVE, (now, row[6], row[0]))}

    def _give(self, row: Row, now: int) -> bool:
        """Whether nothing is owed any more."""
        command_id, terminal, name, arguments, asked_at, deadline_at, _birth = row
        left_s = (deadline_at - now) // SECOND_US
        if left_s < 1:
            return True
        told = json.loads(arguments) | uploads.where_to(terminal, command_id, name)
        fields: dict[str, Any] = {"id": command_id, "name": name, "arguments": told}
        payload = encode(Command(**fields, issued_at=asked_at, deadline_at=deadline_at))
        if not self._publish(terminal, payload, left_s):
            return False
        log.info("command_sent", terminal=terminal, command=command_id, name=name)
        return True


def _ended(row: Row, now: int) -> Row:
    command_id, state, given_at = row
    ended = after(State(state), Event.DEADLINE, given=given_at is not None)
    assert ended not in OPEN  # noqa: S101 - the table of states says so of every open one
    return (ended.value, now, command_id, state)
