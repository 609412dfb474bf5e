"""Replacing a broken terminal: another one gets its room, its own settings and its staff PIN; both keep what they are.

Promises that no record is lost: the old one may still send what it holds, which counts for the room it was made in; a twin
that it gets from now on names no room. Placed again (`service.edit`), it is in service again. Called by route and page.
"""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from cloud.audit.service import Change, note, state
from cloud.bulk import Bulk
from cloud.counters import Counts, advance
from cloud.database import next_version
from cloud.errors import Conflict
from cloud.forms import Form, Sentence
from cloud.scope import Scope
from cloud.templates import merging
from cloud.terminals import enabling, locks, service
from cloud.terminals.models import Terminal
from cloud.terminals.service import Kind, NewTerminalForm, TerminalId


class ReplaceForm(Form):
    """By which terminal, registered without a room or not at all yet; why; and whether the old one is shut out at once."""

    by: TerminalId
    reason: Sentence
    disable: bool = False


@dataclass(frozen=True)
class Replaced:
    """Both terminals; the new one's password, in clear this once, if it was registered with this."""

    old: Terminal
    new: Terminal
    password: str | None


def replace(
    session: Session, change: Change, scope: Scope, terminal_id: str, version: int, form: ReplaceForm
) -> Replaced:
    """Conflict where the old one was replaced before, or the new one cannot take its place; Invalid for its settings.

    Who is of a branch names a new id: a terminal without a room is in the scope of everything only.
    """
    locks.lock(Bulk.of(session), (terminal_id, form.by))
    old = service.get(session, scope, terminal_id, to_edit=True)
    if old.replaced_by is not None:
        raise Conflict(f"It was replaced by {old.replaced_by} already.", code="replaced_already", by=old.replaced_by)
    next_version(old, version)
    if form.disable:
        enabling.put(session, change, old, enabled=False)  # before the replacement counts a change of the twins' inputs
    new, password = _replacement(session, change, scope, old, form.by)
    before = state(new, ("room_id",)) | {"settings": service.own_settings(new)}
    merging.check(new.profile, service.own_settings(old))
    new.room_id, new.settings, new.replaces = old.room_id, dict(old.settings), old.id
    old.replaced_by, old.replaced_at = new.id, change.at
    session.flush()
    advance(session, Counts.TWIN_INPUTS)
    note(session, change, "terminal.replace", old.id, by=new.id, reason=form.reason, disabled=form.disable)
    taken = {"replaces": old.id, "room_id": new.room_id, "settings": service.own_settings(new)}
    note(session, change, "terminal.take_place", new.id, before=before, **taken)
    return Replaced(old, new, password)


def _replacement(
    session: Session, change: Change, scope: Scope, old: Terminal, new_id: str
) -> tuple[Terminal, str | None]:
    new = session.get(Terminal, new_id, with_for_update=True)
    if new is None:
        form = NewTerminalForm(id=new_id, kind=Kind(old.kind), profile=old.profile)
        made = service.register(session, change, scope, form.model_copy(update={"room_id": old.room_id}))
        return made.terminal, made.password
    if not service.standings(session, scope, [new_id]):
        raise Conflict(f"There is a terminal {new_id} already.", code="terminal_exists", id=new_id)
    if new.id == old.id or new.replaced_by is not None or not new.enabled:
        raise Conflict(f"{new.id} cannot take its place: it is out of service.", code="replacement_out", by=new.id)
    if new.kind != old.kind:
        raise Conflict(f"{new.id} cannot take its place: it is of another kind.", code="replacement_kind", by=new.id)
    if new.room_id is not None:
        raise Conflict(
            f"{new.id} stands in a room already; take it out of there first.", code="replacement_placed", by=new.id
        )
    next_version(new, new.version)
    return new, None
