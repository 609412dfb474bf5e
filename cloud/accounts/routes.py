"""HTTP: signing in and out, accounts and API tokens."""

from typing import Annotated, Literal

from fastapi import Path, Request, Response
from pydantic import Field, SecretStr

from cloud.accounts import service, sessions
from cloud.accounts.service import Role
from cloud.api import IfMatch, PageOf, Pages, TheCloud, View, problems, router, set_etag, with_etag
from cloud.errors import Forbidden, Unauthenticated
from cloud.forms import Form, InstantUs, Name
from cloud.guard import COOKIE, origin_of, set_session
from cloud.organisations.service import OrganisationId
from cloud.scope import EVERYWHERE
from cloud.security import Admin, ConfirmedAdmin, ConfirmedViewer, Viewer

routes = router("", "accounts")

AccountId = Annotated[str, Path(pattern=r"^acc_[0-9a-f]{16}$")]
SessionId = Annotated[str, Path(pattern=r"^ses_[0-9a-f]{16}$")]
TokenId = Annotated[str, Path(pattern=r"^tok_[0-9a-f]{16}$")]
Password = Annotated[SecretStr, Field(min_length=1, max_length=service.MAX_PASSWORD)]


class SignInBody(Form):
    """Name and password."""

    name: Name
    password: Password


class ConfirmationBody(Form):
    """One's own password, again."""

    password: Password


class AccountName(Form):
    """What an account is called."""

    name: Name


class AccountBody(AccountName):
    """A new account."""

    password: Password
    role: Role
    organisation_id: OrganisationId | None = None


class AccountEdit(Form):
    """What to change; what is null stays. An empty `organisation_id` binds it to no branch."""

    role: Role | None = None
    organisation_id: OrganisationId | Literal[""] | None = None
    enabled: bool | None = None
    password: Password | None = None


class AccountView(View):
    """An account, without its secret."""

    id: str
    name: str
    role: Role
    organisation_id: str | None
    enabled: bool
    version: int
    created_at: InstantUs


class MeView(View):
    """Whoever asks, and to which branch that is bound; `confirmed_until` when the password was typed again of late."""

    account_id: str
    name: str
    role: Role
    organisation_id: str | None
    confirmed_until: InstantUs | None


class SessionView(View):
    """A session that lasts: `expires_at` at most, `idle_until_at` unless it is used before; `browser` is a family."""

    id: str
    account_id: str
    address: str
    browser: str
    created_at: InstantUs
    used_at: InstantUs
    expires_at: InstantUs
    idle_until_at: InstantUs


class TokenBody(Form):
    """A new token; without `expires_at` it lasts until it is revoked."""

    name: Name
    role: Role
    expires_at: InstantUs | None = None


class TokenView(View):
    """A token, without its secret."""

    id: str
    account_id: str
    name: str
    role: Role
    created_at: InstantUs
    expires_at: InstantUs | None
    revoked_at: InstantUs | None


class NewTokenView(TokenView):
    """A token with its secret, shown this once."""

    secret: str


@routes.post("/session", status_code=204, responses=problems(429))
def sign_in(request: Request, body: SignInBody, cloud: TheCloud) -> Response:
    """Sign in: sets the session's cookie."""
    secret = cloud.sign_in(body.name, body.password.get_secret_value(), origin_of(request))
    if secret is None:
        raise Unauthenticated("Name or password is wrong.")
    answer = Response(status_code=204)
    set_session(answer, secret, cloud.session_limits.whole, cloud.settings.public_url)
    return answer


@routes.get("/session")
def who_am_i(by: Viewer) -> MeView:
    """Who is signed in."""
    return MeView.model_validate(by)


@routes.delete("/session", status_code=204)
def sign_out(request: Request, cloud: TheCloud, _by: Viewer) -> Response:
    """Sign out: ends the session of the cookie."""
    with cloud.writing() as session:
        sessions.sign_out(session, request.cookies.get(COOKIE, ""))
    answer = Response(status_code=204)
    answer.delete_cookie(COOKIE)
    return answer


