"""Sessions on each database: seen and ended by people, over after a while, confirmed by the password, guessed at in vain."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from cloud.accounts import service, sessions
from cloud.accounts.service import Role
from cloud.database import transaction
from cloud.errors import TooOften
from cloud.guard import COOKIE
from tests.office import JSON, PASSWORD, Office, etag
from tests.process import wait_until

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0"
SESSION, SESSIONS, CONFIRMATION = "/api/v1/session", "/api/v1/sessions", "/api/v1/session/confirmation"


def tried(office: Office, name: str, password: str = PASSWORD, address: str = "192.0.2.7") -> httpx.Response:
    """One sign-in, through the proxy that the office trusts."""
    headers = {"X-Forwarded-For": address, "User-Agent": FIREFOX}
    with office.client(None) as client:
        return client.post(SESSION, json={"name": name, "password": password}, headers=headers)


@contextmanager
def signed_in(office: Office, name: str, address: str = "192.0.2.7") -> Iterator[httpx.Client]:
    cookie = tried(office, name, address=address).cookies[COOKIE]
    headers = {"Cookie": f"{COOKIE}={cookie}", "Origin": office.url, "X-Forwarded-For": address}
    with httpx.Client(base_url=office.url, headers=headers, timeout=30) as client:
        yield client


@contextmanager
def later(office: Office, by: timedelta) -> Iterator[None]:
    office.shift += by
    try:
        yield
    finally:
        office.shift -= by


def hired(office: Office, name: str, role: Role = Role.VIEWER) -> JSON:
    return office.make("/accounts", name=name, password=PASSWORD, role=role)


def listed(client: httpx.Client) -> list[JSON]:
    items: list[JSON] = client.get(SESSIONS, params={"limit": 200}).raise_for_status().json()["items"]
    return items


def noted(office: Office, subject: str) -> list[tuple[str, str, str]]:
    with office.client() as client:
        items = client.get("/api/v1/audit", params={"subject": subject}).json()["items"]
    return [(each["action"], each["who"], each["address"]) for each in items]


def test_people_see_their_own_sessions_and_an_admin_all(office: Office) -> None:
    account = hired(office, "seen")["id"]
    with signed_in(office, "seen") as client, signed_in(office, "seen", "2001:db8::1"), office.client() as admin:
        own = listed(client)
        assert [(each["address"], each["browser"]) for each in own] == [
            ("2001:db8::1", "Firefox"), ("192.0.2.7", "Firefox"),
        ]  # fmt: skip
        assert {each["account_id"] for each in own} == {account}
        ends = [each["expires_at"] - each["created_at"] for each in own]
        assert ends == [12 * 3600 * 1_000_000] * 2
        assert {each["id"] for each in own} < {each["id"] for each in listed(admin)} | {""}
        assert "token" not in str(own)


def test_a_session_is_ended_by_its_person_and_by_an_admin_but_by_nobody_else(office: Office) -> None:
    account = hired(office, "ended")["id"]
    with signed_in(office, "ended") as first, signed_in(office, "ended") as second, office.client() as admin:
        newest, oldest = (each["id"] for each in listed(first))
        with signed_in(office, "viewer-1") as stranger:
            assert stranger.delete(f"{SESSIONS}/{oldest}").status_code == 404
        assert first.delete(f"{SESSIONS}/{newest}").status_code == 204
        assert second.get(SESSION).status_code == 401
        assert first.delete(f"{SESSIONS}/{newest}").status_code == 404
        assert admin.delete(f"{SESSIONS}/{oldest}").status_code == 204
        assert first.get(SESSION).status_code == 401
    revoked = [each for each in noted(office, account) if each[0] == "session.revoke"]
    assert revoked == [("session.revoke", "admin-1/test", "127.0.0.1"), ("session.revoke", "ended", "192.0.2.7")]


def test_a_session_ends_when_nobody_uses_it_and_at_the_latest_after_its_hours(office: Office) -> None:
    hired(office, "resting")
    with signed_in(office, "resting") as client:
        with later(office, timedelta(minutes=59)):
            assert client.get(SESSION).status_code == 200
        with later(office, timedelta(minutes=117)):
            assert client.get(SESSION).status_code == 200
        with later(office, timedelta(minutes=117 + 61)):
            assert client.get(SESSION).status_code == 401
            assert listed_of(office, "resting") == []
    with signed_in(office, "resting") as client:
        for hour in range(1, 24):
            with later(office, timedelta(minutes=30 * hour)):
                assert client.get(SESSION).status_code == 200
        with later(office, timedelta(hours=12, seconds=1)):
            assert client.get(SESSION).status_code == 401


def listed_of(office: Office, name: str) -> list[JSON]:
    with office.client() as admin:
        accounts = {each["name"]: each["id"] for each in admin.get("/api/v1/accounts?limit=200").json()["items"]}
        return [each for each in listed(admin) if each["account_id"] == accounts[name]]


def test_use_is_written_at_most_once_a_minute(office: Office) -> None:
    hired(office, "busy")
    with signed_in(office, "busy") as client:
        (first,) = listed(client)
        with later(office, timedelta(seconds=50)):
            client.get(SESSION)
            assert listed(client)[0]["used_at"] == first["used_at"]
        with later(office, timedelta(seconds=70)):
            client.get(SESSION)
            assert listed(client)[0]["used_at"] > first["used_at"]


@pytest.mark.parametrize("deed", ["disable", "password", "replace"])
def test_what_cannot_be_taken_back_easily_asks_for_the_password_again(office: Office, deed: str) -> None:
    account = hired(office, f"boss-{deed}", Role.ADMIN)["id"]
    made = office.terminal(office.room(office.organisation()["id"])["id"])["terminal"]
    body = {"by": f"{made['id']}-b", "reason": "it was stolen", "disable": True} if deed == "replace" else None
    path, version = f"/api/v1/terminals/{made['id']}/{deed}", etag(made["version"])
    with signed_in(office, f"boss-{deed}") as client, signed_in(office, f"boss-{deed}") as other:
        refused = client.post(path, json=body, headers=version)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:roomlink:problem:unconfirmed")
        wrong = client.post(CONFIRMATION, json={"password": "not the password"})
        assert (wrong.status_code, wrong.json()["detail"]) == (403, "The password is wrong.")
        assert client.post(path, json=body, headers=version).status_code == 403
        assert client.post(CONFIRMATION, json={"password": PASSWORD}).status_code == 204
        assert client.get(SESSION).json()["confirmed_until"] > 0
        assert other.post(path, json=body, headers=version).status_code == 403
        with later(office, timedelta(minutes=5, seconds=1)):
            assert client.post(path, json=body, headers=version).status_code == 403
        assert client.post(path, json=body, headers=version).status_code == 200
    actions = [action for action, _, _ in noted(office, account)]
    assert actions[:2] == ["account.confirm", "account.confirm_failed"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/api/v1/tokens", {"name": "mine", "role": "viewer"}, 201),
        ("POST", "/api/v1/accounts", {"name": "made-{n}", "password": PASSWORD, "role": "viewer"}, 201),
        ("PATCH", "/api/v1/accounts/{other}", {"password": "quite-another-password"}, 200),
        ("PATCH", "/api/v1/accounts/{other}", {"role": "operator"}, 200),
    ],
    ids=["token", "account", "password", "role"],
)
def test_who_gives_others_a_way_in_is_asked_for_the_password_again(
    office: Office, method: str, path: str, body: JSON, status: int
) -> None:
    n = len(listed_accounts(office))
    hired(office, f"giver-{n}", Role.ADMIN)
    other = hired(office, f"other-{n}")
    asked = {name: value.replace("{n}", str(n)) for name, value in body.items()}
    with signed_in(office, f"giver-{n}") as client:
        there, version = path.replace("{other}", other["id"]), etag(other["version"])
        refused = client.request(method, there, json=asked, headers=version)
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:roomlink:problem:unconfirmed")
        client.post(CONFIRMATION, json={"password": PASSWORD})
        assert client.request(method, there, json=asked, headers=version).status_code == status


def listed_accounts(office: Office) -> list[JSON]:
    with office.client() as admin:
        found: list[JSON] = admin.get("/api/v1/accounts?limit=200").json()["items"]
        return found


def test_an_admins_token_is_exempt_where_it_is_said_and_has_no_password_to_confirm(office: Office) -> None:
    made = office.terminal(None)["terminal"]
    document = office.app.openapi()["paths"]["/api/v1/terminals/{terminal_id}/disable"]["post"]["description"]
    assert "an admin's API token needs not" in document
    with office.client() as client:
        assert client.post(CONFIRMATION, json={"password": PASSWORD}).status_code == 403
        assert client.post(f"/api/v1/terminals/{made['id']}/disable", headers=etag(1)).status_code == 200
    with office.client(Role.OPERATOR) as client:
        assert client.post(f"/api/v1/terminals/{made['id']}/disable", headers=etag(2)).status_code == 403


def test_a_lower_role_is_not_asked_for_a_password_but_refused(office: Office) -> None:
    made = office.terminal(None)["terminal"]
    with signed_in(office, "operator-1") as client:
        answer = client.post(f"/api/v1/terminals/{made['id']}/disable", headers=etag(1))
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:roomlink:problem:forbidden")


def test_guessing_in_a_stolen_session_is_stopped_like_guessing_at_the_sign_in(office: Office) -> None:
    hired(office, "stolen")
    with signed_in(office, "stolen") as client:
        wrong = [client.post(CONFIRMATION, json={"password": "a guess"}) for _ in range(sessions.FAILURES_BY_NAME + 1)]
        assert [each.status_code for each in wrong] == [403] * sessions.FAILURES_BY_NAME + [429]
        assert client.post(CONFIRMATION, json={"password": PASSWORD}).status_code == 429
    assert tried(office, "stolen").status_code == 429
    with later(office, sessions.FAILURE_WINDOW + timedelta(seconds=1)):
        assert tried(office, "stolen").status_code == 204


def while_it_is_looked_at(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Something happens during each look at a password."""
    look = service.verify_password

    def looking(hashed: str, password: str) -> bool:
        good = look(hashed, password)
        do()
        return good

    monkeypatch.setattr("cloud.accounts.sessions.verify_password", looking)


