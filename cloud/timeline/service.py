"""What happened at one terminal: several lists, each newest first, merged into one that is read page by page.

Promises that a list that cannot be asked now (the time series) leaves the others readable and is named, and that no event
names a member. A new list is one more `Source` in `SOURCES`. Called by the routes and pages of this feature: `kept` in a
transaction, `timeline` outside of it, so that a store that does not answer holds no connection to the ledger.
"""

import base64
import binascii
import heapq
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sqlalchemy.orm import Session

from cloud.clock import from_us, to_us
from cloud.errors import Fault, Invalid, Unavailable
from cloud.paging import Before, Paging
from cloud.scope import Scope
from cloud.terminals import service as terminals
from cloud.timeline import sources
from cloud.timeline.sources import Asked, Event, Sort
from cloud.timeseries.port import Timeseries, TimeseriesError

__all__ = ["SOURCES", "Event", "Kept", "Sort", "Timeline", "kept", "timeline"]


@dataclass(frozen=True)
class Source:
    """A list of events. `name` is for ever: cursors hold it, and it orders what happened at one time.

    One of the `series` is read when the transaction is over.
    """

    name: str
    sort: Sort
    read: Callable[[Asked, Before | None, int], Sequence[Event]]
    series: bool = False


SOURCES: Final = (
    Source("presence", Sort.CONNECTION, sources.presence),
    Source("told", Sort.TWIN, sources.told),
    Source("reported", Sort.TWIN, sources.reported),
    Source("asked", Sort.COMMAND, sources.asked_for),
    Source("ended", Sort.COMMAND, sources.ended),
    Source("alarm", Sort.ALARM, sources.alarms),
    Source("alarm_joined", Sort.ALARM, sources.alarms_joined),
    Source("alarm_left", Sort.ALARM, sources.alarms_left),
    Source("mark", Sort.MARK, sources.marks),
    Source("quarantine", Sort.MARK, sources.quarantine),
    Source("check_in", Sort.CHECK_IN, sources.check_ins, series=True),
    Source("audit", Sort.AUDIT, sources.audit),
)


LATEST_US: Final = 2**53
"""No cursor names a later time: the year 2255."""


@dataclass(frozen=True)
class Timeline:
    """A page of it. `missing` are the sorts that could not be asked now."""

    events: Sequence[Event]
    next_cursor: str | None
    missing: Sequence[Sort] = ()


_Place = tuple[datetime, str, int | str]
"""Where an event stands: its time, its source, its key there."""

_List = list[tuple[_Place, Event]]


@dataclass(frozen=True)
class Kept:
    """What the ledger gave for a page of `limit` after a place, and what to ask the series for."""

    asked: Asked
    sort: Sort | None
    after: _Place | None
    limit: int
    lists: Sequence[_List]

    @property
    def rows(self) -> list[Any]:
        """Entries of the audit among it, of which some come onto the page."""
        return [event.row for each in self.lists for _, event in each if event.row is not None]


def kept(
    session: Session,
    scope: Scope,
    series: Callable[[], Timeseries],
    now: datetime,
    terminal_id: str,
    paging: Paging,
    *,
    sort: Sort | None = None,
) -> Kept:
    """The lists of the ledger. NotFound outside the scope; Invalid for a foreign cursor."""
    asked = Asked(session, terminals.get(session, scope, terminal_id).id, now, series)
    after = None if paging.cursor is None else _read(paging.cursor)
    lists = [_list(source, asked, after, paging.limit) for source in _wanted(sort, series=False)]
    return Kept(asked, sort, after, paging.limit, lists)


def timeline(known: Kept) -> Timeline:
    """All lists as one, newest first."""
    lists = list(known.lists)
    missing: list[Sort] = []
    full = list(islice(_merged(lists), known.limit, known.limit + 1))
    asked = replace(known.asked, since=full[0][1].at) if full else known.asked
    for source in _wanted(known.sort, series=True):
        try:
            lists.append(_list(source, asked, known.after, known.limit))
        except (TimeseriesError, Unavailable):
            missing.append(source.sort)
    page = list(islice(_merged(lists), known.limit + 1))
    more = len(page) > known.limit
    page = page[: known.limit]
    return Timeline([event for _, event in page], _write(page[-1][0]) if more else None, missing)


def _wanted(sort: Sort | None, *, series: bool) -> list[Source]:
    return [each for each in SOURCES if each.series is series and sort in {None, each.sort}]


def _list(source: Source, asked: Asked, after: _Place | None, limit: int) -> _List:
    found = source.read(asked, _before(source, after), limit + 1)
    return [((event.at, source.name, event.key), event) for event in found]


def _merged(lists: Sequence[_List]) -> Iterator[tuple[_Place, Event]]:
    """Two sources differ by name, so keys are never compared with those of another."""
    return heapq.merge(*lists, key=lambda each: each[0][:2], reverse=True)


def _before(source: Source, after: _Place | None) -> Before | None:
    """What of a source comes after that place."""
    if after is None:
        return None
    at, name, key = after
    if source.name == name:
        return Before(at, key)
    return Before(at, with_at=source.name < name)


def _write(place: _Place) -> str:
    plain = json.dumps([to_us(place[0]), *place[1:]])
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _read(cursor: str) -> _Place:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, name, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        fits = (
            type(at) is int
            and 0 <= at < LATEST_US
            and name in {source.name for source in SOURCES}
            and _is_key(name, key)
        )
        place = (from_us(at), name, key) if fits else None
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        place = None
    if place is None:
        raise Invalid(
            "The cursor is not one that this list gave.",
            [Fault("query.cursor", "is not a cursor of this list", "bad_cursor")],
            code="bad_cursor",
        )
    return place


def _is_key(name: str, key: Any) -> bool:
    if name in {"asked", "ended", "mark", "alarm_joined", "alarm_left"}:
        return isinstance(key, str) and key.isascii() and key.isprintable()
    return type(key) is int and 0 <= key < 2**63
