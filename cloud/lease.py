"""Who holds the one subscription: on PostgreSQL a session's advisory lock, on SQLite always this process.

Promises that of several processes one is told that it holds it; for a moment after a connection was lost two may believe so,
and then the compare-and-set of positions still keeps every batch single.
"""

from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

INGEST: Final = 0x696E6765  # "inge"
PROJECTOR: Final = 0x70726F6A  # "proj"
CERTIFICATES: Final = 0x63657274  # "cert"
ALARMS: Final = 0x616C6172  # "alar"
NOTIFICATIONS: Final = 0x6E6F7469  # "noti"


class Lease:
    """One named lock."""

    def __init__(self, engine: Engine, name: int) -> None:
        self._engine, self._name = engine, name
        self._is_shared = engine.dialect.name == "postgresql"
        self._connection: Connection | None = None

    def is_held(self) -> bool | None:
        """Whether this process holds it now; takes it if nobody does. None while the database does not answer."""
        if not self._is_shared:
            return True
        try:
            if self._connection is not None:
                self._connection.execute(text("SELECT 1"))
                return True
            return self._take()
        except SQLAlchemyError:
            self._drop()
            return None

    def release(self) -> None:
        """Let another process have it."""
        self._drop()

    def _take(self) -> bool:
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.scalar(text("SELECT pg_try_advisory_lock(:name)"), {"name": self._name}):
            self._connection = connection
            return True
        connection.close()
        return False

    def _drop(self) -> None:
        """The lock belongs to the database session: closing that, not returning it to the pool, lets go of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()
