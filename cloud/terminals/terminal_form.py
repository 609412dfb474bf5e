"""Console: where a terminal stands and what is set at itself, in fields that its profile makes; and who was faster, if so."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.audit import naming
from cloud.audit import service as audit
from cloud.console import dialogs
from cloud.console.markup import join
from cloud.console.places import room_options, rooms_of
from cloud.console.refusals import SAID
from cloud.console.view import View
from cloud.errors import Stale
from cloud.paging import Paging
from cloud.scope import Scope
from cloud.templates import merging, setting_fields
from cloud.templates import service as templates
from cloud.templates.merging import Effective
from cloud.templates.setting_fields import Places
from cloud.terminals import service, twin
from cloud.terminals.models import Terminal
from cloud.terminals.service import TerminalForm

SHOWN = 3
"""Changes of others that are named when somebody was faster."""


@dataclass(frozen=True)
class _Known:
    terminal: Terminal
    own: dict[str, Any]
    without: dict[str, Effective]
    places: Places
    rooms: list[tuple[str, str, str, str]]


def _known(session: Session, scope: Scope, terminal_id: str) -> _Known:
    terminal = service.get(session, scope, terminal_id)
    without = twin.settings_in_effect(session, terminal, own=False)
    named = templates.places(session, without.values())
    return _Known(terminal, service.own_settings(terminal), without, named, rooms_of(session, scope, terminal.room_id))


async def edit(view: View, terminal_id: str, saved: Callable[[], Awaitable[None]]) -> None:
    """Room and settings, as they are now. Who saves an older version is told who changed what meanwhile."""
    words, opened_at = view.words, view.now
    known = await view.read(lambda session, scope: _known(session, scope, terminal_id))
    terminal = known.terminal
    stands = None if terminal.replaced_by is not None else terminal.room_id
    settings = merging.known_settings(terminal.profile, terminal.kind)
    places = [("", words("terminals.no_room")), *room_options(words, known.rooms)]
    fields = join(
        dialogs.choice(words("terminals.room"), "room_id", places, stands or ""),
        setting_fields.fields(words, settings, known.own, known.without, known.places),
    )

    async def save(values: dict[str, str]) -> None:
        form = dialogs.filled(
            TerminalForm, kind=terminal.kind, profile=terminal.profile, room_id=values.get("room_id") or None,
            settings=setting_fields.given(settings, values),
        )  # fmt: skip
        try:
            await view.write(
                Role.OPERATOR,
                lambda session, change, scope: service.edit(
                    session, change, scope, terminal.id, terminal.version, form
                ),
            )
        except Stale as error:
            raise await _faster(view, terminal_id, opened_at) from error
        await saved()

    dialogs.ask(view, words("terminal.edit", terminal=terminal.id), fields, words("page.save"), save,
                intro=words("terminal.edit_more"))  # fmt: skip


async def _faster(view: View, terminal_id: str, since: datetime) -> Stale:
    """What others changed since the form was opened, in words: nothing was saved, and one can look before one tries again."""
    words = view.words

    def newest(session: Session, scope: Scope) -> list[str]:
        service.get(session, scope, terminal_id)
        rows = [each for each in audit.entries(session, Paging(SHOWN), subject=terminal_id).rows if each.at >= since]
        known = naming.names(session, rows)
        return [
            words("terminal.faster_each", who=naming.who(words, each), time=words.clock(each.at),
                  what=naming.detail(words, each, known) or words.known(f"action.{each.action}", words("audit.other")))
            for each in reversed(rows)
        ]  # fmt: skip

    changes = " ".join(await view.read(newest))
    return Stale(words("terminal.faster", changes=changes), code=SAID)
