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
        raise NotFound(
            f"There is no {thing} {thing_id}, or it is outside your branch.", code=f"no_{thing}", id=thing_id
        )
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


def write_cursor(values: Sequence[str | int]) -> str:
    """A cursor that holds these values, opaque to callers."""
    return base64.urlsafe_b64encode(json.dumps(list(values), ensure_ascii=False).encode()).decode().rstrip("=")


def read_cursor(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The values of a cursor that `write_cursor` gave. Invalid where they are not of these kinds, or no database takes them."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise not_ours() from error
    if not isinstance(values, list) or len(values) != len(kinds):
        raise not_ours()
    return [_value(value, kind) for value, kind in zip(values, kinds, strict=True)]


def _write(values: Sequence[Any]) -> str:
    return write_cursor([to_us(value) if isinstance(value, datetime) else value for value in values])


def _read(cursor: str, keys: Sequence[InstrumentedAttribute[Any]]) -> list[Any]:
    instants = [isinstance(key.type, Instant) for key in keys]
    kinds = [int if instant else key.type.python_type for key, instant in zip(keys, instants, strict=True)]
    values = read_cursor(cursor, kinds)
    return [_instant(value) if instant else value for value, instant in zip(values, instants, strict=True)]


def _instant(value: int) -> datetime:
    try:
        return from_us(value)
    except OverflowError as error:
        raise not_ours() from error


def _value(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise not_ours()
    if isinstance(value, str) and not _can_be_asked_for(value):
        raise not_ours()
    if isinstance(value, int) and not 0 <= value < 2**63:
        raise not_ours()
    return value


def _can_be_asked_for(value: str) -> bool:
    """Databases take no NUL and no lone surrogate; names hold neither (`cloud.forms.clean`)."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def not_ours() -> Invalid:
    """What is said of a cursor that this list did not give."""
    return Invalid(
        "The cursor is not one that this list gave.",
        [Fault("query.cursor", "is not a cursor of this list", "bad_cursor")],
        code="bad_cursor",
    )
