"""The components of the screens' rules as markup: plate, chip, tile, evidence, table, note and the rest.

Each is one function that gives `Markup`; words come from the caller. A state is always symbol and words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup

from cloud.clock import to_us
from cloud.console.markup import Content, join, tag
from cloud.console.words import Words


def symbol(style: str | None = None) -> Markup:
    """The symbol of the state around it; words stand beside it."""
    return tag("i", class_="rl-i", aria_hidden="true", style=style)


def plate(number: str) -> Markup:
    """A room's number. Never for anything but rooms."""
    return tag("span", number, class_="rl-plate")


def chip(state: str, words: str) -> Markup:
    """A status, once per row or head."""
    return tag("span", symbol(), words, class_="rl-chip", data_s=state)


def say(state: str, words: Content) -> Markup:
    """A status within text or in a second column."""
    return tag("span", symbol(), words, class_="rl-say", data_s=state)


def ago(words: Words, at: datetime, now: datetime) -> Markup:
    """An age that the browser keeps counting; the exact time is its title."""
    said = words.ago(at, now)
    return tag("time", said, datetime=at.isoformat(), title=words.exactly(at), data_ago=to_us(at) // 1000)


def link(href: str, *content: Content, class_: str | None = None, lang: str | None = None) -> Markup:
    """A link; buttons act, links lead."""
    return tag("a", *content, href=href, class_=class_, lang=lang)


def button_link(href: str, *content: Content, kind: str | None = None, download: bool = False) -> Markup:
    """A link that looks like a button: leads to a page or a file."""
    return tag("a", *content, href=href, class_="rl-btn", data_kind=kind, download=download)


def button(text: str, act: str, on: str = "", *, kind: str | None = None, disabled: bool = False) -> Markup:
    """A button inside markup; `View.html(on_act=…)` hears `act` and `on`."""
    return tag(
        "button", text, type="button", class_="rl-btn", data_kind=kind, data_act=act, data_on=on, disabled=disabled
    )


def tile(label: str, number: Content, explained: Content, beside: str | None = None) -> Markup:
    """A number that counts, with the line that explains it."""
    small = tag("small", " / ", beside) if beside is not None else None
    return tag(
        "dl", tag("dt", label, class_="q"), tag("dd", number, small), tag("dd", explained, class_="t1 q rl-why"),
        class_="rl-tile",
    )  # fmt: skip


def tiles(*each: Markup) -> Markup:
    """Up to four in a row."""
    return tag("div", *each, class_="rl-tiles")


@dataclass(frozen=True)
class Stop:
    """One stop of an evidence line; `behind` when the next is not equal yet."""

    label: str
    number: str
    explained: Content
    on: bool = True
    behind: bool = False


def line(stops: Sequence[Stop]) -> Markup:
    """How far records have come."""
    return tag("ol", [_stop(each) for each in stops], class_="rl-line")


def _stop(stop: Stop) -> Markup:
    return tag(
        "li", tag("p", stop.label, class_="q t1"), tag("p", stop.number, class_="t5"),
        tag("p", stop.explained, class_="t1"), data_on=stop.on, data_behind=stop.behind,
    )  # fmt: skip


def evidence(reached: int, of: int, words: str) -> Markup:
    """The evidence line in one row of a table: `reached` of `of` stops, then the word for the last."""
    dots = [tag("i", class_="on" if stop < reached else None) for stop in range(of)]
    return tag("span", dots, tag("span", words), class_="rl-ev")


def panel(title: str, *content: Content, beside: Content = None, columns: int = 12, board: bool = False) -> Markup:
    """A section that hangs from its rule."""
    head = tag("header", tag("h2", title), beside)
    return tag("section", head, *content, class_="rl-board rl-panel" if board else "rl-panel", style=f"--c:{columns}")


def small(*content: Content) -> Markup:
    """A quiet remark."""
    return tag("span", *content, class_="q t1")


@dataclass(frozen=True)
class Column:
    """A column's heading and the classes of its cells; `h` repeats the heading on narrow screens.

    `head` stands in the heading in the title's place; `sort` says how the rows are sorted by it (aria-sort).
    """

    title: str
    class_: str = ""
    h: bool = False
    head: Content = None
    sort: str | None = None


@dataclass(frozen=True)
class Row:
    """One row's cells; `fresh` for what came in just now, `selected` where rows can be."""

    cells: Sequence[Content]
    fresh: bool = False
    selected: bool | None = None
    id: str | None = None


def table(columns: Sequence[Column], rows: Sequence[Row | Sequence[Content]], caption: str) -> Markup:
    """A table with roles said explicitly, because narrow rows are flex. Without titles it has no head."""
    head = None
    if any(column.title for column in columns):
        cells = [
            tag("th", c.title if c.head is None else c.head, scope="col", role="columnheader", class_=c.class_ or None,
                aria_sort=c.sort)
            for c in columns
        ]  # fmt: skip
        head = tag("thead", tag("tr", cells, role="row"), role="rowgroup")
    body = tag("tbody", [_row(columns, row) for row in rows], role="rowgroup")
    return tag("table", head, body, class_="rl-table", role="table", aria_label=caption)


def _row(columns: Sequence[Column], row: Row | Sequence[Content]) -> Markup:
    row = row if isinstance(row, Row) else Row(row)
    cells = [
        tag("td", cell, role="cell", class_=column.class_ or None, data_h=column.title if column.h else None)
        for column, cell in zip(columns, row.cells, strict=True)
    ]
    selected = None if row.selected is None else str(row.selected).lower()
    return tag("tr", cells, role="row", class_="rl-new" if row.fresh else None, aria_selected=selected, id=row.id)


def pairs(each: Sequence[tuple[str, Content]]) -> Markup:
    """Names and values, one line each."""
    return tag("dl", [tag("div", tag("dt", name), tag("dd", value)) for name, value in each], class_="rl-pairs")


@dataclass(frozen=True)
class Event:
    """One entry of a timeline."""

    state: str
    title: Content
    when: Content
    explained: Content = None


def timeline(events: Sequence[Event], *, apart: bool = False) -> Markup:
    """Newest first; `apart` without a thread, for lists."""
    return tag("ol", [_event(event) for event in events], class_="rl-time", data_apart=apart)


def _event(event: Event) -> Markup:
    more = tag("p", event.explained, class_="q") if event.explained is not None else None
    when = tag("span", event.when, class_="q num")
    return tag("li", symbol(), tag("span", event.title), when, more, data_s=event.state)


def none(title: str, explained: str, *content: Content) -> Markup:
    """Nothing here yet: what is empty, when it will fill, one thing to do."""
    return tag("div", tag("b", title), explained, *content, class_="rl-none")


def note(state: str, title: str, explained: Content = None, *content: Content, role: str | None = None) -> Markup:
    """What happened, what is kept, what to do."""
    text = tag("p", tag("b", title), join(tag("br"), explained) if explained else None)
    return tag("div", symbol(), text, *content, class_="rl-note", data_s=state, role=role)


def bar(label: str, done: int, total: int, words: str) -> Markup:
    """Progress, with figure and total in words above."""
    percent = round(100 * done / total) if total else 0
    said = tag("p", tag("b", label), tag("span", words, class_="rl-push"), class_="rl-row")
    meter = tag(
        "div", tag("i", style=f"--v:{percent}"), class_="rl-bar", role="progressbar", aria_label=label,
        aria_valuenow=percent, aria_valuemin=0, aria_valuemax=100,
    )  # fmt: skip
    return said + meter


def breakable(text: str) -> Markup:
    """A long address of the network, which may go on in the next line after a colon."""
    first, *rest = text.split(":")
    return join(first, *(join(":", tag("wbr"), each) for each in rest))


def mono(text: str) -> Markup:
    """An id or a hash, as it is."""
    return tag("span", text, class_="mono")
