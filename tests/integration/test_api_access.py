"""Who may do what: signing in, tokens, roles, foreign origins."""

import httpx
import pytest
from sqlalchemy import event

from cloud.accounts.service import Role
from cloud.accounts.sessions import FAILURES_BY_NAME
from cloud.guard import COOKIE
from tests.office import JSON, PASSWORD, Office, etag

SIGN_IN = "/api/v1/session"
OPEN = {
    "/healthz",
    "/readyz",
    "/api/v1/session",
    "/api/v1/openapi.json",
    "/api/v1/docs",
    "/api/v1/enrolment/claims",
    "/api/v1/enrolment/claims/owner",
    "/api/v1/enrolment/renewals",
}


def sign_in(office: Office, name: str = "operator-1", password: str = PASSWORD, **headers: str) -> httpx.Response:
    with office.client(None) as client:
        return client.post(SIGN_IN, json={"name": name, "password": password}, headers=headers)


def session_of(office: Office, name: str = "operator-1") -> dict[str, str]:
    """The header of somebody signed in."""
    return {"Cookie": f"{COOKIE}={sign_in(office, name).cookies[COOKIE]}"}


def test_right_password_opens_a_session_that_says_who_it_is(office: Office) -> None:
    answer = sign_in(office)
    assert answer.status_code == 204
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    with office.client(None) as client:
        me = client.get(SIGN_IN, headers={"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"})
    assert me.json()["name"] == "operator-1"
    assert me.json()["role"] == "operator"


@pytest.mark.parametrize(("name", "password"), [("operator-1", "wrong"), ("nobody", PASSWORD)])
def test_wrong_name_and_wrong_password_look_the_same(office: Office, name: str, password: str) -> None:
    answer = sign_in(office, name, password)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "Name or password is wrong."


def test_guessing_is_stopped_and_goes_on_after_a_quarter_of_an_hour(office: Office) -> None:
    tried = [sign_in(office, "guessed", "wrong-password").status_code for _ in range(FAILURES_BY_NAME + 1)]
    assert tried == [401] * FAILURES_BY_NAME + [429]
    answer = sign_in(office, "guessed", "wrong-password")
    assert int(answer.headers["Retry-After"]) > 0


def test_signing_out_ends_the_session(office: Office) -> None:
    cookies = session_of(office)
    with office.client(None) as client:
        assert client.delete(SIGN_IN, headers={**cookies, "Origin": office.url}).status_code == 204
        assert client.get(SIGN_IN, headers=cookies).status_code == 401


def test_a_new_password_ends_sessions(office: Office) -> None:
    made = office.make("/accounts", name="changing", password=PASSWORD, role="viewer")
    cookies = session_of(office, "changing")
    with office.client() as client:
        edited = client.patch(f"/api/v1/accounts/{made['id']}", json={"password": "another-password"}, headers=etag(1))
    assert edited.status_code == 200
    with office.client(None) as client:
        assert client.get(SIGN_IN, headers=cookies).status_code == 401


@pytest.mark.parametrize("origin", [None, "https://elsewhere.example", "null"])
def test_a_cookie_acts_only_from_our_own_pages(office: Office, origin: str | None) -> None:
    cookies = session_of(office)
    headers = {} if origin is None else {"Origin": origin}
    with office.client(None) as client:
        answer = client.post("/api/v1/tokens", json={"name": "t", "role": "viewer"}, headers={**cookies, **headers})
    assert answer.status_code == 403
    with office.client(None) as client:
        ours = {"Origin": office.url}
        client.post(f"{SIGN_IN}/confirmation", json={"password": PASSWORD}, headers={**cookies, **ours})
        answer = client.post("/api/v1/tokens", json={"name": "t", "role": "viewer"}, headers={**cookies, **ours})
    assert answer.status_code == 201


def test_a_foreign_page_cannot_sign_somebody_in(office: Office) -> None:
    assert sign_in(office, Origin="https://elsewhere.example").status_code == 403


def test_every_route_but_the_open_ones_asks_who_it_is(office: Office) -> None:
    asked = 0
    with office.client(None) as client:
        for path, methods in office.app.openapi()["paths"].items():
            if path in OPEN:
                continue
            for method in methods:
                answer = client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code in {401, 422}, (method, path, answer.text)
                asked += 1
    assert asked > 40


