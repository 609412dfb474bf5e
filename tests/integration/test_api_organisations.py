"""The tree of organisations and its rooms over HTTP: edits by version, moves, paging, scopes."""

import pytest

from cloud.accounts.service import Role
from cloud.audit.service import Change
from cloud.database import transaction
from cloud.errors import Invalid, NotFound
from cloud.organisations import service as organisations
from cloud.organisations.service import OrganisationForm
from cloud.paging import Paging
from cloud.rooms import service as rooms
from cloud.scope import Scope
from cloud.terminals import service as terminals
from tests.office import Office, etag


def test_an_edit_needs_the_version_that_was_read(office: Office) -> None:
    made = office.organisation()
    path = f"/api/v1/organisations/{made['id']}"
    body = {"name": "改名机构", "timezone": "Europe/Berlin"}
    with office.client() as client:
        assert client.get(path).headers["ETag"] == '"1"'
        assert client.put(path, json=body).status_code == 428
        assert client.put(path, json=body, headers={"If-Match": "*"}).status_code == 412
        edited = client.put(path, json=body, headers=etag(1))
        assert edited.status_code == 200
        assert (edited.headers["ETag"], edited.json()["name"]) == ('"2"', "改名机构")
        stale = client.put(path, json=body, headers=etag(1))
    assert stale.status_code == 412
    assert stale.json()["type"] == "urn:roomlink:problem:stale"


def test_moving_an_organisation_takes_everything_below_along(office: Office) -> None:
    here, there = office.organisation(), office.organisation()
    child = office.organisation(parent_id=here["id"])
    grandchild = office.organisation(parent_id=child["id"])
    with office.client() as client:
        body = {"name": child["name"], "parent_id": there["id"]}
        moved = client.put(f"/api/v1/organisations/{child['id']}", json=body, headers=etag(1))
        below = client.get(f"/api/v1/organisations/{grandchild['id']}").json()
    assert moved.status_code == 200
    assert below["path"] == f"/{there['id']}/{child['id']}/{grandchild['id']}/"


def test_an_organisation_cannot_lie_below_itself(office: Office) -> None:
    top = office.organisation()
    child = office.organisation(parent_id=top["id"])
    for parent_id in (top["id"], child["id"]):
        with office.client() as client:
            body = {"name": "x", "parent_id": parent_id}
            answer = client.put(f"/api/v1/organisations/{top['id']}", json=body, headers=etag(1))
        assert answer.status_code == 409


def test_a_tree_has_a_bounded_depth(office: Office) -> None:
    parent = office.organisation()
    for _ in range(organisations.MAX_DEPTH - 1):
        parent = office.organisation(parent_id=parent["id"])
    with office.client() as client:
        answer = client.post("/api/v1/organisations", json={"name": "x", "parent_id": parent["id"]})
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["where"] == "body.parent_id"


def test_an_organisation_in_use_is_not_deleted(office: Office) -> None:
    top = office.organisation()
    child = office.organisation(parent_id=top["id"])
    room = office.room(child["id"])
    with office.client() as client:
        for made in (top, child):
            answer = client.delete(f"/api/v1/organisations/{made['id']}", headers=etag(1))
            assert answer.status_code == 409
        assert client.delete(f"/api/v1/rooms/{room['id']}", headers=etag(1)).status_code == 204
        assert client.delete(f"/api/v1/organisations/{child['id']}", headers=etag(1)).status_code == 204
        assert client.get(f"/api/v1/organisations/{child['id']}").status_code == 404


