"""Terminals: registered with one random password, which opens the broker and the terminal's own files, nothing else.

The password is shown once. One that was claimed has a certificate for the broker, and its password is for files only.
A terminal is never deleted, because its records name it; it is disabled.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy import ColumnElement, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from broker_config.passwords import hash_password as hash_for_mosquitto
from cloud.audit.service import Change, note, state
from cloud.bulk import IN_CHUNK, chunks
from cloud.counters import Counts, advance
from cloud.database import next_version
from cloud.errors import Conflict, Fault, Forbidden, Invalid, Unauthenticated, Unfit
from cloud.forms import Form, Sentence
from cloud.paging import Found, Paging, find, get_one
from cloud.rooms import service as rooms
from cloud.rooms.service import RoomId
from cloud.scope import EVERYWHERE, Scope
from cloud.templates import merging
from cloud.templates.merging import Given
from cloud.terminals.fleet import IN_SERVICE
from cloud.terminals.models import Terminal
from firmware_specs.topics import RESERVED_IDS

PASSWORD_BYTES = 24
TAKEN_BY_ADDRESSES = {"import", "export"}
"""What stands where an id stands in the API's and the console's addresses."""

PIN_HASH = "staff_pin_hash"
"""Beside the settings, in the same document: it goes to the twin as it is."""

NO_PASSWORD = ""
"""In place of Mosquitto's hash: the terminal is known by its certificate, and no password opens the broker."""


def _not_reserved(value: str) -> str:
    if value in RESERVED_IDS | TAKEN_BY_ADDRESSES:
        raise Unfit("this id is reserved", "reserved_id")
    return value


TerminalId = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,38}[a-z0-9]$", examples=["kiosk-302"]), AfterValidator(_not_reserved)
]
Profile = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", examples=["kiosk"])]


class Kind(StrEnum):
    """What stands in the room."""

    KIOSK = "kiosk"
    TV = "tv"


class TerminalForm(Form):
    """What a terminal is, and where it stands; without a room it waits for one.

    `settings` are its own, by name, as its profile lists them; what is not named comes from templates, or is the default.
    """

    kind: Kind = Kind.KIOSK
    profile: Profile = "kiosk"
    room_id: RoomId | None = None
    settings: Given = Field(default_factory=dict)


class NewTerminalForm(TerminalForm):
    """The same, with the id that it has for ever."""

    id: TerminalId


Mark = Annotated[str, Field(pattern=r"^[a-z_]{1,40}$", examples=["fork"])]


class SeenForm(Form):
    """Which marks somebody has looked at, and what was found; a mark set since then stays."""

    marks: Annotated[list[Mark], Field(min_length=1, max_length=20)]
    reason: Sentence


class PinForm(Form):
    """The staff PIN of a kiosk; null removes it."""

    pin: Annotated[SecretStr, Field(min_length=4, max_length=12)] | None


@dataclass(frozen=True)
class Registered:
    """A terminal and its password, in clear this once."""

    terminal: Terminal
    password: str


