"""Small charts as SVG, each with its table behind a button: area over time, bars.

Drawn on the server: no chart library is loaded, and nothing has to be evaluated in the browser for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from markupsafe import Markup

from cloud.console.markup import tag
from cloud.console.widgets import Column, table
from cloud.console.words import Words

WIDTH = 373
AREA = 72
BARS = 106
MAX_BARS = 12


@dataclass(frozen=True)
class Reading:
    """A value at a time."""

    at: datetime
    value: float


def area(
    words: Words, title: str, readings: Sequence[Reading], start: datetime, end: datetime, top: float = 0.0
) -> Markup:
    """A value over time, from zero to `top` or, where that is higher, the highest. A gap of readings is a gap."""
    last = words.number(readings[-1].value) if readings else "–"
    caption = tag("figcaption", title, " · ", tag("b", last, style="color:var(--ink)"), class_="t1 q")
    top = max([top, *(reading.value for reading in readings)]) or 1.0
    span = (end - start).total_seconds()
    parts = [_stroke(part, start, span, top) for part in _unbroken(readings)]
    svg = tag(
        "svg", tag("path", class_="g", d=f"M0 {AREA}H{WIDTH}M0 0H{WIDTH}", stroke_width=1), parts,
        _text(0, AREA + 15, words.hour(start)), _text(WIDTH, AREA + 15, words.hour(end), "end"),
        class_="rl-chart", viewBox=f"0 0 {WIDTH} {AREA + 18}", role="img", aria_label=f"{title}: {last}",
    )  # fmt: skip
    rows = [(words.minute(reading.at), words.number(reading.value)) for reading in reversed(readings)]
    return tag("figure", caption, svg, _as_table(words, title, rows), style="--c:6")


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


def _unbroken(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Stretches without a hole longer than three times the usual step."""
    steps = sorted((b.at - a.at).total_seconds() for a, b in pairwise(readings))
    longest = 3 * steps[len(steps) // 2] if steps else 0
    parts: list[list[Reading]] = []
    for reading in readings:
        if parts and (reading.at - parts[-1][-1].at).total_seconds() <= longest:
            parts[-1].append(reading)
        else:
            parts.append([reading])
    return parts


def _stroke(readings: Sequence[Reading], start: datetime, span: float, top: float) -> list[Markup]:
    spots = [
        (WIDTH * (reading.at - start).total_seconds() / span, AREA - (AREA - 2) * max(reading.value, 0) / top)
        for reading in readings
    ]
    spots = spots if len(spots) > 1 else [spots[0], (spots[0][0] + 2, spots[0][1])]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    filled = f"{spots[0][0]:.1f},{AREA} {path} {spots[-1][0]:.1f},{AREA}"
    return [tag("polygon", class_="f", points=filled), tag("polyline", class_="a", points=path)]


def _text(x: int, y: int, content: str, anchor: str | None = None) -> Markup:
    return tag("text", content, x=x, y=y, text_anchor=anchor)


def _as_table(words: Words, title: str, rows: Sequence[tuple[str, str]]) -> Markup:
    columns = (Column(words("chart.when")), Column(words("chart.value"), "num"))
    summary = tag("summary", words("chart.table"), class_="t1")
    return tag("details", summary, tag("div", table(columns, rows, title), class_="rl-scroll"), class_="rl-data")
