"""What all routes of the HTTP API share: the wiring they use, paging, ETags, and problems (RFC 9457).

A route opens one transaction, calls a service in it, and answers after the commit.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Generic, TypeVar

import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException

from cloud.accounts import sessions
from cloud.accounts.service import Principal
from cloud.accounts.sessions import Limits, Origin
from cloud.audit.service import Change
from cloud.bulk import Bulk
from cloud.clock import Clock
from cloud.database import transaction
from cloud.errors import (
    CloudError,
    Conflict,
    Invalid,
    NoPrecondition,
    NotFound,
    Stale,
    TooLarge,
    Unavailable,
    faults_of,
    problem,
    problem_headers,
)
from cloud.journal.reading import one_snapshot
from cloud.paging import MAX_CURSOR, MAX_LIMIT, Found, Paging
from cloud.settings import Settings
from cloud.timeseries.port import Timeseries

API = "/api/v1"
PROBLEM_JSON = "application/problem+json"

T = TypeVar("T")


def no_timeseries() -> Timeseries:
    """What an application without a projector has."""
    raise Unavailable("The time series are not available here.", retry_after_s=5, code="series_away")


@dataclass(frozen=True)
class Cloud:
    """What a route needs beside its request; made by `create_app`, found in `app.state.cloud`."""

    engine: Engine
    settings: Settings
    clock: Clock
    timeseries: Callable[[], Timeseries] = no_timeseries

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that only reads, all of it as it was at one moment."""
        with transaction(self.engine, read_only=True) as session:
            one_snapshot(Bulk.of(session))
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction, committed at its end."""
        with transaction(self.engine) as session:
            yield session

    def change(self, by: Principal) -> Change:
        """Who changes something, when (now), and from where."""
        return Change(by.name, self.clock(), by.address)

    @property
    def session_limits(self) -> Limits:
        """How long sign-ins last."""
        return Limits(
            timedelta(hours=self.settings.session_hours), timedelta(minutes=self.settings.session_idle_minutes)
        )

    def sign_in(self, name: str, password: str, origin: Origin) -> str | None:
        """A new session's secret for the cookie; None when name or password is wrong. TooOften after too many failures.

        Two short writes around a slow look at the password, during which others can write: SQLite has one writer at a time.
        """
        now = self.clock()
        with self.writing() as session:
            attempt = sessions.begin_sign_in(session, name, origin.address, now)
        right = attempt.is_right(password)
        with self.writing() as session:
            return sessions.sign_in(session, attempt, origin, now, self.session_limits, right=right)

    def confirm(self, by: Principal, password: str) -> bool:
        """Take the password again, for five minutes; False when it is wrong. TooOften and Forbidden as sessions say."""
        change = self.change(by)
        with self.writing() as session:
            attempt = sessions.begin_confirmation(session, change, by)
        right = attempt.is_right(password)
        with self.writing() as session:
            return sessions.confirm(session, change, by, attempt, right=right)

    def note_use(self, by: Principal) -> None:
        """A person has just used the session; when it cannot be written now, it is at the next use."""
        now = self.clock()
        if sessions.is_to_be_noted(by, now):
            with suppress(Unavailable), self.writing() as session:
                sessions.note_use(session, by, now, self.session_limits.idle)


def _cloud(request: Request) -> Cloud:
    cloud: Cloud = request.app.state.cloud
    return cloud


TheCloud = Annotated[Cloud, Depends(_cloud)]


# --- models ------------------------------------------------------------------------------------------------------


class View(BaseModel):
    """An answer's body, made from a row's attributes."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class PageOf(BaseModel, Generic[T]):
    """One page; `next_cursor` asks for the next, and is null at the end."""

    items: list[T]
    next_cursor: str | None

    @classmethod
    def of(cls, found: Found[Any]) -> "PageOf[T]":
        """The rows as this page's views."""
        return cls.model_validate({"items": found.rows, "next_cursor": found.next_cursor}, from_attributes=True)


class FaultView(View):
    """One wrong thing in a request."""

    where: str = Field(examples=["body.name"])
    says: str


