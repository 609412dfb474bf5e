"""Streams, for people: how far each is stored, which one it continues, what is lost between them."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.journal.models import Stream
from cloud.paging import Found, Paging, find
from cloud.scope import Scope
from cloud.terminals import service as terminals


def list_streams(session: Session, scope: Scope, paging: Paging, *, terminal_id: str | None = None) -> Found[Stream]:
    """By id; of one terminal where it is named."""
    query = select(Stream).where(terminals.within(scope, Stream.terminal_id))
    if terminal_id is not None:
        query = query.where(Stream.terminal_id == terminal_id)
    return find(session, query, [Stream.stream], paging)