def test_pages_hold_every_row_once_even_while_rows_are_added(office: Office) -> None:
    top = office.organisation()
    made = {office.organisation(parent_id=top["id"], name=f"分部{number % 3}")["id"] for number in range(7)}
    seen: list[str] = []
    cursor = None
    with office.client(Role.VIEWER) as client:
        while True:
            query = {"parent_id": top["id"], "limit": 2} | ({"cursor": cursor} if cursor else {})
            page = client.get("/api/v1/organisations", params=query).json()
            seen += [each["id"] for each in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            office.organisation(parent_id=top["id"], name="分部0")
    assert made <= set(seen)
    assert len(seen) == len(set(seen))


@pytest.mark.parametrize("name", ["a\N{ZERO WIDTH NON-JOINER}b", "\N{CJK UNIFIED IDEOGRAPH-20000}" * 120])
def test_a_page_may_end_at_any_name_that_is_taken(office: Office, name: str) -> None:
    top = office.organisation()
    for _ in range(2):
        office.organisation(parent_id=top["id"], name=name)
    with office.client(Role.VIEWER) as client:
        query = {"parent_id": top["id"], "limit": 1}
        first = client.get("/api/v1/organisations", params=query).json()
        second = client.get("/api/v1/organisations", params=query | {"cursor": first["next_cursor"]})
    assert second.status_code == 200
    assert [each["name"] for each in first["items"] + second.json()["items"]] == [name, name]


@pytest.mark.parametrize("cursor", ["x", "e30", "WzEsMl0", "WyIxIiwgIlx1MDAwMCJd", "W1tbW10"])
def test_a_foreign_cursor_is_refused(office: Office, cursor: str) -> None:
    with office.client() as client:
        answer = client.get("/api/v1/organisations", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["faults"][0]["where"] == "query.cursor"


def test_search_takes_what_was_typed_literally(office: Office) -> None:
    top = office.organisation()
    office.organisation(parent_id=top["id"], name="100% 示例_机构")
    with office.client() as client:

        def found(search: str) -> int:
            query = {"parent_id": top["id"], "search": search}
            return len(client.get("/api/v1/organisations", params=query).json()["items"])

        assert [found("% 示例_"), found("_00%"), found("%%")] == [1, 0, 0]
        assert client.get("/api/v1/organisations", params={"search": "\0"}).status_code == 422


def test_a_scope_shows_its_branch_and_nothing_else(office: Office) -> None:
    top, other = office.organisation(), office.organisation()
    child = office.organisation(parent_id=top["id"])
    inside, outside = office.room(child["id"]), office.room(other["id"])
    kiosk = office.terminal(inside["id"])["terminal"]["id"]
    office.terminal(outside["id"])
    roomless = office.terminal(None)["terminal"]["id"]
    scope = Scope(f"/{top['id']}/")
    with transaction(office.engine, read_only=True) as session:
        found = organisations.list_organisations(session, scope, Paging())
        assert {each.id for each in found.rows} == {top["id"], child["id"]}
        assert [each.id for each in rooms.list_rooms(session, scope, Paging()).rows] == [inside["id"]]
        assert [each.id for each in terminals.list_terminals(session, scope, Paging()).rows] == [kiosk]
        with pytest.raises(NotFound):
            terminals.get(session, scope, roomless)
        with pytest.raises(NotFound):
            rooms.get(session, scope, outside["id"])
        with pytest.raises(NotFound):
            organisations.get(session, scope, other["id"])
    with pytest.raises(Invalid), transaction(office.engine) as session:
        organisations.create(session, Change("test", office.now()), scope, OrganisationForm(name="新的根"))


def test_two_rooms_of_an_organisation_have_two_plates(office: Office) -> None:
    top = office.organisation()
    room = office.room(top["id"])
    body = {"organisation_id": top["id"], "number": room["number"], "name": "另一间"}
    with office.client() as client:
        assert client.post("/api/v1/rooms", json=body).status_code == 409
        free = {**body, "number": "999B"}
        edited = client.put(f"/api/v1/rooms/{room['id']}", json=free, headers=etag(1))
    assert edited.json()["number"] == "999B"


@pytest.mark.parametrize(
    "body",
    [
        {"organisation_id": "org_0000000000000000", "number": "1", "name": "不存在"},
        {"organisation_id": "nonsense", "number": "1", "name": "x"},
        {"number": "1", "name": "x"},
        {"organisation_id": "org_0000000000000000", "number": "1", "name": "x" * 121},
        {"organisation_id": "org_0000000000000000", "number": "1", "name": "a\u202eb"},
        {"organisation_id": "org_0000000000000000", "number": "1", "name": "x", "nmae_en": "typing error"},
    ],
)
def test_a_wrong_body_is_answered_with_where_it_is_wrong(office: Office, body: dict[str, str]) -> None:
    with office.client() as client:
        answer = client.post("/api/v1/rooms", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["faults"]


@pytest.mark.parametrize("content", [b"{", b'{"name": "\\ud800"}', b"\xff\xfe", b"[" * 100_000, b'{"a":' + b"9" * 5000])
def test_a_body_that_cannot_be_read_is_a_problem(office: Office, content: bytes) -> None:
    with office.client() as client:
        answer = client.post("/api/v1/organisations", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_a_body_beyond_the_limit_is_refused(office: Office) -> None:
    with office.client() as client:
        known = client.post("/api/v1/organisations", json={"name": "x" * 2_000_000})
        chunks = (b" " * 65536 for _ in range(40))
        unknown = client.post("/api/v1/organisations", content=chunks, headers={"Content-Type": "application/json"})
    assert (known.status_code, unknown.status_code) == (413, 413)


def test_a_room_is_read_listed_and_found(office: Office) -> None:
    organisation = office.organisation()
    room = office.room(organisation["id"])
    with office.client() as client:
        assert client.get(f"/api/v1/rooms/{room['id']}").json() == room
        query = {"organisation_id": organisation["id"], "search": "绘画"}
        assert client.get("/api/v1/rooms", params=query).json()["items"] == [room]
        office.terminal(room["id"])
        assert client.delete(f"/api/v1/rooms/{room['id']}", headers=etag(1)).status_code == 409
