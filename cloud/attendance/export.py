"""The rows of attendance's CSV, for the API and the command line alike: newest first, a transaction a page of them."""

from collections.abc import Iterator
from datetime import UTC, datetime

from cloud import csv_stream
from cloud.attendance import service
from cloud.database import Reading
from cloud.members import service as members
from cloud.paging import Paging
from cloud.scope import Scope

HEADER = ("at_utc", "occurrence_id", "member_id", "name", "room_id", "terminal_id", "method")


def rows(
    reading: Reading, scope: Scope, from_at: datetime | None, until_at: datetime | None
) -> Iterator[tuple[str, ...]]:
    """One of each attendance from `from_at` to before `until_at`; a slow reader holds up nobody."""
    paging: Paging | None = Paging(csv_stream.ROWS)
    while paging is not None:
        with reading() as session:
            found = service.list_attendance(session, scope, paging, from_at=from_at, until_at=until_at)
            names = members.names(session, (row.member_id for row in found.rows))
        for row in found.rows:
            at = f"{row.effective_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
            who = names.get(row.member_id, "")
            place = row.room_id or "", row.terminal_id or ""
            yield at, row.occurrence_id, row.member_id, who, *place, row.method
        paging = Paging(csv_stream.ROWS, found.next_cursor) if found.next_cursor else None
