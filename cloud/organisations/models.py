"""The table of organisations: a tree, each row holding its whole path so that a branch is one prefix."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, Instant


class Organisation(Base):
    """A branch of the tree. `path` is `/org_a/org_b/`, ending with its own id."""

    __tablename__ = "organisations"
    __table_args__ = (Index("ix_organisations_path", "path", postgresql_ops={"path": "text_pattern_ops"}),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    parent_id: Mapped[str | None] = mapped_column(Text, ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(Text)
    name_en: Mapped[str] = mapped_column(Text, default="")
    path: Mapped[str] = mapped_column(Text)
    timezone: Mapped[str] = mapped_column(Text)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(Instant)
