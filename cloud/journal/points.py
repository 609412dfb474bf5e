"""From journal entries to points of the time series. Pure.

Promises at most one point per record, keyed by (stream, number) and built from what the journal fixed alone, so that a
repeat lands on itself; and that no point names a member.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic_core import from_json

from cloud.journal.format import REPEAT, UNREADABLE
from cloud.journal.reading import Entry
from cloud.timeseries.port import FieldValue, Measurement, Point
from firmware_specs.messages import Outcome

COUNTS_AS_A_HEAD: Final = frozenset({Outcome.ACCEPTED, Outcome.VISIT})
"""A repeat or a refusal adds nobody to a room."""

Told = tuple[Measurement, str, Mapping[str, FieldValue]]
"""What a record adds: measurement, the tag `kind`, fields."""


def points_of(entries: Iterable[Entry], kinds: Mapping[str, str]) -> list[Point]:
    """The points of several batches; `kinds` gives the kind of each terminal that its batch does not tell."""
    return [point for entry in entries for point in _points(entry, entry.fixed.kind or kinds.get(entry.terminal, ""))]


def _points(entry: Entry, terminal_kind: str) -> Iterator[Point]:
    fixed, places = entry.fixed, [(room or "", organisation or "") for room, organisation in entry.fixed.places]
    for index, record in enumerate(_records(entry)):
        told = None if record is None else _told(record, terminal_kind)
        if told is None or fixed.marks[index] & REPEAT:
            continue
        room, organisation = places[fixed.place[index]]
        yield Point(
            told[0],
            entry.stream,
            entry.first + index,
            fixed.effective_at[index],
            fixed.uncertainty_us[index],
            entry.terminal,
            room,
            organisation,
            told[1],
            told[2],
        )


def _records(entry: Entry) -> list[dict[str, Any] | None]:
    """As plain JSON: what is not marked unreadable was checked by the contract when it was stored, so this need not.

    Read by the parser that checked it, which needs half as long as that of the standard library.
    """
    lines = (b"null" if mark & UNREADABLE else line for line, mark in zip(entry.lines, entry.fixed.marks, strict=True))
    records: list[dict[str, Any] | None] = from_json(b"[%s]" % b",".join(lines), cache_strings="keys")
    return records


def _told(record: Mapping[str, Any], terminal_kind: str) -> Told | None:
    """A check-in's kind is its outcome, an interaction's its screen, health has its terminal's."""
    match record["type"]:
        case "health":
            return Measurement.HEALTH, terminal_kind, record["metrics"]
        case "check_in":
            outcome = record["outcome"]
            return Measurement.ATTENDANCE, outcome, {"heads": float(outcome in COUNTS_AS_A_HEAD)}
        case "interaction":
            counted = {"touches": float(record["touches"]), "help_calls": float(record.get("help_called", 0))}
            return Measurement.INTERACTION, record["screen"], counted
    return None
