"""Numbers that only go up, in the database: twins are numbered by one, and others tell that something changed.

Drawn in the transaction that uses them, so that they count what was committed. The row is locked until then.
"""

from enum import StrEnum

from sqlalchemy import BigInteger, Text, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from cloud.database import Base


class Counter(Base):
    """The last number given."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger)


class Counts(StrEnum):
    """What is counted; each has a row from the first revision of the schema on.

    Who draws several in one transaction draws them in this order, or two such could wait for each other.
    """

    TWIN_INPUTS = "twin_inputs"  # changes of what twins are made from
    ROSTER = "roster"  # changes of members, their organisations and cards
    REVOCATIONS = "revocations"  # cards revoked
    TWINS = "twins"  # desired twins, cloud-wide


def advance(session: Session, counts: Counts) -> int:
    """The next number."""
    query = update(Counter).where(Counter.name == counts).values(value=Counter.value + 1).returning(Counter.value)
    return session.execute(query).scalar_one()


def current(session: Session, counts: Counts) -> int:
    """The last number given; 0 at first."""
    return session.scalar(select(Counter.value).where(Counter.name == counts)) or 0
