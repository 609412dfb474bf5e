"""Accounts that are bound to a branch, over HTTP: they see and do nothing of another branch, nor what concerns all."""

import re
import uuid
from dataclasses import dataclass
from typing import Any

import pytest

from cloud.accounts.service import Role
from tests.integration.test_scopes import Branch, branch
from tests.office import PASSWORD, Office, etag, hire_in
from tests.roles import API

GLOBAL_TO_READ = {"GET /api/v1/issuer-keys"}
"""Whose keys are trusted is the same for everybody, and public: it stands in every twin."""


@dataclass(frozen=True)
class Bound:
    """Two branches, with an account of each role in the first."""

    office: Office
    here: Branch
    there: Branch
    tokens: dict[Role, str]

    def ask(self, method: str, path: str, role: Role = Role.ADMIN, **more: Any) -> Any:
        """The answer to somebody of the first branch."""
        with self.office.client(token=self.tokens[role]) as client:
            return client.request(method, f"/api/v1{path}", **more)


@pytest.fixture(scope="module")
def bound(office: Office) -> Bound:
    here, there = branch(office), branch(office)
    return Bound(office, here, there, hire_in(office, organisation_of(here)))


def organisation_of(of: Branch) -> str:
    return of.scope.path.strip("/")


def ids_of(of: Branch) -> dict[str, str]:
    """The names of ids in the routes' paths, and what the branch has there."""
    short = {"organisation_id": "org_", "room_id": "rm_", "member_id": "mem_", "activity_id": "act_"}
    known = [each for each in of.ids if "/" not in each]
    found = {name: next(each for each in known if each.startswith(begin)) for name, begin in short.items()}
    credential = next(each for each in known if re.fullmatch("[0-9a-f]{16}", each))
    return found | {"terminal_id": of.terminal_id, "credential_id": credential}


def lists() -> list[str]:
    """Addresses without a parameter that a branch may read."""
    asked = [what.partition(" ") for what, rule in API.items() if "whole" not in rule and rule != "open"]
    return [path for method, _, path in asked if method == "GET" and "{" not in path]


@pytest.mark.parametrize("path", lists())
def test_a_list_holds_nothing_of_another_branch(bound: Bound, path: str) -> None:
    answer = bound.ask("GET", path.removeprefix("/api/v1"), params={"limit": 200})
    assert answer.status_code in {200, 422}, answer.text  # cards want ids
    assert not [each for each in bound.there.ids if each in answer.text]


def things() -> list[tuple[str, str]]:
    """Method and path of what is asked without a body about one thing that has an id."""
    known = ("{organisation_id}", "{room_id}", "{member_id}", "{activity_id}", "{credential_id}", "{terminal_id}")
    asked = [what.split() for what, rule in API.items() if rule not in {"open", "terminal"}]
    return [
        (method, path) for method, path in asked if method in {"GET", "DELETE"} and any(name in path for name in known)
    ]


@pytest.mark.parametrize(("method", "path"), things())
def test_a_thing_of_another_branch_is_not_there(bound: Bound, method: str, path: str) -> None:
    for name, value in (ids_of(bound.there) | {"start": "20260101T000000Z", "command_id": str(uuid.uuid4())}).items():
        path = path.replace(f"{{{name}}}", value)
    answer = bound.ask(method, path.removeprefix("/api/v1"), headers=etag(1), params={"metric": "cpu_percent"})
    assert answer.status_code == 404, (path, answer.text)


@pytest.mark.parametrize("what", [what for what, rule in API.items() if "whole" in rule])
def test_what_concerns_all_is_refused_with_a_sentence(bound: Bound, what: str) -> None:
    method, _, path = what.partition(" ")
    with bound.office.client(token=bound.tokens[Role.ADMIN]) as client:
        answer = client.request(method, path.replace("{key_id}", "00000000"))
    assert answer.status_code == 403
    assert "is bound to a branch" in answer.json()["detail"]


def test_who_asks_is_told_the_branch(bound: Bound) -> None:
    assert bound.ask("GET", "/session").json()["organisation_id"] == organisation_of(bound.here)
    with bound.office.client() as client:
        assert client.get("/api/v1/session").json()["organisation_id"] is None


def test_an_admin_of_a_branch_makes_accounts_there_and_nowhere_else(bound: Bound) -> None:
    new = {"name": "new-of-branch", "password": PASSWORD, "role": "operator"}
    below = bound.office.organisation(parent_id=organisation_of(bound.here))["id"]
    for refused in (None, organisation_of(bound.there)):
        answer = bound.ask("POST", "/accounts", json=new | {"organisation_id": refused})
        assert answer.status_code == 422, answer.text
    made = bound.ask("POST", "/accounts", json=new | {"organisation_id": below})
    assert made.status_code == 201, made.text
    names = {each["name"] for each in bound.ask("GET", "/accounts").json()["items"]}
    assert "new-of-branch" in names
    assert "admin-1" not in names


