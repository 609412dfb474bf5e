"""Commands as they were asked for and what became of them, every word of a terminal about one, and what it sent in."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, Instant, JsonText


class Command(Base):
    """One thing that one terminal is to do once. `state` is one of `cloud.commands.states`.

    `given_at` is when it was first published; `given_birth` names the birth after which it was published last, so that it is
    given once a birth. `said_at` is the terminal's own time of its last word. `bulk` joins those that were asked for together.
    """

    __tablename__ = "commands"
    __table_args__ = (
        Index("ix_commands_terminal_id_asked_at", "terminal_id", "asked_at"),
        Index("ix_commands_terminal_id_settled_at", "terminal_id", "settled_at"),
        Index("ix_commands_bulk_state", "bulk", "state"),
        Index("ix_commands_asked_at", "asked_at"),
        Index(
            "ix_commands_open",
            "deadline_at",
            sqlite_where=text("settled_at IS NULL"),
            postgresql_where=text("settled_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text, ForeignKey("terminals.id"))
    name: Mapped[str] = mapped_column(Text)
    arguments: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)
    bulk: Mapped[str | None] = mapped_column(Text)
    asked_by: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Instant)
    deadline_at: Mapped[datetime] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(Text)
    given_at: Mapped[datetime | None] = mapped_column(Instant)
    given_birth: Mapped[str | None] = mapped_column(Text)
    said_at: Mapped[datetime | None] = mapped_column(Instant)
    settled_at: Mapped[datetime | None] = mapped_column(Instant)
    reason: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)
    results: Mapped[dict[str, str]] = mapped_column(JsonText, default=dict)


class Bulk(Base):
    """Commands that were asked for together; their states are counted from `commands`."""

    __tablename__ = "command_bulks"
    __table_args__ = (Index("ix_command_bulks_asked_at", "asked_at"),)

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    arguments: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)
    asked_by: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Instant)


class Upload(Base):
    """What a terminal sent in on a command, with no person in it: the terminal has covered and redacted it.

    Bounds: `uploads.KEPT` of a kind and terminal, `uploads.KEPT_IN_ALL`, and until `expires_at`.
    """

    __tablename__ = "uploads"
    __table_args__ = (Index("ix_uploads_terminal_id_received_at", "terminal_id", "received_at"),)

    command_id: Mapped[str] = mapped_column(Text, ForeignKey("commands.id"), primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    media_type: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    received_at: Mapped[datetime] = mapped_column(Instant, index=True)
    expires_at: Mapped[datetime] = mapped_column(Instant)


class CommandWordSaid(Base):
    """A `command_state` record, made anew from the journal at a rebuild."""

    __tablename__ = "command_words"
    __table_args__ = (Index("ix_command_words_command_id", "command_id"),)

    stream: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    terminal_id: Mapped[str] = mapped_column(Text)
    command_id: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[str | None] = mapped_column(Text)
    results: Mapped[dict[str, str]] = mapped_column(JsonText, default=dict)
    effective_at: Mapped[datetime] = mapped_column(Instant)
    received_at: Mapped[datetime] = mapped_column(Instant)
