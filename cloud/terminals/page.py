"""Console: the list of terminals, what stands how, and the form to register one."""

from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.console import dialogs, facts, lists
from cloud.console.markup import join, tag
from cloud.console.places import branch_scope, organisations_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, Row, ago, button, button_link, link, panel, plate, say, small, table
from cloud.organisations.tree import Branch, totals
from cloud.overview import positions
from cloud.paging import MAX_LIMIT, Found, Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import broker_users, fleet, import_page, service, terminal_page
from cloud.terminals.models import Terminal
from cloud.terminals.password_dialog import show_password
from cloud.terminals.service import Kind, NewTerminalForm

PATH = "/terminals"
EVERY_S = 3.0
"""How often an open list is read again while there is news."""


def register(shell: Shell) -> None:
    """`/terminals` and `/terminals/{id}`."""
    import_page.register(shell)
    terminal_page.register(shell)

    @shell.page(PATH, "terminals")
    async def listing(
        view: View, search: str = "", presence: str = "", organisation: str = "", cursor: str = ""
    ) -> None:
        wanted = presence if presence in fleet.STATES else ""
        await _Listing(view, search, wanted, organisation, cursor).show()


class _Listing:
    """The page: states above, the tree of organisations beside the list."""

    def __init__(self, view: View, search: str, presence: str, organisation: str, cursor: str) -> None:
        self.view = view
        self.search = search
        self.presence = presence
        self.organisation = organisation
        self.cursor = cursor

    async def show(self) -> None:
        """Build it, and keep it live."""
        view, words = self.view, self.view.words
        self.top = view.html(on_act=lambda *_: _add(view))
        self.states = view.html(slot="states")
        with ui.element("div").classes("rl-grid"):
            self.tree = view.html(slot="tree").style("--c:3")
            with ui.element("section").classes("rl-panel").style("--c:9") as self.place:
                view.html(tag("h2", words("terminals.list")), tag="header")
                with ui.element("div").classes("rl-row rl-tools"):
                    lists.searchable(view, words("terminals.search"), self.search, PATH, self._search,
                                     presence=self.presence, organisation=self.organisation)  # fmt: skip
                self.list = view.html(slot="list")
        await self._draw()
        view.keep_live(view.at_most_every(EVERY_S, self._draw))

    async def _search(self, text: str) -> None:
        self.search, self.cursor = text, ""
        await self._draw()

    async def _draw(self) -> None:
        view, words = self.view, self.view.words
        known = await view.read(
            lambda session, scope: _page(session, scope, self.organisation, self.search, self.presence, self.cursor)
        )
        count = words.number(sum(count for _, count in known.presence))
        add = None
        if view.may(Role.ADMIN):
            many = button_link(f"{PATH}/import", words("import_terminals.title"))
            add = join(many, button(words("terminals.add"), "add", kind="main"))
        self.top.set_content(str(head(view, words("nav.terminals"), count=count, beside=add)))
        self.states.set_content(str(_states(view, known.presence, self.presence, self.organisation)))
        several = len(known.branches) > 1
        self.tree.set_visibility(several)
        self.tree.set_content(str(_tree(view, known, self.organisation, self.presence)))
        self.place.style(f"--c:{9 if several else 12}")
        shown = _listing(view, known.found, self.search, self.presence, self.organisation, self.cursor)
        self.list.set_content(str(shown))


@dataclass(frozen=True)
class _Line:
    id: str
    kind: str
    room: tuple[str, str, str]
    presence: str
    heard_at: datetime | None
    stored: tuple[int, int] | None
    version: str
    marks: list[str]
    out: str
    """Why it is not in service: `disabled`, `replaced`; else empty."""


@dataclass(frozen=True)
class _Known:
    found: Found[_Line]
    presence: tuple[tuple[str, int], ...]
    branches: list[Branch]
    standing: dict[str, int]
    offline: dict[str, int]


def _page(session: Session, scope: Scope, organisation: str, search: str, presence: str, cursor: str) -> _Known:
    chosen = branch_scope(session, scope, organisation)
    branches = organisations_of(session, scope)
    own = fleet.by_organisation(session, scope)
    return _Known(
        _lines(session, chosen, search, presence, cursor),
        fleet.summary(session, chosen).presence,
        branches,
        totals(branches, {each: count for each, (count, _) in own.items()}),
        totals(branches, {each: away for each, (_, away) in own.items()}),
    )


def _lines(session: Session, scope: Scope, search: str, presence: str, cursor: str) -> Found[_Line]:
    found = service.list_terminals(
        session, scope, lists.paging(cursor), search=search or None, presence=presence or None
    )
    plates = rooms.labels(session, {each.room_id for each in found.rows if each.room_id})
    stored = positions.waiting_by_terminal(session, [each.id for each in found.rows])
    rows = [
        _Line(each.id, each.kind, plates.get(each.room_id or "", ("", "", "")), each.presence, each.last_heard_at,
              stored.get(each.id), terminal_page.version(each.birth), list(each.marks), _out(each))
        for each in found.rows
    ]  # fmt: skip
    return Found(rows, found.next_cursor)


