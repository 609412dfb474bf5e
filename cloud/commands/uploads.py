"""What terminals send in on a command: screenshots of their own pages, and their logs.

Promises that a terminal sends only what it was asked for, once, and that nothing stays for ever: KEPT of a kind and terminal,
KEPT_IN_ALL over all, KEEP at most. No camera picture is ever asked for, and the terminal covers and redacts before it sends.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, undefer

from cloud.commands.models import Command, Upload
from cloud.commands.service import Name
from cloud.commands.states import State
from cloud.errors import Conflict, Invalid, NotFound, TooLarge
from cloud.paging import Found, Paging, find
from cloud.scope import Scope
from cloud.terminals import service as terminals

KEPT: Final = 5
KEPT_IN_ALL: Final = 2_000
KEEP: Final = timedelta(days=7)
MOST_BYTES: Final = 1024 * 1024
"""Of anything; logs have less."""
LOG_BYTES: Final = 256 * 1024


class Kind(StrEnum):
    """What it is."""

    SCREENSHOT = "screenshot"
    LOGS = "logs"


KINDS: Final[Mapping[str, Kind]] = {Name.SCREENSHOT.value: Kind.SCREENSHOT, Name.UPLOAD_LOGS.value: Kind.LOGS}
"""By the command that asks for it."""
_TAKEN_IN: Final = frozenset({State.SENT, State.ACCEPTED, State.RUNNING, State.UNKNOWN})
_PICTURES: Final = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))


def where_to(terminal_id: str, command_id: str, name: str) -> dict[str, str]:
    """What a command that asks for an upload is given besides its arguments: where to send it."""
    return {"upload": f"/api/v1/terminals/{terminal_id}/uploads/{command_id}"} if name in KINDS else {}


def take_in(session: Session, terminal_id: str, command_id: str, content: bytes, now: datetime) -> Upload:
    """Keep what a terminal sent; a repeat takes the first one's place. The caller knows that it is this terminal.

    NotFound where it was not asked for; Conflict where its command has ended; Invalid for what it is not; TooLarge.
    """
    command = session.scalar(select(Command).where(Command.id == command_id).with_for_update())
    kind = None if command is None or command.terminal_id != terminal_id else KINDS.get(command.name)
    if command is None or kind is None:
        raise NotFound(f"Nothing was asked for by a command {command_id}.", code="no_command", id=command_id)
    if command.given_at is None or State(command.state) not in _TAKEN_IN:
        raise Conflict(f"It has ended already: {command.state}.", code="command_ended", state=command.state)
    upload = Upload(
        command_id=command_id, terminal_id=terminal_id, kind=kind.value, media_type=_media_type(kind, content),
        size=len(content), content=content, received_at=now, expires_at=now + KEEP,
    )  # fmt: skip
    session.execute(delete(Upload).where(Upload.command_id == command_id))
    session.add(upload)
    session.flush()
    _let_go(session, terminal_id, kind)
    return upload


def list_of(session: Session, scope: Scope, terminal_id: str, paging: Paging, now: datetime) -> Found[Upload]:
    """Newest first, without their contents. NotFound for a terminal outside the scope."""
    terminals.get(session, scope, terminal_id)
    query = select(Upload).where(Upload.terminal_id == terminal_id, Upload.expires_at > now)
    return find(session, query, [Upload.received_at, Upload.command_id], paging, newest_first=True)


def get(session: Session, scope: Scope, terminal_id: str, command_id: str, now: datetime) -> Upload:
    """One with its content. NotFound outside the scope, and when it is over."""
    terminals.get(session, scope, terminal_id)
    wanted = (Upload.command_id == command_id, Upload.terminal_id == terminal_id, Upload.expires_at > now)
    upload = session.scalar(select(Upload).where(*wanted).options(undefer(Upload.content)))
    if upload is None:
        raise NotFound(f"The command {command_id} has nothing that was sent in.", code="no_upload", id=command_id)
    return upload


def sweep(session: Session, now: datetime) -> None:
    """Delete what is over."""
    session.execute(delete(Upload).where(Upload.expires_at <= now))


def _media_type(kind: Kind, content: bytes) -> str:
    """By its content, never by what is said of it: it is shown in a browser."""
    if kind is Kind.LOGS:
        if len(content) > LOG_BYTES:
            raise TooLarge(f"Logs may have {LOG_BYTES} bytes.", code="upload_too_large", n=LOG_BYTES)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise Invalid("Logs must be text in UTF-8.", code="upload_no_text") from None
        if "\0" in text:
            raise Invalid("Logs must be text in UTF-8.", code="upload_no_text")
        return "text/plain; charset=utf-8"
    found = next((media_type for magic, media_type in _PICTURES if content.startswith(magic)), None)
    if found is None:
        raise Invalid("A screenshot must be a PNG or a JPEG.", code="upload_no_picture")
    return found


def _let_go(session: Session, terminal_id: str, kind: Kind) -> None:
    """The oldest beyond what is kept."""
    of_it = select(Upload.command_id).where(Upload.terminal_id == terminal_id, Upload.kind == kind.value)
    newest = of_it.order_by(Upload.received_at.desc(), Upload.command_id.desc()).limit(KEPT)
    beyond = [*session.scalars(of_it.where(Upload.command_id.not_in(newest)))]
    count = session.scalar(select(func.count()).select_from(Upload)) or 0
    if count - len(beyond) > KEPT_IN_ALL:
        oldest = select(Upload.command_id).order_by(Upload.received_at, Upload.command_id)
        beyond += session.scalars(oldest.limit(count - len(beyond) - KEPT_IN_ALL))
    if beyond:
        session.execute(delete(Upload).where(Upload.command_id.in_(beyond)))
