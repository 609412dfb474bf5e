"""The page of an import: choose a file, see what would happen row by row, then let it happen, or stop it.

Promises that nothing is written before it was shown, that the file lies in the data folder only until the page is closed, and
that whoever watches can stop. What is imported, and by which role, say the features' own pages.
"""

import asyncio
import contextlib
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from markupsafe import Markup
from nicegui import events, ui

from cloud.console import refusals
from cloud.console.markup import join, tag
from cloud.console.view import View
from cloud.console.widgets import Column, bar, button, button_link, note, panel, say, small, table, tile, tiles
from cloud.csv_reading import MAX_BYTES, Report, Row
from cloud.errors import CloudError, Conflict

SHOWN = 20


class Stopped(Conflict):
    """The person who began it stopped it."""


@dataclass
class Watched(Report):
    """A report whose work ends, with nothing kept, once `stop` was said from another thread."""

    stop: bool = False

    def count(self, row: Row) -> None:
        """Count a good row, unless it is to stop."""
        if self.stop:
            raise Stopped("It was stopped; nothing was imported.", code="stopped")
        super().count(row)


class ImportView(ABC):
    """One import in one page. A feature says how a file is checked and written, and in which words (`page`)."""

    page = "import"
    """Where the catalogue has the words that differ: `title`, `importing`, `updated`, `key`, `name` and the rest."""
    rules = 4
    to = ""
    """The list to which one goes afterwards."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.path: Path | None = None
        self.report: Report | None = None
        self.running: Watched | None = None

    @abstractmethod
    async def checked(self, path: Path, report: Report) -> Report:
        """What an import of the file would do."""

    @abstractmethod
    async def written(self, path: Path, report: Report) -> Report:
        """Write it; what was done."""

    def begins(self, report: Report) -> Markup | None:
        """The button that begins; None where the file has to be mended first."""
        n = report.created + report.updated
        if report.problem_count:
            return None
        return button(self.words("begin", n=n), "import", kind="main", disabled=not n)

    def words(self, key: str, **values: object) -> str:
        """The feature's words, or those that all imports share."""
        words = self.view.words
        return words.maybe(f"{self.page}.{key}", **values) or words(f"import.{key}", **values)

    def build(self, choice: Markup | None = None, into: object = None) -> None:
        """The file, what came of it, and the rules beside it; `choice` stands before the file and is heard by `into`."""
        view = self.view
        with ui.element("div").classes("rl-grid"):
            with ui.element("section").classes("rl-panel").style("--c:8"):
                view.html(tag("h2", self.words("file")), tag="header")
                with ui.element("div").classes("rl-row rl-tools"):
                    if choice is not None and callable(into):
                        view.changed(choice, into)
                    self._pick()
                self.progress = view.html(slot="progress").props('role="status"')
                self.stop = view.html(on_act=lambda *_: self._stop())
                self.result = view.html(slot="report", on_act=lambda *_: self._apply())
            view.html(self._rules()).style("--c:4")
        view.client.on_delete(self._forget)

    def _pick(self) -> None:
        upload = ui.upload(on_upload=self._uploaded, on_rejected=self._rejected, auto_upload=True,
                           max_file_size=MAX_BYTES).classes("rl-upload")  # fmt: skip
        upload.props('accept=".csv,.txt,text/csv"')
        pick = ui.element("button").classes("rl-btn").props('type="button" data-kind="main"')
        with pick:
            ui.html(self.words("choose"), sanitize=False, tag="span")
        pick.on("click", js_handler=f"() => {{ const u = getElement({upload.id}); u.reset(); u.pickFiles(); }}")

    def _rejected(self) -> None:
        self.result.set_content(str(note("bad", self.words("rejected"), role="alert")))

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        self._forget()
        folder = self.view.cloud.settings.data_dir / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(dir=folder, prefix="import-", suffix=".csv", delete=False)  # noqa: SIM115
        handle.close()
        self.path = Path(handle.name)
        await event.file.save(self.path)
        self.result.set_content("")
        await self._check(self.path, event.file.name)

    async def _check(self, path: Path, name: str) -> None:
        report, self.report = Watched(), None
        try:
            with self._watched(report, self.words("checking"), 0):
                self.report = await self.checked(path, report)
        except Stopped:
            self._say_stopped()
        except CloudError as error:
            self.result.set_content(str(self.view.explain(error)))
        else:
            self.result.set_content(str(self._told(name, self.report)))

    async def _apply(self) -> None:
        found, path, report = self.report, self.path, Watched()
        if found is None or path is None:
            return
        self.report = None
        self.result.set_content("")
        try:
            with self._watched(report, self.words("importing"), found.rows):
                done = await self.written(path, report)
        except Stopped:
            self._say_stopped()
            return
        says = self.words("done_more", created=done.created, updated=done.updated, unchanged=done.unchanged)
        to_list = button_link(self.to, self.words("to_list"))
        self.result.set_content(str(note("ok", self.words("done"), says, to_list, role="status")))
        await to_thread.run_sync(self._forget)

    def _say_stopped(self) -> None:
        self.result.set_content(str(note("cancelled", self.words("stopped"), self.words("stopped_more"))))

    @contextlib.contextmanager
    def _watched(self, report: Watched, label: str, total: int) -> Iterator[None]:
        """Show how far it is while the block runs; without a total, the count alone."""
        self.running = report
        self.stop.set_content(str(button(self.words("stop"), "stop")))
        task = asyncio.get_running_loop().create_task(self._watch(report, label, total))
        try:
            yield
        finally:
            task.cancel()
            self.running = None
            self.stop.set_content("")
            self.progress.set_content("")

    def _stop(self) -> None:
        if self.running is not None:
            self.running.stop = True

    async def _watch(self, report: Watched, label: str, total: int) -> None:
        while True:
            if total:
                shown = bar(label, report.rows, total, self.words("of", n=report.rows, total=total))
            else:
                shown = tag("p", say("running", label), " ", small(self.words("so_far", n=report.rows)))
            self.progress.set_content(str(shown))
            await asyncio.sleep(0.5)

    def _told(self, name: str, report: Report) -> Markup:
        number = self.view.words.number
        numbers = tiles(
            tile(self.words("rows"), number(report.rows), name),
            tile(self.words("created"), number(report.created), self.words("created_why")),
            tile(self.words("updated"), number(report.updated), self.words("updated_why")),
            tile(self.words("problems"), number(report.problem_count), self.words("unchanged_why", n=report.unchanged)),
        )
        begin = self.begins(report)
        problems = self._problems(report) if report.problem_count else None
        return join(numbers, problems, self._rows(report, begin) if begin is not None else None)

    def _problems(self, report: Report) -> Markup:
        words = self.view.words
        columns = (Column(self.words("where"), "nowrap"), Column(self.words("what")))
        rows = [[refusals.where(words, each.where), refusals.says(words, each)] for each in report.problems[:SHOWN]]
        says = note("bad", self.words("refused", n=report.problem_count), self.words("refused_more"), role="alert")
        return join(says, table(columns, rows, self.words("problems")), self._rest(report.problem_count))

    def _rows(self, report: Report, begin: Markup) -> Markup:
        columns = (Column(self.words("row"), "num rl-fit"), Column(self.words("key")), Column(self.words("name")),
                   Column(self.words("happens")))  # fmt: skip
        rows = [
            [self.view.words.number(row.number), row.key, row.name, self.words(f"action_{row.action}")]
            for row in report.shown[:SHOWN]
        ]
        happens = panel(self.words("would"), table(columns, rows, self.words("would")), beside=begin)
        return join(tag("div", happens, style="padding-top:32px"), self._rest(report.rows))

    def _rest(self, count: int) -> Markup | None:
        if count <= SHOWN:
            return None
        return tag("p", small(self.words("rest", shown=SHOWN, n=count)), style="padding-top:12px")

    def _rules(self) -> Markup:
        said = [tag("li", self.words(f"rule_{number}")) for number in range(1, self.rules + 1)]
        return panel(self.view.words("import.rules"), tag("ul", said, class_="rl-rules"))

    def _forget(self) -> None:
        path, self.path = self.path, None
        if path is not None:
            path.unlink(missing_ok=True)
