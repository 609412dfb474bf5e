"""Console: one search over members, rooms, terminals and activities."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.activities import service as activities
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head, search_field
from cloud.console.view import View
from cloud.console.widgets import Column, link, none, panel, plate, small, table
from cloud.members import service as members
from cloud.paging import Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import service as terminals

MOST = 10
"""Of each kind; their own lists show all."""


@dataclass(frozen=True)
class _Hit:
    path: str
    name: tuple[str, str]
    more: str = ""
    plate: str = ""


def register(shell: Shell) -> None:
    """`/search`."""

    @shell.page("/search", "search")
    async def search(view: View, q: str = "") -> None:
        words = view.words
        text = q.strip()[:120]
        view.html(head(view, words("search.title", text=text) if text else words("nav.search")))
        view.html(_asked(view, text), classes="thin")
        found = await view.read(lambda session, scope: _found(session, scope, text)) if text else {}
        kinds = [_panel(view, kind, hits) for kind, hits in found.items() if hits]
        if not kinds:
            view.html(none(words("page.nothing_found"), words("page.nothing_found_more")))
            return
        view.html(join(kinds), classes="rl-stack", slot="list")


def _asked(view: View, text: str) -> Markup:
    """The field with what was asked, where the top bar has no room for it."""
    field = search_field(view.words, view.words("nav.search_hint"), value=text)
    return tag("form", field, action="/search", role="search", class_="rl-tools")


def _found(session: Session, scope: Scope, text: str) -> dict[str, list[_Hit]]:
    few = Paging(MOST)
    plates = rooms.list_rooms(session, scope, few, search=text).rows
    return {
        "members": [
            _Hit(f"/members/{each.id}", (each.display_name, ""), each.external_id or "")
            for each in members.list_members(session, scope, few, search=text).rows
        ],
        "rooms": [
            _Hit(f"/rooms?search={each.number}", (each.name, each.name_en), plate=each.number) for each in plates
        ],
        "terminals": [
            _Hit(f"/terminals/{each.id}", (each.id, ""))
            for each in terminals.list_terminals(session, scope, few, search=text).rows
        ],
        "activities": [
            _Hit(f"/activities/{activities.occurrence_id(each.id, each.starts_at)}", (each.title, each.title_en))
            for each in activities.list_activities(session, scope, few, search=text).rows
        ],
    }


def _panel(view: View, kind: str, hits: list[_Hit]) -> Markup:
    words = view.words
    rows = [[_name(view, hit), small(hit.more)] for hit in hits]
    columns = (Column(""), Column("", "num"))
    rest = tag("p", small(words("search.more")), style="padding-top:12px") if len(hits) == MOST else None
    return panel(words(f"nav.{kind}"), table(columns, rows, words(f"nav.{kind}")), rest)


def _name(view: View, hit: _Hit) -> Markup:
    name = link(hit.path, view.words.either(*hit.name), class_="b")
    return join(plate(hit.plate), " ", name) if hit.plate else name
