"""Console: the list of terminals: filtered, sorted and paged by the server, rows to choose, live, all of it in the address.

Promises that the list keeps still while a pointer or the focus is in it, and says so; that rows stay chosen over pages,
filters and news; that it is shown without a place that is gone, and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.console import dialogs, lists
from cloud.console.markup import join, tag
from cloud.console.places import branch_scope, organisations_of, room_options, rooms_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import button, button_link, note, small
from cloud.organisations import service as organisations
from cloud.organisations.tree import Branch
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import (
    fleet,
    import_page,
    list_actions,
    list_table,
    list_tools,
    listing,
    map_page,
    saved_dialogs,
    terminal_page,
)
from cloud.terminals.list_actions import Chosen
from cloud.terminals.list_table import PATH, Choosing
from cloud.terminals.list_tools import Choices, Names
from cloud.terminals.listing import Page
from cloud.terminals.saved_dialogs import Saved
from cloud.terminals.wanted import Wanted, query_of, read

EVERY_S: Final = 3.0
"""How often an open list is read again while there is news."""


def register(shell: Shell) -> None:
    """`/terminals`, its map and its import, and `/terminals/{id}`."""
    import_page.register(shell)
    map_page.register(shell)
    terminal_page.register(shell)

    @shell.page("/terminals", "terminals")
    async def listing(view: View) -> None:
        await _Listing(view).show()


@dataclass(frozen=True)
class _Known:
    """`wanted` is what was asked for, without places that are gone."""

    wanted: Wanted
    page: Page
    branches: list[Branch]
    standing: Mapping[str, Mapping[str, int]]
    choices: Choices
    names: Names
    saved: list[Saved]


class _Listing:
    """The page: states above, the tree of organisations beside the list, what to do with the chosen rows below it."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.wanted, self.cursor = Wanted(), ""
        self.saved = ""
        self.chosen = Chosen()
        self.turn = 0
        self.gone = False
        self.still = self.behind = False
        self._take(view.client.request.url.query)

    def _take(self, query: str) -> None:
        """What an address asks for; the saved view that it names is only its name."""
        said = dict(parse_qsl(query))
        self.saved = said.get("view", self.saved)
        self.wanted, self.cursor = read(said), said.get("cursor", "")

    async def show(self) -> None:
        """Build it, and keep it live."""
        view = self.view
        may_choose = view.may(Role.OPERATOR)
        self.top = view.html(on_act=self._act)
        self.states = view.html(slot="states", on_act=self._act)
        with ui.element("div").classes("rl-grid"):
            self.tree = view.html(slot="tree", on_act=self._act).style("--c:3")
            with ui.element("section").classes("rl-panel").style("--c:9") as self.place:
                self.head = view.html(tag="header")
                self._tools()
                self.named = view.html(slot="named", on_act=self._act)
                self.list = view.html(slot="list", on_act=self._act)
                self.below = view.html(slot="chosen", classes="rl-row rl-bulk", on_act=self._act)
                self.below.props["role"], self.below.props["aria-label"] = (
                    "region",
                    view.words("terminals.chosen_label"),
                )
        if may_choose:
            view.picks(self.list, self._pick)
        view.on_presence(self.list, "terminals_still", self._be_still)
        view.on_back("terminals_back", self._back)
        await self._draw()
        view.keep_live(view.at_most_every(EVERY_S, self._live))

    def _tools(self) -> None:
        view, words = self.view, self.view.words
        with ui.element("div").classes("rl-row rl-tools"):
            self.search = view.search_box(words("terminals.search"), self.wanted.search, self._search)
            self.filters = view.html(slot="filters", on_act=self._act, classes="rl-row")
            view.chooses(self.filters, self._choose)
        with ui.element("div").classes("rl-row rl-tools"):
            self.views = view.html(slot="views", on_act=self._act, classes="rl-row")
            view.chooses(self.views, self._choose)
            self.export = view.html(classes="rl-push")

    # --- what is asked for -------------------------------------------------------------------------------------------

    async def _want(self, wanted: Wanted, cursor: str = "") -> None:
        """Show that, and keep the address in step."""
        self.wanted, self.cursor = wanted, cursor
        known = await self._draw()
        saved = next((each for each in known.saved if each.id == self.saved and each.wanted == wanted), None)
        with self.view.client:
            ui.navigate.history.push(list_table.address(known.wanted, cursor or None, saved.id if saved else ""))

    async def _go(self, href: str) -> None:
        said = dict(parse_qsl(urlsplit(href).query))
        wanted = read(said)
        if wanted.search != self.wanted.search:
            self.search.props["value"] = wanted.search
            self.search.update()
        await self._want(wanted, said.get("cursor", ""))

    async def _back(self, query: str) -> None:
        self._take(query.removeprefix("?"))
        self.search.props["value"] = self.wanted.search
        self.search.update()
        await self._draw()

    async def _search(self, text: str) -> None:
        self.wanted, self.cursor = read(query_of(self.wanted) | {"search": text}), ""
        await self._draw()
        with self.view.client:
            ui.navigate.history.replace(list_table.address(self.wanted))

    async def _choose(self, name: str, value: str) -> None:
        """One of a list to choose from was changed."""
        if name == "view":
            self.saved = value
            await self._want((await self._saved(value)) if value else Wanted())
        elif name == "sort":
            await self._want(read(query_of(Wanted(**self.wanted.said() | {"descending": False})) | {"sort": value}))
        elif name in {"kind", "version"}:
            await self._want(read(query_of(self.wanted) | {name: value}))

    async def _saved(self, view_id: str) -> Wanted:
        found = await self.view.read(lambda session, scope: saved_dialogs.known(session, self.view, scope))
        return next((each.wanted for each in found if each.id == view_id), Wanted())

    # --- what is shown -----------------------------------------------------------------------------------------------

    async def _read(self) -> _Known:
        view, asked, cursor = self.view, self.wanted, self.cursor

        def known(session: Session, scope: Scope) -> _Known:
            saved = saved_dialogs.known(session, view, scope)
            branches = organisations_of(session, scope)
            wanted = listing.in_known_places(session, scope, asked)
            return _Known(
                wanted,
                listing.page(session, scope, wanted, lists.paging(cursor), view.now),
                branches,
                fleet.by_branch(session, scope, branches),
                Choices(listing.versions(session, scope)),
                _names(session, wanted),
                saved,
            )

        return await view.read(known)

    @property
    def _asked(self) -> tuple[Wanted, str]:
        return self.wanted, self.cursor

    async def _live(self) -> None:
        """Something has changed: the numbers are drawn anew, the list only while nobody is in it, fields to choose from never."""
        asked = self._asked
        known = await self._read()
        if asked != self._asked:
            return
        self.behind = self.still
        if known.wanted != self.wanted and not self.still:
            self._show(known)
            return
        self._show_numbers(known)
        if not self.still:
            self._show_list(known)
        self._show_head(still=self.still)

    async def _be_still(self, still: bool) -> None:
        """Somebody is in the list, or is not any more: then it is drawn as it is by now."""
        self.still = still
        if not still and self.behind:
            await self._live()

    async def _draw(self) -> _Known:
        """All of it, because somebody has asked for it."""
        asked = self._asked
        known = await self._read()
        if asked != self._asked:
            return known  # something else was asked for meanwhile, and is shown or will be
        self._show(known)
        return known

    def _show(self, known: _Known) -> None:
        self.gone = known.wanted != self.wanted
        self.wanted = known.wanted
        if self.chosen.matching is not None and not self.chosen.matching.is_as_wide_as(self.wanted):
            self.chosen = Chosen()  # all that match are those of the filter that one sees
        self.turn += 1
        self._show_numbers(known)
        self._show_asked(known)
        self._show_list(known)
        self._show_head(still=False)

    def _show_numbers(self, known: _Known) -> None:
        """Heading, states and organisations."""
        view, words, wanted = self.view, self.view.words, self.wanted
        count = words.number(sum(known.page.counts.values()))
        add = None
        if view.may(Role.ADMIN):
            many = button_link(f"{PATH}/import", words("import_terminals.title"))
            add = join(many, button(words("terminals.add"), "add", kind="main"))
        self.top.set_content(str(head(view, words("nav.terminals"), count=count, beside=add)))
        self.states.set_content(str(list_table.states(words, known.page.counts, wanted)))
        several = len(known.branches) > 1
        self.tree.set_visibility(several)
        self.tree.set_content(str(list_tools.tree(view, known.branches, known.standing, wanted)) if several else "")
        self.place.style(f"--c:{9 if several else 12}")

    def _show_asked(self, known: _Known) -> None:
        """What is asked for, and what may be asked for."""
        view, words, wanted = self.view, self.view.words, self.wanted
        self.filters.set_content(str(list_tools.filters(words, wanted, known.choices)))
        self.views.set_content(str(saved_dialogs.chooser(view, known.saved, self.saved, wanted)))
        self.export.set_content(str(list_tools.export_link(words, wanted)) if view.may(Role.OPERATOR) else "")
        named = list_tools.filtered_by(words, wanted, known.names)
        gone = note("warn", words("terminals.place_gone"), words("terminals.place_gone_more"), role="status")
        self.named.set_content(str(join(gone if self.gone else None, named)))

    def _show_list(self, known: _Known) -> None:
        view = self.view
        self.shown, self.shown_at = known.page, view.now
        choosing = Choosing(self.chosen.ids, self.chosen.matching is not None, self.turn)
        may = choosing if view.may(Role.OPERATOR) else None
        self.list.set_content(str(list_table.listing(view, known.page, self.wanted, may)))
        self._show_below()

    def _show_head(self, *, still: bool) -> None:
        words = self.view.words
        said = list_tools.sorted_how(words, self.wanted)
        if still:
            said = words("terminals.kept_still", time=words.clock(self.shown_at))
        self.head.set_content(str(tag("h2", words("terminals.list")) + small(said)))

    def _show_below(self) -> None:
        words, page = self.view.words, self.shown
        count = page.total if self.chosen.matching is not None else len(self.chosen.ids)
        whole = bool(page.lines) and all(each.id in self.chosen.ids for each in page.lines)
        tools = list_tools.toolbar(words, count, page.total, whole) if self.view.may(Role.OPERATOR) else None
        self.below.set_content(str(join(tools, list_table.pager(words, page, self.wanted))))

    # --- what is done ------------------------------------------------------------------------------------------------

    def _pick(self, named: list[str], checked: bool) -> None:
        """Rows of this page were chosen or let go; of all that match, the others of the page stay."""
        here = {each.id for each in self.shown.lines}
        ids = here if self.chosen.matching is not None else set(self.chosen.ids)
        ids = ids | (here & set(named)) if checked else ids - set(named)
        self.chosen = Chosen(frozenset(sorted(ids)[: list_actions.MOST]))
        self._show_below()

    async def _act(self, act: str, on: str) -> None:
        view = self.view
        if act == "go":
            await self._go(on)
        elif act == "add":
            await list_actions.add(view)
        elif act == "filters":
            await self._more_filters()
        elif act in {"all", "none"}:
            self.chosen = Chosen(matching=self.wanted) if act == "all" else Chosen()
            await self._draw()
        elif act in saved_dialogs.ACTS:
            await saved_dialogs.act_on(view, act, self.saved, self.wanted, self._kept)
        elif view.may(Role.OPERATOR):
            await list_actions.act_on(view, act, self.chosen)

    async def _kept(self, view_id: str) -> None:
        """A view was saved, changed or taken away."""
        self.saved = view_id
        await self._want(self.wanted)

    async def _more_filters(self) -> None:
        view, words, wanted = self.view, self.view.words, self.wanted

        def known(session: Session, scope: Scope) -> tuple[list[tuple[str, str, str, str]], Sequence[str]]:
            branch = branch_scope(session, scope, wanted.organisation_id or "")
            profiles = {*listing.profiles(session, scope), *([wanted.profile] if wanted.profile else [])}
            return rooms_of(session, branch, wanted.room_id), sorted(profiles)

        places, profiles = await view.read(known)
        any_room, any_profile = ("", words("terminals.any_room")), ("", words("terminals.any_profile"))
        fields = join(
            dialogs.choice(words("terminals.room"), "room", [any_room, *room_options(words, places)], wanted.room_id or ""),
            dialogs.choice(words("terminals.profile"), "profile", [any_profile, *((p, p) for p in profiles)],
                           wanted.profile or ""),
        )  # fmt: skip

        async def filtered(values: dict[str, str]) -> None:
            asked = {name: values.get(name, "") for name in ("room", "profile")}
            await self._want(read(query_of(wanted) | asked))

        dialogs.ask(view, words("terminals.more_filters"), fields, words("terminals.filter"), filtered)


def _names(session: Session, wanted: Wanted) -> Names:
    """Of the places that are filtered by."""
    organisation = wanted.organisation_id and organisations.names(session, [wanted.organisation_id]).get(
        wanted.organisation_id
    )
    room = wanted.room_id and rooms.labels(session, [wanted.room_id]).get(wanted.room_id)
    return Names(organisation or None, room or None)