@routes.post("/session/confirmation", status_code=204, responses=problems(429))
def confirm_session(cloud: TheCloud, by: Viewer, body: ConfirmationBody) -> Response:
    """Type one's own password again: for five minutes this session may do what asks for it (`unconfirmed`)."""
    if not cloud.confirm(by, body.password.get_secret_value()):
        raise Forbidden("The password is wrong.", code="wrong_password")
    return Response(status_code=204)


@routes.get("/sessions")
def list_sessions(cloud: TheCloud, by: Viewer, pages: Pages) -> PageOf[SessionView]:
    """One's own sessions that last, newest first; an admin sees those of the branch."""
    with cloud.reading() as session:
        return PageOf[SessionView].of(sessions.sessions(session, by, cloud.clock(), pages))


@routes.delete("/sessions/{session_id}", status_code=204, responses=problems(404))
def revoke_session(cloud: TheCloud, by: Viewer, session_id: SessionId) -> Response:
    """End one of one's own sessions at once, its open pages within seconds; an admin any of the branch."""
    with cloud.writing() as session:
        sessions.revoke(session, cloud.change(by), by, session_id)
    return Response(status_code=204)


@routes.get("/accounts")
def list_accounts(cloud: TheCloud, by: Admin, pages: Pages) -> PageOf[AccountView]:
    """The accounts of your branch, by name."""
    with cloud.reading() as session:
        return PageOf[AccountView].of(service.accounts(session, by.scope, pages))


@routes.post("/accounts", status_code=201, responses={201: with_etag(), **problems(409)})
def create_account(cloud: TheCloud, by: ConfirmedAdmin, body: AccountBody, response: Response) -> AccountView:
    """A new account, bound to a branch where `organisation_id` names one; an admin of a branch must name one in it.

    A session must have confirmed its password (`POST /api/v1/session/confirmation`); an admin's API token needs not.
    """
    password = body.password.get_secret_value()
    with cloud.writing() as session:
        account = service.create_account(
            session, cloud.change(by), by.scope, body.name, password, body.role, body.organisation_id
        )
        set_etag(response, account.version)
        return AccountView.model_validate(account)


@routes.patch("/accounts/{account_id}", responses={200: with_etag(), **problems(404, 409, 412, 428)})
def edit_account(
    cloud: TheCloud, by: ConfirmedAdmin, account_id: AccountId, if_match: IfMatch, body: AccountEdit, response: Response
) -> AccountView:
    """Change role, branch, standing or password; ends the account's sessions.

    A session must have confirmed its password (`POST /api/v1/session/confirmation`); an admin's API token needs not.
    """
    password = body.password.get_secret_value() if body.password else None
    with cloud.writing() as session:
        account = service.edit_account(
            session,
            cloud.change(by),
            by.scope,
            account_id,
            role=body.role,
            organisation_id=body.organisation_id,
            enabled=body.enabled,
            password=password,
            version=if_match,
        )
        set_etag(response, account.version)
        return AccountView.model_validate(account)


@routes.get("/tokens")
def list_tokens(cloud: TheCloud, by: Viewer, pages: Pages) -> PageOf[TokenView]:
    """One's own tokens; an admin sees those of the branch."""
    with cloud.reading() as session:
        return PageOf[TokenView].of(service.tokens(session, by, pages))


@routes.post("/tokens", status_code=201)
def create_token(cloud: TheCloud, by: ConfirmedViewer, body: TokenBody) -> NewTokenView:
    """A token of one's own account, with at most the role one has now; made by a token, it ends no later than that.

    A session must have confirmed its password (`POST /api/v1/session/confirmation`); an API token needs not.
    """
    with cloud.writing() as session:
        account = service.get_account(session, EVERYWHERE, by.account_id)
        token, secret = service.create_token(
            session, cloud.change(by), by.role, account, body.name, body.role, body.expires_at, by.until
        )
        return NewTokenView(**TokenView.model_validate(token).model_dump(), secret=secret)


@routes.delete("/tokens/{token_id}", status_code=204, responses=problems(404))
def revoke_token(cloud: TheCloud, by: Viewer, token_id: TokenId) -> Response:
    """Revoke one of one's own tokens; an admin any of the branch."""
    with cloud.writing() as session:
        service.revoke_token(session, cloud.change(by), by, token_id)
    return Response(status_code=204)
