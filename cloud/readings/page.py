"""Console: a terminal's health over any span, a panel of the terminal's page. It is drawn anew while its span ends now."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from markupsafe import Markup

from cloud.console import charts, dialogs
from cloud.console.charts import Reading
from cloud.console.markup import join, tag
from cloud.console.refusals import refuse
from cloud.console.view import View
from cloud.console.widgets import ago, none, note, pairs, panel
from cloud.console.words import Language, Words
from cloud.errors import Unavailable
from cloud.readings import service, telling
from cloud.readings.service import Plan, Readings, Span
from cloud.timeseries.port import Resolution
from firmware_specs.profiles import Metric

EVERY_S: Final = 30.0
NEWEST_EVERY_S: Final = 10.0
POINTS: Final = 250
"""As many as a chart of its width can show; a year has its 366 days."""
FIRST: Final = ("outbox_depth", "cpu_percent", "disk_percent", "camera_fps", "temperature_c", "page_alive")
"""What is shown before somebody asks for all."""
UNITS: Final[Mapping[str, tuple[str, float]]] = {
    "1": ("", 1), "%": ("%", 1), "MB": ("MB", 1), "By": ("GB", 1e9), "Cel": ("°C", 1), "s": ("s", 1), "ms": ("ms", 1),
    "1/s": ("/s", 1), "dB[mW]": ("dBm", 1),
}  # fmt: skip
"""UCUM symbols as people write them, and what a value is divided by."""
RANGES: Final[Mapping[str, tuple[float, float]]] = {"%": (0.0, 100.0), "dB[mW]": (-100.0, -20.0)}
"""What a chart spans at least: a signal of -100 dBm is as good as none."""


async def measured(view: View, terminal_id: str) -> Markup:
    """A panel of its newest sample, with its time; nothing where there is none, or the store is away."""
    words, now = view.words, view.now
    try:
        await view.read(lambda session, scope: service.measured_by(session, scope, terminal_id))
        newest = await view.in_thread(lambda: service.newest(view.cloud.timeseries, terminal_id, now))
    except Unavailable:
        newest = None
    if newest is None:
        return Markup()
    beside = tag("span", ago(words, newest.effective_at, now), class_="q t1")
    return panel(words("readings.measured"), pairs(telling.rows(words, newest.fields)), beside=beside)


@dataclass
class HealthPanel:
    """The panel, its choice of span, and whether all metrics are shown."""

    view: View
    terminal_id: str
    span: Span | None = Span.HOUR
    ends: tuple[datetime, datetime] | None = None
    everything: bool = False

    async def show(self) -> None:
        """Build it, and keep it live."""
        self.drawn = self.view.html(slot="health", on_act=self._act)
        await self.draw()
        self.view.keep_live(self.view.at_most_every(EVERY_S, self._again))

    async def draw(self) -> None:
        """Read what is chosen, and show it."""
        view, words, planned = self.view, self.view.words, self._plan()
        among = None if self.everything else FIRST
        try:
            known = await view.read(lambda session, scope: service.measured_by(session, scope, self.terminal_id))
            found = await view.in_thread(
                lambda: service.readings(view.cloud.timeseries, self.terminal_id, planned, known, among)
            )
            content = _charts(words, found, planned)
        except Unavailable:
            content = note("warn", words("terminal.series_away"), words("terminal.series_away_more"))
        self.drawn.set_content(str(panel(words("terminal.health"), self._choice(), content, beside=self._more())))

    async def _again(self) -> None:
        if self.span is not None:
            await self.draw()

    def _plan(self) -> Plan:
        if self.span is None and self.ends is not None:
            return service.plan(*self.ends, POINTS)
        now = self.view.now
        return service.plan(now - (self.span or Span.HOUR).length, now, POINTS)

    def _choice(self) -> Markup:
        words = self.view.words
        buttons = [_pressed(words(f"readings.{span}"), "span", span, self.span is span) for span in Span]
        if self.ends is not None and self.span is None:
            said = "–".join(words.minute(each) for each in self.ends)
        else:
            said = words("readings.from_to")
        return tag("div", buttons, _pressed(said, "from_to", "", self.span is None), class_="rl-row rl-tools")

    def _more(self) -> Markup:
        return _pressed(self.view.words("readings.everything"), "everything", "", self.everything)

    async def _act(self, act: str, on: str) -> None:
        if act == "span" and on in set(Span):
            self.span = Span(on)
        elif act == "everything":
            self.everything = not self.everything
        elif act == "from_to":
            self._ask()
            return
        await self.draw()

    def _ask(self) -> None:
        view, words = self.view, self.view.words
        shown = self.ends or (view.now - Span.DAY.length, view.now)
        start, end = (f"{each.astimezone(view.zone):%Y-%m-%dT%H:%M}" for each in shown)
        fields = join(
            dialogs.field(words("field.from_at"), "from_at", start, type="datetime-local", required=True, autofocus=True),
            dialogs.field(words("field.until_at"), "until_at", end, type="datetime-local", required=True,
                          hint=words("activities.zone", zone=view.zone.key)),
        )  # fmt: skip

        async def show(values: dict[str, str]) -> None:
            ends = (self._local(values.get("from_at", "")), self._local(values.get("until_at", "")))
            service.plan(*ends, POINTS)
            self.span, self.ends = None, ends
            await self.draw()

        dialogs.ask(view, words("readings.from_to_title"), fields, words("readings.show"), show)

    def _local(self, text: str) -> datetime:
        """A time as the browser's field gives it."""
        try:
            return dialogs.instant(text, self.view.zone)
        except ValueError:
            raise refuse(self.view.words, "readings.no_time") from None


def _pressed(text: str, act: str, on: str, pressed: bool) -> Markup:
    return tag("button", text, type="button", class_="rl-btn", data_act=act, data_on=on,
               aria_pressed="true" if pressed else "false")  # fmt: skip


def _charts(words: Words, found: list[Readings], planned: Plan) -> Markup:
    drawn = [_chart(words, each, planned) for each in found if each.points]
    if not drawn:
        return none(words("readings.none"), words("terminal.no_health_more"))
    from_raw = planned.resolution is Resolution.RAW
    how = words("readings.raw" if from_raw else "readings.rolled_up", every=words.duration(planned.every))
    return join(tag("div", drawn, class_="rl-grid rl-charts"), tag("p", how, class_="q t1", style="padding-top:12px"))


def _chart(words: Words, each: Readings, planned: Plan) -> Markup:
    """Single samples as they are; of several in a step the mean, over what lies between the least and the greatest."""
    unit, size = UNITS.get(each.told.unit, (each.told.unit, 1))
    several = any(point.count > 1 for point in each.points)
    readings = [
        Reading(point.start_at, point.mean / size, point.minimum / size, point.maximum / size)
        if several
        else Reading(point.start_at, point.last / size)
        for point in each.points
    ]
    bottom, top = RANGES.get(each.told.unit, (0.0, 0.0))
    title = _title(words, each.metric, each.told, unit)
    return charts.area(words, title, readings, planned.from_at, planned.until_at, top, planned.every, bottom)


def _title(words: Words, name: str, told: Metric, unit: str) -> str:
    """As the console calls it, or else as the profile does."""
    known = words.maybe(f"metric.{name}")
    said = told.en if words.language is Language.ENGLISH else told.zh
    return known or (f"{said}, {unit}" if unit else said)
