"""Console: all commands, those for many terminals with how far they are, and one of those by terminal."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.commands import bulk_ask, bulks, page, service
from cloud.commands.bulks import States
from cloud.commands.models import Bulk, Command
from cloud.commands.states import State
from cloud.console import dialogs, lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, bar, button, link, none, panel, say, small, table
from cloud.paging import Found, Paging
from cloud.scope import Scope

PATH = "/commands"
EVERY_S = 3.0
_ORDER = (
    State.QUEUED, State.SENT, State.ACCEPTED, State.RUNNING, State.DONE, State.FAILED, State.UNKNOWN, State.EXPIRED,
    State.CANCELLED,
)  # fmt: skip
"""As a command goes; what needs a look before what does not."""


def register(shell: Shell) -> None:
    """`/commands` and `/commands/{bulk}`."""

    @shell.page(PATH, "commands")
    async def listing(view: View, cursor: str = "") -> None:
        await _Listing(view, cursor).show()

    @shell.page(PATH + "/{bulk_id}", "commands")
    async def bulk(view: View, bulk_id: str, state: str = "", cursor: str = "") -> None:
        await _Bulk(view, bulk_id, State(state) if state in set(State) else None, cursor).show()


@dataclass(frozen=True)
class _Known:
    bulks: Found[Bulk]
    states: dict[str, dict[State, int]]
    single: Found[Command]


class _Listing:
    """Those for many above, those for one below; `cursor` pages the latter."""

    def __init__(self, view: View, cursor: str) -> None:
        self.view, self.cursor = view, cursor

    async def show(self) -> None:
        """Build it, and keep it live."""
        view, words = self.view, self.view.words
        beside = button(words("command.to_many"), "to_many", kind="main") if view.may(Role.OPERATOR) else None
        view.html(head(view, words("nav.commands"), beside=beside), on_act=self._act)
        with ui.element("div").classes("rl-stack"):
            self.bulks = view.html(slot="bulks", on_act=self._act)
            self.single = view.html(slot="single", on_act=self._act)
        await self._draw()
        view.keep_live(view.at_most_every(EVERY_S, self._draw))

    async def _draw(self) -> None:
        view = self.view
        known = await view.read(lambda session, scope: _known(session, scope, self.cursor))
        self.bulks.set_content(str(_bulks(view, known)))
        self.single.set_content(str(_single(view, known.single, self.cursor)))

    async def _act(self, act: str, on: str) -> None:
        if act == "to_many":
            await bulk_ask.choose(self.view, self._lead_to)
        else:
            await page.act_on(self.view, "", act, on, self._draw)

    async def _lead_to(self, bulk_id: str) -> None:
        ui.navigate.to(f"{PATH}/{bulk_id}")


def _known(session: Session, scope: Scope, cursor: str) -> _Known:
    found = bulks.newest(session, scope, Paging(bulks.NEWEST))
    states = bulks.progress(session, scope, [each.id for each in found.rows]) if found.rows else {}
    return _Known(found, states, service.list_commands(session, scope, lists.paging(cursor), single=True))


def _bulks(view: View, known: _Known) -> Markup:
    words = view.words
    title = words("command.bulks")
    if not known.bulks.rows:
        return panel(title, none(words("command.no_bulks"), words("command.no_bulks_more")))
    columns = [
        Column(words("command.time"), "nowrap"),
        Column(words("command.command"), "b"),
        Column(words("command.who"), h=True),
        Column(words("command.progress"), "rl-whole"),
    ]
    rows = [
        [
            words.minute(each.asked_at),
            link(f"{PATH}/{each.id}", _said(view, each)),
            tag("span", each.asked_by, class_="nowrap"),
            _progress(view, _said(view, each), known.states[each.id], counted=True),
        ]
        for each in known.bulks.rows
    ]
    return panel(title, table(columns, rows, title), beside=small(words("command.bulks_more")))


def _single(view: View, found: Found[Command], cursor: str) -> Markup:
    words = view.words
    title = words("command.single")
    if not found.rows:
        return panel(title, none(words("command.no_single"), words("command.no_single_more")))
    pager = lists.pager(words, PATH, cursor, found.next_cursor)
    return panel(title, _commands(view, found, title, by_name=True), pager, beside=small(words("command.own_word")))


def _commands(view: View, found: Found[Command], title: str, *, by_name: bool) -> Markup:
    """A row for each command with its terminal."""
    words = view.words
    columns = [Column(words("terminals.terminal"), "b nowrap"), Column(words("command.time"), "nowrap", h=True)]
    columns += [Column(words("command.command")), Column(words("command.who"), h=True)] if by_name else []
    columns.append(Column(words("command.word"), "rl-whole"))
    rows = [
        [
            link(f"/terminals/{each.terminal_id}", each.terminal_id),
            words.minute(each.said_at or each.asked_at),
            *([words.known(f"command.{each.name}", each.name), each.asked_by] if by_name else []),
            page.word_of(view, each),
        ]
        for each in found.rows
    ]
    return table(columns, rows, title)


def _said(view: View, bulk: Bulk) -> str:
    """The command in words, with its arguments."""
    name = view.words.known(f"command.{bulk.name}", bulk.name)
    return f"{name} ({', '.join(str(each) for each in bulk.arguments.values())})" if bulk.arguments else name


def _progress(view: View, label: str, states: States, *, counted: bool) -> Markup:
    words = view.words
    total, ended = sum(states.values()), bulks.ended(states)
    how = words("command.ended" if ended == total else "command.under_way")
    said = bar(how, ended, total, words("command.ended_of", n=ended, total=total))
    counts = [
        tag("span", say(each, f"{words(f'command.state_{each}')} {words.number(states[each])}"), " ")
        for each in _ORDER
        if states.get(each)
    ]
    by_state = tag("p", counts, class_="rl-row t1") if counted else None
    return tag("div", said, by_state, aria_label=label, role="group")


class _Bulk:
    """One bulk: how far it is, and what each of its terminals said."""

    def __init__(self, view: View, bulk_id: str, state: State | None, cursor: str) -> None:
        self.view, self.id, self.state, self.cursor = view, bulk_id, state, cursor

    async def show(self) -> None:
        """Build it, and keep it live."""
        view = self.view
        self.top = view.html(on_act=self._act)
        with ui.element("div").classes("rl-stack"):
            with ui.element("div"):
                self.progress = view.html(slot="progress")
                self.states = view.html(slot="states").style("padding-top:16px")
            self.list = view.html(slot="list", on_act=self._act)
        await self._draw()
        view.keep_live(view.at_most_every(EVERY_S, self._draw))

    async def _draw(self) -> None:
        view, words = self.view, self.view.words

        def known(session: Session, scope: Scope) -> tuple[Bulk, States, Found[Command]]:
            bulk = bulks.get(session, scope, self.id)
            states = bulks.progress(session, scope, [self.id])[self.id]
            paging = lists.paging(self.cursor)
            return bulk, states, service.list_commands(session, scope, paging, bulk=self.id, state=self.state)

        bulk, states, found = await view.read(known)
        self.waiting = states.get(State.QUEUED, 0)
        can = self.waiting and view.may(Role.OPERATOR)
        cancel = button(words("command.cancel_waiting", n=self.waiting), "cancel_bulk", kind="danger") if can else None
        above = link(PATH, words("nav.commands"))
        title = _said(view, bulk)
        self.top.set_content(str(head(view, title, above=above, beside=cancel)))
        asked = tag("p", words.minute(bulk.asked_at), " · ", bulk.asked_by, class_="rl-under")
        self.progress.set_content(str(join(asked, _progress(view, title, states, counted=False))))
        self.states.set_content(str(self._filters(states)))
        pager = lists.pager(words, f"{PATH}/{self.id}", self.cursor, found.next_cursor, state=self.state)
        shown = _commands(view, found, title, by_name=False) if found.rows else lists.nothing(words, True, "", "")
        self.list.set_content(str(panel(words("nav.terminals"), shown, pager, beside=small(words("command.own_word")))))

    def _filters(self, states: States) -> Markup:
        words, path = self.view.words, f"{PATH}/{self.id}"
        shown = [each for each in _ORDER if states.get(each) or each is self.state]
        links = [
            tag("a", say(each, words(f"command.state_{each}")), tag("b", words.number(states.get(each, 0)), class_="t4 rl-push"),
                href=lists.address(path, state=None if each is self.state else each), class_="rl-btn rl-seg",
                aria_current="true" if each is self.state else None)
            for each in shown
        ]  # fmt: skip
        return tag("div", links, class_="rl-segs")

    async def _act(self, act: str, on: str) -> None:
        if act == "cancel_bulk":
            _cancel(self.view, self.id, self.waiting, self._draw)
        else:
            await page.act_on(self.view, "", act, on, self._draw)


def _cancel(view: View, bulk_id: str, waiting: int, done: Callable[[], Awaitable[None]]) -> None:
    words = view.words

    async def go(_values: dict[str, str]) -> None:
        await view.write(Role.OPERATOR, lambda session, change, scope: bulks.cancel(session, change, scope, bulk_id))
        await done()

    title = words("command.cancel_waiting", n=waiting)
    dialogs.ask(view, title, None, words("command.cancel_it"), go, intro=words("command.cancel_sure"), danger=True)
