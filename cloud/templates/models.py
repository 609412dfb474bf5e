"""The table of templates."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, Instant, JsonText


class Template(Base):
    """Settings of a place: a room, an organisation with all below it, or everywhere (neither); of one kind or of all (empty).

    `place` repeats the id of the room or organisation, empty for everywhere, so that one constraint keeps it single.
    """

    __tablename__ = "templates"
    __table_args__ = (UniqueConstraint("place", "kind"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    place: Mapped[str] = mapped_column(Text)
    organisation_id: Mapped[str | None] = mapped_column(Text, ForeignKey("organisations.id"))
    room_id: Mapped[str | None] = mapped_column(Text, ForeignKey("rooms.id"))
    kind: Mapped[str] = mapped_column(Text, default="", server_default="")
    settings: Mapped[dict[str, Any]] = mapped_column(JsonText)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(Instant)
