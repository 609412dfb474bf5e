"""Console: the list of members, searched by the server."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.console import dialogs, lists
from cloud.console.markup import join
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, button_link, link, table
from cloud.members import import_page, member_page, service
from cloud.members.member_form import member_fields, member_form
from cloud.organisations import service as organisations
from cloud.paging import Found
from cloud.scope import Scope

PATH = "/members"


def register(shell: Shell) -> None:
    """`/members`; and `/members/import` before `/members/{id}`."""
    import_page.register(shell)
    member_page.register(shell)

    @shell.page(PATH, "members")
    async def listing(view: View, search: str = "", cursor: str = "") -> None:
        words = view.words
        actions = None
        if view.may(Role.ORGANISER):
            actions = join(
                button_link("/members/import", words("members.import")),
                button_link("/api/v1/members/export", words("members.export"), download=True),
                button(words("members.add"), "add", kind="main"),
            )
        view.html(head(view, words("nav.members"), beside=actions), on_act=lambda *_: _add(view))
        bar = ui.element("div").classes("rl-row rl-tools")
        found = view.html(slot="list")

        async def show(text: str, cursor: str = "") -> None:
            rows = await view.read(lambda session, scope: _page(session, scope, text, cursor))
            found.set_content(str(_listing(view, rows, text, cursor)))

        with bar:
            lists.searchable(view, words("members.search"), search, PATH, show)
        await show(search, cursor)


@dataclass(frozen=True)
class _Line:
    id: str
    name: str
    external_id: str
    organisation: tuple[str, str]
    created_at: datetime


def _page(session: Session, scope: Scope, search: str, cursor: str) -> Found[_Line]:
    found = service.list_members(session, scope, lists.paging(cursor), search=search or None)
    named = organisations.names(session, {row.organisation_id for row in found.rows})
    rows = [
        _Line(row.id, row.display_name, row.external_id or "", named.get(row.organisation_id, ("", "")), row.created_at)
        for row in found.rows
    ]
    return Found(rows, found.next_cursor)


def _listing(view: View, found: Found[_Line], search: str, cursor: str) -> Markup:
    words = view.words
    if not found.rows:
        return lists.nothing(words, bool(search), words("members.none"), words("members.none_more"))
    columns = (
        Column(words("members.name")),
        Column(words("members.external_id"), h=True),
        Column(words("members.organisation")),
        Column(words("members.since"), "lo"),
    )
    rows = [
        [link(f"{PATH}/{row.id}", row.name, class_="b"), row.external_id or "–", words.either(*row.organisation),
         words.short_day(row.created_at)]
        for row in found.rows
    ]  # fmt: skip
    pager = lists.pager(words, PATH, cursor, found.next_cursor, search=search)
    return join(table(columns, rows, words("nav.members")), pager)


async def _add(view: View) -> None:
    words = view.words

    async def add(values: dict[str, str]) -> None:
        form = member_form(values)
        made = await view.write(
            Role.ORGANISER, lambda session, change, scope: service.create(session, change, scope, form)
        )
        ui.navigate.to(f"{PATH}/{made.id}")

    dialogs.ask(view, words("members.add"), await member_fields(view), words("members.add"), add)
