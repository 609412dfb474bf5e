"""Console: accounts. Made with a password that is shown once, given a role and a branch, disabled.

Each change ends the account's sessions.
"""

from markupsafe import Markup

from cloud.accounts import service
from cloud.accounts.models import Account
from cloud.accounts.routes import AccountEdit, AccountName
from cloud.accounts.service import Role
from cloud.console import dialogs, lists
from cloud.console.markup import join, tag
from cloud.console.places import organisation_options, organisations_of
from cloud.console.shell import Shell, head
from cloud.console.view import View
from cloud.console.widgets import Column, button, say, table
from cloud.console.words import Words
from cloud.paging import Found

PATH = "/accounts"


def register(shell: Shell) -> None:
    """`/accounts`, for admins."""

    @shell.page(PATH, "accounts")
    async def listing(view: View, cursor: str = "") -> None:
        view.writable(Role.ADMIN)
        await _Accounts(view, cursor).show()


class _Accounts:
    """The page, and its dialogs."""

    def __init__(self, view: View, cursor: str) -> None:
        self.view = view
        self.cursor = cursor

    async def show(self) -> None:
        """Build it."""
        words = self.view.words
        add = button(words("accounts.add"), "add", kind="main")
        self.view.html(head(self.view, words("nav.accounts"), beside=add), on_act=self._act)
        self.list = self.view.html(slot="list", on_act=self._act)
        await self._draw()

    async def _draw(self) -> None:
        found = await self.view.read(
            lambda session, scope: service.accounts(session, scope, lists.paging(self.cursor)), Role.ADMIN
        )
        self.known = {account.id: account for account in found.rows}
        self.places = {place.id: place for place in await self.view.read(organisations_of, Role.ADMIN)}
        self.list.set_content(str(self._listing(found)))

    def _listing(self, found: Found[Account]) -> Markup:
        words = self.view.words
        columns = (
            Column(words("accounts.name"), "b"),
            Column(words("field.role"), h=True),
            Column(words("accounts.branch")),
            Column(words("accounts.state")),
            Column(words("accounts.since"), "lo"),
            Column(words("members.do"), "num rl-fit"),
        )
        rows = [self._cells(words, account) for account in found.rows]
        pager = lists.pager(words, PATH, self.cursor, found.next_cursor)
        return join(table(columns, rows, words("nav.accounts")), pager)

    def _cells(self, words: Words, account: Account) -> list[str | Markup]:
        state = (
            say("ok", words("accounts.enabled")) if account.enabled else say("cancelled", words("accounts.disabled"))
        )
        actions = tag("span", button(words("page.edit"), "edit", account.id),
                      button(words("accounts.password"), "password", account.id), class_="rl-row rl-end")  # fmt: skip
        role = words.known(f"role.{account.role}", account.role)
        return [account.name, role, self._branch_of(account), state, words.short_day(account.created_at), actions]

    def _act(self, act: str, on: str) -> None:
        account = self.known.get(on)
        if act == "add":
            self._add()
        elif act == "edit" and account is not None:
            self._edit(account)
        elif act == "password" and account is not None:
            self._password(account)

    def _roles(self, role: str) -> Markup:
        words = self.view.words
        return dialogs.choice(words("field.role"), "role", [(each, words(f"role.{each}")) for each in Role], role)

    def _branch_of(self, account: Account) -> str:
        if account.organisation_id is None:
            return self.view.words("accounts.everywhere")
        place = self.places.get(account.organisation_id)
        return self.view.words.either(place.name, place.name_en) if place else account.organisation_id

    def _branches(self, chosen: str) -> Markup:
        """To choose from; the whole tree only by whoever has it."""
        words = self.view.words
        whole = [("", words("accounts.everywhere"))] if self.view.may(Role.ADMIN, whole=True) else []
        places = [*whole, *organisation_options(self.view, list(self.places.values()))]
        return dialogs.choice(words("accounts.branch"), "organisation_id", places, chosen)

    def _add(self) -> None:
        words = self.view.words
        fields = join(
            dialogs.field(
                words("accounts.name"), "name", required=True, maxlength=120, autofocus=True, autocomplete="off"
            ),
            self._roles(Role.VIEWER),
            self._branches(self.view.principal.organisation_id or ""),
            tag("p", words("accounts.password_made"), class_="q t1"),
        )

        async def add(values: dict[str, str]) -> None:
            password = service.random_password()
            name = dialogs.filled(AccountName, name=values.get("name", "")).name
            form = dialogs.filled(AccountEdit, role=values.get("role"), organisation_id=values.get("organisation_id"))
            role, branch = form.role or Role.VIEWER, form.organisation_id or None
            await self.view.write(
                Role.ADMIN,
                lambda session, change, scope: service.create_account(
                    session, change, scope, name, password, role, branch
                ),
                confirmed=True,
            )
            await self._draw()
            self._tell(name, password)

        dialogs.ask(self.view, words("accounts.add"), fields, words("accounts.add"), add)

    def _edit(self, account: Account) -> None:
        words = self.view.words
        standings = [("yes", words("accounts.enabled")), ("no", words("accounts.disabled"))]
        fields = join(
            self._roles(account.role),
            self._branches(account.organisation_id or ""),
            dialogs.choice(words("accounts.state"), "enabled", standings, "yes" if account.enabled else "no"),
        )

        async def edit(values: dict[str, str]) -> None:
            form = dialogs.filled(AccountEdit, role=values.get("role"), enabled=values.get("enabled") == "yes",
                                  organisation_id=values.get("organisation_id"))  # fmt: skip
            await self.view.write(
                Role.ADMIN,
                lambda session, change, scope: service.edit_account(
                    session,
                    change,
                    scope,
                    account.id,
                    role=form.role,
                    enabled=form.enabled,
                    organisation_id=form.organisation_id,
                    version=account.version,
                ),
                confirmed=True,
            )
            await self._draw()

        dialogs.ask(self.view, words("accounts.edit", name=account.name), fields, words("page.save"), edit,
                    intro=words("accounts.ends_sessions"))  # fmt: skip

    def _password(self, account: Account) -> None:
        words = self.view.words

        async def renew(_values: dict[str, str]) -> None:
            password = service.random_password()
            await self.view.write(
                Role.ADMIN,
                lambda session, change, scope: service.edit_account(
                    session, change, scope, account.id, password=password, version=account.version
                ),
                confirmed=True,
            )
            await self._draw()
            self._tell(account.name, password)

        dialogs.ask(self.view, words("accounts.password_title", name=account.name), None, words("accounts.password_it"),
                    renew, intro=words("accounts.ends_sessions"), danger=True)  # fmt: skip

    def _tell(self, name: str, password: str) -> None:
        words = self.view.words
        dialogs.tell(self.view, words("accounts.password_of", name=name), tag("p", words("accounts.password_once")),
                     tag("p", tag("code", password, class_="mono rl-secret")))  # fmt: skip
