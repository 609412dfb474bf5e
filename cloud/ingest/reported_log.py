"""Writes the history of reported twins: a line for each report that says something else than the one before it.

Promises at most KEPT lines of a terminal, the newest, and few statements however many terminals reported. Writes within the
caller's transaction, and before the terminals' rows are written: they hold what was reported until now.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from cloud.bulk import Bulk
from firmware_specs.messages import Reported

KEPT: Final = 200
"""Lines of a terminal: half a year and more where somebody changes its settings every day."""

_COLUMNS: Final = ("terminal_id", "number", "at", "twin_epoch", "twin_number", "applied", "problems", "changed")
_BEFORE: Final = """SELECT t.id, t.reported, COALESCE((SELECT MAX(r.number) FROM reported_twins r WHERE r.terminal_id = t.id), 0)
FROM terminals t WHERE t.id IN"""


def note(bulk: Bulk, reports: Mapping[str, tuple[Reported, int]]) -> None:
    """Add these reports, with the times at which they came, to the histories of their terminals, which are registered."""
    before = {row[0]: row[1:] for row in bulk.rows_in(_BEFORE, sorted(reports))}
    lines = []
    for terminal, (report, at) in sorted(reports.items()):
        said, number = before[terminal]
        had = json.loads(said) if said else {}
        if had != report.model_dump(mode="json"):
            changed = _changed(had, report) if had else []
            lines.append(
                (terminal, number + 1, at, *report.version, report.applied, _text(report.problems), _text(changed))
            )
    bulk.insert("reported_twins", _COLUMNS, lines)
    over = [(terminal, number - KEPT) for terminal, number, *_ in lines if number > KEPT]
    bulk.run_many("DELETE FROM reported_twins WHERE terminal_id = ? AND number <= ?", over)


def _changed(had: Mapping[str, Any], report: Reported) -> list[str]:
    """Names of the settings in force that are others than before."""
    before, after = had.get("settings") or {}, report.settings
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


def _text(value: list[str]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
