"""Terminals, the histories of their presence and marks, the twins they were given, the files their twins name, saved views.

The histories and the presence, birth, `reported` and `marks` columns are written by ingest; all others by `terminals.service`,
`.replacing`, `.twin` and `.views`. `settings` are the terminal's own, `twin_settings` all that its newest twin tells. An operator
who has looked takes marks away again; `marked_at` is when the newest of them was set.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database import Base, BigId, Instant, JsonText


class Terminal(Base):
    """A kiosk or a TV. Its id is chosen by an operator and stands in topics, client id and user name.

    `agent_version` is what its newest birth says, `agent_order` the same as `cloud.terminals.versions` sorts it.
    """

    __tablename__ = "terminals"
    __table_args__ = (
        Index("ix_terminals_standing", "presence", "enabled", "replaced_by", "kind", "room_id", "id"),
        Index("ix_terminals_versions", "agent_order", "agent_version", "enabled", "replaced_by", "room_id", "id"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    profile: Mapped[str] = mapped_column(Text)
    room_id: Mapped[str | None] = mapped_column(Text, ForeignKey("rooms.id"), index=True)
    password_hash: Mapped[str] = mapped_column(Text)
    mqtt_password_hash: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(default=True)
    settings: Mapped[dict[str, Any]] = mapped_column(JsonText, default=dict)
    created_at: Mapped[datetime] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(default=1)

    twin_epoch: Mapped[int | None] = mapped_column(BigInteger)
    twin_inputs: Mapped[int | None] = mapped_column(BigInteger)
    twin_checked_at: Mapped[datetime | None] = mapped_column(Instant)
    twin_settings: Mapped[dict[str, Any] | None] = mapped_column(JsonText)

    replaces: Mapped[str | None] = mapped_column(Text)
    replaced_by: Mapped[str | None] = mapped_column(Text)
    replaced_at: Mapped[datetime | None] = mapped_column(Instant)

    presence: Mapped[str] = mapped_column(Text, default="never", server_default="never")
    presence_at: Mapped[datetime | None] = mapped_column(Instant)
    incarnation: Mapped[str | None] = mapped_column(Text)
    connection: Mapped[int | None] = mapped_column(BigInteger)
    birth: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    agent_version: Mapped[str] = mapped_column(Text, default="", server_default="")
    agent_order: Mapped[str] = mapped_column(Text, default="", server_default="")
    last_heard_at: Mapped[datetime | None] = mapped_column(Instant)
    reported: Mapped[dict[str, Any] | None] = mapped_column(JsonText)
    reported_at: Mapped[datetime | None] = mapped_column(Instant)
    marks: Mapped[list[str]] = mapped_column(JsonText, default=list, server_default="[]")
    marked_at: Mapped[datetime | None] = mapped_column(Instant)


class PresenceChange(Base):
    """A line of a terminal's history of presence (`cloud.terminals.presence_changes`), written by ingest: at most KEPT of each.

    `recent` holds times in microseconds. `at` is when the line last changed, `began_at` when its first change was.
    """

    __tablename__ = "presence_changes"
    __table_args__ = (
        Index("ix_presence_changes_terminal_id_at", "terminal_id", "at"),
        Index(
            "ix_presence_changes_flapping", "at", sqlite_where=text("flapping = 1"), postgresql_where=text("flapping")
        ),
        {"sqlite_with_rowid": False},
    )

    terminal_id: Mapped[str] = mapped_column(Text, ForeignKey("terminals.id"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    began_at: Mapped[datetime] = mapped_column(Instant)
    at: Mapped[datetime] = mapped_column(Instant)
    presence: Mapped[str] = mapped_column(Text)
    cause: Mapped[str] = mapped_column(Text)
    connection: Mapped[int | None] = mapped_column(BigInteger)
    times: Mapped[int] = mapped_column(BigInteger)
    flapping: Mapped[bool]
    recent: Mapped[list[int]] = mapped_column(JsonText)


class MarkSet(Base):
    """That a mark was set on a terminal's row, written by ingest. It is not set again before an operator has taken it away."""

    __tablename__ = "marks_set"
    __table_args__ = ({"sqlite_with_rowid": False},)

    terminal_id: Mapped[str] = mapped_column(Text, ForeignKey("terminals.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(Instant, primary_key=True)
    mark: Mapped[str] = mapped_column(Text, primary_key=True)


class ReportedTwin(Base):
    """A line of a terminal's history of reported twins (`cloud.ingest.reported_log`), written by ingest: at most KEPT of each.

    `changed` names the settings in force that were others in the report before it.
    """

    __tablename__ = "reported_twins"
    __table_args__ = ({"sqlite_with_rowid": False},)

    terminal_id: Mapped[str] = mapped_column(Text, ForeignKey("terminals.id"), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(Instant)
    twin_epoch: Mapped[int] = mapped_column(BigInteger)
    twin_number: Mapped[int] = mapped_column(BigInteger)
    applied: Mapped[bool]
    problems: Mapped[list[str]] = mapped_column(JsonText)
    changed: Mapped[list[str]] = mapped_column(JsonText)


class Twin(Base):
    """A desired twin as it was published, kept for ever: a late record counts for the room of its twin."""

    __tablename__ = "twins"
    __table_args__ = (Index("ix_twins_terminal_id_number", "terminal_id", "number"),)

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    terminal_id: Mapped[str] = mapped_column(Text, ForeignKey("terminals.id"))
    room_id: Mapped[str | None] = mapped_column(Text)
    organisation_id: Mapped[str | None] = mapped_column(Text)
    document: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class TwinFile(Base):
    """A file that a twin names by its hash. One row serves every terminal that is given the same bytes."""

    __tablename__ = "twin_files"

    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    content: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    created_at: Mapped[datetime] = mapped_column(Instant)


class PreparedFile(Base):
    """The newest file of its name (`revocations`, `roster/<root organisation>`, `occurrences/<room>`), and its change."""

    __tablename__ = "prepared_files"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    sha256: Mapped[str] = mapped_column(Text, ForeignKey("twin_files.sha256"))
    epoch: Mapped[int] = mapped_column(BigInteger)
    changes: Mapped[int] = mapped_column(BigInteger)
    made_at: Mapped[datetime] = mapped_column(Instant)


class RosterKey(Base):
    """The HMAC key of rosters; a new one is drawn when a member is erased, so that old files tell nothing."""

    __tablename__ = "roster_keys"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class SavedView(Base):
    """A filter and an order of the list of terminals, kept under a name: an account's own, or `shared` with its branch.

    `organisation_id` is the branch that it is shared with, NULL for the whole tree. At most `views.MOST` of an account.
    """

    __tablename__ = "saved_views"
    __table_args__ = (
        Index("ix_saved_views_account_id_name", "account_id", "name", unique=True),
        Index("ix_saved_views_shared", "name", "id", sqlite_where=text("shared = 1"), postgresql_where=text("shared")),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    account_id: Mapped[str] = mapped_column(Text, ForeignKey("accounts.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(Text)
    wanted: Mapped[dict[str, Any]] = mapped_column(JsonText)
    shared: Mapped[bool]
    organisation_id: Mapped[str | None] = mapped_column(Text, ForeignKey("organisations.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(Instant)
    version: Mapped[int] = mapped_column(default=1)
