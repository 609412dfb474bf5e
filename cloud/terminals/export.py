"""The rows of the terminals' CSV, as an import takes them again: a transaction a page of them."""

from collections.abc import Iterator

from cloud import csv_stream
from cloud.database import Reading
from cloud.paging import Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import service
from cloud.terminals.importing import columns, settings
from firmware_specs.profile_settings import value_text


def header() -> list[str]:
    """The columns."""
    return list(columns())


def rows(reading: Reading, scope: Scope) -> Iterator[list[str]]:
    """One of each terminal that was not replaced; its room by its id, which names one only."""
    paging: Paging | None = Paging(csv_stream.ROWS)
    while paging is not None:
        with reading() as session:
            found = service.list_terminals(session, scope, paging)
            owners = rooms.owners(session, [each.room_id for each in found.rows if each.room_id])
        for each in found.rows:
            if each.replaced_by is not None:
                continue
            own = service.own_settings(each)
            values = [value_text(own[name]) if name in own else "" for name in settings()]
            yield [each.id, each.kind, each.profile, each.room_id or "", owners.get(each.room_id or "", ""), *values]
        paging = Paging(csv_stream.ROWS, found.next_cursor) if found.next_cursor else None
