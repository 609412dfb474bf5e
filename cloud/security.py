"""The one place where a role is required: dependencies that every route of the API names.

Who is asking was found out by `cloud.guard`. A terminal asks by HTTP Basic, for its own files only.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from cloud.accounts.service import Principal, Role
from cloud.errors import Forbidden, Unauthenticated, Unconfirmed
from cloud.scope import EVERYWHERE


@dataclass(frozen=True)
class Rule:
    """What a route asks of its caller: a dependency that gives the Principal, or answers 401 or 403.

    `whole` also asks for an account of the whole tree, where what the route is about is nobody's branch.
    `confirmed` also asks that the password was typed again (`check_confirmed`), which an API token need not with `tokens`.
    """

    role: Role
    whole: bool = False
    confirmed: bool = False
    tokens: bool = False

    def __call__(self, request: Request) -> Principal:
        """The caller, who may."""
        principal = check_role(request.state.principal, self.role, whole=self.whole)
        if self.confirmed:
            check_confirmed(principal, request.app.state.cloud.clock(), tokens=self.tokens)
        return principal


def check_role(principal: Principal | None, role: Role, *, whole: bool = False) -> Principal:
    """`principal`, if it may do what `role` may; `whole`: in all branches. Also for the console's pages and buttons."""
    if principal is None:
        raise Unauthenticated("Sign in, or send an API token.", code="sign_in")
    if not principal.role.includes(role):
        raise Forbidden(
            f"This needs the role {role}; {principal.name} is {principal.role}.",
            code="role",
            role=role,
            has=principal.role,
        )
    if whole and principal.scope != EVERYWHERE:
        raise Forbidden(
            f"This concerns the whole tree of organisations; {principal.name} is bound to a branch.",
            code="whole_tree",
            name=principal.name,
        )
    return principal


def check_confirmed(principal: Principal, now: datetime, *, tokens: bool = False) -> Principal:
    """`principal`, if the password was typed again within the last five minutes. Also for the console's buttons.

    An API token has no password: it passes only with `tokens`, and where that is so the route's description says it.
    """
    if tokens and not principal.by_session:
        return principal
    if principal.confirmed_until is None or principal.confirmed_until <= now:
        raise Unconfirmed("The password must be typed again: POST /api/v1/session/confirmation.", code="unconfirmed")
    return principal


Viewer = Annotated[Principal, Depends(Rule(Role.VIEWER))]
WholeViewer = Annotated[Principal, Depends(Rule(Role.VIEWER, whole=True))]
Organiser = Annotated[Principal, Depends(Rule(Role.ORGANISER))]
Operator = Annotated[Principal, Depends(Rule(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(Rule(Role.ADMIN))]
WholeAdmin = Annotated[Principal, Depends(Rule(Role.ADMIN, whole=True))]
ConfirmedViewer = Annotated[Principal, Depends(Rule(Role.VIEWER, confirmed=True, tokens=True))]
"""Anybody whose password was typed again, or an API token."""
ConfirmedAdmin = Annotated[Principal, Depends(Rule(Role.ADMIN, confirmed=True, tokens=True))]
"""An admin whose password was typed again, or an admin's API token."""


def basic_credentials(request: Request) -> tuple[str, str]:
    """User name and password of HTTP Basic (RFC 7617). Unauthenticated when there are none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    try:
        name, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        name, colon, password = "", "", ""
    if scheme.lower() != "basic" or not colon:
        raise Unauthenticated("A terminal sends its id and password by HTTP Basic.")
    return name, password


TerminalCredentials = Annotated[tuple[str, str], Depends(basic_credentials)]