def _tree(view: View, known: _Known, organisation: str, presence: str) -> Markup:
    """The branches, each with how many terminals it has and how many of them are offline; one may be chosen."""
    words = view.words
    columns = (Column(""), Column("", "num"), Column("", "num rl-fit"))
    rows = [
        Row(
            [
                _branch(view, each, each.id == organisation, presence),
                words.number(known.standing[each.id]),
                say("offline", words.number(known.offline[each.id])) if known.offline[each.id] else None,
            ],
            selected=each.id == organisation,
        )
        for each in known.branches
    ]
    title = words("nav.organisations")
    return panel(title, table(columns, rows, title), beside=small(words("terminals.tree")))


def _branch(view: View, branch: Branch, chosen: bool, presence: str) -> Markup:
    """Chosen again, it is let go."""
    to = lists.address(PATH, organisation="" if chosen else branch.id, presence=presence)
    name = view.words.either(branch.name, branch.name_en)
    named = tag(
        "a", name, href=to, class_="rl-quiet b" if chosen else "rl-quiet", aria_current="true" if chosen else None
    )
    return tag("span", named, class_="rl-branch", style=f"--depth:{branch.depth}")


def _states(view: View, presence: tuple[tuple[str, int], ...], wanted: str, organisation: str) -> Markup:
    words = view.words
    counts = dict(presence)
    shown = [state for state in fleet.STATES if state in counts or state in {"online", "suspect", "offline", wanted}]
    links = [
        tag("a", facts.presence_said(words, state), tag("b", words.number(counts.get(state, 0)), class_="t4 rl-push"),
            href=lists.address(PATH, presence="" if state == wanted else state, organisation=organisation),
            class_="rl-btn rl-seg", aria_current="true" if state == wanted else None)
        for state in shown
    ]  # fmt: skip
    return tag("div", links, class_="rl-segs")


def _listing(view: View, found: Found[_Line], search: str, presence: str, organisation: str, cursor: str) -> Markup:
    words = view.words
    if not found.rows:
        searched = bool(search or presence or organisation)
        return lists.nothing(words, searched, words("terminals.none"), words("terminals.none_more"))
    columns = (
        Column(words("terminals.state"), "rl-fit"),
        Column(words("terminals.terminal")),
        Column(words("terminals.room"), "rl-fit"),
        Column(words("terminals.heard"), "nowrap"),
        Column(words("terminals.waiting"), "num nowrap", h=True),
        Column(words("terminals.stored"), "num lo"),
        Column(words("terminals.version"), "lo mid"),
        Column(words("terminals.mark"), "lo"),
    )
    rows = [_cells(view, row) for row in found.rows]
    pager = lists.pager(
        words, PATH, cursor, found.next_cursor, search=search, presence=presence, organisation=organisation
    )
    return join(table(columns, rows, words("nav.terminals")), pager)


def _out(terminal: Terminal) -> str:
    if not terminal.enabled:
        return "disabled"
    return "" if terminal.replaced_by is None else "replaced"


def _cells(view: View, row: _Line) -> list[str | Markup]:
    words = view.words
    state = facts.presence(words, row.presence)
    if row.out:
        state = say("cancelled", words(f"terminals.{row.out}"))
    marks = join([say("warn", words.known(f"mark.{mark}", mark)) for mark in row.marks[:1]])
    return [
        state,
        link(f"{PATH}/{row.id}", row.id, class_="b nowrap"),
        join(plate(row.room[0]), " ", tag("span", words.either(*row.room[1:]), class_="lo mid"))
        if row.room[0]
        else "–",
        ago(words, row.heard_at, view.now) if row.heard_at else words("terminals.never"),
        waiting(view, row.stored[1] if row.stored else None, row.presence),
        words.number(row.stored[0]) if row.stored else "–",
        row.version,
        marks,
    ]


def waiting(view: View, count: int | None, presence: str) -> str:
    """How many records wait; of a silent terminal it is the least that there can be."""
    if count is None:
        return "–"
    words = view.words
    return words.number(count) if presence == "online" else words("terminals.at_least", n=count)


async def _add(view: View) -> None:
    words = view.words

    def choices(session: Session, scope: Scope) -> list[tuple[str, str]]:
        found = rooms.list_rooms(session, scope, Paging(MAX_LIMIT)).rows
        return [(room.id, f"{room.number} {words.either(room.name, room.name_en)}") for room in found]

    fields = join(
        dialogs.field(words("terminals.id"), "id", required=True, pattern="[a-z0-9][a-z0-9\\-]{1,38}[a-z0-9]", autofocus=True,
                      hint=words("terminals.id_hint"), autocomplete="off"),
        dialogs.choice(words("terminals.kind"), "kind", [(each, words(f"kind.{each}")) for each in Kind]),
        dialogs.choice(words("terminals.room"), "room_id", [("", words("terminals.no_room")), *await view.read(choices)]),
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
