"""What terminals say of commands: every word kept, and the command's state moved as the table of states says.

Promises that a terminal's word touches its own commands only, and moves one once: a rebuild only keeps it again. Called by
ingest and rebuild within their transaction.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from cloud.bulk import Bulk, Row
from cloud.commands.states import OPEN, State, after
from cloud.journal.reading import Entry
from firmware_specs.messages import CommandState

Said = tuple[Entry, int, CommandState]
"""A record with its batch and its index there."""

_COLUMNS: Final = (
    "stream", "number", "terminal_id", "command_id", "state", "reason", "detail", "results", "effective_at", "received_at",
)  # fmt: skip
_MOVE: Final = (
    "UPDATE commands SET state = ?, said_at = ?, settled_at = ?, reason = ?, detail = ?, results = ? WHERE id = ?"
)


def write(bulk: Bulk, said: Sequence[Said]) -> None:
    """Keep the words, and move the commands that they are about."""
    if said:
        keep(bulk, said)
        _move(bulk, said)


def keep(bulk: Bulk, said: Sequence[Said]) -> None:
    """Keep the words alone: those of a rebuild have moved their commands when they came."""
    bulk.insert("command_words", _COLUMNS, [_word(*each) for each in said])


def _move(bulk: Bulk, said: Sequence[Said]) -> None:
    ids = sorted({record.command for _, _, record in said})
    tail = " ORDER BY id FOR UPDATE" if bulk.is_postgresql else ""
    found = bulk.rows_in("SELECT id, terminal_id, state, given_at FROM commands WHERE id IN", ids, tail=tail)
    known = {row[0]: row[1:] for row in found}
    moved: dict[str, Row] = {}
    for entry, index, record in said:
        terminal, state, given_at = known.get(record.command, (None, None, None))
        if terminal != entry.terminal:
            continue
        now = after(State(state), record.state, given=given_at is not None)
        if now != state:
            known[record.command] = (terminal, now.value, given_at)
            moved[record.command] = _moved(entry, index, record, now)
    bulk.run_many(_MOVE, list(moved.values()))


def _moved(entry: Entry, index: int, record: CommandState, now: State) -> Row:
    settled_at = None if now in OPEN else entry.received_at
    at = entry.fixed.effective_at[index]
    return (now.value, at, settled_at, record.reason, record.detail, _json(record.results), record.command)


def _word(entry: Entry, index: int, record: CommandState) -> Row:
    return (
        entry.stream,
        entry.first + index,
        entry.terminal,
        record.command,
        record.state.value,
        record.reason,
        record.detail,
        _json(record.results),
        entry.fixed.effective_at[index],
        entry.received_at,
    )


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
