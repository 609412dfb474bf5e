"""Console: rooms, what is on in them, and the terminals that stand there."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.activities import service as activities
from cloud.audit.service import Change
from cloud.console import dialogs, facts, lists
from cloud.console.markup import join, tag
from cloud.console.places import branch_scope, organisation_options, organisations_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, link, plate, small, table
from cloud.organisations import service as organisations
from cloud.paging import MAX_LIMIT, Found, Paging
from cloud.rooms import service
from cloud.rooms.models import Room
from cloud.rooms.service import RoomForm
from cloud.scope import Scope
from cloud.terminals import fleet
from cloud.terminals.pin_dialog import ask_pin

PATH = "/rooms"


def register(shell: Shell) -> None:
    """`/rooms`."""

    @shell.page(PATH, "rooms")
    async def listing(view: View, search: str = "", organisation: str = "", cursor: str = "") -> None:
        words = view.words
        add = button(words("rooms.add"), "add", kind="main") if view.may(Role.OPERATOR) else None
        view.html(head(view, words("nav.rooms"), beside=add), on_act=lambda act, on: _act(view, act, on))
        bar = ui.element("div").classes("rl-row rl-tools")
        found = view.html(slot="list", on_act=lambda act, on: _act(view, act, on))

        async def show(text: str, cursor: str = "") -> None:
            now = view.now
            rows = await view.read(
                lambda session, scope: _page(session, branch_scope(session, scope, organisation), text, cursor, now)
            )
            found.set_content(str(_listing(view, rows, text, organisation, cursor)))

        with bar:
            lists.searchable(view, words("rooms.search"), search, PATH, show, organisation=organisation)
        await show(search, cursor)


@dataclass(frozen=True)
class _Line:
    id: str
    number: str
    name: tuple[str, str]
    organisation: tuple[str, str]
    terminals: list[tuple[str, str]] = field(default_factory=list)
    now: tuple[str, tuple[str, str]] | None = None


def _page(session: Session, scope: Scope, search: str, cursor: str, now: datetime) -> Found[_Line]:
    found = service.list_rooms(session, scope, lists.paging(cursor), search=search or None)
    named = organisations.names(session, {room.organisation_id for room in found.rows})
    standing = fleet.in_rooms(session, [room.id for room in found.rows])
    going_on = _now(session, scope, now)
    rows = [
        _Line(room.id, room.number, (room.name, room.name_en), named.get(room.organisation_id, ("", "")),
              standing.get(room.id, []), going_on.get(room.id))
        for room in found.rows
    ]  # fmt: skip
    return Found(rows, found.next_cursor)


def _now(session: Session, scope: Scope, now: datetime) -> dict[str, tuple[str, tuple[str, str]]]:
    found = activities.list_occurrences(
        session, scope, Paging(MAX_LIMIT), from_at=now, until_at=now + timedelta(seconds=1)
    ).rows
    titles = activities.titles(session, {each.activity_id for each in found})
    return {
        each.room_id: (each.id, titles.get(each.activity_id, ("", ""))) for each in found if each.cancelled_at is None
    }


def _listing(view: View, found: Found[_Line], search: str, organisation: str, cursor: str) -> Markup:
    words = view.words
    if not found.rows:
        return lists.nothing(words, bool(search or organisation), words("rooms.none"), words("rooms.none_more"))
    columns = [
        Column(words("rooms.number"), "rl-fit"),
        Column(words("rooms.name"), "b"),
        Column(words("rooms.organisation"), "lo"),
        Column(words("rooms.now")),
        Column(words("rooms.terminals")),
    ]
    if view.may(Role.OPERATOR):
        columns.append(Column(words("members.do"), "num rl-fit"))
    rows = [_cells(view, row)[: len(columns)] for row in found.rows]
    pager = lists.pager(words, PATH, cursor, found.next_cursor, search=search, organisation=organisation)
    return join(table(columns, rows, words("nav.rooms")), pager)


def _cells(view: View, row: _Line) -> list[str | Markup]:
    words = view.words
    on = link(f"/activities/{row.now[0]}", words.either(*row.now[1])) if row.now else small(words("rooms.nothing"))
    terminals = [
        tag("div", link(f"/terminals/{terminal}", terminal), " ", facts.presence_said(words, presence))
        for terminal, presence in row.terminals
    ]
    pin = button(words("terminal.pin"), "pin", row.id) if row.terminals else None
    actions = tag("span", pin, button(words("page.edit"), "edit", row.id), class_="rl-row rl-end")
    return [plate(row.number), words.either(*row.name), words.either(*row.organisation), on,
            join(terminals) if terminals else small(words("rooms.no_terminal")), actions]  # fmt: skip


async def _ask(view: View, title: str, submit: str, known: Room | None) -> None:
    """The form of a room, new or known. The list is opened anew when it was saved."""
    words = view.words
    places = organisation_options(view, await view.read(organisations_of))
    number, name, name_en, organisation = ("", "", "", "")
    if known is not None:
        number, name, name_en, organisation = known.number, known.name, known.name_en, known.organisation_id
    fields = join(
        dialogs.field(words("rooms.number"), "number", number, required=True, maxlength=12, autofocus=True),
        dialogs.field(words("rooms.name"), "name", name, required=True, maxlength=120),
        dialogs.field(words("rooms.name_en"), "name_en", name_en, maxlength=120),
        dialogs.choice(words("rooms.organisation"), "organisation_id", places, organisation),
    )

    async def save(values: dict[str, str]) -> None:
        form = dialogs.filled(RoomForm, **values)

        def write(session: Session, change: Change, scope: Scope) -> Room:
            if known is None:
                return service.create(session, change, scope, form)
            return service.edit(session, change, scope, known.id, known.version, form)

        await view.write(Role.OPERATOR, write)
        ui.navigate.to(view.here)

    dialogs.ask(view, title, fields, submit, save)


async def _act(view: View, act: str, on: str) -> None:
    words = view.words
    if act == "add":
        await _ask(view, words("rooms.add"), words("rooms.add"), None)
        return
    room = await view.read(lambda session, scope: service.get(session, scope, on))
    if act == "edit":
        await _ask(view, words("rooms.edit", number=room.number), words("page.save"), room)
    elif act == "pin":
        kiosks = await view.read(lambda session, scope: fleet.kiosks_in(session, scope, room.id))
        ask_pin(view, words("rooms.pin", number=room.number), kiosks)
