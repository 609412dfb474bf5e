"""Console: what is done with the chosen rows of the list of terminals: commands, a maintenance window, an export; a new terminal.

Promises that how many are meant is said before anything is sent. A command to "all that match" asks the database again when it is
sent, and never reaches more than were said; windows are for those that were said; an export has all that match when it is made.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nicegui import ui
from sqlalchemy.orm import Session

from cloud import csv_stream
from cloud.accounts.service import Role
from cloud.alarms import windows
from cloud.alarms.window_page import local_time, time_fields
from cloud.alarms.windows import WindowForm
from cloud.audit.service import Change
from cloud.clock import Clock
from cloud.commands import asking, bulks
from cloud.commands.bulks import BulkForm
from cloud.commands.service import MOST_AT_ONCE, CommandForm, Name
from cloud.console import dialogs
from cloud.console.markup import join
from cloud.console.places import room_options, rooms_of
from cloud.console.refusals import refuse
from cloud.console.view import View
from cloud.scope import Scope
from cloud.terminals import broker_users, export, list_tools, listing, service
from cloud.terminals.password_dialog import show_password
from cloud.terminals.service import Kind, NewTerminalForm
from cloud.terminals.wanted import Service, Wanted

MOST: Final = MOST_AT_ONCE
"""Rows that may be chosen one by one."""
AT_ONCE: Final = 50
"""For more than so many, a command that does no harm is asked about again as well."""
MOST_WINDOWS: Final = 100
"""Terminals that get a maintenance window each; more are covered by one over their room or organisation."""
COMMANDS: Final[Mapping[str, Name]] = {
    each.value: each for each in (Name.IDENTIFY, Name.SYNC_NOW, Name.ENTER_MAINTENANCE)
}


@dataclass(frozen=True)
class Chosen:
    """Rows by id, or all that match."""

    ids: frozenset[str] = frozenset()
    matching: Wanted | None = None


async def act_on(view: View, act: str, chosen: Chosen) -> None:
    """Do what a button below the list says."""
    if act == "window":
        await _window(view, chosen)
    elif act == "export":
        await _export(view, chosen)
    elif act in COMMANDS or act == "command":
        await _command(view, COMMANDS.get(act), chosen)


async def _command(view: View, name: Name | None, chosen: Chosen) -> None:
    """The command, or the dialog to choose one; for those in service, which alone can hear it."""
    words = view.words
    meant = await view.read(lambda session, scope: _in_service(session, scope, chosen, view.cloud.clock))
    if not meant:
        raise refuse(words, "command.nobody")
    if len(meant) > MOST_AT_ONCE:
        raise refuse(words, "command.too_many", n=MOST_AT_ONCE)

    async def send(form: CommandForm) -> None:
        whom = {"matching": chosen.matching, "at_most": len(meant)} if chosen.matching else {"terminals": meant}
        asked = BulkForm(name=form.name, arguments=form.arguments, lasts_s=form.lasts_s, **whom)
        bulk = await view.write(
            Role.OPERATOR, lambda session, change, scope: bulks.ask(session, change, scope, asked).id
        )
        with view.client:
            ui.navigate.to(f"/commands/{bulk}")

    if name is None:
        asking.choose(view, meant, send)
        return
    form = CommandForm(name=name, arguments={})
    if name in asking.DISRUPTIVE or chosen.matching is not None or len(meant) > AT_ONCE:
        asking.confirm(view, meant, form, send)
    else:
        await send(form)


def _in_service(session: Session, scope: Scope, chosen: Chosen, clock: Clock) -> list[str]:
    """One more than may be, so that it is noticed."""
    if chosen.matching is None:
        return listing.in_service(session, scope, sorted(chosen.ids))
    return listing.ids_in_service(session, scope, chosen.matching, clock(), MOST_AT_ONCE + 1)


async def _window(view: View, chosen: Chosen) -> None:
    """One over the place, where all of a room or an organisation are chosen; else one for each terminal."""
    words = view.words
    place = _place(chosen.matching)
    meant = (
        [] if place else await view.read(lambda session, scope: _in_service(session, scope, chosen, view.cloud.clock))
    )
    if len(meant) > MOST_WINDOWS:
        raise refuse(words, "terminals.too_many_windows", n=MOST_WINDOWS)
    if not place and not meant:
        raise refuse(words, "command.nobody")
    start = view.now.astimezone(view.zone).replace(second=0, microsecond=0)

    async def add(values: dict[str, str]) -> None:
        span = {"starts_at": local_time(view, values.get("starts", "")), "ends_at": local_time(view, values.get("ends", "")),
                "reason": values.get("reason", "")}  # fmt: skip
        forms = [
            dialogs.filled(WindowForm, **each, **span)
            for each in ([place] if place else [{"terminal_id": m} for m in meant])
        ]

        def create(session: Session, change: Change, scope: Scope) -> None:
            for form in forms:
                windows.create(session, change, scope, form)

        await view.write(Role.OPERATOR, create)
        with view.client:
            ui.navigate.to("/maintenance-windows")

    about = words("terminals.window_place") if place else words("terminals.window_each", n=len(meant))
    dialogs.ask(view, words("window.add"), time_fields(view, start), words("window.add"), add, intro=about)


def _place(wanted: Wanted | None) -> dict[str, str] | None:
    """The room or the organisation, where it is all that is filtered by."""
    said = wanted.said() if wanted is not None else {}
    filtered = said.keys() - {"sort", "descending", "service"}
    if len(filtered) == 1 and filtered <= {"room_id", "organisation_id"} and said.get("service") != Service.OUT:
        name = filtered.pop()
        return {name: said[name]}
    return None


async def _export(view: View, chosen: Chosen) -> None:
    """The chosen as CSV, as an import takes them; all that match by the API, which writes as many as there are."""
    if chosen.matching is not None:
        with view.client:
            ui.download.from_url(list_tools.export_address(chosen.matching))
        return

    def written(session: Session, scope: Scope) -> str:
        return "".join(csv_stream.chunks(export.header(), export.rows_of(session, scope, sorted(chosen.ids))))

    text = await view.read(written, Role.OPERATOR)
    with view.client:
        ui.download.content(text.encode(), "terminals.csv", csv_stream.MEDIA_TYPE)


async def add(view: View) -> None:
    """Register a terminal; its password is shown once."""
    words = view.words
    places = await view.read(rooms_of)
    fields = join(
        dialogs.field(words("terminals.id"), "id", required=True, pattern="[a-z0-9][a-z0-9\\-]{1,38}[a-z0-9]", autofocus=True,
                      hint=words("terminals.id_hint"), autocomplete="off"),
        dialogs.choice(words("terminals.kind"), "kind", [(each, words(f"kind.{each}")) for each in Kind]),
        dialogs.choice(words("terminals.room"), "room_id", [("", words("terminals.no_room")), *room_options(words, places)]),
    )  # fmt: skip

    async def add(values: dict[str, str]) -> None:
        form = dialogs.filled(NewTerminalForm, id=values.get("id", ""), kind=values.get("kind", ""),
                              profile=values.get("kind", ""), room_id=values.get("room_id") or None)  # fmt: skip
        made = await view.write(
            Role.ADMIN, lambda session, change, scope: service.register(session, change, scope, form)
        )
        told = await view.in_thread(lambda: broker_users.publish(view.cloud))
        show_password(view, made.terminal.id, made.password, told)

    dialogs.ask(view, words("terminals.add"), fields, words("terminals.add"), add)
