"""The gate before every request and every WebSocket: who is it, where does it come from, what may leave.

A pure ASGI middleware, because Starlette's HTTP middleware never sees NiceGUI's socket (findings.md). It finds the
caller by cookie or token, refuses foreign origins, keeps strangers out of the console, limits every body, ends the
sockets of whoever is signed out, and sets the security headers with a fresh script nonce in each page. What a role may
do is `cloud.security`'s part.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from urllib.parse import quote, urlsplit

import structlog
from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.accounts.browsers import family
from cloud.accounts.service import Principal
from cloud.accounts.sessions import Origin
from cloud.errors import CloudError, Forbidden, TooLarge, Unauthenticated, problem, problem_headers

COOKIE = "roomlink_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
API_PREFIXES = ("/api/", "/healthz", "/readyz", "/metrics")
MAX_API_BODY = 1024 * 1024
"""Bytes of any body that `Policy` does not name."""

MAX_UPLOAD = 33 * 1024 * 1024
"""Bytes of a file that a page of the console takes: the largest import (32 MiB) and what a form adds around it."""

RECHECK_S = 3.0
"""How long after a sign-out, a new role or a disabled account an open socket lives. One indexed query a time."""

MAX_PAGE = 8 * 1024 * 1024
"""Bytes of one HTML page, which is held while its scripts are given their nonce."""

Identify = Callable[[str | None, str | None], Principal | None]
"""From the session cookie's value and the bearer token, whoever it is. Called in a thread; may raise CloudError."""


def set_session(answer: Response, secret: str, lasts: timedelta, public_url: str | None) -> None:
    """Give the session's cookie, which no script reads; over TLS only where people's address is https."""
    secure = (public_url or "").startswith("https://")
    answer.set_cookie(COOKIE, secret, max_age=int(lasts.total_seconds()), httponly=True, samesite="lax", secure=secure)


def address_of(connection: HTTPConnection) -> str:
    """Where a request comes from; behind a trusted proxy, what that says (uvicorn puts it there)."""
    return connection.client.host if connection.client else ""


def origin_of(connection: HTTPConnection) -> Origin:
    """The address, and which browser it is."""
    return Origin(address_of(connection), family(connection.headers.get("user-agent", "")))


@dataclass(frozen=True)
class Policy:
    """What the gate lets through: pages without sign-in, paths with long bodies, the address people use."""

    open_paths: Sequence[str] = ("/sign-in", "/assets/", "/language/", "/theme/")
    long_bodies: Sequence[str] = ()
    """Paths that set their own limit."""

    uploads: str = "/_nicegui/client/"
    """Where the toolkit takes files of its pages; it sets no limit by itself."""

    unattended: str = "/_nicegui_ws/"
    """What a page asks for by itself: nobody uses the session by it."""

    public_url: str | None = None

    @property
    def over_tls(self) -> bool:
        """Whether people come by https, so that cookies and browsers may be told so."""
        return (self.public_url or "").startswith("https://")


class Guard:
    """Wraps an ASGI application; puts the Principal, or None, into `request.state.principal`."""

    def __init__(
        self, app: ASGIApp, identify: Identify, policy: Policy, note_use: Callable[[Principal], None] = lambda _: None
    ) -> None:
        self.app = app
        self.identify = identify
        self.policy = policy
        self.note_use = note_use

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] not in {"http", "websocket"}:
            await self.app(scope, receive, send)
            return
        nonce = secrets.token_urlsafe(16)
        if scope["type"] == "http":
            send = _Sealed(send, nonce, scope["path"], self.policy.over_tls)
        try:
            principal = await self._known(scope, used=self._is_use(scope))
            self._check_origin(scope, principal)
            self._check_length(scope)
        except CloudError as error:
            await _refuse(error, scope, receive, send)
            return
        scope.setdefault("state", {})["principal"] = principal
        if not (principal and principal.by_session) and not self._is_open(scope["path"]):
            await _turn_away(scope, receive, send)
            return
        if scope["type"] == "websocket":
            receive = _Watched(receive, send, lambda: self._known(scope), principal)
        elif (limit := self._limit(scope["path"])) is not None:
            receive = _limited(receive, limit)
        await self.app(scope, receive, send)

    async def _known(self, scope: Scope, *, used: bool = False) -> Principal | None:
        connection = HTTPConnection(scope)
        cookie = connection.cookies.get(COOKIE)
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        bearer = token.strip() if scheme.lower() == "bearer" else None
        if bearer is None and not cookie:
            return None

        def known() -> Principal | None:
            principal = self.identify(cookie, bearer)
            if principal is None:
                return None
            if used and principal.by_session:
                self.note_use(principal)
            return replace(principal, address=address_of(connection))

        return await to_thread.run_sync(known)

    def _check_origin(self, scope: Scope, principal: Principal | None) -> None:
        """A browser must come from our own pages, wherever its cookie alone would let it act (CSRF)."""
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        acts = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
        if not acts or (origin is None and not (principal and principal.by_session)):
            return
        ours = {urlsplit(self.policy.public_url).netloc} if self.policy.public_url else set()
        ours.add(headers.get("host", ""))
        if origin is None or urlsplit(origin).netloc not in ours:
            raise Forbidden("The request comes from another site: its Origin is not this service's.")

    def _check_length(self, scope: Scope) -> None:
        length, limit = Headers(scope=scope).get("content-length", ""), self._limit(scope["path"])
        if limit is not None and length.isdecimal() and int(length[:20]) > limit:
            raise TooLarge(f"The body has more than {limit} bytes.")

    def _limit(self, path: str) -> int | None:
        """Bytes that a body may have; None where the route counts for itself."""
        if path in self.policy.long_bodies:
            return None
        return MAX_UPLOAD if path.startswith(self.policy.uploads) else MAX_API_BODY

    def _is_use(self, scope: Scope) -> bool:
        return scope["type"] == "http" and not scope["path"].startswith(self.policy.unattended)

    def _is_open(self, path: str) -> bool:
        return path.startswith((*API_PREFIXES, *self.policy.open_paths))