def test_others_write_while_a_password_is_looked_at(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    hired(office, "patient")
    names = iter(f"made meanwhile {n}" for n in range(3))
    with signed_in(office, "patient") as client:
        while_it_is_looked_at(monkeypatch, lambda: office.organisation(name=next(names)))
        assert tried(office, "patient").status_code == 204
        assert tried(office, "patient", "a wrong password").status_code == 401
        assert client.post(CONFIRMATION, json={"password": PASSWORD}).status_code == 204
    with pytest.raises(StopIteration):
        next(names)


def test_a_password_that_is_changed_while_the_old_one_is_looked_at_opens_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = hired(office, "changing")

    def change() -> None:
        with office.client() as admin:
            body = {"password": "quite-another-password"}
            admin.patch(f"/api/v1/accounts/{account['id']}", json=body, headers=etag(1))

    while_it_is_looked_at(monkeypatch, change)
    assert tried(office, "changing").status_code == 401
    assert tried(office, "changing", "quite-another-password").status_code == 204


def test_guesses_that_are_made_at_once_are_counted_before_anybody_looks_at_them(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    hired(office, "besieged")
    monkeypatch.setattr(sessions, "FAILURES_BY_NAME", 3)
    full, looks = threading.Event(), threading.Semaphore(0)

    def wait() -> None:
        looks.release()
        assert full.wait(20)

    while_it_is_looked_at(monkeypatch, wait)
    with ThreadPoolExecutor(3) as crowd:
        first = [crowd.submit(tried, office, "besieged", "a guess") for _ in range(3)]
        assert all(looks.acquire(timeout=20) for _ in range(3))
        late = tried(office, "besieged").status_code
        full.set()
        assert [each.result().status_code for each in first] == [401] * 3
    assert late == 429


def test_a_guess_sees_one_that_is_being_counted_at_the_same_moment(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "FAILURES_BY_NAME", 1)

    def guess() -> None:
        with transaction(office.engine) as session:
            sessions.begin_sign_in(session, "raced", "192.0.2.9", office.now())

    with ThreadPoolExecutor(1) as other:
        with transaction(office.engine) as session:
            sessions.begin_sign_in(session, "raced", "192.0.2.8", office.now())
            late = other.submit(guess)
            assert wait_until(lambda: late.done() or is_waited_for(office))
        with pytest.raises(TooOften):
            late.result(20)


def is_waited_for(office: Office) -> bool:
    """On SQLite a second writer always waits."""
    if office.engine.dialect.name == "sqlite":
        return True
    waiting = text("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
    with transaction(office.engine, read_only=True) as session:
        return bool(session.scalar(waiting))


@pytest.mark.parametrize(
    ("guesses", "same", "another"),
    [
        ([f"198.51.100.{4}"] * 4, "198.51.100.4", "198.51.100.5"),
        ([f"2001:db8:1:2::{n}" for n in range(4)], "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
        ([f"::ffff:203.0.113.{4}"] * 4, "::ffff:203.0.113.4", "::ffff:203.0.113.5"),
    ],
)
def test_guessing_many_names_from_one_address_is_stopped_behind_the_trusted_proxy(
    office: Office, monkeypatch: pytest.MonkeyPatch, guesses: list[str], same: str, another: str
) -> None:
    monkeypatch.setattr(sessions, "FAILURES_BY_ADDRESS", len(guesses))
    answers = [tried(office, f"nobody-{n}", address=address).status_code for n, address in enumerate(guesses)]
    assert answers == [401] * len(guesses)
    assert tried(office, "viewer-1", address=same).status_code == 429
    assert tried(office, "viewer-1", address=another).status_code == 204
