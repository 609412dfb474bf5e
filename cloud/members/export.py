"""The rows of the members' CSV, for the API and the command line alike: a transaction a page of them."""

from collections.abc import Iterator

from cloud import csv_stream
from cloud.database import Reading
from cloud.members import service
from cloud.paging import Paging
from cloud.scope import Scope

HEADER = ("external_id", "name", "organisation_id", "member_id")


def rows(reading: Reading, scope: Scope, organisation_id: str | None) -> Iterator[tuple[str, str, str, str]]:
    """One of each member; a slow reader holds up nobody."""
    paging: Paging | None = Paging(csv_stream.ROWS)
    while paging is not None:
        with reading() as session:
            found = service.list_members(session, scope, paging, organisation_id=organisation_id)
        for member in found.rows:
            yield member.external_id or "", member.display_name, member.organisation_id, member.id
        paging = Paging(csv_stream.ROWS, found.next_cursor) if found.next_cursor else None
