"""Every way the cloud says no, and the only place that turns one into an HTTP problem (RFC 9457).

    CloudError
    ├── Invalid            422  the caller must change the request
    │   └── TooLarge       413
    ├── Unauthenticated    401  sign in, or send a token
    ├── Forbidden          403
    │   └── Unconfirmed        the password must be typed again
    ├── NotFound           404
    ├── Conflict           409  another state of the thing would allow it
    ├── Stale              412  read again, then edit
    ├── NoPrecondition     428  send If-Match
    ├── TooOften           429  a retry helps, after `retry_after_s`
    ├── Unavailable        503  a retry helps
    └── StartError         –    the program cannot start: exit status 2, never seen over HTTP

Services raise these and know nothing of HTTP; `cloud.api` answers with what `problem()` makes of them. The sentences are
English; `code` and `values` let the console say the same in the language of its page.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One wrong thing in a request: where (`body.name`, `row 7`), and a sentence about it.

    `code` and `values` are the sentence for other languages.
    """

    where: str
    says: str
    code: str = field(default="", compare=False)
    values: Mapping[str, object] = field(default_factory=dict, compare=False)


class Unfit(ValueError):
    """What a form's field does not take: raised by validators, whose library makes a Fault of it (`faults_of`)."""

    def __init__(self, sentence: str, code: str, **values: object) -> None:
        super().__init__(sentence)
        self.code = code
        self.values = values


def faults_of(errors: Sequence[Any]) -> list[Fault]:
    """pydantic's errors without the values, which may be secrets."""
    return [_fault(each) for each in errors[:100]]


def _fault(error: Any) -> Fault:
    where = ".".join(str(part) for part in error["loc"])
    context = error.get("ctx") or {}
    cause = context.get("error")
    if isinstance(cause, Unfit):
        return Fault(where, error["msg"], cause.code, cause.values)
    values = {name: value for name, value in context.items() if isinstance(value, int | float | str)}
    return Fault(where, error["msg"], error["type"], values)


class CloudError(Exception):
    """The root; `sentence` is for a person, `code` and `values` its translation.

    A retry helps only where `retry_after_s` is set.
    """

    status = 500
    kind = "internal"
    title = "The service failed"

    def __init__(
        self,
        sentence: str,
        faults: Sequence[Fault] = (),
        retry_after_s: int | None = None,
        *,
        code: str = "",
        **values: object,
    ) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.faults = tuple(faults)
        self.retry_after_s = retry_after_s
        self.code = code
        self.values = values


class Invalid(CloudError):
    """The request itself is wrong; `faults` say where."""

    status, kind, title = 422, "invalid", "The request is not valid"


class TooLarge(Invalid):
    """More than the stated limit."""

    status, kind, title = 413, "too-large", "The request is too large"


class Unauthenticated(CloudError):
    """Nobody is signed in, or the token, password or session is not good."""

    status, kind, title = 401, "unauthenticated", "Not signed in"


class Forbidden(CloudError):
    """Known, but not allowed."""

    status, kind, title = 403, "forbidden", "Not allowed"


class Unconfirmed(Forbidden):
    """Allowed, once the password was typed again: it is asked for before what cannot be taken back easily."""

    kind, title = "unconfirmed", "The password is needed again"


class NotFound(CloudError):
    """There is no such thing in the caller's scope."""

    status, kind, title = 404, "not-found", "Not found"


class Conflict(CloudError):
    """It contradicts something that is already so."""

    status, kind, title = 409, "conflict", "In conflict with the present state"


class Stale(CloudError):
    """If-Match names an older version than the present one."""

    status, kind, title = 412, "stale", "Changed in the meantime"


class NoPrecondition(CloudError):
    """An edit must say which version it edits."""

    status, kind, title = 428, "no-precondition", "If-Match is missing"


class TooOften(CloudError):
    """Tried too often; again after `retry_after_s`."""

    status, kind, title = 429, "too-often", "Too many tries"


class Unavailable(CloudError):
    """Something the service needs is away; nothing was changed."""

    status, kind, title = 503, "unavailable", "Not available now"


class StartError(CloudError):
    """A setting, the database or its schema keeps the program from starting; the sentence says what to do."""

    title = "Cannot start"


def problem(error: CloudError) -> dict[str, Any]:
    """The body of an `application/problem+json` answer."""
    body: dict[str, Any] = {
        "type": f"urn:roomlink:problem:{error.kind}",
        "title": error.title,
        "status": error.status,
        "detail": error.sentence,
    }
    if error.faults:
        body["faults"] = [{"where": fault.where, "says": fault.says} for fault in error.faults]
    return body


def problem_headers(error: CloudError) -> dict[str, str]:
    """Headers that belong to the answer: when to try again, how to sign in (RFC 9110 §10.2.3, §11.6.1)."""
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="roomlink"'
    return headers
