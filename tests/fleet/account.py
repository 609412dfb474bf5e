"""Compares every check-in that the fleet's kiosks have kept with the ledger. Called by the driver, at the end."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Engine, text


@dataclass(frozen=True)
class Account:
    """`strange`: in the ledger, and made by no kiosk, or another's."""

    made: int
    stored: int
    lost: int
    duplicates: int
    strange: int


def read_ledger(engine: Engine) -> list[tuple[str, str]]:
    """Terminal and record id of every check-in."""
    with engine.connect() as connection:
        return [(row[0], row[1]) for row in connection.execute(text("SELECT terminal_id, record_id FROM check_ins"))]


def compare(made: Iterable[tuple[str, str]], stored: Iterable[tuple[str, str]]) -> Account:
    """Count both ways."""
    kept, counted = set(made), Counter(stored)
    return Account(
        made=len(kept),
        stored=counted.total(),
        lost=len(kept - counted.keys()),
        duplicates=sum(count - 1 for count in counted.values()),
        strange=len(counted.keys() - kept),
    )
