"""The table of members. A member's name is here and nowhere on a terminal or in the time series."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, Instant


class Member(Base):
    """A person of an organisation. `subject` is the opaque reference on the card: base64url of 128 bits."""

    __tablename__ = "members"
    __table_args__ = (
        UniqueConstraint("organisation_id", "external_id"),
        Index("ix_members_display_name_id", "display_name", "id"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    organisation_id: Mapped[str] = mapped_column(Text, ForeignKey("organisations.id"))
    display_name: Mapped[str] = mapped_column(Text)
    external_id: Mapped[str | None] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text, unique=True)
    created_at: Mapped[datetime] = mapped_column(Instant)
    erased_at: Mapped[datetime | None] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(default=1)
