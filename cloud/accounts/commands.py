"""`python -m cloud user …` and `… token …`: the first admin, and tokens for programs."""

import secrets
import sys
from datetime import timedelta
from typing import Annotated

import typer

from cloud.accounts import service
from cloud.accounts.service import Principal, Role
from cloud.audit.commands import WHO
from cloud.audit.service import Change
from cloud.clock import utc_now
from cloud.database import transaction
from cloud.errors import StartError, Unfit
from cloud.forms import MAX_NAME, clean
from cloud.paging import MAX_LIMIT, Paging
from cloud.running import open_ledger
from cloud.scope import EVERYWHERE

user = typer.Typer(help="Accounts of the console.", no_args_is_help=True)
token = typer.Typer(help="Tokens for programs.", no_args_is_help=True)


OPERATING = Principal("", WHO, Role.ADMIN)
"""Whoever runs a command on the machine, in accounts' terms."""


def _change() -> Change:
    return Change(WHO, utc_now(), WHO)


def _password(stdin: bool) -> tuple[str, bool]:
    """A password, and whether it was made here and must be shown."""
    if stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    return secrets.token_urlsafe(15), True


def _called(name: str) -> str:
    """A name that its account can sign in with."""
    try:
        called = clean(name)
    except Unfit as error:
        raise StartError(f"NAME is not right: {error}.") from None
    if not 1 <= len(called) <= MAX_NAME:
        raise StartError(f"NAME has 1 to {MAX_NAME} characters; an example is anna.")
    return called


PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin; else one is made.")
]


@user.command("add")
def add_user(
    name: str,
    role: Annotated[Role, typer.Option(help="What the account may do.")],
    branch: Annotated[
        str | None, typer.Option(help="Id of the organisation that it is bound to, with those below; else to none.")
    ] = None,
    password_stdin: PasswordStdin = False,
) -> None:
    """Add an account; its generated password is printed once."""
    password, made = _password(password_stdin)
    name = _called(name)
    with transaction(open_ledger()) as session:
        service.create_account(session, _change(), EVERYWHERE, name, password, role, branch)
    typer.echo(password if made else f"{name} may sign in now.")


@user.command("password")
def set_password(name: str, password_stdin: PasswordStdin = False) -> None:
    """Give an account a new password and end its sessions."""
    password, made = _password(password_stdin)
    with transaction(open_ledger()) as session:
        account = service.account_named(session, name)
        service.edit_account(session, _change(), EVERYWHERE, account.id, password=password)
    typer.echo(password if made else f"{name} has a new password.")


@user.command("disable")
def disable_user(name: str) -> None:
    """End an account's sessions and refuse new ones; its tokens end too."""
    with transaction(open_ledger()) as session:
        account = service.account_named(session, name)
        service.edit_account(session, _change(), EVERYWHERE, account.id, enabled=False)
    typer.echo(f"{name} may not sign in any more.")


@user.command("list")
def list_users() -> None:
    """Show the accounts: name, role, whether it is enabled, the organisation that it is bound to."""
    paging: Paging | None = Paging(MAX_LIMIT)
    with transaction(open_ledger(), read_only=True) as session:
        while paging is not None:
            found = service.accounts(session, EVERYWHERE, paging)
            for account in found.rows:
                standing = "enabled" if account.enabled else "disabled"
                typer.echo(f"{account.name}\t{account.role}\t{standing}\t{account.organisation_id or '-'}")
            paging = Paging(MAX_LIMIT, found.next_cursor) if found.next_cursor else None


@token.command("add")
def add_token(
    account: Annotated[str, typer.Argument(help="Name of the account that it acts for.")],
    name: Annotated[str, typer.Option(help="What it is for.")],
    role: Annotated[Role, typer.Option(help="At most the account's own role.")] = Role.VIEWER,
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Days until it expires; else never.")] = None,
) -> None:
    """Make a token; its secret is printed this once."""
    change = _change()
    expires_at = change.at + timedelta(days=days) if days else None
    with transaction(open_ledger()) as session:
        owner = service.account_named(session, account)
        _, secret = service.create_token(session, change, Role(owner.role), owner, name, role, expires_at)
    typer.echo(secret)


@token.command("revoke")
def revoke_token(token_id: str) -> None:
    """Revoke a token at once."""
    with transaction(open_ledger()) as session:
        service.revoke_token(session, _change(), OPERATING, token_id)
    typer.echo(f"{token_id} is revoked.")


@token.command("list")
def list_tokens() -> None:
    """Show the newest tokens: id, name, role, whether it was revoked."""
    with transaction(open_ledger(), read_only=True) as session:
        for each in service.tokens(session, OPERATING, Paging(MAX_LIMIT)).rows:
            typer.echo(f"{each.id}\t{each.name}\t{each.role}\t{'revoked' if each.revoked_at else 'in force'}")
