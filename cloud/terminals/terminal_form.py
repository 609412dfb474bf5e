"""Console: where a terminal stands and what its twin tells it."""

from collections.abc import Awaitable, Callable

from cloud.accounts.service import Role
from cloud.console import dialogs
from cloud.console.markup import join
from cloud.console.places import room_options, rooms_of
from cloud.console.view import View
from cloud.console.words import Language
from cloud.terminals import service
from cloud.terminals.models import Terminal
from cloud.terminals.service import TerminalForm, TerminalSettings


async def edit(view: View, terminal: Terminal, saved: Callable[[], Awaitable[None]]) -> None:
    """Room, language, and how often it speaks."""
    words = view.words
    shown = TerminalSettings.model_validate({
        name: value for name, value in terminal.settings.items() if name in TerminalSettings.model_fields
    })  # fmt: skip
    places = [("", words("terminals.no_room")), *room_options(words, await view.read(rooms_of))]
    languages = [(each, words(f"twin.language_{each}")) for each in Language]
    fields = join(
        dialogs.choice(words("terminals.room"), "room_id", places, terminal.room_id or ""),
        dialogs.choice(words("terminal.language"), "language", languages, shown.language),
        dialogs.field(words("terminal.health_every"), "health_every_s", f"{shown.health_every_s:g}", type="number", min=5,
                      max=86400, required=True),
        dialogs.field(words("terminal.resend"), "resend_timeout_s", f"{shown.resend_timeout_s:g}", type="number", min=1,
                      max=600, step="any", required=True),
    )  # fmt: skip

    async def save(values: dict[str, str]) -> None:
        settings = {name: values.get(name, "") for name in TerminalSettings.model_fields}
        form = dialogs.filled(TerminalForm, kind=terminal.kind, profile=terminal.profile,
                              room_id=values.get("room_id") or None, settings=settings)  # fmt: skip
        await view.write(
            Role.OPERATOR,
            lambda session, change, scope: service.edit(session, change, scope, terminal.id, terminal.version, form),
        )
        await saved()

    dialogs.ask(view, words("terminal.edit", terminal=terminal.id), fields, words("page.save"), save,
                intro=words("terminal.edit_more"))  # fmt: skip
