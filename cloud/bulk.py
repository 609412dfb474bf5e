"""The driver's bulk calls on both databases, for the hot path: no ORM, tuples in and out.

Statements are written with `?` and hold no other question mark or percent sign. Errors arrive as SQLAlchemy's, or as
Unavailable, so that `transaction()` treats them like any other.
Called by ingest, linking, projector and rebuild.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import psycopg
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from cloud.database import away

Row = tuple[Any, ...]

IN_CHUNK: Final = 500
"""Values in one IN list; SQLite compiles a statement for each number of them."""

COPY_FROM_ROWS: Final = 64
"""From so many rows on, PostgreSQL's COPY is faster than executemany."""


class Bulk:
    """One connection inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.is_postgresql = connection.dialect.name == "postgresql"

    @classmethod
    def of(cls, session: Session) -> "Bulk":
        """The session's connection; its transaction has begun."""
        return cls(session.connection())

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Everything that a query gives."""
        result = self.connection.exec_driver_sql(self._spelt(statement), tuple(parameters))
        return [tuple(row) for row in result.fetchall()]

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> int:
        """One statement; the number of rows it touched."""
        return self.connection.exec_driver_sql(self._spelt(statement), tuple(parameters)).rowcount

    def run_many(self, statement: str, rows: Sequence[Row]) -> int:
        """The same statement for each row; the number of rows touched in all."""
        if not rows:
            return 0
        return self.connection.exec_driver_sql(self._spelt(statement), list(rows)).rowcount

    def rows_in(
        self, statement: str, values: Iterable[Any], parameters: Sequence[Any] = (), tail: str = ""
    ) -> list[Row]:
        """A query up to its last `… IN`, for any number of values; `parameters` come before them, `tail` after."""
        found: list[Row] = []
        for chunk in chunks(values, IN_CHUNK):
            marks = ",".join("?" * len(chunk))
            found += self.rows(f"{statement} ({marks}){tail}", (*parameters, *chunk))
        return found

    def insert(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Add rows; an IntegrityError for one that is there."""
        if self.is_postgresql and len(rows) >= COPY_FROM_ROWS:
            self._copy(table, columns, rows)
        else:
            self.run_many(self._insert(table, columns), rows)

    def insert_new(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> int:
        """Add those rows whose key is not there yet; how many that were."""
        return self.run_many(self._insert(table, columns) + " ON CONFLICT DO NOTHING", rows)

    def _copy(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        driver: Any = self.connection.connection.driver_connection
        try:
            with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({','.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        except psycopg.OperationalError as error:
            raise away(error) from error

    def _insert(self, table: str, columns: Sequence[str]) -> str:
        return f"INSERT INTO {table} ({','.join(columns)}) VALUES ({','.join('?' * len(columns))})"  # noqa: S608

    def _spelt(self, statement: str) -> str:
        return statement.replace("?", "%s") if self.is_postgresql else statement


def chunks(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    """Lists of at most `size` values, none empty."""
    rest = iter(values)
    while chunk := list(islice(rest, size)):
        yield chunk
