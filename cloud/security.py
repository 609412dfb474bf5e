"""The one place where a role is required: dependencies that every route of the API names.

Who is asking was found out by `cloud.guard`. A terminal asks by HTTP Basic, for its own files only.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from cloud.accounts.service import Principal, Role
from cloud.errors import Forbidden, Unauthenticated


def require(role: Role) -> Callable[[Request], Principal]:
    """A dependency that gives the Principal, or answers 401 or 403."""

    def required(request: Request) -> Principal:
        return check_role(request.state.principal, role)

    return required


def check_role(principal: Principal | None, role: Role) -> Principal:
    """`principal`, if it may do what `role` may. Also for the console's pages and buttons."""
    if principal is None:
        raise Unauthenticated("Sign in, or send an API token.", code="sign_in")
    if not principal.role.includes(role):
        raise Forbidden(
            f"This needs the role {role}; {principal.name} is {principal.role}.",
            code="role",
            role=role,
            has=principal.role,
        )
    return principal


Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]
Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]
Admin = Annotated[Principal, Depends(require(Role.ADMIN))]


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
