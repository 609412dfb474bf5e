"""The line over a town's ledger, and what is in its tables afterwards: what the tests of ingest share."""

from typing import Any

from sqlalchemy import func, select

from cloud.database import transaction
from cloud.ingest.accept import Delivery
from cloud.ingest.line import Line, Result
from cloud.terminals.models import Terminal
from firmware_specs.messages import Stored
from firmware_specs.wire import decode_stored
from tests.pen import Pen
from tests.town import Town


def ingest(town: Town, *deliveries: Delivery, **settings: Any) -> Result:
    """What a new line makes of them as one group."""
    return Line(town.engine, **settings).ingest(deliveries)


def answers(result: Result) -> list[Stored]:
    """What the terminals are told, in order."""
    return [decode_stored(answer.payload) for answer in result.answers]


def rows(town: Town, model: Any) -> list[Any]:
    """All rows of a table by its primary key."""
    with transaction(town.engine, read_only=True) as session:
        return list(session.scalars(select(model).order_by(*model.__table__.primary_key)))


def count(town: Town, model: Any) -> int:
    """How many rows a table has."""
    with transaction(town.engine, read_only=True) as session:
        return session.scalar(select(func.count()).select_from(model)) or 0


def marks(town: Town, terminal: str = "kiosk-1") -> list[str]:
    """Why somebody should look at this terminal."""
    with transaction(town.engine, read_only=True) as session:
        row = session.get(Terminal, terminal)
        assert row is not None
        return row.marks


def pen(town: Town, terminal: str = "kiosk-1", **attributes: Any) -> Pen:
    """A stream of a terminal of the town, under its twin."""
    return Pen(terminal=terminal, config=town.twins[terminal], **attributes)