@pytest.mark.parametrize(
    ("role", "method", "path", "body"),
    [
        (Role.VIEWER, "POST", "/api/v1/rooms", {"organisation_id": "org_" + "0" * 16, "number": "1", "name": "x"}),
        (Role.VIEWER, "GET", "/api/v1/members/export", None),
        (Role.VIEWER, "GET", "/api/v1/audit", None),
        (Role.OPERATOR, "POST", "/api/v1/organisations", {"name": "x"}),
        (Role.OPERATOR, "GET", "/api/v1/accounts", None),
        (Role.OPERATOR, "POST", "/api/v1/issuer-keys", None),
    ],
)
def test_a_role_may_not_do_what_a_higher_one_may(
    office: Office, role: Role, method: str, path: str, body: dict[str, str] | None
) -> None:
    with office.client(role) as client:
        answer = client.request(method, path, json=body)
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_token_has_at_most_the_role_of_its_owner(office: Office) -> None:
    with office.client(Role.OPERATOR) as client:
        assert client.post("/api/v1/tokens", json={"name": "t", "role": "admin"}).status_code == 403
        made = client.post("/api/v1/tokens", json={"name": "t", "role": "viewer"}).json()
    assert made["secret"].startswith("rlt_")
    with httpx.Client(base_url=office.url, headers={"Authorization": f"Bearer {made['secret']}"}) as client:
        assert client.get(SIGN_IN).json()["role"] == "viewer"
        assert client.post("/api/v1/tokens", json={"name": "t", "role": "operator"}).status_code == 403


def test_a_token_made_by_a_token_does_not_outlive_it(office: Office) -> None:
    in_an_hour = int((office.now().timestamp() + 3600) * 1_000_000)
    short = office.make("/tokens", name="an hour", role="admin", expires_at=in_an_hour)
    with httpx.Client(base_url=office.url, headers={"Authorization": f"Bearer {short['secret']}"}) as client:
        for asked in (None, in_an_hour * 2, in_an_hour - 1_000_000):
            body = {"name": "child", "role": "viewer", "expires_at": asked}
            made = client.post("/api/v1/tokens", json=body).json()
            assert made["expires_at"] == min(asked or in_an_hour, in_an_hour)


def test_an_entry_says_from_which_address_and_what_was_so_before(office: Office) -> None:
    made = office.make("/accounts", name="moved-up", password=PASSWORD, role="viewer")
    with office.client() as client:
        edit = {"role": "operator"}
        client.patch(f"/api/v1/accounts/{made['id']}", json=edit, headers=etag(1) | {"X-Forwarded-For": "192.0.2.7"})
        edited, created = client.get("/api/v1/audit", params={"subject": made["id"]}).json()["items"]
    assert (created["address"], created["before"]) == ("127.0.0.1", None)
    assert (edited["address"], edited["before"]) == (
        "192.0.2.7",
        {"role": "viewer", "enabled": True, "organisation_id": None},
    )
    assert edited["detail"] == {"role": "operator", "enabled": True, "organisation_id": None, "password": False}
    assert len(edited["hash"]) == len(edited["prev"]) == 64


def failed_sign_ins(office: Office) -> list[JSON]:
    with office.client() as client:
        entries = client.get("/api/v1/audit", params={"limit": 200}).json()["items"]
    return [each for each in entries if each["action"] == "account.sign_in_failed"]


def test_a_failed_sign_in_is_in_the_audit_but_no_name_that_nobody_has(office: Office) -> None:
    before = failed_sign_ins(office)
    sign_in(office, "viewer-1", "not the password")
    sign_in(office, "my-secret-password-in-the-wrong-field", "not the password")
    failed = failed_sign_ins(office)
    assert len(failed) == len(before) + 2
    assert failed[0]["subject"] == "-"
    assert failed[1]["subject"].startswith("acc_")
    assert "wrong-field" not in str(failed)


def test_an_unknown_name_costs_the_same_statements_as_a_wrong_password(office: Office) -> None:
    said: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        said.append(statement)

    asked = []
    for name in ("viewer-1", "nobody-of-that-name"):
        said.clear()
        event.listen(office.engine, "before_cursor_execute", listen)
        sign_in(office, name, "not the password")
        event.remove(office.engine, "before_cursor_execute", listen)
        asked.append([each.split(" WHERE ")[0] for each in said])
    assert asked[0] == asked[1]


def test_a_revoked_or_expired_token_opens_nothing(office: Office) -> None:
    soon = int((office.now().timestamp() - 1) * 1_000_000)
    expired = office.make("/tokens", name="old", role="viewer", expires_at=soon)
    revoked = office.make("/tokens", name="gone", role="viewer")
    with office.client() as client:
        assert client.delete(f"/api/v1/tokens/{revoked['id']}").status_code == 204
        listed = {each["id"] for each in client.get("/api/v1/tokens").json()["items"]}
    assert {expired["id"], revoked["id"]} <= listed
    for made in (expired, revoked):
        headers = {"Authorization": f"Bearer {made['secret']}"}
        assert httpx.get(f"{office.url}{SIGN_IN}", headers=headers).status_code == 401


