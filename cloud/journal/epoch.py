"""The epoch: a number that rises with every restore, so that terminals know a cloud that has forgotten something.

It also orders twins and revocation lists. Read by ingest for its answers and by the twins for their versions.
"""

import time
from collections.abc import Callable

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from cloud.journal.models import Epoch


def unix_ms() -> int:
    """The system's clock, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def current_epoch(session: Session) -> int:
    """The epoch in force; the schema's revision made the first one."""
    return session.scalars(select(Epoch.epoch)).one()


def begin_epoch(session: Session, now_ms: Callable[[], int] = unix_ms, *, above: int = 0) -> int:
    """A new epoch: max(previous + 1, unix milliseconds), and higher than `above`. Belongs into every restore."""
    epoch = max(current_epoch(session) + 1, above + 1, now_ms())
    session.execute(update(Epoch).values(epoch=epoch))
    return epoch