def test_an_account_of_another_branch_or_of_all_cannot_be_changed_or_taken_over(bound: Bound) -> None:
    with bound.office.client() as client:
        everybody = client.get("/api/v1/accounts", params={"limit": 200}).json()["items"]
    admin = next(each for each in everybody if each["name"] == "admin-1")
    answer = bound.ask("PATCH", f"/accounts/{admin['id']}", json={"enabled": False}, headers=etag(admin["version"]))
    assert answer.status_code == 404
    own = next(each for each in everybody if each["name"] == f"viewer-{organisation_of(bound.here)}")
    for target in ("", organisation_of(bound.there)):
        answer = bound.ask(
            "PATCH", f"/accounts/{own['id']}", json={"organisation_id": target}, headers=etag(own["version"])
        )
        assert answer.status_code == 422, answer.text


def test_an_account_can_be_bound_and_freed_by_an_admin_of_all_and_its_session_ends(bound: Bound) -> None:
    office = bound.office
    made = office.make("/accounts", name="movable", password=PASSWORD, role="viewer")
    with office.client() as client:
        first = client.patch(
            f"/api/v1/accounts/{made['id']}", json={"organisation_id": organisation_of(bound.there)}, headers=etag(1)
        )
        assert first.json()["organisation_id"] == organisation_of(bound.there), first.text
        second = client.patch(f"/api/v1/accounts/{made['id']}", json={"organisation_id": ""}, headers=etag(2))
        assert second.json()["organisation_id"] is None


def test_the_last_admin_of_all_cannot_be_bound_to_a_branch(bound: Bound) -> None:
    with bound.office.client() as client:
        everybody = client.get("/api/v1/accounts", params={"limit": 200}).json()["items"]
        admins = [each for each in everybody if each["role"] == "admin" and each["organisation_id"] is None]
        assert len(admins) == 1
        answer = client.patch(
            f"/api/v1/accounts/{admins[0]['id']}",
            json={"organisation_id": organisation_of(bound.here)},
            headers=etag(admins[0]["version"]),
        )
    assert answer.status_code == 409
    assert "At least one enabled admin of the whole tree" in answer.json()["detail"]


def test_a_branch_sees_its_own_tokens_and_can_end_no_other(bound: Bound) -> None:
    own = bound.ask("GET", "/tokens", params={"limit": 200}).json()["items"]
    with bound.office.client() as client:
        everything = client.get("/api/v1/tokens", params={"limit": 200}).json()["items"]
    assert len(own) == len(Role)
    other = next(each for each in everything if each["id"] not in {mine["id"] for mine in own})
    assert bound.ask("DELETE", f"/tokens/{other['id']}").status_code == 404


def test_a_terminal_without_a_room_is_for_admins_of_all(bound: Bound) -> None:
    answer = bound.ask("POST", "/terminals", json={"id": "kiosk-nowhere", "kind": "kiosk", "profile": "kiosk"})
    assert answer.status_code == 422
    assert "a room of your branch" in answer.json()["detail"]


def test_a_branch_replaces_a_terminal_by_a_new_one_and_by_none_that_is_not_its_own(bound: Bound) -> None:
    office, room = bound.office, ids_of(bound.here)["room_id"]
    old = bound.ask("POST", "/terminals", json={"id": "kiosk-of-branch", "room_id": room}).json()["terminal"]
    spare = office.terminal(None)["terminal"]["id"]

    def replace(by: str) -> Any:
        body = {"by": by, "reason": "its screen is broken"}
        return bound.ask("POST", f"/terminals/{old['id']}/replace", json=body, headers=etag(1))

    for by in (spare, bound.there.terminal_id):
        refused = replace(by)
        assert (refused.status_code, refused.json()["detail"]) == (409, f"There is a terminal {by} already.")
    with office.client() as client:
        assert client.get(f"/api/v1/terminals/{spare}").json()["room_id"] is None
    done = replace("kiosk-of-branch-b")
    assert done.status_code == 200, done.text
    assert done.json()["replacement"]["room_id"] == room


def test_an_organisation_that_binds_accounts_is_not_deleted(bound: Bound) -> None:
    office = bound.office
    empty = office.organisation()
    office.make("/accounts", name="binding", password=PASSWORD, role="viewer", organisation_id=empty["id"])
    with office.client() as client:
        answer = client.delete(f"/api/v1/organisations/{empty['id']}", headers=etag(1))
    assert answer.status_code == 409


def test_organiser_runs_activities_and_leaves_terminals_alone(bound: Bound) -> None:
    organisation = organisation_of(bound.here)
    member = {"display_name": "示例甲", "organisation_id": organisation}
    assert bound.ask("POST", "/members", Role.ORGANISER, json=member).status_code == 201
    assert bound.ask("POST", "/members", Role.VIEWER, json=member).status_code == 403
    told = {"name": "identify"}
    path = f"/terminals/{bound.here.terminal_id}/commands"
    assert bound.ask("POST", path, Role.ORGANISER, json=told).status_code == 403
    assert bound.ask("POST", path, Role.OPERATOR, json=told).status_code in {201, 202}
