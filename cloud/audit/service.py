"""Writes the audit and reads it back. Every service that changes something calls `note` in the same transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud.audit.models import AuditEntry
from cloud.paging import Found, Paging, find


@dataclass(frozen=True)
class Change:
    """Who changes something, and when: handed to every service that writes."""

    who: str
    at: datetime


def note(session: Session, change: Change, action: str, subject: str, **detail: Any) -> None:
    """Add an entry: `action` is like `room.edit`, `subject` the thing's id. `detail` must hold no secret."""
    session.add(AuditEntry(at=change.at, who=change.who, action=action, subject=subject, detail=detail))


def entries(
    session: Session, paging: Paging, *, subject: str | None = None, who: str | None = None
) -> Found[AuditEntry]:
    """Newest first; of one thing or one person where named."""
    query = select(AuditEntry)
    if subject is not None:
        query = query.where(AuditEntry.subject == subject)
    if who is not None:
        query = query.where(AuditEntry.who == who)
    return find(session, query, [AuditEntry.id], paging, newest_first=True)
