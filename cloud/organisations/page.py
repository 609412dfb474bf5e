"""Console: the tree of organisations; one is added below another, renamed or moved."""

from dataclasses import dataclass

from markupsafe import Markup
from sqlalchemy.orm import Session

from cloud.accounts.service import Role
from cloud.console import dialogs
from cloud.console.markup import join, tag
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, link, none, small, table
from cloud.members import service as members
from cloud.organisations import service, tree
from cloud.organisations.service import OrganisationForm
from cloud.organisations.tree import Branch
from cloud.rooms import service as rooms
from cloud.scope import Scope

PATH = "/organisations"


def register(shell: Shell) -> None:
    """`/organisations`."""

    @shell.page(PATH, "organisations")
    async def listing(view: View) -> None:
        await _Tree(view).show()


@dataclass(frozen=True)
class _Known:
    branches: list[Branch]
    rooms: dict[str, int]
    members: dict[str, int]


def _known(session: Session, scope: Scope) -> _Known:
    branches = tree.branches(session, scope)
    return _Known(
        branches,
        tree.totals(branches, rooms.count_by_organisation(session, scope)),
        tree.totals(branches, members.count_by_organisation(session, scope)),
    )


class _Tree:
    """The page, and its two dialogs."""

    def __init__(self, view: View) -> None:
        self.view = view

    async def show(self) -> None:
        """Build it."""
        view, words = self.view, self.view.words
        add = button(words("organisations.add"), "add", kind="main") if view.may(Role.ADMIN) else None
        view.html(head(view, words("nav.organisations"), beside=add), on_act=self._act)
        self.list = view.html(slot="list", on_act=self._act)
        await self._draw()

    async def _draw(self) -> None:
        self.known = await self.view.read(_known)
        self.list.set_content(str(self._listing()))

    def _listing(self) -> Markup:
        words, known = self.view.words, self.known
        if not known.branches:
            return none(words("organisations.none"), words("organisations.none_more"))
        columns = [
            Column(words("organisations.name")),
            Column(words("organisations.timezone"), "lo"),
            Column(words("organisations.rooms"), "num", h=True),
            Column(words("organisations.members"), "num", h=True),
        ]
        if self.view.may(Role.ADMIN):
            columns.append(Column(words("members.do"), "num rl-fit"))
        rows = [self._cells(branch)[: len(columns)] for branch in known.branches]
        below = tag("p", small(words("organisations.counted")), style="padding-top:12px")
        return join(table(columns, rows, words("nav.organisations")), below)

    def _cells(self, branch: Branch) -> list[str | Markup]:
        words, known = self.view.words, self.known
        name = words.either(branch.name, branch.name_en)
        other = branch.name if name != branch.name else branch.name_en
        named = tag("span", tag("b", name), " ", small(other) if other else None, class_="rl-branch",
                    style=f"--depth:{branch.depth}")  # fmt: skip
        standing = words.number(known.rooms[branch.id])
        listed = link(f"/rooms?organisation={branch.id}", standing) if known.rooms[branch.id] else standing
        actions = tag("span", button(words("page.edit"), "edit", branch.id),
                      button(words("organisations.below"), "add", branch.id), class_="rl-row rl-end")  # fmt: skip
        return [named, small(branch.timezone), listed, words.number(known.members[branch.id]), actions]

    def _act(self, act: str, on: str) -> None:
        chosen = next((branch for branch in self.known.branches if branch.id == on), None)
        if act == "add":
            self._add(chosen)
        elif act == "edit" and chosen is not None:
            self._edit(chosen)

    def _add(self, parent: Branch | None) -> None:
        words = self.view.words
        zone = parent.timezone if parent else self.view.zone.key

        async def add(values: dict[str, str]) -> None:
            form = _form(values)
            await self.view.write(
                Role.ADMIN, lambda session, change, scope: service.create(session, change, scope, form)
            )
            await self._draw()

        fields = self._fields("", "", parent.id if parent else "", zone, self.known.branches)
        dialogs.ask(self.view, words("organisations.add"), fields, words("organisations.add"), add)

    def _edit(self, branch: Branch) -> None:
        words = self.view.words

        async def edit(values: dict[str, str]) -> None:
            form = _form(values)
            await self.view.write(
                Role.ADMIN,
                lambda session, change, scope: service.edit(session, change, scope, branch.id, branch.version, form),
            )
            await self._draw()

        others = [each for each in self.known.branches if not each.path.startswith(branch.path)]
        fields = self._fields(branch.name, branch.name_en, branch.parent_id or "", branch.timezone, others)
        dialogs.ask(self.view, words("organisations.edit"), fields, words("page.save"), edit)

    def _fields(self, name: str, name_en: str, parent_id: str, zone: str, parents: list[Branch]) -> Markup:
        words = self.view.words
        options = [("", words("organisations.no_parent")), *dialogs.indented(words, parents)]
        return join(
            dialogs.field(words("field.name"), "name", name, required=True, maxlength=120, autofocus=True),
            dialogs.field(words("field.name_en"), "name_en", name_en, maxlength=120),
            dialogs.choice(words("field.parent_id"), "parent_id", options, parent_id),
            dialogs.field(words("field.timezone"), "timezone", zone, required=True, maxlength=60, autocomplete="off",
                          hint=words("organisations.timezone_hint")),
        )  # fmt: skip


def _form(values: dict[str, str]) -> OrganisationForm:
    return dialogs.filled(OrganisationForm, **{**values, "parent_id": values.get("parent_id") or None})
