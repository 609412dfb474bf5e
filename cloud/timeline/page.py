"""Console: what happened at one terminal, the newest of it on the terminal's page, and all of it on a page of its own."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.audit import naming
from cloud.audit.naming import Names
from cloud.console import lists
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import link, none, note, panel, timeline
from cloud.console.words import Words
from cloud.paging import Paging
from cloud.scope import Scope
from cloud.timeline import service, telling
from cloud.timeline.service import Kept, Sort, Timeline

PATH = "/terminals/{terminal_id}/timeline"
SHOWN = Paging(8)
EVERY_S = 5.0


@dataclass(frozen=True)
class Known:
    """A page of the timeline, and the names of what it speaks of."""

    found: Timeline
    names: Names


def register(shell: Shell) -> None:
    """`/terminals/{id}/timeline`, with `sort` and `cursor`; the first page is live."""

    @shell.page(PATH, "terminals")
    async def whole(view: View, terminal_id: str, sort: str = "", cursor: str = "") -> None:
        words = view.words
        wanted = Sort(sort) if sort in set(Sort) else None
        known = await read(view, terminal_id, lists.paging(cursor), wanted)
        path = PATH.format(terminal_id=terminal_id)
        back = join(
            link("/terminals", words("nav.terminals")), " / ", link(path.removesuffix("/timeline"), terminal_id)
        )
        view.html(head(view, words("timeline.title"), above=back))
        view.html(_filter(words, path, wanted))
        shown = view.html(_listing(words, path, known, wanted, cursor), slot="timeline")

        async def again() -> None:
            fresh = await read(view, terminal_id, lists.paging(""), wanted)
            shown.set_content(str(_listing(words, path, fresh, wanted, "")))

        if not cursor:
            view.keep_live(view.at_most_every(EVERY_S, again))


async def read(view: View, terminal_id: str, paging: Paging = SHOWN, sort: Sort | None = None) -> Known:
    """A page of events."""
    series, now = view.cloud.timeseries, view.now

    def reading(session: Session, scope: Scope) -> tuple[Kept, Names]:
        kept = service.kept(session, scope, series, now, terminal_id, paging, sort=sort)
        return kept, naming.names(session, kept.rows)

    kept, names = await view.read(reading)
    return Known(await view.in_thread(lambda: service.timeline(kept)), names)


def panel_of(view: View, terminal_id: str, known: Known) -> Markup:
    """The newest events, and the way to all of them."""
    words = view.words
    beside = link(PATH.format(terminal_id=terminal_id), words("timeline.all"))
    return panel(words("timeline.title"), _events(words, known), beside=beside)


def _events(words: Words, known: Known) -> Markup:
    away = None
    if Sort.CHECK_IN in known.found.missing:
        away = note("warn", words("timeline.missing"), words("terminal.series_away_more"))
    if not known.found.events:
        return join(away, none(words("timeline.none"), words("timeline.none_more")))
    return join(away, timeline([telling.told(words, known.names, event) for event in known.found.events]))


def _listing(words: Words, path: str, known: Known, sort: Sort | None, cursor: str) -> Markup:
    pager = lists.pager(words, path, cursor, known.found.next_cursor, sort=sort)
    return join(_events(words, known), pager)


def _filter(words: Words, path: str, wanted: Sort | None) -> Markup:
    """One button for each sort, and one for all."""
    buttons = [
        tag("a", words(f"timeline.sort_{each}" if each else "timeline.sort_all"), href=lists.address(path, sort=each),
            class_="rl-btn", aria_current="true" if each is wanted else None)
        for each in (None, *Sort)
    ]  # fmt: skip
    return tag("nav", buttons, class_="rl-row rl-tools", aria_label=words("timeline.filter"))