def within(scope: Scope, column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, a terminal's id, is one of `scope`."""
    if scope.path == "/":
        return true()
    return column.in_(select(Terminal.id).where(rooms.within(scope, Terminal.room_id)))


def is_disabled(column: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """The condition that `column`, a terminal's id, is one that is disabled."""
    return column.in_(select(Terminal.id).where(Terminal.enabled.is_(False)))


def get(session: Session, scope: Scope, terminal_id: str, *, to_edit: bool = False) -> Terminal:
    """NotFound outside the scope, too; a terminal without a room is in the scope of everything only."""
    query = select(Terminal).where(Terminal.id == terminal_id, rooms.within(scope, Terminal.room_id))
    return get_one(session, query, "terminal", terminal_id, to_edit=to_edit)


def standings(session: Session, scope: Scope, terminal_ids: Sequence[str]) -> dict[str, bool]:
    """Of those that there are in the scope, whether each is enabled."""
    found: dict[str, bool] = {}
    for chunk in chunks(terminal_ids, IN_CHUNK):
        query = select(Terminal.id, Terminal.enabled).where(
            Terminal.id.in_(chunk), rooms.within(scope, Terminal.room_id)
        )
        found |= dict(session.execute(query).all())
    return found


def named(session: Session, scope: Scope, terminal_ids: Sequence[str]) -> list[Terminal]:
    """Those of these (a chunk of them) that are in the scope, by id."""
    query = select(Terminal).where(Terminal.id.in_(terminal_ids), rooms.within(scope, Terminal.room_id))
    return list(session.scalars(query.order_by(Terminal.id)))


def is_registered(session: Session, terminal_id: str | None) -> bool:
    """Whether there is such a terminal, enabled or not."""
    return terminal_id is not None and session.get(Terminal, terminal_id) is not None


def list_terminals(session: Session, scope: Scope, paging: Paging, *, search: str | None = None) -> Found[Terminal]:
    """By id; `terminals.listing` filters and sorts."""
    query = select(Terminal).where(rooms.within(scope, Terminal.room_id))
    if search:
        named = Terminal.id.icontains(search, autoescape=True)
        query = query.where(or_(named, Terminal.room_id.in_(rooms.matching(search))))
    return find(session, query, [Terminal.id], paging)


def ids_for_commands(
    session: Session, scope: Scope, at_most: int, *, kind: Kind | None = None, presence: str | None = None
) -> list[str]:
    """The ids of those in service, in order, at most so many."""
    query = select(Terminal.id).where(rooms.within(scope, Terminal.room_id), IN_SERVICE)
    wanted = {Terminal.kind: kind, Terminal.presence: presence}
    query = query.where(*(column == value for column, value in wanted.items() if value is not None))
    return list(session.scalars(query.order_by(Terminal.id).limit(at_most)))


def register(session: Session, change: Change, scope: Scope, form: NewTerminalForm) -> Registered:
    """Conflict for an id that was ever used: its records are its own for ever. Invalid for settings that it does not take."""
    if session.get(Terminal, form.id) is not None:
        raise Conflict(f"There is a terminal {form.id} already.", code="terminal_exists", id=form.id)
    _check(session, scope, form)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    terminal = Terminal(
        created_at=change.at,
        version=1,
        enabled=True,
        presence="never",
        marks=[],
        password_hash=_hasher().hash(password),
        mqtt_password_hash=hash_for_mosquitto(password),
        **form.model_dump(),
    )
    session.add(terminal)
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "terminal.register", terminal.id, **form.model_dump(exclude={"id"}))
    return Registered(terminal, password)


def edit(
    session: Session, change: Change, scope: Scope, terminal_id: str, version: int, form: TerminalForm
) -> Terminal:
    """Replace what it is; its staff PIN stays. One that was replaced is in service again. Invalid for what it does not take."""
    terminal = get(session, scope, terminal_id, to_edit=True)
    before = _standing(terminal)
    next_version(terminal, version)
    _check(session, scope, form)
    values = form.model_dump()
    pin_hash = terminal.settings.get(PIN_HASH)
    if pin_hash:
        values["settings"][PIN_HASH] = pin_hash
    for field, value in values.items():
        setattr(terminal, field, value)
    terminal.replaced_by = terminal.replaced_at = None
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "terminal.edit", terminal_id, before=before, **form.model_dump())
    return terminal


def set_pin(session: Session, change: Change, scope: Scope, terminal_id: str, version: int, form: PinForm) -> Terminal:
    """The twin carries its argon2 hash."""
    terminal = get(session, scope, terminal_id, to_edit=True)
    next_version(terminal, version)
    before = {"has_staff_pin": PIN_HASH in terminal.settings}
    settings = own_settings(terminal)
    if form.pin is not None:
        settings[PIN_HASH] = PasswordHasher().hash(form.pin.get_secret_value())
    terminal.settings = settings
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    now = {"removed": form.pin is None, "has_staff_pin": form.pin is not None}
    note(session, change, "terminal.set_pin", terminal_id, before=before, **now)
    return terminal


