"""The gate before every request and every socket, around a small ASGI application."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from cloud import guard
from cloud.accounts.service import Principal, Role
from cloud.errors import Unavailable
from cloud.guard import COOKIE, MAX_API_BODY, MAX_UPLOAD, Guard, Policy

CLIENT = ("192.0.2.7", 40000)
ANNA = Principal("acc_1", "anna", Role.VIEWER, by_session=True, address="192.0.2.7")
PROBE = Principal("acc_2", "probe", Role.VIEWER, address="192.0.2.7")
PAGE = b"<html><script>a()</script><script type=module>b()</script></html>"
SESSION = ("cookie", f"{COOKIE}=good")
OURS = ("origin", "https://town.example")
FOREIGN = ("origin", "https://elsewhere.example")


@dataclass
class Answer:
    """What came out."""

    messages: list[dict[str, Any]]
    reached: bool
    principal: Principal | None

    @property
    def status(self) -> int:
        return int(self.messages[0].get("status", 0))

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode().lower(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.messages)


@dataclass
class Inner:
    """The application behind the gate: reads the body, answers with a page or with JSON."""

    reached: bool = False
    principal: Principal | None = None
    pieces: list[bytes] = field(default_factory=lambda: [PAGE])
    kind: bytes = b"text/html; charset=utf-8"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.reached, self.principal = True, scope["state"]["principal"]
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            return
        while (await receive()).get("more_body"):
            pass
        length = str(sum(map(len, self.pieces))).encode()
        headers = [(b"content-type", self.kind), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in self.pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": self.pieces[-1]})


def identify(cookie: str | None, token: str | None) -> Principal | None:
    if cookie == "down":
        raise Unavailable("The database does not answer.", retry_after_s=5)
    known = PROBE if token == "good" else ANNA if cookie == "good" else None
    return known and replace(known, address="")


def ask(
    *headers: tuple[str, str],
    path: str = "/rooms",
    method: str = "GET",
    kind: str = "http",
    inner: Inner | None = None,
    body: tuple[bytes, ...] = (b"",),
    public_url: str | None = None,
    used: list[Principal] | None = None,
) -> Answer:
    """One request through the gate."""
    inner = inner or Inner()
    raw = [(name.encode(), value.encode()) for name, value in (("host", "town.example"), *headers)]
    scope = {"type": kind, "path": path, "method": method, "headers": raw, "query_string": b"", "client": CLIENT}
    sent: list[dict[str, Any]] = []
    waiting = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    waiting[-1]["more_body"] = False

    async def receive() -> dict[str, Any]:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    policy = Policy(long_bodies=("/api/v1/long",), public_url=public_url)
    heard: list[Principal] = [] if used is None else used
    gate = Guard(inner, identify, policy, heard.append)
    asyncio.run(gate(scope, receive, send))
    return Answer(sent, inner.reached, inner.principal)


def test_a_stranger_who_opens_a_page_is_led_to_the_sign_in() -> None:
    answer = ask(("accept", "text/html"))
    assert (answer.status, answer.headers["location"], answer.reached) == (303, "/sign-in?next=/rooms", False)


def test_a_stranger_who_asks_otherwise_is_told_to_sign_in() -> None:
    assert ask().status == 401
    assert ask(("accept", "text/html"), method="POST").status == 401


@pytest.mark.parametrize("path", ["/sign-in", "/assets/roomlink.css", "/healthz", "/api/v1/rooms"])
def test_open_paths_and_the_api_are_passed_on_with_nobody(path: str) -> None:
    answer = ask(path=path)
    assert (answer.reached, answer.principal) == (True, None)


def test_a_request_uses_the_session_and_what_a_page_asks_by_itself_or_a_token_does_not() -> None:
    used: list[Principal] = []
    ask(SESSION, path="/rooms", used=used)
    ask(SESSION, path="/api/v1/rooms", used=used)
    assert used == [replace(ANNA, address="")] * 2
    ask(SESSION, OURS, path="/_nicegui_ws/socket.io/", kind="websocket", used=used)
    ask(SESSION, path="/_nicegui_ws/socket.io/", used=used)
    ask(("authorization", "Bearer good"), path="/api/v1/rooms", used=used)
    assert len(used) == 2


def test_cookie_and_token_say_who_it_is_and_a_token_counts_first() -> None:
    assert ask(SESSION).principal == ANNA
    assert ask(("authorization", "Bearer good"), path="/api/x").principal == PROBE
    assert ask(SESSION, ("authorization", "Bearer good"), path="/api/x").principal == PROBE
    assert ask(SESSION, ("authorization", "Basic Z29vZA=="), path="/api/x").principal == ANNA


def test_a_token_opens_no_page_of_the_console() -> None:
    answer = ask(("authorization", "Bearer good"))
    assert (answer.status, answer.reached) == (401, False)


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ((), False),
        ((OURS,), False),
        ((SESSION,), False),
        ((SESSION, FOREIGN), False),
        ((SESSION, ("origin", "null")), False),
        ((SESSION, OURS), True),
    ],
)
def test_a_socket_opens_only_with_a_cookie_and_from_our_own_pages(
    headers: tuple[tuple[str, str], ...], accepted: bool
) -> None:
    answer = ask(*headers, kind="websocket", path="/_nicegui_ws/socket.io")
    assert answer.reached == accepted
    assert answer.messages[0]["type"] == ("websocket.accept" if accepted else "websocket.close")


@pytest.mark.parametrize(
    ("headers", "status"),
    [((SESSION, OURS), 200), ((SESSION,), 403), ((SESSION, FOREIGN), 403), ((("authorization", "Bearer good"),), 200)],
)
def test_a_cookie_changes_nothing_from_elsewhere(headers: tuple[tuple[str, str], ...], status: int) -> None:
    assert ask(*headers, method="POST", path="/api/v1/rooms").status == status


def test_behind_a_proxy_the_public_address_is_ours_too() -> None:
    proxied = (SESSION, ("origin", "https://public.example"))
    assert ask(*proxied, method="POST").status == 403
    answer = ask(*proxied, method="POST", public_url="https://public.example")
    assert answer.status == 200
    assert answer.headers["strict-transport-security"]


def test_every_script_of_a_page_has_the_nonce_that_its_policy_names() -> None:
    halves = Inner(pieces=[PAGE[:9], PAGE[9:]])
    answer = ask(SESSION, inner=halves)
    policy = answer.headers["content-security-policy"]
    nonce = policy.split("'nonce-")[1].split("'")[0].encode()
    assert answer.body.count(b'<script nonce="' + nonce + b'"') == 2
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert nonce not in ask(SESSION).body
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]
    assert "frame-ancestors 'none'" in policy


def test_what_is_no_page_is_left_as_it_is() -> None:
    answer = ask(SESSION, path="/api/v1/rooms", inner=Inner(pieces=[b'"<script>"'], kind=b"application/json"))
    assert answer.body == b'"<script>"'
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_body_beyond_the_limit_is_refused_whether_announced_or_not() -> None:
    announced = ask(("content-length", str(MAX_API_BODY + 1)), path="/api/v1/rooms", method="POST")
    assert (announced.status, announced.reached) == (413, False)
    endless = (b"x" * MAX_API_BODY, b"x")
    with pytest.raises(Exception, match="more than"):
        ask(path="/api/v1/rooms", method="POST", body=endless)
    assert ask(path="/api/v1/long", method="POST", body=endless).status == 200


def test_a_database_that_is_away_is_said_and_nobody_is_taken_for_a_stranger() -> None:
    answer = ask(("cookie", f"{COOKIE}=down"), ("accept", "text/html"))
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")


def test_the_start_and_end_of_the_application_pass_the_gate() -> None:
    heard: list[str] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        heard.append(scope["type"])

    async def nothing(*_: Any) -> Any: ...

    asyncio.run(Guard(inner, identify, Policy())({"type": "lifespan"}, nothing, nothing))
    assert heard == ["lifespan"]


@pytest.mark.parametrize(("path", "limit"), [("/sign-in", MAX_API_BODY), ("/_nicegui/client/1/upload/2", MAX_UPLOAD)])
def test_every_other_body_has_its_limit_too(path: str, limit: int) -> None:
    cookie = (SESSION, OURS)
    assert ask(*cookie, ("content-length", str(limit + 1)), path=path, method="POST").status == 413
    assert ask(*cookie, ("content-length", str(limit)), path=path, method="POST").status == 200


async def sit(gate: Guard, sent: list[Any]) -> list[str]:
    """Hold a socket open; gives what the application heard until it was told that its caller is gone."""
    heard: list[str] = []

    async def inner(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})
        while not heard or heard[-1] != "websocket.disconnect":
            heard.append((await receive())["type"])

    gate.app = inner
    raw = [(name.encode(), value.encode()) for name, value in (("host", "town.example"), SESSION, OURS)]
    scope = {"type": "websocket", "path": "/_nicegui_ws/socket.io", "headers": raw, "query_string": b""}
    waiting = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "2"}]

    async def receive() -> Any:
        if waiting:
            return waiting.pop(0)
        return await asyncio.get_running_loop().create_future()

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(5):
        await gate(scope, receive, send)
    return heard


@pytest.mark.parametrize("now", [None, Principal("acc_1", "anna", Role.ADMIN, by_session=True)])
def test_an_open_socket_ends_when_its_session_is_over_or_another(
    monkeypatch: pytest.MonkeyPatch, now: Principal | None
) -> None:
    monkeypatch.setattr(guard, "RECHECK_S", 0.02)
    answers: list[Principal | None] = [ANNA, ANNA, ANNA]
    sent: list[Any] = []
    gate = Guard(Inner(), lambda *_: answers.pop(0) if answers else now, Policy())
    heard = asyncio.run(sit(gate, sent))
    assert heard == ["websocket.connect", "websocket.receive", "websocket.disconnect"]
    assert [message["type"] for message in sent] == ["websocket.accept", "websocket.close"]
    assert sent[-1]["code"] == 4401


def test_an_open_socket_outlives_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "RECHECK_S", 0.02)
    answers = ["known", "away", "away", "gone"]

    def asked(*_: Any) -> Principal | None:
        answer = answers.pop(0)
        if answer == "away":
            raise Unavailable("The database does not answer.")
        return ANNA if answer == "known" else None

    asyncio.run(sit(Guard(Inner(), asked, Policy()), []))
    assert answers == []
