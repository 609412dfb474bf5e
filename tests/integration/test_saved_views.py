"""Saved views and commands to all that match, over HTTP on both databases: whose they are, and whom they reach."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select, update

from cloud.accounts.models import Account
from cloud.accounts.service import Role
from cloud.audit.models import AuditEntry
from cloud.commands.service import MOST_AT_ONCE
from cloud.database import transaction
from cloud.scope import EVERYWHERE
from cloud.terminals import list_actions
from cloud.terminals.list_actions import Chosen
from cloud.terminals.models import SavedView
from cloud.terminals.views import MOST
from cloud.terminals.wanted import Service, Wanted
from tests.office import JSON, Office, etag, hire_in

VIEWS = "/api/v1/saved-views"


def keep(client: httpx.Client, name: str, **more: Any) -> tuple[int, JSON]:
    answer = client.post(VIEWS, json={"name": name, **more})
    return answer.status_code, answer.json()


def names(client: httpx.Client) -> set[str]:
    return {each["name"] for each in client.get(VIEWS).raise_for_status().json()}


def test_a_view_keeps_filter_and_order_and_is_its_accounts_own(office: Office) -> None:
    wanted = {"kind": "tv", "alarm": True, "sort": "waiting", "descending": True}
    with office.client(Role.VIEWER) as viewer, office.client(Role.ORGANISER) as other:
        status, kept = keep(viewer, "早间巡检", wanted=wanted)
        assert (status, kept["wanted"], kept["shared"]) == (201, wanted, False)
        assert "早间巡检" in names(viewer)
        assert "早间巡检" not in names(other)
        assert other.delete(f"{VIEWS}/{kept['id']}", headers=etag(1)).status_code == 404
        assert keep(viewer, "早间巡检")[0] == 409
        renamed = viewer.put(f"{VIEWS}/{kept['id']}", headers=etag(1), json={"name": "晚间巡检", "wanted": {}})
        assert (renamed.json()["name"], renamed.json()["wanted"]) == ("晚间巡检", {})
        assert viewer.put(f"{VIEWS}/{kept['id']}", headers=etag(1), json={"name": "x"}).status_code == 412
        assert viewer.delete(f"{VIEWS}/{kept['id']}", headers=etag(2)).status_code == 204
        assert "晚间巡检" not in names(viewer)


def test_only_an_operator_shares_and_only_an_administrator_changes_another_ones(office: Office) -> None:
    with office.client(Role.VIEWER) as viewer, office.client(Role.OPERATOR) as operator, office.client() as admin:
        assert keep(viewer, "给大家", shared=True)[0] == 403
        kept = keep(operator, "给大家", shared=True)[1]
        assert "给大家" in names(viewer)
        assert viewer.delete(f"{VIEWS}/{kept['id']}", headers=etag(1)).status_code == 403
        assert admin.delete(f"{VIEWS}/{kept['id']}", headers=etag(1)).status_code == 204


def test_who_may_share_no_more_changes_nothing_that_others_see_and_may_take_it_back(office: Office) -> None:
    branch = office.organisation()["id"]
    token = hire_in(office, branch)[Role.OPERATOR]
    with office.client(token=token) as demoted, office.client() as admin:
        kept = keep(demoted, "早间", shared=True)[1]
        path = f"{VIEWS}/{kept['id']}"
        assert demoted.put(path, json={"name": "早间", "shared": True}, headers=etag(1)).status_code == 200
        with transaction(office.engine) as session:
            session.execute(update(Account).where(Account.name == f"operator-{branch}").values(role=Role.VIEWER))
        changed = {"name": "早间", "wanted": {"kind": "tv"}, "shared": True}
        assert demoted.put(path, json=changed, headers=etag(2)).status_code == 403
        assert next(each for each in admin.get(VIEWS).json() if each["id"] == kept["id"])["wanted"] == kept["wanted"]
        assert demoted.put(path, json=changed | {"shared": False}, headers=etag(2)).status_code == 200
    with transaction(office.engine, read_only=True) as session:
        view = session.get_one(SavedView, kept["id"])
        assert (view.shared, view.organisation_id) == (False, None)


def test_a_shared_view_reaches_its_branch_and_no_view_asks_beyond_the_readers_own(office: Office) -> None:
    here, there = office.organisation(), office.organisation()
    below = office.organisation(parent_id=here["id"])
    tokens = {each["id"]: hire_in(office, each["id"]) for each in (here, there, below)}

    def client(of: JSON, role: Role) -> httpx.Client:
        return office.client(token=tokens[of["id"]][role])

    with client(here, Role.OPERATOR) as operator, office.client(Role.OPERATOR) as whole:
        assert keep(operator, "本组织", shared=True)[0] == 201
        assert keep(whole, "全部", shared=True)[0] == 201
        assert keep(whole, "另一处", shared=True, wanted={"organisation_id": there["id"]})[0] == 201
    with client(here, Role.VIEWER) as own, client(below, Role.VIEWER) as child, client(there, Role.VIEWER) as foreign:
        assert names(own) == names(child) == {"本组织", "全部"}
        assert names(foreign) == {"全部", "另一处"}
    with client(below, Role.ADMIN) as admin, office.client(Role.ADMIN) as whole:
        shared = next(each for each in admin.get(VIEWS).json() if each["name"] == "本组织")
        assert admin.delete(f"{VIEWS}/{shared['id']}", headers=etag(1)).status_code == 403
        for each in whole.get(VIEWS).json():
            if each["shared"]:
                assert whole.delete(f"{VIEWS}/{each['id']}", headers=etag(each["version"])).status_code == 204


def test_an_account_keeps_a_bounded_number(office: Office) -> None:
    with office.client(Role.ORGANISER) as client:
        made = [keep(client, f"视图 {number}")[1] for number in range(MOST)]
        status, problem = keep(client, "还有一个")
        assert (status, str(MOST) in problem["detail"]) == (409, True)
        for each in made:
            client.delete(f"{VIEWS}/{each['id']}", headers=etag(1)).raise_for_status()


@pytest.mark.parametrize(
    "wanted", [{"sort": "colour"}, {"kind": "robot"}, {"presence": "gone"}, {"organisation_id": "1"}, {"colour": "red"}]
)
def test_a_filter_that_makes_no_sense_is_refused_with_its_place(office: Office, wanted: JSON) -> None:
    with office.client(Role.VIEWER) as client:
        status, problem = keep(client, "错", wanted=wanted)
    assert status == 422
    assert problem["faults"][0]["where"].startswith("body.wanted.")


@pytest.fixture
def branch(office: Office) -> JSON:
    """An organisation with three terminals in service and one that is not."""
    organisation = office.organisation()
    room = office.room(organisation["id"])
    made = [office.terminal(room["id"])["terminal"]["id"] for _ in range(4)]
    with office.client() as client:
        client.post(f"/api/v1/terminals/{made[3]}/disable", headers=etag(1)).raise_for_status()
    return {"id": organisation["id"], "terminals": made[:3], "out": made[3]}


def ask(office: Office, **body: Any) -> tuple[int, JSON]:
    with office.client(Role.OPERATOR) as client:
        answer = client.post("/api/v1/command-bulks", json={"name": "identify", **body})
        return answer.status_code, answer.json()


def test_all_that_match_are_found_when_it_is_sent_and_the_audit_keeps_the_filter(office: Office, branch: JSON) -> None:
    status, bulk = ask(office, matching={"organisation_id": branch["id"]}, at_most=3)
    assert (status, bulk["states"]) == (201, {"queued": 3})
    with office.client() as client:
        listed = client.get("/api/v1/commands", params={"bulk": bulk["bulk"]}).json()["items"]
    assert sorted(each["terminal_id"] for each in listed) == sorted(branch["terminals"])
    with transaction(office.engine, read_only=True) as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.subject == bulk["bulk"])).one()
    assert (entry.action, entry.detail["terminals"]) == ("command.bulk", 3)
    assert entry.detail["matching"] == {"organisation": branch["id"]}


def test_no_more_are_reached_than_were_shown_and_none_is_said_so(office: Office, branch: JSON) -> None:
    status, problem = ask(office, matching={"organisation_id": branch["id"]}, at_most=2)
    assert (status, problem["detail"]) == (409, "More than 2 terminals match now; look at them again.")
    status, problem = ask(office, matching={"organisation_id": branch["id"], "search": branch["out"]})
    assert (status, problem["detail"]) == (409, "No terminal in service matches.")
    assert ask(office, matching={"organisation_id": "org_0000000000000000"})[0] == 404


def test_all_that_are_out_of_service_means_nobody_and_never_the_others(office: Office, branch: JSON) -> None:
    out = {"organisation_id": branch["id"], "service": "out"}
    status, problem = ask(office, matching=out)
    assert (status, problem["detail"]) == (409, "No terminal in service matches.")
    with office.client() as client:
        for each in (*branch["terminals"], branch["out"]):
            assert client.get("/api/v1/commands", params={"terminal_id": each}).json()["items"] == []
    with transaction(office.engine, read_only=True) as session:
        chosen = Chosen(matching=Wanted(organisation_id=branch["id"], service=Service.OUT))
        assert list_actions._in_service(session, EVERYWHERE, chosen, office.now) == []
        chosen = Chosen(matching=Wanted(organisation_id=branch["id"]))
        assert list_actions._in_service(session, EVERYWHERE, chosen, office.now) == sorted(branch["terminals"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"terminals": ["kiosk-1"], "matching": {}},
        {"terminals": []},
        {"matching": {}, "at_most": 0},
        {"matching": {}, "at_most": MOST_AT_ONCE + 1},
    ],
)
def test_a_bulk_says_whom_it_is_for_in_one_way(office: Office, body: JSON) -> None:
    assert ask(office, **body)[0] == 422


def test_a_branch_reaches_its_own_only(office: Office, branch: JSON) -> None:
    other = office.organisation()
    token = hire_in(office, other["id"])[Role.OPERATOR]
    with office.client(token=token) as client:
        answer = client.post("/api/v1/command-bulks", json={"name": "identify", "matching": {}})
    assert answer.status_code == 409


def test_the_list_filters_sorts_and_pages_over_http(office: Office, branch: JSON) -> None:
    with office.client(Role.VIEWER) as client:
        asked = {"organisation_id": branch["id"], "sort": "id", "descending": "true", "service": "in", "limit": 2}
        first = client.get("/api/v1/terminals", params=asked).json()
        second = client.get("/api/v1/terminals", params=asked | {"cursor": first["next_cursor"]}).json()
        assert (
            client.get("/api/v1/terminals", params=asked | {"sort": "room", "cursor": first["next_cursor"]}).status_code
            == 422
        )
    assert second["next_cursor"] is None
    assert {each["id"] for each in first["items"] + second["items"]} == set(branch["terminals"])
    with office.client(Role.OPERATOR) as client:
        rows = client.get(
            "/api/v1/terminals/export", params={"organisation_id": branch["id"], "service": "out"}
        ).text.splitlines()
    assert [row.partition(",")[0] for row in rows[1:]] == [branch["out"]]
