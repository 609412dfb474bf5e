"""Console: import of members from a CSV file. First a report of what would happen, row by row; then, if wanted, it happens."""

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread
from markupsafe import Markup
from nicegui import events, ui
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.console import refusals
from cloud.console.markup import join, tag
from cloud.console.places import organisation_options, organisations_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, bar, button, button_link, link, note, panel, say, small, table, tile, tiles
from cloud.errors import CloudError, Conflict
from cloud.members import importing
from cloud.members.importing import Report
from cloud.members.service import MemberForm
from cloud.scope import Scope

SHOWN = 20


def register(shell: Shell) -> None:
    """`/members/import`."""

    @shell.page("/members/import", "members")
    async def import_members(view: View) -> None:
        view.writable(Role.ORGANISER)
        await _Import(view).show()


class _Stopped(Conflict):
    """The person who began it stopped it."""


@dataclass
class _Watched(Report):
    """A report whose work ends, with nothing kept, once `stop` was said from another thread."""

    stop: bool = False

    def count(self, number: int, action: str, form: MemberForm) -> None:
        """Count a good row, unless it is to stop."""
        if self.stop:
            raise _Stopped("It was stopped; nothing was imported.", code="stopped")
        super().count(number, action, form)


class _Import:
    """One import in one page. The file lies in the data folder until the page is closed."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.organisation_id = ""
        self.path: Path | None = None
        self.report: Report | None = None
        self.running: _Watched | None = None

    async def show(self) -> None:
        """Build the page: where to, the file, what came of it."""
        view, words = self.view, self.view.words
        above = link("/members", words("nav.members"))
        view.html(head(view, words("import.title"), above=above))
        places = organisation_options(view, await view.read(organisations_of))
        if not places:
            view.html(note("warn", words("import.no_organisation")))
            return
        self.organisation_id = places[0][0]
        with ui.element("div").classes("rl-grid"):
            with ui.element("section").classes("rl-panel").style("--c:8"):
                view.html(tag("h2", words("import.file")), tag="header")
                self._choose(places)
                self.progress = view.html(slot="progress").props('role="status"')
                self.stop = view.html(on_act=lambda *_: self._stop())
                self.result = view.html(slot="report", on_act=lambda *_: self._apply())
            view.html(self._rules()).style("--c:4")
        view.client.on_delete(self._forget)

    def _choose(self, places: list[tuple[str, str]]) -> None:
        words = self.view.words
        options = [tag("option", name, value=each) for each, name in places]
        select = tag(
            "label", words("import.into"), " ", tag("select", *options, class_="rl-field", name="organisation")
        )
        with ui.element("div").classes("rl-row rl-tools"):
            self.view.changed(select, self._into)
            upload = ui.upload(on_upload=self._uploaded, on_rejected=self._rejected, auto_upload=True,
                               max_file_size=importing.MAX_BYTES).classes("rl-upload")  # fmt: skip
            upload.props('accept=".csv,.txt,text/csv"')
            pick = ui.element("button").classes("rl-btn").props('type="button" data-kind="main"')
            with pick:
                ui.html(words("import.choose"), sanitize=False, tag="span")
            pick.on("click", js_handler=f"() => {{ const u = getElement({upload.id}); u.reset(); u.pickFiles(); }}")

    def _into(self, organisation_id: str) -> None:
        self.organisation_id = organisation_id

    def _rejected(self) -> None:
        self.result.set_content(str(note("bad", self.view.words("import.rejected"), role="alert")))

    async def _uploaded(self, event: events.UploadEventArguments) -> None:
        self._forget()
        folder = self.view.cloud.settings.data_dir / "uploads"
        folder.mkdir(parents=True, exist_ok=True)
        handle = tempfile.NamedTemporaryFile(dir=folder, prefix="import-", suffix=".csv", delete=False)  # noqa: SIM115
        handle.close()
        self.path = Path(handle.name)
        await event.file.save(self.path)
        self.result.set_content("")
        await self._check(event.file.name)

    async def _check(self, name: str) -> None:
        path, into, report = self.path, self.organisation_id, _Watched()
        assert path is not None  # noqa: S101

        def check(session: Session, scope: Scope) -> Report:
            return importing.check(session, scope, path, into, report)

        words = self.view.words
        try:
            with self._watched(report, words("import.checking"), 0):
                self.report = await self.view.read(check)
        except _Stopped:
            self.report = None
            self.result.set_content(str(note("cancelled", words("import.stopped"), words("import.stopped_more"))))
        except CloudError as error:
            self.report = None
            self.result.set_content(str(self.view.explain(error)))
        else:
            self.result.set_content(str(self._told(name, self.report)))

    async def _apply(self) -> None:
        checked, path, into, report = self.report, self.path, self.organisation_id, _Watched()
        if checked is None or path is None:
            return

        def apply(session: Session, change: Change, scope: Scope) -> Report:
            return importing.apply(session, change, scope, path, into, report)

        words = self.view.words
        self.report = None
        self.result.set_content("")
        try:
            with self._watched(report, words("import.importing"), checked.rows):
                done = await self.view.write(Role.ORGANISER, apply)
        except _Stopped:
            self.result.set_content(str(note("cancelled", words("import.stopped"), words("import.stopped_more"))))
            return
        says = words("import.done_more", created=done.created, updated=done.updated, unchanged=done.unchanged)
        to_list = button_link("/members", words("import.to_members"))
        self.result.set_content(str(note("ok", words("import.done"), says, to_list, role="status")))
        await to_thread.run_sync(self._forget)

    @contextlib.contextmanager
    def _watched(self, report: _Watched, label: str, total: int) -> Iterator[None]:
        """Show how far it is while the block runs; without a total, the count alone."""
        self.running = report
        self.stop.set_content(str(button(self.view.words("import.stop"), "stop")))
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

    async def _watch(self, report: _Watched, label: str, total: int) -> None:
        words = self.view.words
        while True:
            if total:
                shown = bar(label, report.rows, total, words("import.of", n=report.rows, total=total))
            else:
                shown = tag("p", say("running", label), " ", small(words("import.so_far", n=report.rows)))
            self.progress.set_content(str(shown))
            await asyncio.sleep(0.5)

    def _told(self, name: str, report: Report) -> Markup:
        words = self.view.words
        numbers = tiles(
            tile(words("import.rows"), words.number(report.rows), name),
            tile(words("import.created"), words.number(report.created), words("import.created_why")),
            tile(words("import.updated"), words.number(report.updated), words("import.updated_why")),
            tile(words("import.problems"), words.number(report.problem_count), words("import.unchanged_why", n=report.unchanged)),
        )  # fmt: skip
        return join(numbers, self._problems(report) if report.problem_count else self._rows(report))

    def _problems(self, report: Report) -> Markup:
        words = self.view.words
        columns = (Column(words("import.where"), "nowrap"), Column(words("import.what")))
        rows = [[refusals.where(words, each.where), refusals.says(words, each)] for each in report.problems[:SHOWN]]
        says = note("bad", words("import.refused", n=report.problem_count), words("import.refused_more"), role="alert")
        return join(says, table(columns, rows, words("import.problems")), self._rest(report.problem_count))

    def _rows(self, report: Report) -> Markup:
        words = self.view.words
        columns = (Column(words("import.row"), "num rl-fit"), Column(words("members.external_id")),
                   Column(words("members.name")), Column(words("import.happens")))  # fmt: skip
        rows = [
            [words.number(row.number), row.external_id, row.name, words(f"import.action_{row.action}")]
            for row in report.shown[:SHOWN]
        ]
        begin = button(words("import.begin", n=report.created + report.updated), "import", kind="main",
                       disabled=not report.created + report.updated)  # fmt: skip
        happens = panel(words("import.would"), table(columns, rows, words("import.would")), beside=begin)
        return join(tag("div", happens, style="padding-top:32px"), self._rest(report.rows))

    def _rest(self, count: int) -> Markup | None:
        if count <= SHOWN:
            return None
        return tag("p", small(self.view.words("import.rest", shown=SHOWN, n=count)), style="padding-top:12px")

    def _rules(self) -> Markup:
        words = self.view.words
        rules = [words(f"import.rule_{number}") for number in range(1, 5)]
        return panel(words("import.rules"), tag("ul", [tag("li", rule) for rule in rules], class_="rl-rules"))

    def _forget(self) -> None:
        path, self.path = self.path, None
        if path is not None:
            path.unlink(missing_ok=True)
