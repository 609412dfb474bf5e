"""What a terminal's histories say: its presence, its marks, the twins that it was given and reported. For its timeline.

Reads only; the caller has asked whether the terminal is in the scope. Rows come newest first, bounded by the caller's limit.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final

from sqlalchemy import Select, exists, select, true
from sqlalchemy.orm import Session, aliased

from cloud.clock import from_us, to_us
from cloud.paging import Before, newest
from cloud.terminals.models import MarkSet, PresenceChange, ReportedTwin, Twin
from cloud.terminals.presence_changes import HOUR_US

IN_STEP: Final = frozenset({"version", "occurrences_until"})
"""Of a twin's parts, those that are others in every one and tell nothing."""

PROBLEM: Final = 200
"""Characters kept of a problem that a terminal reports."""


@dataclass(frozen=True)
class Link:
    """How a terminal's link has been within the last hour: its own changes, and whether that is flapping."""

    changes: int
    flapping: bool


@dataclass(frozen=True)
class Told:
    """A twin that was published, and which parts differ from the one before; none for the first."""

    epoch: int
    number: int
    at: datetime
    parts: Sequence[str]


def presence(session: Session, terminal_id: str, before: Before | None, limit: int) -> Sequence[PresenceChange]:
    """Its lines."""
    query = select(PresenceChange).where(PresenceChange.terminal_id == terminal_id)
    return newest(session, query, PresenceChange.at, PresenceChange.number, before, limit)


def link(session: Session, terminal_id: str, now: datetime) -> Link:
    """How its link is now. A flapping one is well when an hour has passed without a change."""
    lines = presence(session, terminal_id, None, 1)
    if not lines:
        return Link(0, flapping=False)
    since = to_us(now) - HOUR_US
    changes = sum(since < at for at in lines[0].recent)
    return Link(changes, flapping=lines[0].flapping and changes > 0)


def flapping(now: datetime) -> Select[str]:
    """The ids of the terminals whose link flaps now, as `link` says of one."""
    newer = aliased(PresenceChange)
    newest = ~exists().where(newer.terminal_id == PresenceChange.terminal_id, newer.number > PresenceChange.number)
    within_an_hour = PresenceChange.at > from_us(to_us(now) - HOUR_US)
    return select(PresenceChange.terminal_id).where(PresenceChange.flapping == true(), within_an_hour, newest)


def marks(session: Session, terminal_id: str, before: Before | None, limit: int) -> Sequence[MarkSet]:
    """When which mark was set."""
    query = select(MarkSet).where(MarkSet.terminal_id == terminal_id)
    return newest(session, query, MarkSet.at, MarkSet.mark, before, limit)


def twins(session: Session, terminal_id: str, before: Before | None, limit: int) -> list[Told]:
    """Its twins, each compared with the one before it; by their numbers, which rise with the time: along the index, and not
    through all documents that the terminal ever had."""
    query = select(Twin).where(Twin.terminal_id == terminal_id)
    if before is not None and before.key is not None:
        query = query.where(Twin.number < before.key)
    elif before is not None:
        query = query.where(Twin.created_at <= before.at if before.with_at else Twin.created_at < before.at)
    rows = session.scalars(query.order_by(Twin.number.desc()).limit(limit + 1)).all()
    documents: list[dict[str, Any]] = [json.loads(row.document) for row in rows]
    parts = [_differing(new, old) for new, old in pairwise(documents)] + [[]]
    return [Told(row.epoch, row.number, row.created_at, part) for row, part in zip(rows, parts, strict=False)][:limit]


def reported(session: Session, terminal_id: str, before: Before | None, limit: int) -> Sequence[ReportedTwin]:
    """What it said of the twins that it was given, where that was something new."""
    query = select(ReportedTwin).where(ReportedTwin.terminal_id == terminal_id)
    return newest(session, query, ReportedTwin.at, ReportedTwin.number, before, limit)


def hour_of(at: datetime) -> datetime:
    """The beginning of its UTC hour."""
    return from_us(to_us(at) // HOUR_US * HOUR_US)


def until_hour(before: Before | None) -> datetime | None:
    """Of a list by hours: the end of the newest hour that is asked for. None: any."""
    if before is None:
        return None
    hour = hour_of(before.at)
    whole = hour == before.at and not before.with_at
    return hour if whole else hour + timedelta(hours=1)


def _differing(new: dict[str, Any], old: dict[str, Any]) -> list[str]:
    return sorted(part for part in new.keys() | old.keys() if part not in IN_STEP and new.get(part) != old.get(part))
