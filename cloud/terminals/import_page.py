"""Console: import of terminals from a CSV file; all rows, or only the good ones where some are wrong."""

from pathlib import Path

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.console.import_view import ImportView
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import button, button_link, link
from cloud.csv_reading import Report
from cloud.scope import Scope
from cloud.terminals import importing


def register(shell: Shell) -> None:
    """`/terminals/import`."""

    @shell.page("/terminals/import", "terminals")
    async def import_terminals(view: View) -> None:
        view.writable(Role.ADMIN)
        words = view.words
        export = button_link("/api/v1/terminals/export", words("import_terminals.export"), download=True)
        above = link("/terminals", words("nav.terminals"))
        view.html(head(view, words("import_terminals.title"), above=above, beside=export))
        _Import(view).build()


class _Import(ImportView):
    """Terminals. What the first pass found wrong, the second leaves out; where it found nothing, the second takes all or none."""

    page = "import_terminals"
    rules = 5
    to = "/terminals"
    only_good = False

    def begins(self, report: Report) -> Markup | None:
        """Also beside problems: then for the good rows only."""
        n = report.created + report.updated
        self.only_good = report.problem_count > 0
        if not report.problem_count:
            return super().begins(report)
        return button(self.words("begin_good", n=n), "import", disabled=not n)

    async def checked(self, path: Path, report: Report) -> Report:
        """Beside the writers."""

        def check(session: Session, scope: Scope) -> Report:
            return importing.check(session, scope, path, report)

        return await self.view.read(check)

    async def written(self, path: Path, report: Report) -> Report:
        """What was shown to be good. Invalid where all of it was, and is not any more: nothing is left out unseen."""

        def apply(session: Session, change: Change, scope: Scope) -> Report:
            return importing.apply(session, change, scope, path, report, only_good=self.only_good)

        return await self.view.write(Role.ADMIN, apply)
