"""Console: maintenance windows, those that are on or to come, and those that are over."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.alarms import saying, windows
from cloud.alarms.models import MaintenanceWindow
from cloud.alarms.saying import Names
from cloud.alarms.windows import WindowForm
from cloud.console import dialogs, lists
from cloud.console.markup import Content, join, tag
from cloud.console.places import organisation_options, organisations_of, room_options, rooms_of
from cloud.console.refusals import refuse
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, button_link, link, none, plate, say, table
from cloud.organisations.tree import Branch
from cloud.paging import Found
from cloud.scope import Scope

PATH = "/maintenance-windows"
PLACES = ("room", "organisation", "terminal", "all")


def register(shell: Shell) -> None:
    """`/maintenance-windows`."""

    @shell.page(PATH, "alarms")
    async def listing(view: View, over: str = "", cursor: str = "") -> None:
        await _Windows(view, over == "yes", cursor).show()


@dataclass(frozen=True)
class _Known:
    found: Found[MaintenanceWindow]
    names: Names


class _Windows:
    """The page."""

    def __init__(self, view: View, over: bool, cursor: str) -> None:
        self.view, self.over, self.cursor = view, over, cursor

    async def show(self) -> None:
        """Build it."""
        view, words = self.view, self.view.words
        add = button(words("window.add"), "add", kind="main") if view.may(Role.OPERATOR) else None
        other = button_link(PATH if self.over else lists.address(PATH, over="yes"),
                            words("window.show_on" if self.over else "window.show_over"))  # fmt: skip
        above = link("/alarms", words("nav.alarms"))
        view.html(head(view, words("alarm.windows"), above=above, beside=join(other, add)), on_act=self._act)
        view.html(tag("p", words("window.about"), class_="q rl-under"))
        self.list = view.html(slot="list", on_act=self._act)
        await self._draw()

    async def _draw(self) -> None:
        now = self.view.now

        def read(session: Session, scope: Scope) -> _Known:
            found = windows.list_windows(session, scope, lists.paging(self.cursor), now, over=self.over)
            rows = found.rows
            return _Known(found, saying.names(session, (r.room_id for r in rows), (r.organisation_id for r in rows)))

        known = await self.view.read(read)
        self.list.set_content(str(_table(self.view, known, self.over, self.cursor)))

    async def _act(self, act: str, on: str) -> None:
        if act == "add":
            await _add(self.view, self._draw)
        elif act == "end":
            self._end(on)

    def _end(self, window_id: str) -> None:
        words = self.view.words

        async def end(_values: dict[str, str]) -> None:
            await self.view.write(Role.OPERATOR, lambda s, change, scope: windows.end(s, change, scope, window_id))
            await self._draw()

        dialogs.ask(self.view, words("window.end_title"), None, words("window.end"), end, danger=True,
                    intro=words("window.end_more"))  # fmt: skip


def _table(view: View, known: _Known, over: bool, cursor: str) -> Markup:
    words = view.words
    if not known.found.rows:
        return none(words("window.none"), words("window.none_more"))
    columns = [
        Column(words("window.state"), "rl-fit"),
        Column(words("window.what"), "b"),
        Column(words("window.from"), "nowrap", h=True),
        Column(words("window.to"), "nowrap", h=True),
        Column(words("window.reason"), "rl-whole"),
        Column(words("window.by"), "lo nowrap"),
    ]
    if view.may(Role.OPERATOR) and not over:
        columns.append(Column(words("members.do"), "num rl-fit"))
    rows = [_cells(view, window, known.names)[: len(columns)] for window in known.found.rows]
    pager = lists.pager(words, PATH, cursor, known.found.next_cursor, over="yes" if over else None)
    return join(table(columns, rows, words("alarm.windows")), pager)


def _cells(view: View, window: MaintenanceWindow, names: Names) -> list[Content]:
    words = view.words
    if window.ends_at <= view.now:
        state = say("cancelled", words("window.over"))
    elif window.starts_at <= view.now:
        state = say("maintenance", words("window.on"))
    else:
        state = say("queued", words("window.coming"))
    end = button(words("window.end"), "end", window.id)
    return [state, _what(view, window, names), words.minute(window.starts_at), words.minute(window.ends_at), window.reason,
            window.made_by, end]  # fmt: skip


def _what(view: View, window: MaintenanceWindow, names: Names) -> Content:
    words = view.words
    if window.terminal_id:
        return link(f"/terminals/{window.terminal_id}", window.terminal_id)
    if window.room_id:
        number, name, name_en = names.rooms.get(window.room_id, ("–", "", ""))
        return join(plate(number), " ", words.either(name, name_en))
    if window.organisation_id:
        return words.either(*names.organisations.get(window.organisation_id, ("–", "")))
    return words("window.place_all")


@dataclass(frozen=True)
class _Places:
    organisations: list[Branch]
    rooms: list[tuple[str, str, str, str]]


async def _add(view: View, saved: Callable[[], Awaitable[None]]) -> None:
    words = view.words
    places = await view.read(lambda session, scope: _Places(organisations_of(session, scope), rooms_of(session, scope)))
    start = view.now.astimezone(view.zone).replace(second=0, microsecond=0)
    fields = join(_place_fields(view, places), time_fields(view, start))

    async def add(values: dict[str, str]) -> None:
        place = values.get("place", "")
        ids = {f"{each}_id": values.get(f"{each}_id") for each in PLACES[:3] if each == place}
        form = dialogs.filled(
            WindowForm, **ids, everywhere=place == "all", reason=values.get("reason", ""),
            starts_at=local_time(view, values.get("starts", "")), ends_at=local_time(view, values.get("ends", "")),
        )  # fmt: skip
        await view.write(Role.OPERATOR, lambda session, change, scope: windows.create(session, change, scope, form))
        await saved()
        ui.run_javascript("window.scrollTo({top: 0})")

    dialogs.ask(view, words("window.add"), fields, words("window.add"), add, intro=words("window.about"))


def _place_fields(view: View, places: _Places) -> Markup:
    words = view.words
    kinds = [(each, words(f"window.place_{each}")) for each in PLACES]
    rooms = dialogs.choice(words("alarm_rule.room"), "room_id", room_options(words, places.rooms))
    branches = organisation_options(view, places.organisations)
    organisations = dialogs.choice(words("alarm_rule.organisation"), "organisation_id", branches)
    terminal = dialogs.field(words("window.terminal"), "terminal_id", maxlength=40, autocomplete="off")
    return join(
        dialogs.choice(words("window.place"), "place", kinds, "room"),
        dialogs.shown_when("place", ("room",), "room", rooms),
        dialogs.shown_when("place", ("organisation",), "room", organisations),
        dialogs.shown_when("place", ("terminal",), "room", terminal),
    )


def time_fields(view: View, start: datetime) -> Markup:
    """From when to when, and why; two hours at first."""
    words, written = view.words, "%Y-%m-%dT%H:%M"
    zone = words("window.zone", zone=view.zone.key)
    end = start + timedelta(hours=2)
    return join(
        dialogs.field(
            words("window.from"), "starts", f"{start:{written}}", type="datetime-local", required=True, hint=zone
        ),
        dialogs.field(words("window.to"), "ends", f"{end:{written}}", type="datetime-local", required=True),
        dialogs.field(words("window.reason"), "reason", required=True, minlength=3, maxlength=500),
    )


def local_time(view: View, text: str) -> datetime:
    """A day and a time of the page's zone, as such a field gives it. Invalid, in words."""
    try:
        return dialogs.instant(text, view.zone)
    except ValueError:
        raise refuse(view.words, "window.bad_time") from None
