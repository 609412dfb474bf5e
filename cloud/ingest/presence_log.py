"""Writes the history of presence: what `cloud.terminals.presence_changes` makes of the changes, line by line.

Promises at most KEPT lines of a terminal, the newest, and three statements however many terminals changed at once (and one
more per line that goes). Writes within the caller's transaction, beside the terminals' rows.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Final

from cloud.bulk import Bulk, Row
from cloud.terminals.presence import Presence
from cloud.terminals.presence_changes import KEPT, Cause, Change, Line, fold

Changes = Mapping[str, Sequence[Change]]
"""By terminal, in the order in which they happened."""

_COLUMNS: Final = (
    "terminal_id", "number", "began_at", "at", "presence", "cause", "connection", "times", "flapping", "recent",
)  # fmt: skip
_NEWEST: Final = """SELECT l.terminal_id, l.number, l.began_at, l.at, l.presence, l.cause, l.connection, l.times, l.flapping,
l.recent FROM terminals t JOIN presence_changes l ON l.terminal_id = t.id AND l.number =
(SELECT MAX(m.number) FROM presence_changes m WHERE m.terminal_id = t.id) WHERE t.id IN"""
_REWRITE: Final = """UPDATE presence_changes SET began_at = ?, at = ?, presence = ?, cause = ?, connection = ?, times = ?,
flapping = ?, recent = ? WHERE terminal_id = ? AND number = ?"""


def note(bulk: Bulk, changes: Changes) -> None:
    """Add these changes to the histories of their terminals, which are registered."""
    changed = {terminal: each for terminal, each in changes.items() if each}
    if not changed:
        return
    newest = newest_lines(bulk, changed)
    added: dict[tuple[str, int], Line] = {}
    rewritten: dict[tuple[str, int], Line] = {}
    for terminal, each in changed.items():
        had = newest[terminal].number if terminal in newest else 0
        line = newest.get(terminal)
        for change in each:
            line = fold(line, change)
            (added if line.number > had else rewritten)[terminal, line.number] = line
    bulk.run_many(_REWRITE, [(*_values(line), *key) for key, line in sorted(rewritten.items())])
    bulk.insert("presence_changes", _COLUMNS, [(*key, *_values(line)) for key, line in sorted(added.items())])
    bulk.run_many(
        "DELETE FROM presence_changes WHERE terminal_id = ? AND number <= ?",
        [(terminal, number - KEPT) for terminal, number in sorted(added) if number > KEPT],
    )


def newest_lines(bulk: Bulk, terminals: Mapping[str, object]) -> dict[str, Line]:
    """Of those of the terminals that have any."""
    return {row[0]: _line(row) for row in bulk.rows_in(_NEWEST, sorted(terminals))}


def _values(line: Line) -> Row:
    """All but the key."""
    recent = json.dumps(line.recent, separators=(",", ":"))
    return (
        line.began_at,
        line.at,
        line.presence.value,
        line.cause.value,
        line.connection,
        line.times,
        line.flapping,
        recent,
    )


def _line(row: Row) -> Line:
    _terminal, number, began_at, at, presence, cause, connection, times, flapping, recent = row
    return Line(number, began_at, at, Presence(presence), Cause(cause), connection, times, bool(flapping),
                tuple(json.loads(recent)))  # fmt: skip
