"""Console: rooms, what is on in them, and the terminals that stand there."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.activities import service as activities
from cloud.console import dialogs, facts, lists
from cloud.console.markup import join, tag
from cloud.console.places import organisation_options, organisations_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, link, plate, small, table
from cloud.organisations import service as organisations
from cloud.paging import MAX_LIMIT, Found, Paging
from cloud.rooms import service
from cloud.rooms.service import RoomForm
from cloud.scope import Scope
from cloud.terminals import fleet

PATH = "/rooms"


def register(shell: Shell) -> None:
    """`/rooms`."""

    @shell.page(PATH, "rooms")
    async def listing(view: View, search: str = "", cursor: str = "") -> None:
        words = view.words
        add = button(words("rooms.add"), "add", kind="main") if view.may(Role.OPERATOR) else None
        view.html(head(view, words("nav.rooms"), beside=add), on_act=lambda *_: _add(view))
        bar = ui.element("div").classes("rl-row rl-tools")
        found = view.html(slot="list")

        async def show(text: str, cursor: str = "") -> None:
            now = view.now
            rows = await view.read(lambda session, scope: _page(session, scope, text, cursor, now))
            found.set_content(str(_listing(view, rows, text, cursor)))

        with bar:
            lists.searchable(view, words("rooms.search"), search, PATH, show)
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


def _listing(view: View, found: Found[_Line], search: str, cursor: str) -> Markup:
    words = view.words
    if not found.rows:
        return lists.nothing(words, bool(search), words("rooms.none"), words("rooms.none_more"))
    columns = (
        Column(words("rooms.number"), "rl-fit"),
        Column(words("rooms.name"), "b"),
        Column(words("rooms.organisation"), "lo"),
        Column(words("rooms.now")),
        Column(words("rooms.terminals")),
    )
    rows = [_cells(view, row) for row in found.rows]
    return join(
        table(columns, rows, words("nav.rooms")), lists.pager(words, PATH, cursor, found.next_cursor, search=search)
    )


def _cells(view: View, row: _Line) -> list[str | Markup]:
    words = view.words
    on = link(f"/activities/{row.now[0]}", words.either(*row.now[1])) if row.now else small(words("rooms.nothing"))
    terminals = [
        tag("div", link(f"/terminals/{terminal}", terminal), " ", facts.presence_said(words, presence))
        for terminal, presence in row.terminals
    ]
    return [plate(row.number), words.either(*row.name), words.either(*row.organisation), on,
            join(terminals) if terminals else small(words("rooms.no_terminal"))]  # fmt: skip


async def _add(view: View) -> None:
    words = view.words
    places = organisation_options(view, await view.read(organisations_of))
    fields = join(
        dialogs.field(words("rooms.number"), "number", required=True, maxlength=12, autofocus=True),
        dialogs.field(words("rooms.name"), "name", required=True, maxlength=120),
        dialogs.field(words("rooms.name_en"), "name_en", maxlength=120),
        dialogs.choice(words("rooms.organisation"), "organisation_id", places),
    )

    async def add(values: dict[str, str]) -> None:
        form = dialogs.filled(RoomForm, **values)
        await view.write(Role.OPERATOR, lambda session, change, scope: service.create(session, change, scope, form))
        ui.navigate.to(PATH)

    dialogs.ask(view, words("rooms.add"), fields, words("rooms.add"), add)
