"""Writes the audit and reads it back. Every service that changes something calls `note` in the same transaction.

Entries are one sequence over all processes. They wait in the session until it commits; only then, with everything else
written, is the chain's lock taken (PostgreSQL; on SQLite a writer is alone anyway), the last hash read, and the entries
inserted. So a long transaction holds up no other one, and whoever has the lock waits for nothing more: no deadlock.
"""

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Text, event, func, select, type_coerce
from sqlalchemy.orm import Session

from cloud.audit import chain
from cloud.audit.chain import Head, Line
from cloud.audit.models import AuditEntry
from cloud.clock import to_us
from cloud.paging import Before, Found, Paging, find, newest

CHAIN_LOCK: Final = 0x61756469
"""PostgreSQL advisory lock ("audi"): whoever appends has it until the commit."""

PAGE: Final = 1_000
"""Rows read at a time where all are read."""

_WAITING: Final = "audit: entries that wait for the commit"


@dataclass(frozen=True)
class Change:
    """Who changes something, when, and from which address: handed to every service that writes."""

    who: str
    at: datetime
    address: str = ""


def note(
    session: Session,
    change: Change,
    action: str,
    subject: str,
    *,
    before: Mapping[str, Any] | None = None,
    **detail: Any,
) -> None:
    """Add an entry: `action` is like `room.edit`, `subject` the thing's id, `before` what the change replaced (`state`).

    Neither `detail` nor `before` may hold a secret, or anything about a member but ids and organisation: an entry is for ever.
    """
    waiting: list[AuditEntry] | None = session.info.get(_WAITING)
    if waiting is None:
        waiting = session.info[_WAITING] = []
        event.listen(session, "before_commit", _append)
    waiting.append(
        AuditEntry(
            at=change.at, who=change.who, address=change.address, action=action, subject=subject,
            detail=_plain(detail), before=None if before is None else _plain(before),
        )
    )  # fmt: skip


def state(row: object, fields: Iterable[str]) -> dict[str, Any]:
    """These fields of a row as they are now, for `note(before=…)`; instants in microseconds."""
    values = {name: getattr(row, name) for name in fields}
    return {name: to_us(value) if isinstance(value, datetime) else value for name, value in values.items()}


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


def of_subject(
    session: Session, subject: str, before: Before | None, limit: int, *, without: str
) -> Sequence[AuditEntry]:
    """What was done to one thing, newest first, but for the actions that begin with `without`: for its timeline."""
    query = select(AuditEntry).where(
        AuditEntry.subject == subject, AuditEntry.action.not_like(without.replace("_", r"\_") + "%", escape="\\")
    )
    return newest(session, query, AuditEntry.at, AuditEntry.id, before, limit)


def lines(
    session: Session, since: datetime | None = None, until: datetime | None = None
) -> Generator[Line, None, None]:
    """All entries, or those from `since` to before `until`, oldest first, as they lie in the table; never all in memory."""
    query = select(
        AuditEntry.id, type_coerce(AuditEntry.at, BigInteger).label("at"), AuditEntry.who, AuditEntry.action,
        AuditEntry.subject, AuditEntry.address, type_coerce(AuditEntry.detail, Text).label("detail"),
        type_coerce(AuditEntry.before, Text).label("before"), AuditEntry.prev, AuditEntry.hash,
    ).order_by(AuditEntry.id)  # fmt: skip
    if since is not None:
        query = query.where(AuditEntry.at >= since)
    if until is not None:
        query = query.where(AuditEntry.at < until)
    with session.execute(query, execution_options={"yield_per": PAGE}) as rows:
        for row in rows:
            yield {**row._mapping, "detail": _parsed(row.detail), "before": _parsed(row.before)}


def verify(session: Session, expected: Head | None = None) -> chain.Checked:
    """Whether all entries fit together, and lead over the `expected` head."""
    with closing(lines(session)) as all_lines:  # the check ends at the first that does not fit
        return chain.check(all_lines, expected)


def head(session: Session) -> Head:
    """The newest entry's number and hash."""
    newest = session.execute(select(AuditEntry.id, AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)).first()
    return chain.NOTHING if newest is None else Head(newest.id, newest.hash)


def _append(session: Session) -> None:
    """Called when the session commits: put its entries at the end of the chain."""
    if session.in_nested_transaction() or not session.info[_WAITING]:
        return
    waiting, session.info[_WAITING] = session.info[_WAITING], []
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(CHAIN_LOCK)))
    last = head(session)
    for entry in waiting:
        entry.id, entry.prev = last.number + 1, last.hash
        entry.hash = chain.link(entry.prev, _line(entry))
        last = Head(entry.id, entry.hash)
        session.add(entry)


def _line(entry: AuditEntry) -> Line:
    return {
        "id": entry.id, "at": to_us(entry.at), "who": entry.who, "action": entry.action, "subject": entry.subject,
        "address": entry.address, "detail": entry.detail, "before": entry.before,
    }  # fmt: skip


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """As it will be when it is read back."""
    plain: dict[str, Any] = json.loads(json.dumps(values))
    return plain


def _parsed(text: str | None) -> Any:
    """What is no JSON stays as it is: such a line was changed by hand, and is shown and found."""
    try:
        return None if text is None else json.loads(text)
    except (TypeError, ValueError):
        return text
