"""Console: import of members from a CSV file. First a report of what would happen, row by row; then, if wanted, it happens."""

from pathlib import Path

from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.console.import_view import ImportView
from cloud.console.markup import tag
from cloud.console.places import organisation_options, organisations_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import link, note
from cloud.csv_reading import Report
from cloud.members import importing
from cloud.scope import Scope


def register(shell: Shell) -> None:
    """`/members/import`."""

    @shell.page("/members/import", "members")
    async def import_members(view: View) -> None:
        view.writable(Role.ORGANISER)
        await _Import(view).show()


class _Import(ImportView):
    """Members; those whose row names no organisation come into the chosen one."""

    to = "/members"

    async def show(self) -> None:
        """Build the page: where to, the file, what came of it."""
        view, words = self.view, self.view.words
        view.html(head(view, words("import.title"), above=link("/members", words("nav.members"))))
        places = organisation_options(view, await view.read(organisations_of))
        if not places:
            view.html(note("warn", words("import.no_organisation")))
            return
        self.organisation_id = places[0][0]
        options = [tag("option", name, value=each) for each, name in places]
        chosen = tag("select", *options, class_="rl-field", name="organisation")
        self.build(tag("label", words("import.into"), " ", chosen), self._into)

    def _into(self, organisation_id: str) -> None:
        self.organisation_id = organisation_id

    async def checked(self, path: Path, report: Report) -> Report:
        """Beside the writers."""
        into = self.organisation_id

        def check(session: Session, scope: Scope) -> Report:
            return importing.check(session, scope, path, into, report)

        return await self.view.read(check)

    async def written(self, path: Path, report: Report) -> Report:
        """All or nothing."""
        into = self.organisation_id

        def apply(session: Session, change: Change, scope: Scope) -> Report:
            return importing.apply(session, change, scope, path, into, report)

        return await self.view.write(Role.ORGANISER, apply)
