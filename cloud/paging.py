"""Rows of a scope: one by its id, or a page by cursor: the sort keys of the last row shown, so that rows added shift nothing.

The cursor is opaque to callers. Used by every list query, and by every feature's `get`.
"""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Select, and_, literal, or_, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from cloud.clock import from_us, to_us
from cloud.database import Instant
from cloud.errors import Fault, Invalid, NotFound

MAX_LIMIT = 200
MAX_CURSOR = 1000
"""Room for a name of 120 characters of four bytes, and an id."""

T = TypeVar("T")


@dataclass(frozen=True)
class Before:
    """Only what is older than `at`; and at that time what has a lower `key`, or, `with_at` and without one, everything."""

    at: datetime
    key: int | str | None = None
    with_at: bool = False


def newest(
    session: Session,
    query: Select[T],
    at: InstrumentedAttribute[Any],
    key: InstrumentedAttribute[Any],
    before: Before | None,
    limit: int,
) -> Sequence[T]:
    """The first `limit` rows of one of several lists that are merged by time: newest first, by key where the time is one."""
    if before is not None and before.key is not None:
        query = query.where(or_(at < before.at, and_(at == before.at, key < before.key)))
    elif before is not None:
        query = query.where(at <= before.at if before.with_at else at < before.at)
    return session.scalars(query.order_by(at.desc(), key.desc()).limit(limit)).all()


@dataclass(frozen=True)
class Paging:
    """At most `limit` rows after `cursor`."""

    limit: int = 50
    cursor: str | None = None


@dataclass(frozen=True)
class Found(Generic[T]):
    """A page of rows, and the cursor of the next; None at the end."""

    rows: Sequence[T]
    next_cursor: str | None


def get_one(session: Session, query: Select[T], thing: str, thing_id: str, *, to_edit: bool = False) -> T:
    """The row of `query`, locked until the commit where it is to be edited. NotFound, also for one outside the query's scope."""
    found = session.scalar(query.with_for_update() if to_edit else query)
    if found is None:
        raise NotFound(f"There is no {thing} {thing_id}.", code=f"no_{thing}", id=thing_id)
    return found


def find(
    session: Session,
    query: Select[T],
    keys: Sequence[InstrumentedAttribute[Any]],
    paging: Paging,
    *,
    newest_first: bool = False,
) -> Found[T]:
    """One page of `query`, sorted by `keys`, which must be unique together. Invalid for a foreign cursor."""
    if paging.cursor is not None:
        last = tuple_(*(literal(value, key.type) for key, value in zip(keys, _read(paging.cursor, keys), strict=True)))
        here = tuple_(*keys)
        query = query.where(here < last if newest_first else here > last)
    query = query.order_by(*(key.desc() if newest_first else key for key in keys)).limit(paging.limit + 1)
    rows = list(session.scalars(query).unique())
    if len(rows) <= paging.limit:
        return Found(rows, None)
    rows = rows[: paging.limit]
    return Found(rows, _write([getattr(rows[-1], key.key) for key in keys]))


def _write(values: Sequence[Any]) -> str:
    plain = [to_us(value) if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(json.dumps(plain, ensure_ascii=False).encode()).decode().rstrip("=")


def _read(cursor: str, keys: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _not_ours() from error
    if not isinstance(values, list) or len(values) != len(keys):
        raise _not_ours()
    return [_value(value, key) for value, key in zip(values, keys, strict=True)]


def _value(value: Any, key: InstrumentedAttribute[Any]) -> Any:
    if isinstance(key.type, Instant) and type(value) is int:
        try:
            return from_us(value)
        except OverflowError as error:
            raise _not_ours() from error
    if type(value) is not key.type.python_type:
        raise _not_ours()
    if isinstance(value, str) and not _can_be_asked_for(value):
        raise _not_ours()
    if isinstance(value, int) and not 0 <= value < 2**63:
        raise _not_ours()
    return value


def _can_be_asked_for(value: str) -> bool:
    """Databases take no NUL and no lone surrogate; names hold neither (`cloud.forms.clean`)."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def _not_ours() -> Invalid:
    return Invalid(
        "The cursor is not one that this list gave.",
        [Fault("query.cursor", "is not a cursor of this list", "bad_cursor")],
        code="bad_cursor",
    )
