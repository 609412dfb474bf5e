"""The rows of the terminals' CSV, as an import takes them again: a transaction a page of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from cloud import csv_stream
from cloud.bulk import IN_CHUNK, chunks
from cloud.database import Reading
from cloud.paging import Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import listing, service
from cloud.terminals.importing import columns, settings
from cloud.terminals.models import Terminal
from cloud.terminals.wanted import Sort, Wanted
from firmware_specs.profile_settings import value_text

Read = Callable[[str | None], tuple[list[list[str]], str | None]]
"""The rows behind a cursor, and the next cursor."""


def header() -> list[str]:
    """The columns."""
    return list(columns())


def rows(reading: Reading, scope: Scope, wanted: Wanted, now: datetime) -> Iterator[list[str]]:
    """One of each that matches and was not replaced, by id; its room by its id, which names one only.

    NotFound for an organisation outside the scope, before the first row is asked for: an answer that has begun cannot say so.
    """
    by_id = wanted.but(sort=Sort.ID, descending=False)

    def read(cursor: str | None) -> tuple[list[list[str]], str | None]:
        with reading() as session:
            found = listing.found(session, scope, by_id, Paging(csv_stream.ROWS, cursor), now)
            owners = rooms.owners(session, [each.room_id for each in found.rows if each.room_id])
        return list(_cells(found.rows, owners)), found.next_cursor

    return _all(read, *read(None))


def _all(read: Read, page: list[list[str]], cursor: str | None) -> Iterator[list[str]]:
    yield from page
    while cursor is not None:
        page, cursor = read(cursor)
        yield from page


def rows_of(session: Session, scope: Scope, terminal_ids: Sequence[str]) -> Iterator[list[str]]:
    """The same of those that are named, in their order; those outside the scope are left out."""
    for some in chunks(terminal_ids, IN_CHUNK):
        found = {each.id: each for each in service.named(session, scope, some)}
        terminals = [found[each] for each in some if each in found]
        owners = rooms.owners(session, [each.room_id for each in terminals if each.room_id])
        yield from _cells(terminals, owners)


def _cells(terminals: Sequence[Terminal], owners: Mapping[str, str]) -> Iterator[list[str]]:
    for each in terminals:
        if each.replaced_by is None:
            own = service.own_settings(each)
            values = [value_text(own[name]) if name in own else "" for name in settings()]
            yield [each.id, each.kind, each.profile, each.room_id or "", owners.get(each.room_id or "", ""), *values]