def test_another_persons_token_cannot_be_seen_or_revoked(office: Office) -> None:
    made = office.make("/tokens", name="admins", role="viewer")
    with office.client(Role.OPERATOR) as client:
        assert client.delete(f"/api/v1/tokens/{made['id']}").status_code == 404
        assert made["id"] not in {each["id"] for each in client.get("/api/v1/tokens").json()["items"]}


def test_an_account_is_edited_only_in_the_version_that_was_read(office: Office) -> None:
    made = office.make("/accounts", name="edited-twice", password=PASSWORD, role="viewer")
    path, body = f"/api/v1/accounts/{made['id']}", {"role": "operator"}
    with office.client() as client:
        assert client.patch(path, json=body).status_code == 428
        edited = client.patch(path, json=body, headers=etag(made["version"]))
        assert edited.headers["ETag"] == '"2"'
        assert client.patch(path, json=body, headers=etag(made["version"])).status_code == 412


def test_the_last_admin_cannot_be_disabled(office: Office) -> None:
    with office.client() as client:
        admins = [each for each in client.get("/api/v1/accounts").json()["items"] if each["role"] == "admin"]
        answer = client.patch(
            f"/api/v1/accounts/{admins[0]['id']}", json={"enabled": False}, headers=etag(admins[0]["version"])
        )
    assert len(admins) == 1
    assert answer.status_code == 409


def test_accounts_need_a_long_password_and_a_name_of_their_own(office: Office) -> None:
    with office.client() as client:
        short = client.post("/api/v1/accounts", json={"name": "n", "password": "short", "role": "viewer"})
        taken = client.post("/api/v1/accounts", json={"name": "admin-1", "password": PASSWORD, "role": "viewer"})
    assert short.status_code == 422
    assert short.json()["faults"][0]["where"] == "body.password"
    assert "short" not in short.text.replace("too-short", "")
    assert taken.status_code == 409


def test_a_disabled_account_is_shut_out_with_its_tokens(office: Office) -> None:
    made = office.make("/accounts", name="leaving", password=PASSWORD, role="viewer")
    cookies = session_of(office, "leaving")
    with office.client() as client:
        client.patch(f"/api/v1/accounts/{made['id']}", json={"enabled": False}, headers=etag(made["version"]))
    assert sign_in(office, "leaving").status_code == 401
    with office.client(None) as client:
        assert client.get(SIGN_IN, headers=cookies).status_code == 401


def test_every_change_leaves_an_audit_entry_without_secrets(office: Office) -> None:
    made = office.make("/accounts", name="audited", password=PASSWORD, role="viewer")
    with office.client() as client:
        entries = client.get("/api/v1/audit", params={"subject": made["id"]}).json()["items"]
    assert [(each["who"], each["action"]) for each in entries] == [("admin-1/test", "account.create")]
    assert PASSWORD not in str(entries)


def test_health_says_that_it_runs_and_can_work(office: Office) -> None:
    with office.client(None) as client:
        assert client.get("/healthz").json() == {"ok": True}
        assert client.get("/readyz").json() == {"ok": True}
        assert client.get("/metrics").status_code == 401
    with office.client(Role.VIEWER) as client:
        assert "roomlink_http_requests_total" in client.get("/metrics").text


def test_readiness_names_the_part_that_does_not_work(office: Office) -> None:
    office.app.state.checks["broker"] = lambda: "not connected"
    try:
        with office.client(None) as client:
            answer = client.get("/readyz")
    finally:
        del office.app.state.checks["broker"]
    assert answer.status_code == 503
    assert answer.json()["detail"] == "broker: not connected"


def test_unknown_paths_and_methods_are_problems_too(office: Office) -> None:
    with office.client() as client:
        missing = client.get("/api/v1/nothing")
        method = client.patch("/api/v1/rooms")
    assert (missing.status_code, method.status_code) == (404, 405)
    for answer in (missing, method):
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_description_is_a_page_that_loads_nothing_from_elsewhere(office: Office) -> None:
    with office.client() as client:
        page = client.get("/api/v1/docs")
    assert page.status_code == 200
    assert "/api/v1/members/import" in page.text
    assert "://" not in page.text.replace("http://www.w3.org", "")
