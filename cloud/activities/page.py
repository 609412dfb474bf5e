"""Console: what is on, today and in the coming days; and the form for a new activity."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup
from nicegui import ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.activities import occurrence_page, service
from cloud.activities.activity_form import activity_fields, activity_form
from cloud.attendance import service as attendance
from cloud.console import dialogs, lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, button_link, link, plate, table
from cloud.paging import Found, Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope

PATH = "/activities"


def register(shell: Shell) -> None:
    """`/activities`, and one date of one at `/activities/{id}/{start}`."""
    occurrence_page.register(shell)

    @shell.page(PATH, "activities")
    async def listing(view: View, day: str = "", cursor: str = "") -> None:
        words = view.words
        start = _day(view, day)
        found = await view.read(lambda session, scope: _page(session, scope, start, cursor))
        add = button(words("activities.add"), "add", kind="main") if view.may(Role.ORGANISER) else None
        view.html(head(view, words("nav.activities"), beside=add), on_act=lambda *_: _add(view))
        view.html(_days(view, start), classes="rl-tools")
        content = view.html(slot="list")

        def draw(found: Found[_Line]) -> None:
            content.set_content(str(_listing(view, found, start, cursor)))

        async def news() -> None:
            pulse = await view.pulse()
            if pulse.newest_check_in != seen[0]:
                seen[0] = pulse.newest_check_in
                draw(await view.read(lambda session, scope: _page(session, scope, start, cursor)))

        seen = [(await view.pulse()).newest_check_in]
        draw(found)
        view.keep_live(news)


@dataclass(frozen=True)
class _Line:
    id: str
    room: str
    title: tuple[str, str]
    starts_at: datetime
    ends_at: datetime
    cancelled: bool
    here: int


def _page(session: Session, scope: Scope, start: datetime, cursor: str) -> Found[_Line]:
    found = service.list_occurrences(
        session, scope, lists.paging(cursor), from_at=start, until_at=start + timedelta(days=1)
    )
    plates = rooms.plates(session, {each.room_id for each in found.rows})
    titles = service.titles(session, {each.activity_id for each in found.rows})
    here = attendance.counts(session, [each.id for each in found.rows])
    rows = [
        _Line(each.id, plates.get(each.room_id, ""), titles.get(each.activity_id, ("", "")), each.starts_at,
              each.ends_at, each.cancelled_at is not None, here.get(each.id, 0))
        for each in found.rows
    ]  # fmt: skip
    return Found(rows, found.next_cursor)


def _day(view: View, day: str) -> datetime:
    """The start of the day asked for, else of today, in the console's zone."""
    try:
        asked = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=view.zone)
    except ValueError:
        asked = view.now.astimezone(view.zone)
    return asked.replace(hour=0, minute=0, second=0, microsecond=0)


def _days(view: View, start: datetime) -> Markup:
    """The day shown, with the days before and after."""
    words = view.words
    before, after = start - timedelta(days=1), start + timedelta(days=1)
    today = start.date() == view.now.astimezone(view.zone).date()
    return tag(
        "div",
        button_link(lists.address(PATH, day=f"{before:%Y-%m-%d}"), words("activities.before")),
        button_link(PATH, words("activities.today")) if not today else None,
        button_link(lists.address(PATH, day=f"{after:%Y-%m-%d}"), words("activities.after")),
        tag("b", words.day(start)),
        class_="rl-row",
    )


def _listing(view: View, found: Found[_Line], start: datetime, cursor: str) -> Markup:
    words = view.words
    if not found.rows:
        return lists.nothing(words, False, words("activities.none"), words("activities.none_more"))
    columns = (
        Column(words("activities.when"), "rl-fit"),
        Column(words("activities.room"), "rl-fit"),
        Column(words("activities.title")),
        Column(words("activities.state")),
        Column(words("activities.here"), "num", h=True),
    )
    rows = [
        [words.span(row.starts_at, row.ends_at), plate(row.room),
         link(f"{PATH}/{row.id}", words.either(*row.title), class_="b"),
         occurrence_page.state(words, row.starts_at, row.ends_at, row.cancelled, view.now, chipped=False),
         words.number(row.here)]
        for row in found.rows
    ]  # fmt: skip
    pager = lists.pager(words, PATH, cursor, found.next_cursor, day=f"{start:%Y-%m-%d}")
    return join(table(columns, rows, words("nav.activities")), pager)


async def _add(view: View) -> None:
    words = view.words

    async def add(values: dict[str, str]) -> None:
        form = activity_form(words, values, view.zone)
        made = await view.write(
            Role.ORGANISER, lambda session, change, scope: service.create(session, change, scope, form)
        )
        first = await view.read(lambda session, scope: _first(session, scope, made.id))
        ui.navigate.to(f"{PATH}/{first}" if first else PATH)

    dialogs.ask(view, words("activities.add"), await activity_fields(view), words("activities.add"), add)


def _first(session: Session, scope: Scope, activity_id: str) -> str | None:
    """The first date of an activity: with a rule not always the start that was given."""
    found = service.list_occurrences(session, scope, Paging(1), activity_id=activity_id).rows
    return found[0].id if found else None
