"""The audit: one entry for every change, in the transaction that makes it, chained to the entry before it."""

from datetime import datetime
from typing import Any

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, BigId, Instant, JsonText


class AuditEntry(Base):
    """Who did what to which thing, from where, and what was so before. `detail` and `before` never hold a secret.

    The database itself refuses to change or delete a row (triggers of revision 0007). `prev` and `hash` are of `chain.link`.
    """

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, index=True)
    who: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text, index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)
    address: Mapped[str] = mapped_column(Text, server_default="")
    before: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    prev: Mapped[str] = mapped_column(Text, server_default="")
    hash: Mapped[str] = mapped_column(Text, server_default="")