class _Sealed:
    """Sends an answer with its security headers; a page's scripts get the nonce that its policy names."""

    def __init__(self, send: Send, nonce: str, path: str, over_tls: bool) -> None:
        self.send = send
        self.nonce = nonce
        self.path = path
        self.over_tls = over_tls
        self.start: Message | None = None
        self.page = bytearray()

    async def __call__(self, message: Message) -> None:
        """Pass one ASGI message on; a page's are held until it is whole."""
        if message["type"] == "http.response.start":
            self._add_headers(message)
            if Headers(raw=message["headers"]).get("content-type", "").startswith("text/html"):
                self.start = message
                return
        elif message["type"] == "http.response.body" and self.start is not None:
            self.page += message.get("body", b"")
            if len(self.page) > MAX_PAGE:
                raise RuntimeError(f"the page {self.path} is larger than {MAX_PAGE} bytes")
            if not message.get("more_body", False):
                await self._send_page()
            return
        await self.send(message)

    async def _send_page(self) -> None:
        start, self.start = self.start, None
        assert start is not None  # noqa: S101
        page = bytes(self.page).replace(b"<script", b'<script nonce="%s"' % self.nonce.encode())
        headers = MutableHeaders(raw=start["headers"])
        if "content-length" in headers and self.page:
            headers["content-length"] = str(len(page))
        await self.send(start)
        await self.send({"type": "http.response.body", "body": page})

    def _add_headers(self, message: Message) -> None:
        headers = MutableHeaders(raw=list(message.get("headers", [])))
        headers["Content-Security-Policy"] = content_security_policy(self.nonce)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
        if self.over_tls:
            headers["Strict-Transport-Security"] = "max-age=31536000"
        if self.path.startswith("/api/"):
            headers.setdefault("Cache-Control", "no-store")
        message["headers"] = headers.raw


def content_security_policy(nonce: str) -> str:
    """The tightest policy that NiceGUI runs under without an error.

    Weaker than one would like: 'unsafe-eval' (Vue compiles its templates in the browser) and inline styles.
    """
    return (
        f"default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; connect-src 'self'; "
        "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    )


class _Watched:
    """A socket's messages, until whoever opened it is signed out or may do something else than before.

    Then the socket is closed from here, and the application is told that its caller is gone. While the database is
    away nobody can be known, and the socket stays: what it may do is asked anew for every deed (`View`).
    """

    def __init__(
        self, receive: Receive, send: Send, known: Callable[[], Awaitable[Principal | None]], opened: Principal | None
    ) -> None:
        self.receive = receive
        self.send = send
        self.known = known
        self.opened = opened
        self.next: asyncio.Task[Message] | None = None
        self.checked = asyncio.get_running_loop().time()

    async def __call__(self) -> Message:
        """The next message; a disconnection when the caller is not who it was."""
        self.next = self.next or asyncio.ensure_future(self.receive())
        while not await self._came():
            if not await self._is_the_same():
                self.next.cancel()
                with suppress(asyncio.CancelledError):
                    await self.next
                await self.send({"type": "websocket.close", "code": 4401, "reason": "unauthenticated"})
                return {"type": "websocket.disconnect", "code": 4401}
        message, self.next = self.next.result(), None
        return message

    async def _came(self) -> bool:
        """Whether a message is there before the next look is due."""
        assert self.next is not None  # noqa: S101
        left = self.checked + RECHECK_S - asyncio.get_running_loop().time()
        if left > 0:
            await asyncio.wait([self.next], timeout=left)
        return left > 0 and self.next.done()

    async def _is_the_same(self) -> bool:
        try:
            return await self.known() == self.opened
        except CloudError:
            return True
        finally:
            self.checked = asyncio.get_running_loop().time()


def _limited(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise HTTPException(413, f"The body has more than {limit} bytes.")
        return message

    return counted


async def _refuse(error: CloudError, scope: Scope, receive: Receive, send: Send) -> None:
    structlog.get_logger().warning("request_refused", path=scope["path"], kind=error.kind)
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 4403, "reason": error.kind})
        return
    answer = JSONResponse(problem(error), error.status, problem_headers(error), media_type="application/problem+json")
    await answer(scope, receive, send)


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    """A stranger before the console: a browser that opens a page is led to the sign-in."""
    wants_page = scope["type"] == "http" and scope["method"] == "GET"
    if not wants_page or "text/html" not in Headers(scope=scope).get("accept", ""):
        await _refuse(Unauthenticated("Sign in first."), scope, receive, send)
        return
    answer: Response = RedirectResponse(f"/sign-in?next={quote(scope['path'])}", 303)
    await answer(scope, receive, send)
