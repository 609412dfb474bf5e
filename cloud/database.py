"""The ledger's database: SQLite embedded, PostgreSQL in production, by one SQLAlchemy model.

Promises that what `transaction()` committed survives a power cut (SQLite WAL with synchronous FULL;
PostgreSQL's default), and that a writer never fails because another one writes: it waits. Used by every
feature and by ingest.
"""

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import BigInteger, Engine, Integer, MetaData, Text, create_engine, event, make_url, text
from sqlalchemy.engine import URL, Connection, Dialect
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from cloud.clock import from_us, to_us
from cloud.errors import Conflict, Stale, StartError, Unavailable

BUSY_TIMEOUT_MS = 15_000
"""How long a SQLite writer waits for the one before it."""

CACHE_KIB = 16 * 1024
"""Of each SQLite connection; with its own 2 MiB ingest read five times as much from the file (docs/benchmarks.md)."""

CHECKPOINT_PAGES = 4_000
"""16 MiB of log until a writer copies it into the file; with SQLite's own 1,000 pages are copied more often."""

POOL_SIZE = 10
"""PostgreSQL connections per process; beyond it callers wait `POOL_TIMEOUT_S`, then get Unavailable."""

POOL_TIMEOUT_S = 10

BigId = BigInteger().with_variant(Integer(), "sqlite")
"""A 64-bit key that the database counts up by itself (SQLite does so only for INTEGER)."""

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


Reading = Callable[[], AbstractContextManager[Session]]
"""Opens a transaction that only reads: for what takes one a page."""


class Instant(TypeDecorator[datetime]):
    """An aware UTC datetime, stored as BIGINT microseconds since 1970.

    The hot path writes the integer itself.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        return None if value is None else to_us(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return None if value is None else from_us(value)


class JsonText(TypeDecorator[Any]):
    """JSON as TEXT, the same bytes on both databases and for raw drivers."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else json.loads(value)


class Base(DeclarativeBase):
    """The parent of every table's class."""

    metadata = MetaData(naming_convention=NAMING)


class Versioned(Protocol):
    """A row that is edited by its version."""

    version: int


def next_version(row: Versioned, expected: int) -> None:
    """Count the version up for an edit. Stale when the row is not the `expected` version any more."""
    if row.version != expected:
        raise Stale(
            f"It was changed in the meantime: version {row.version}, not {expected}. Read it again.", code="stale"
        )
    row.version += 1


def new_id(prefix: str) -> str:
    """An opaque id of 64 random bits: `mem_0123456789abcdef`."""
    return f"{prefix}_{secrets.token_hex(8)}"


def create_engine_for(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://…` (by psycopg 3). StartError when it is neither."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StartError("The database URL cannot be read; an example is sqlite:///var/roomlink.db.") from error
    if parsed.get_backend_name() == "postgresql":
        return _postgresql(parsed)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    raise StartError(
        f"The database must be sqlite or postgresql, not {parsed.get_backend_name()}; "
        "an example is postgresql://roomlink@db/roomlink."
    )


def _postgresql(url: URL) -> Engine:
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,  # an error's text goes into the log
            pool_size=POOL_SIZE,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_S,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "application_name": "roomlink"},
        )
    except NoSuchModuleError as error:
        raise StartError("PostgreSQL needs psycopg 3.") from error


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver opens no transaction of its own; `begin` below does
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            f"cache_size=-{CACHE_KIB}",
            f"wal_autocheckpoint={CHECKPOINT_PAGES}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # A writer takes its place at once: one that began by reading could not become a writer without
        # failing.
        reads = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


@contextmanager
def transaction(engine: Engine, *, read_only: bool = False) -> Iterator[Session]:
    """One unit of work: committed when the block ends, rolled back when it raises.

    Conflict for what a constraint of the schema refuses.
    `read_only` lets readers of SQLite go beside a writer. Unavailable when the database is away, busy or
    full.
    """
    if read_only:
        engine = engine.execution_options(read_only=True)
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except OperationalError as error:
        raise away(error) from error
    except PoolTimeoutError as error:
        raise Unavailable(
            "All connections to the database are in use.", retry_after_s=5, code="database_busy"
        ) from error
    except IntegrityError as error:
        if not _is_conflict(error):
            raise
        raise Conflict(
            "Something else refers to it, or the same came in at the same moment.", code="referred_to"
        ) from error


def away(error: Exception) -> Unavailable:
    """What a person is told when the database refuses work; `error` is SQLAlchemy's or the driver's."""
    cause = getattr(error, "orig", error)
    if getattr(cause, "sqlite_errorname", None) == "SQLITE_FULL" or getattr(cause, "sqlstate", None) == "53100":
        return Unavailable("The database has no space left on its disk.", retry_after_s=5, code="database_full")
    return Unavailable("The database does not answer.", retry_after_s=5, code="database_away")


def _is_conflict(error: IntegrityError) -> bool:
    """Whether a unique or foreign key was hurt, not a fault of the program such as a missing value."""
    name = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None)
    return name in _CONFLICTS


_CONFLICTS = frozenset(
    {
        "SQLITE_CONSTRAINT_UNIQUE",
        "SQLITE_CONSTRAINT_PRIMARYKEY",
        "SQLITE_CONSTRAINT_FOREIGNKEY",
        "SQLITE_CONSTRAINT_TRIGGER",  # what SQLite calls a foreign key of a row that is deleted
        "23503",  # foreign_key_violation (PostgreSQL, appendix A)
        "23505",  # unique_violation
    }
)


def wait_for_database(
    engine: Engine, within_s: float, say: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
) -> None:
    """Try until the database answers; `say` hears once a try why not. StartError after `within_s`."""
    where = engine.url.render_as_string(hide_password=True)
    deadline = time.monotonic() + within_s
    pause_s = 0.2
    while True:
        try:
            with engine.connect().execution_options(read_only=True) as connection:
                connection.execute(text("SELECT 1"))
        except DBAPIError as error:
            reason = str(error.orig).strip().splitlines()[0]
            if time.monotonic() + pause_s > deadline:
                raise StartError(f"The database {where} was not reachable within {within_s:g} s: {reason}") from error
            say(f"The database {where} is not reachable ({reason}); trying again in {pause_s:g} s.")
            sleep(pause_s)
            pause_s = min(pause_s * 2, 5.0)
        else:
            return
