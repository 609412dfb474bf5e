"""Commands over HTTP: asked for by operators, followed by everybody who may look, called back while nobody has them."""

from typing import Any

import pytest
from sqlalchemy import update

from cloud.accounts.service import Role
from cloud.commands.models import Command
from cloud.database import transaction
from tests.office import JSON, Office


@pytest.fixture
def kiosk(office: Office) -> str:
    room = office.room(office.organisation()["id"])
    return str(office.terminal(room["id"])["terminal"]["id"])


def ask(office: Office, kiosk: str, role: Role = Role.OPERATOR, **body: Any) -> tuple[int, JSON]:
    with office.client(role) as client:
        answer = client.post(f"/api/v1/terminals/{kiosk}/commands", json={"name": "identify"} | body)
        return answer.status_code, answer.json()


def test_operator_asks_and_viewer_follows(office: Office, kiosk: str) -> None:
    status, asked = ask(office, kiosk, arguments={"seconds": 5}, lasts_s=60)
    assert (status, asked["state"], asked["arguments"]) == (201, "queued", {"seconds": 5})
    with office.client(Role.VIEWER) as client:
        story = client.get(f"/api/v1/commands/{asked['id']}").json()
        listed = client.get("/api/v1/commands", params={"terminal_id": kiosk}).json()["items"]
    assert (story["words"], story["deadline_at"] - story["asked_at"]) == ([], 60_000_000)
    assert [each["id"] for each in listed] == [asked["id"]]


def test_viewer_may_not_ask(office: Office, kiosk: str) -> None:
    assert ask(office, kiosk, Role.VIEWER)[0] == 403


@pytest.mark.parametrize(
    "body",
    [
        {"name": "shell"},
        {"arguments": {"seconds": 0}},
        {"arguments": {"seconds": 301}},
        {"arguments": {"loud": 1}},
        {"name": "reboot", "arguments": {"seconds": 5}},
        {"name": "set_volume"},
        {"name": "set_volume", "arguments": {"volume": 101}},
        {"name": "enter_maintenance", "arguments": {"seconds": 5}},
        {"lasts_s": 1},
        {"lasts_s": 8 * 86_400},
    ],
)
def test_command_that_makes_no_sense_is_refused_with_a_place_and_a_sentence(
    office: Office, kiosk: str, body: JSON
) -> None:
    status, problem = ask(office, kiosk, **body)
    assert (status, len(problem["faults"])) == (422, 1)
    assert problem["faults"][0]["says"]


def test_command_for_an_unknown_or_a_disabled_terminal_is_refused(office: Office, kiosk: str) -> None:
    assert ask(office, "kiosk-nowhere")[0] == 404
    with office.client() as client:
        etag = client.get(f"/api/v1/terminals/{kiosk}").headers["ETag"]
        client.post(f"/api/v1/terminals/{kiosk}/disable", headers={"If-Match": etag})
    assert ask(office, kiosk)[0] == 409


def test_command_is_called_back_once(office: Office, kiosk: str) -> None:
    command = ask(office, kiosk)[1]["id"]
    with office.client(Role.OPERATOR) as client:
        assert client.post(f"/api/v1/commands/{command}/cancel").json()["state"] == "cancelled"
        again = client.post(f"/api/v1/commands/{command}/cancel")
    assert (again.status_code, again.json()["detail"]) == (409, "It has ended already: cancelled.")


def test_bulk_is_for_all_or_for_none_and_counts_its_states(office: Office, kiosk: str) -> None:
    with office.client(Role.OPERATOR) as client:
        wrong = client.post("/api/v1/command-bulks", json={"name": "sync_now", "terminals": [kiosk, "kiosk-nowhere"]})
        assert wrong.status_code == 404
        bulk = client.post("/api/v1/command-bulks", json={"name": "sync_now", "terminals": [kiosk, kiosk]}).json()
        assert bulk["states"] == {"queued": 1}
        assert client.get(f"/api/v1/command-bulks/{bulk['bulk']}").json() == bulk
        listed = client.get("/api/v1/commands", params={"bulk": bulk["bulk"]}).json()["items"]
    assert [each["name"] for each in listed] == ["sync_now"]


def test_bulks_are_listed_newest_first_and_called_back_as_far_as_nobody_has_them(office: Office, kiosk: str) -> None:
    other = str(office.terminal(None)["terminal"]["id"])
    with office.client(Role.OPERATOR) as client:
        asked = client.post("/api/v1/command-bulks", json={"name": "sync_now", "terminals": [kiosk, other]}).json()
        with transaction(office.engine) as session:
            given = update(Command).where(Command.bulk == asked["bulk"], Command.terminal_id == kiosk)
            session.execute(given.values(state="sent", given_at=office.now()))
        newest = client.get("/api/v1/command-bulks").json()["items"][0]
        assert (newest["bulk"], newest["name"], newest["states"]) == (
            asked["bulk"],
            "sync_now",
            {"queued": 1, "sent": 1},
        )
        path = f"/api/v1/command-bulks/{asked['bulk']}/cancel"
        assert client.post(path).json()["states"] == {"cancelled": 1, "sent": 1}
        again = client.post(path)
        assert (again.status_code, again.json()["detail"][:12]) == (409, "Each of them")
        assert client.post("/api/v1/command-bulks/00000000-0000-4000-8000-000000000000/cancel").status_code == 404
    with office.client(Role.VIEWER) as client:
        assert client.post(path).status_code == 403


def test_what_was_asked_for_is_in_the_audit(office: Office, kiosk: str) -> None:
    command = ask(office, kiosk)[1]["id"]
    with office.client() as client:
        client.post(f"/api/v1/commands/{command}/cancel")
        entries = client.get("/api/v1/audit", params={"subject": kiosk}).json()["items"][:2]
    assert [(each["action"], each["detail"]["command"]) for each in entries] == [
        ("command.cancel", command),
        ("command.identify", command),
    ]
