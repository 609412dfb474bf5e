"""Small charts as SVG, each with its table behind a button: area over time, bars.

Drawn on the server: no chart library is loaded, and nothing has to be evaluated in the browser for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from markupsafe import Markup

from cloud.console.markup import tag
from cloud.console.widgets import Column, table
from cloud.console.words import Words

WIDTH = 373
AREA = 72
BARS = 106
MAX_BARS = 12


DAYS_FROM = timedelta(hours=36)
"""Beyond it the ends of a chart are said by their days."""


@dataclass(frozen=True)
class Reading:
    """A value at a time; where it stands for several, also the least and the greatest of them."""

    at: datetime
    value: float
    low: float | None = None
    high: float | None = None


def area(
    words: Words,
    title: str,
    readings: Sequence[Reading],
    start: datetime,
    end: datetime,
    top: float = 0.0,
    step: timedelta | None = None,
    bottom: float = 0.0,
) -> Markup:
    """A value over time, from `bottom` or, where that is lower, the lowest, to `top` or, where that is higher, the highest.

    A gap of readings is a gap: longer than half a `step` beyond one, or than three times what is usual where that is more.
    """
    last = words.number(readings[-1].value) if readings else "–"
    caption = tag("figcaption", title, " · ", tag("b", last, style="color:var(--ink)"), class_="t1 q")
    highest = [reading.value if reading.high is None else reading.high for reading in readings]
    lowest = [reading.value if reading.low is None else reading.low for reading in readings]
    bottom, top = min([bottom, *lowest]), max([top, *highest])
    frame = _Frame(start, (end - start).total_seconds(), bottom, top if top > bottom else bottom + 1.0)
    parts = [_stroke(part, frame) for part in _unbroken(readings, step)]
    says = words.hour if end - start <= DAYS_FROM else words.short_day
    svg = tag(
        "svg", tag("path", class_="g", d=f"M0 {AREA}H{WIDTH}M0 0H{WIDTH}", stroke_width=1), parts,
        _text(0, AREA + 15, says(start)), _text(WIDTH, AREA + 15, says(end), "end"),
        class_="rl-chart", viewBox=f"0 0 {WIDTH} {AREA + 18}", role="img", aria_label=f"{title}: {last}",
    )  # fmt: skip
    return tag("figure", caption, svg, _table_of(words, title, readings), style="--c:6")


def _table_of(words: Words, title: str, readings: Sequence[Reading]) -> Markup:
    """Newest first; where a value stands for several, between which they were."""
    rows = []
    for reading in reversed(readings):
        said = words.number(reading.value)
        if reading.low is not None and reading.high is not None and reading.low != reading.high:
            said = f"{said} ({words.number(reading.low)} – {words.number(reading.high)})"
        rows.append((words.minute(reading.at), said))
    return _as_table(words, title, rows)


def bars(words: Words, title: str, counts: Sequence[tuple[str, int]]) -> Markup:
    """Counts side by side, each with its figure; the last MAX_BARS of them."""
    counts = counts[-MAX_BARS:]
    top = max((count for _, count in counts), default=0) or 1
    step = WIDTH / max(len(counts), 6)
    drawn = [_bar(index * step, step, label, count, BARS * count / top) for index, (label, count) in enumerate(counts)]
    svg = tag(
        "svg", tag("path", class_="g", d=f"M0 120H{WIDTH}"), drawn, class_="rl-chart", viewBox=f"0 0 {WIDTH} 140",
        role="img", aria_label=title,
    )  # fmt: skip
    return tag("figure", svg, _as_table(words, title, [(label, words.number(count)) for label, count in counts]))


def _bar(x: float, step: float, label: str, count: int, height: float) -> list[Markup]:
    middle = round(x + step / 2)
    rect = tag("rect", class_="s", x=f"{x + 2:.0f}", y=f"{120 - height:.0f}", width=f"{step - 4:.0f}",
               height=f"{height:.0f}")  # fmt: skip
    return [
        rect,
        _text(middle, round(115 - height), str(count), "middle"),
        _text(middle, 137, label, "middle"),
    ]


@dataclass(frozen=True)
class _Frame:
    """What the drawing spans."""

    start: datetime
    span_s: float
    bottom: float
    top: float

    def x(self, at: datetime) -> float:
        return min(max(WIDTH * (at - self.start).total_seconds() / self.span_s, 0.0), WIDTH)

    def y(self, value: float) -> float:
        return AREA - (AREA - 2) * (value - self.bottom) / (self.top - self.bottom)


def _unbroken(readings: Sequence[Reading], step: timedelta | None) -> list[list[Reading]]:
    """Stretches without a hole."""
    steps = sorted((b.at - a.at).total_seconds() for a, b in pairwise(readings))
    usual = steps[len(steps) // 2] if steps else 0.0
    least = step.total_seconds() if step else 0.0
    longest = 3 * usual if usual > least else 1.5 * least
    parts: list[list[Reading]] = []
    for reading in readings:
        if parts and (reading.at - parts[-1][-1].at).total_seconds() <= longest:
            parts[-1].append(reading)
        else:
            parts.append([reading])
    return parts


def _stroke(readings: Sequence[Reading], frame: _Frame) -> list[Markup]:
    """The line over its area; where values stand for several, over the band between the least and the greatest."""
    spots = [(frame.x(reading.at), frame.y(reading.value)) for reading in readings]
    floor = frame.y(0.0 if frame.bottom < 0 < frame.top else frame.bottom)
    lows = [(frame.x(each.at), floor if each.low is None else frame.y(each.low)) for each in readings]
    highs = [(frame.x(each.at), frame.y(each.value if each.high is None else each.high)) for each in readings]
    if len(readings) == 1:
        spots, lows, highs = ([each[0], (each[0][0] + 2, each[0][1])] for each in (spots, lows, highs))
    path, band = (" ".join(f"{x:.1f},{y:.1f}" for x, y in each) for each in (spots, [*highs, *reversed(lows)]))
    return [tag("polygon", class_="f", points=band), tag("polyline", class_="a", points=path)]


def _text(x: int, y: int, content: str, anchor: str | None = None) -> Markup:
    return tag("text", content, x=x, y=y, text_anchor=anchor)


def _as_table(words: Words, title: str, rows: Sequence[tuple[str, str]]) -> Markup:
    columns = (Column(words("chart.when")), Column(words("chart.value"), "num"))
    summary = tag("summary", words("chart.table"), class_="t1")
    return tag("details", summary, tag("div", table(columns, rows, title), class_="rl-scroll"), class_="rl-data")