def see_marks(session: Session, change: Change, scope: Scope, terminal_id: str, form: SeenForm) -> Terminal:
    """Take marks away that somebody has looked at. Conflict when none of them is there any more."""
    terminal = get(session, scope, terminal_id, to_edit=True)
    seen = [mark for mark in terminal.marks if mark in form.marks]
    if not seen:
        raise Conflict("The terminal has none of these marks any more.", code="not_marked")
    terminal.marks = [mark for mark in terminal.marks if mark not in seen]
    terminal.marked_at = terminal.marked_at if terminal.marks else None
    session.flush()
    note(session, change, "terminal.see_marks", terminal_id, marks=seen, reason=form.reason)
    return terminal


def new_password(session: Session, change: Change, scope: Scope, terminal_id: str, version: int) -> Registered:
    """The old one is worth nothing any more; an open connection to the broker lasts until it is cut.

    Of a terminal that is known by its certificate it opens the files only.
    """
    terminal = get(session, scope, terminal_id, to_edit=True)
    next_version(terminal, version)
    password = _draw_password(terminal)
    session.flush()
    note(session, change, "terminal.new_password", terminal_id)
    return Registered(terminal, password)


def know_by_certificate(session: Session, terminal: Terminal) -> str:
    """From now on no password opens the broker; the new one for its files. The caller writes the audit."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    terminal.password_hash, terminal.mqtt_password_hash = _hasher().hash(password), NO_PASSWORD
    next_version(terminal, terminal.version)
    session.flush()
    return password


def shut_out(session: Session, terminal: Terminal) -> None:
    """Disable it whatever its version, and end its password: it was revoked. The caller writes the audit.

    Enabled again, it has nothing to come back with until it is claimed anew or given a new password.
    """
    _draw_password(terminal)
    if terminal.enabled:
        terminal.enabled = False
        next_version(terminal, terminal.version)
        session.flush()
        advance(session, Counts.TWIN_INPUTS)


def authenticate(session: Session, terminal_id: str, name: str, password: str) -> Terminal:
    """The terminal `name` asking for what is `terminal_id`'s. Unauthenticated, or Forbidden for another's."""
    terminal = session.get(Terminal, name)
    good = _verify(terminal.password_hash if terminal else _nobodys_hash(), password)
    if terminal is None or not good or not terminal.enabled:
        raise Unauthenticated("The terminal's id or password is not right.", code="terminal_password")
    if terminal.id != terminal_id:
        raise Forbidden("A terminal may fetch its own files only.", code="foreign_file")
    return terminal


def own_settings(terminal: Terminal) -> dict[str, Any]:
    """What was set at this terminal itself, without the PIN's hash."""
    return {name: value for name, value in terminal.settings.items() if name != PIN_HASH}


def broker_hashes(session: Session) -> Mapping[str, str | None]:
    """Every terminal's line for Mosquitto's password file; None for one that must not be in it."""
    rows = session.execute(select(Terminal.id, Terminal.enabled, Terminal.mqtt_password_hash))
    return {terminal_id: hashed if enabled and hashed else None for terminal_id, enabled, hashed in rows}


def _draw_password(terminal: Terminal) -> str:
    """A new one in the place of the old; it opens the broker only where the old one did."""
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    terminal.password_hash = _hasher().hash(password)
    if terminal.mqtt_password_hash != NO_PASSWORD:
        terminal.mqtt_password_hash = hash_for_mosquitto(password)
    return password


def _standing(terminal: Terminal) -> dict[str, Any]:
    """What an edit replaces, without the PIN's hash."""
    return state(terminal, ("kind", "profile", "room_id", "replaced_by")) | {"settings": own_settings(terminal)}


def _check(session: Session, scope: Scope, form: TerminalForm) -> None:
    merging.check(form.profile, form.settings)
    if form.room_id is not None:
        rooms.get(session, scope, form.room_id)
    elif scope != EVERYWHERE:
        fault = Fault("body.room_id", "must be in your branch", "out_of_scope")
        raise Invalid("A terminal of yours stands in a room of your branch.", [fault], code="room_needed")


def _hasher() -> PasswordHasher:
    """Cheap: these passwords are 192 random bits, and a whole fleet may come for its files at once."""
    return PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)


def _verify(hashed: str, password: str) -> bool:
    try:
        return _hasher().verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobodys_hash() -> str:
    return _hasher().hash(secrets.token_urlsafe(PASSWORD_BYTES))
