"""Console: the list of terminals as markup: its table with heads to sort by, its pages, the states above it.

Pure: makes markup of what was read. Links are addresses that can be shared; within the page they are followed without leaving it.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from cloud.accounts.service import Role
from cloud.alarms.rules import Severity
from cloud.alarms.saying import SYMBOLS
from cloud.console import facts, lists
from cloud.console.markup import Content, join, tag
from cloud.console.view import View
from cloud.console.widgets import Column, Row, ago, link, plate, say, small, table
from cloud.console.words import Words
from cloud.terminals.listing import OUT, Line, Page
from cloud.terminals.presence import CONNECTED
from cloud.terminals.wanted import Presence, Service, Sort, Wanted, query_of

PATH: Final = "/terminals"
ALWAYS: Final = frozenset({Presence.ONLINE, Presence.SUSPECT, Presence.OFFLINE})
"""States that are shown when nobody is in them, too."""


def address(wanted: Wanted, cursor: str | None = None, saved: str = "") -> str:
    """Where the list is that way."""
    return lists.address(PATH, **query_of(wanted), view=saved, cursor=cursor)


def go(wanted: Wanted, *content: Content, class_: str | None = None, key: str | None = None, cursor: str | None = None,
       current: bool | None = None) -> Markup:  # fmt: skip
    """A link to the list that way, followed within the page."""
    return tag(
        "a", *content, href=address(wanted, cursor), class_=class_, data_go=True, data_key=key,
        aria_current="true" if current else None,
    )  # fmt: skip


def states(words: Words, counts: Mapping[str, int], wanted: Wanted) -> Markup:
    """How many match in each state; chosen again, a state is let go."""
    shown = [each for each in Presence if counts.get(each) or each in ALWAYS or each is wanted.presence]
    links = [_state(words, facts.presence_said(words, each), counts.get(each, 0), wanted,
                    wanted.but(presence=each, service=Service.IN), each) for each in shown]  # fmt: skip
    if counts.get(OUT) or wanted.service is Service.OUT:
        said = say("cancelled", words("terminals.out"))
        links.append(
            _state(words, said, counts.get(OUT, 0), wanted, wanted.but(presence=None, service=Service.OUT), OUT)
        )
    return tag("div", links, class_="rl-segs")


def _state(words: Words, said: Markup, count: int, wanted: Wanted, then: Wanted, key: str) -> Markup:
    current = (wanted.presence, wanted.service) == (then.presence, then.service)
    to = wanted.but(presence=None, service=None) if current else then
    return go(to, said, tag("b", words.number(count), class_="t4 rl-push"), class_="rl-btn rl-seg", key=f"state-{key}",
              current=current)  # fmt: skip


@dataclass(frozen=True)
class Choosing:
    """Which rows are chosen, where anybody may choose: by id, or `all` that match."""

    ids: Collection[str] = ()
    all: bool = False
    turn: int = 0
    """Another one after each choice that the page makes by itself, so that the browser draws the boxes anew."""

    def has(self, terminal_id: str) -> bool:
        """Whether this row is."""
        return self.all or terminal_id in self.ids


def listing(view: View, page: Page, wanted: Wanted, choosing: Choosing | None) -> Markup:
    """The table, or why there is none."""
    words = view.words
    if not page.lines:
        more = words("terminals.none_more" if view.may(Role.ADMIN) else "terminals.none_more_other")
        return lists.nothing(words, wanted.is_filtered, words("terminals.none"), more)
    columns = [
        _column(words, wanted, "terminals.state", Sort.SINCE, "rl-fit"),
        _column(words, wanted, "terminals.terminal", Sort.ID),
        _column(words, wanted, "terminals.room", Sort.ROOM, "rl-fit"),
        _column(words, wanted, "terminals.heard", Sort.HEARD, "nowrap"),
        _column(words, wanted, "terminals.waiting", Sort.WAITING, "num nowrap", h=True),
        Column(words("terminals.stored"), "num lo"),
        _column(words, wanted, "terminals.version", Sort.VERSION, "lo mid"),
        _column(words, wanted, "terminals.alarm", Sort.ALARM, "rl-whole"),
    ]
    rows = [Row(_cells(view, each)) for each in page.lines]
    if choosing is not None:
        whole = all(choosing.has(each.id) for each in page.lines)
        columns.insert(
            0, Column(words("terminals.pick"), "rl-fit pick", head=_box(words("terminals.pick_page"), "", whole))
        )
        rows = [
            Row([_box(words("terminals.pick_terminal", terminal=line.id), line.id, choosing.has(line.id)), *row.cells],
                selected=choosing.has(line.id))
            for line, row in zip(page.lines, rows, strict=True)
        ]  # fmt: skip
    shown = table(columns, rows, words("nav.terminals"))
    return tag("div", shown, class_="rl-wide", data_turn=choosing.turn if choosing else 0)


def _box(label: str, pick: str, checked: bool) -> Markup:
    return tag("input", type="checkbox", aria_label=label, data_pick=pick, checked=checked)


def _column(words: Words, wanted: Wanted, title: str, sort: Sort, class_: str = "", *, h: bool = False) -> Column:
    """A head that sorts by it, the other way round when it is already so."""
    said, current = words(title), wanted.sort is sort
    mark = tag("i", class_="rl-i", aria_hidden="true", style="--i:var(--i-down)", data_up=wanted.descending)
    head = go(wanted.sorted_by(sort), said, [" ", mark] if current else None, class_="rl-sort", key=f"sort-{sort}")
    way = ("descending" if wanted.descending else "ascending") if current else None
    return Column(said, class_, h, head=head, sort=way)


def _cells(view: View, line: Line) -> list[Content]:
    words = view.words
    state = say("cancelled", words(f"terminals.{line.out}")) if line.out else facts.presence(words, line.presence)
    number, *names = line.room
    return [
        state,
        link(f"{PATH}/{line.id}", line.id, class_="b rl-id"),
        join(plate(number), " ", tag("span", words.either(*names), class_="lo mid rl-one rl-name")) if number else "–",
        ago(words, line.heard_at, view.now) if line.heard_at else words("terminals.never"),
        waiting(view, line.stored[1] if line.stored else None, line.presence),
        words.number(line.stored[0]) if line.stored else "–",
        line.version or "–",
        _needs(words, line),
    ]


def _needs(words: Words, line: Line) -> Markup:
    """The severest alarm by its name, the others by how many of which severity; a flapping link; else a mark."""
    said: list[Content] = []
    if line.alarms:
        first = line.alarms[0]
        named = link(f"/alarms/{first.id}", words.either(first.name, first.name_en), class_="rl-quiet")
        said.append(say(SYMBOLS[first.severity], named))
        others = Counter(each.severity for each in line.alarms[1:])
        said += [small(words(f"alarm.more_{each}", n=others[each])) for each in Severity if others[each]]
    if line.flapping:
        said.append(say("suspect", words("terminals.flapping")))
    if not said:
        said = [say("warn", words.known(f"mark.{mark}", mark)) for mark in line.marks[:1]]
    return tag("span", said, class_="rl-needs") if said else Markup()


def waiting(view: View, count: int | None, presence: str) -> str:
    """How many records wait; of a silent terminal it is the least that there can be."""
    if count is None:
        return "–"
    words = view.words
    if presence in CONNECTED:
        return words.number(count)
    return words("terminals.at_least", n=count) if count else words("terminals.waiting_unknown")


def pager(words: Words, page: Page, wanted: Wanted) -> Markup | None:
    """Which of how many, and the pages before and after."""
    if not page.lines:
        return None
    last = page.first + len(page.lines) - 1
    said = small(words("terminals.shown", first=page.first, last=max(last, page.first), total=max(page.total, last)))
    back = _turn(words("page.previous"), wanted, page.previous, "previous")
    more = _turn(words("page.next"), wanted, page.next, "next")
    return tag("nav", said, back, more, class_="rl-row rl-push", aria_label=words("page.label"))


def _turn(text: str, wanted: Wanted, cursor: str | None, key: str) -> Markup:
    if cursor is None:
        return tag("button", text, type="button", class_="rl-btn", disabled=True)
    return go(wanted, text, class_="rl-btn", key=key, cursor=cursor)