class Problem(BaseModel):
    """RFC 9457: what went wrong, for programs (`type`, `status`) and for people (`title`, `detail`)."""

    type: str = Field(examples=["urn:roomlink:problem:not-found"])
    title: str
    status: int
    detail: str
    faults: list[FaultView] = []


# --- parameters --------------------------------------------------------------------------------------------------


def _paging(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most rows on this page.")] = 50,
    cursor: Annotated[
        str | None,
        Query(max_length=MAX_CURSOR, pattern=r"^[A-Za-z0-9_-]+$", description="`next_cursor` of the page before."),
    ] = None,
) -> Paging:
    return Paging(limit, cursor)


Pages = Annotated[Paging, Depends(_paging)]


def _if_match(
    if_match: Annotated[str | None, Header(description='The ETag that was read, such as "3".')] = None,
) -> int:
    """The version that the caller read. NoPrecondition without one; Stale when it is no ETag of ours."""
    if if_match is None:
        raise NoPrecondition("Send If-Match with the ETag of the version that you edit.")
    found = re.fullmatch(r'"([1-9][0-9]{0,8})"', if_match.strip())
    if found is None:
        raise Stale("If-Match is not an ETag that this service gave.")
    return int(found[1])


IfMatch = Annotated[int, Depends(_if_match)]


def set_etag(response: Response, version: int) -> None:
    """Say which version the answer shows."""
    response.headers["ETag"] = f'"{version}"'


# --- problems ----------------------------------------------------------------------------------------------------

_MEANINGS = {
    400: "The request cannot be read.",
    401: "Not signed in, or the token is not good.",
    403: "The role does not allow it, or the Origin is another site's.",
    404: "There is no such thing in your scope.",
    409: "It contradicts something that is already so.",
    412: "If-Match names another version than the present one.",
    413: "The body is too large.",
    422: "The request is not valid; `faults` say where.",
    428: "If-Match is missing.",
    429: "Too many tries; see Retry-After.",
    503: "Not available now; see Retry-After.",
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses`: these answers are problems."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _MEANINGS[status], "content": {PROBLEM_JSON: {"schema": schema}}} for status in statuses
    }


def router(path: str, tag: str) -> APIRouter:
    """A router of the API under `path`, with the problems that any of its routes may answer."""
    return APIRouter(prefix=f"{API}{path}", tags=[tag], responses=problems(401, 403, 413, 422, 503))


def with_etag(view: str = "The version it shows, for If-Match.") -> dict[str, Any]:
    """For a route's `responses`: the answer carries an ETag."""
    return {"headers": {"ETag": {"description": view, "schema": {"type": "string"}}}}


def answer_problems(app: FastAPI) -> None:
    """Answer every error of `app` as a problem."""
    app.add_exception_handler(CloudError, _on_cloud_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_failure)


def _answer(error: CloudError, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        problem(error), error.status, {**problem_headers(error), **(headers or {})}, media_type=PROBLEM_JSON
    )


def _on_cloud_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CloudError)  # noqa: S101
    return _answer(error)


def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    return _answer(Invalid("The request is not valid.", faults_of(error.errors())))


_BY_STATUS: dict[int, type[CloudError]] = {404: NotFound, 413: TooLarge, 400: Invalid, 409: Conflict}


def _on_http(_request: Request, error: Exception) -> Response:
    """What the framework itself says; a body that it cannot parse is a request that is not valid."""
    assert isinstance(error, HTTPException)  # noqa: S101
    if error.status_code in _BY_STATUS:
        return _answer(_BY_STATUS[error.status_code](str(error.detail)), error.headers)
    body = {"type": "about:blank", "title": str(error.detail), "status": error.status_code, "detail": str(error.detail)}
    return JSONResponse(body, error.status_code, error.headers, media_type=PROBLEM_JSON)


def _on_failure(request: Request, error: Exception) -> Response:
    route = getattr(request.scope.get("route"), "path", "")  # not the address itself, which people make
    structlog.get_logger().error("request_failed", route=route, exc_info=error)
    return _answer(CloudError("The service failed; its log says more."))
