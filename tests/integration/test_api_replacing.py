"""A broken terminal is replaced: room, settings and PIN go over, both histories stay, and no record changes its room."""

import pytest

from cloud.accounts.service import Role
from cloud.terminals.models import Twin
from cloud.terminals.twin import renew_twins
from tests.office import JSON, Office, etag


@pytest.fixture
def old(office: Office) -> JSON:
    """A kiosk with a room, a setting of its own and a staff PIN; version 2."""
    room = office.room(office.organisation()["id"])
    made: JSON = office.terminal(room["id"], settings={"health_every_s": 30})["terminal"]
    with office.client() as client:
        client.put(f"/api/v1/terminals/{made['id']}/staff-pin", json={"pin": "2468"}, headers=etag(1))
    return made


def replace(office: Office, old: JSON, by: str, version: int = 2, **more: object) -> tuple[int, JSON]:
    with office.client() as client:
        body = {"by": by, "reason": "its screen is broken", **more}
        answer = client.post(f"/api/v1/terminals/{old['id']}/replace", json=body, headers=etag(version))
    return answer.status_code, answer.json()


def twins(office: Office) -> dict[str, Twin]:
    made: dict[str, Twin] = {}
    while found := renew_twins(office.engine, 1_000, office.now()):
        made |= {twin.terminal_id: twin for twin in found}
    return made


def test_new_terminal_gets_room_settings_and_pin_and_both_say_so(office: Office, old: JSON) -> None:
    renewed = twins(office)[old["id"]]
    assert renewed.room_id == old["room_id"]
    by = f"{old['id']}-b"
    status, body = replace(office, old, by)
    assert (status, len(body["password"])) == (200, 32)
    replaced, new = body["replaced"], body["replacement"]
    assert (replaced["replaced_by"], replaced["enabled"], replaced["room_id"]) == (by, True, old["room_id"])
    assert (new["replaces"], new["room_id"], new["settings"]) == (old["id"], old["room_id"], {"health_every_s": 30})
    assert new["has_staff_pin"]
    after = twins(office)
    assert (after[by].room_id, after[old["id"]].room_id) == (old["room_id"], None)
    with office.client() as client:
        noted = client.get("/api/v1/audit", params={"subject": by}).json()["items"]
    assert "terminal.take_place" in {each["action"] for each in noted}


def test_registered_terminal_without_a_room_takes_the_place_and_keeps_its_password(office: Office, old: JSON) -> None:
    by = office.terminal(None)["terminal"]["id"]
    status, body = replace(office, old, by, disable=True)
    assert (status, body["password"], body["replaced"]["enabled"]) == (200, None, False)
    assert body["replacement"]["version"] == 2


def test_replacement_that_cannot_be_is_refused_with_why(office: Office, old: JSON) -> None:
    tv = office.terminal(None, kind="tv", profile="tv")["terminal"]["id"]
    placed = office.terminal(old["room_id"])["terminal"]["id"]
    for by, says in ((tv, "another kind"), (placed, "a room already"), (old["id"], "out of service")):
        status, body = replace(office, old, by)
        assert (status, says in body["detail"]) == (409, True), body
    assert replace(office, old, f"{old['id']}-c", version=1)[0] == 412
    assert replace(office, old, "Kiosk")[0] == 422
    assert replace(office, old, f"{old['id']}-d")[0] == 200
    status, body = replace(office, old, f"{old['id']}-e", version=3)
    assert (status, f"{old['id']}-d already" in body["detail"]) == (409, True)


def test_replaced_terminal_that_is_placed_again_is_in_service_again(office: Office, old: JSON) -> None:
    replace(office, old, f"{old['id']}-b")
    with office.client(Role.OPERATOR) as client:
        body = {"room_id": old["room_id"]}
        shown = client.put(f"/api/v1/terminals/{old['id']}", json=body, headers=etag(3)).json()
    assert (shown["replaced_by"], shown["replaced_at"]) == (None, None)
    assert twins(office)[old["id"]].room_id == old["room_id"]
