"""Terminals over HTTP: one password shown once, their own files and nobody else's, the broker's list of users."""

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from broker_config.passwords import hash_password, read_password_file
from cloud.accounts.service import Role
from cloud.bulk import Bulk
from cloud.clock import to_us
from cloud.database import transaction
from cloud.ingest import alarm
from cloud.terminals.twin import renew_twins
from firmware_specs.fields import MAX_TWIN_BYTES
from firmware_specs.messages import Desired
from firmware_specs.roster import keyed_hash, read_revocations, read_roster
from firmware_specs.wire import decode
from tests.office import JSON, Office, etag, open_office

EPOCH = 1_000


@pytest.fixture
def settled(office: Office) -> JSON:
    """An organisation with a room, a member with a card, and a kiosk."""
    organisation = office.organisation()
    room = office.room(organisation["id"])
    member = office.member(organisation["id"])
    card = office.make("/credentials", member_id=member["id"])
    kiosk = office.terminal(room["id"])
    return {
        "organisation": organisation,
        "room": room,
        "member": member,
        "card": card,
        "kiosk": kiosk["terminal"]["id"],
        "password": kiosk["password"],
    }


def renew(office: Office, epoch: int = EPOCH) -> dict[str, Desired]:
    """Make all twins that are due; the new ones by terminal."""
    made: dict[str, Desired] = {}
    while twins := renew_twins(office.engine, epoch, office.now()):
        made |= {twin.terminal_id: decode("twin", Desired, twin.document.encode(), MAX_TWIN_BYTES) for twin in twins}
    return made


@pytest.fixture
def later(office: Office) -> Iterator[None]:
    """Beyond the pause between two rosters."""
    office.shift += timedelta(minutes=1)
    yield
    office.shift = timedelta(0)


def fetch(office: Office, path: str, name: str, password: str) -> httpx.Response:
    return httpx.get(f"{office.url}{path}", auth=(name, password))


def test_a_terminal_is_registered_once_and_its_password_is_shown_once(office: Office) -> None:
    room = office.room(office.organisation()["id"])
    made = office.terminal(room["id"], settings={"language": "en"})
    terminal_id = made["terminal"]["id"]
    assert len(made["password"]) == 32
    assert made["broker_users"] == "restart_needed"
    with office.client() as client:
        again = client.post("/api/v1/terminals", json={"id": terminal_id, "room_id": room["id"]})
        shown = client.get(f"/api/v1/terminals/{terminal_id}")
    assert again.status_code == 409
    assert made["password"] not in shown.text
    assert "hash" not in shown.text
    assert shown.json()["settings"]["language"] == "en"
    assert shown.json()["presence"] == "never"


@pytest.mark.parametrize(
    "terminal_id", ["roomlink-cloud", "admin", "Kiosk", "a", "kiosk_1", "kiosk/1", "-kiosk", "kiosk-", "k" * 41]
)
def test_a_reserved_or_wrong_id_is_refused(office: Office, terminal_id: str) -> None:
    with office.client() as client:
        assert client.post("/api/v1/terminals", json={"id": terminal_id}).status_code == 422


def test_a_twin_holds_what_a_kiosk_needs(office: Office, settled: JSON, later: None) -> None:
    activity = office.activity(settled["room"]["id"], rrule="FREQ=DAILY", audience=[settled["organisation"]["id"]])
    twin = renew(office)[settled["kiosk"]]
    assert twin.version[0] == EPOCH
    assert twin.room is not None
    assert twin.room.number == settled["room"]["number"]
    assert twin.organisation is not None
    assert twin.organisation.timezone == "Asia/Shanghai"
    assert twin.occurrences[0].id.startswith(activity["id"])
    assert twin.occurrences[0].starts_at - twin.occurrences[0].opens_at == 1800 * 1_000_000
    assert 30 <= len(twin.occurrences) <= 31
    assert twin.occurrences_until is not None
    assert twin.occurrences_until > to_us(office.now() + timedelta(days=29))
    assert settled["card"]["key_id"] in {key.key_id for key in twin.issuer_keys}


def test_a_twin_is_new_only_when_its_document_is(office: Office, settled: JSON, later: None) -> None:
    first = renew(office)[settled["kiosk"]]
    assert renew(office) == {}
    with office.client() as client:
        body = {"organisation_id": settled["organisation"]["id"], "number": settled["room"]["number"], "name": "书画室"}
        client.put(f"/api/v1/rooms/{settled['room']['id']}", json=body, headers=etag(1))
    second = renew(office)
    assert set(second) == {settled["kiosk"]}
    assert second[settled["kiosk"]].version > first.version


def test_a_new_epoch_gives_every_terminal_a_new_twin(office: Office, settled: JSON) -> None:
    before = renew(office).get(settled["kiosk"])
    after = renew(office, EPOCH + 1)[settled["kiosk"]]
    assert after.version[0] == EPOCH + 1
    assert before is None or after.version > before.version
    renew(office)


def test_a_full_calendar_still_fits_and_says_from_when_it_is_cut(office: Office, settled: JSON) -> None:
    office.activity(settled["room"]["id"], rrule="FREQ=MINUTELY;INTERVAL=10", duration_s=600, title="满" * 120)
    twin = renew(office)[settled["kiosk"]]
    with office.client() as client:
        document = client.get(f"/api/v1/terminals/{settled['kiosk']}/twin").json()["document"]
    assert len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()) <= MAX_TWIN_BYTES
    assert twin.occurrences_until == twin.occurrences[-1].opens_at + 600 * 1_000_000


def test_the_roster_names_members_by_keyed_hashes_only(office: Office, settled: JSON, later: None) -> None:
    twin = renew(office)[settled["kiosk"]]
    assert twin.roster is not None
    answer = fetch(office, twin.roster.path, settled["kiosk"], settled["password"])
    assert answer.status_code == 200
    assert hashlib.sha256(answer.content).hexdigest() == twin.roster.sha256
    assert len(answer.content) == twin.roster.size
    head, entries = read_roster(answer.content.splitlines(keepends=True))
    found = {card: entry for entry in entries for card in entry.cards}
    entry = found[keyed_hash(bytes.fromhex(head.key), settled["card"]["id"])]
    assert entry.organisations == [settled["organisation"]["id"]]
    assert settled["member"]["display_name"] not in answer.text


def test_a_revoked_card_is_in_the_list_at_once(office: Office, settled: JSON) -> None:
    renew(office)
    with office.client() as client:
        path = f"/api/v1/credentials/{settled['card']['id']}/revocation"
        assert client.post(path, json={"reason": "lost"}).status_code == 200
    twin = renew(office)[settled["kiosk"]]
    assert twin.revocations is not None
    answer = fetch(office, twin.revocations.path, settled["kiosk"], settled["password"])
    head, revoked = read_revocations(answer.content.splitlines(keepends=True))
    assert settled["card"]["id"] in revoked
    assert head.epoch == EPOCH


def test_a_terminal_fetches_its_own_files_and_nothing_else(office: Office, settled: JSON, later: None) -> None:
    twin = renew(office)[settled["kiosk"]]
    assert twin.roster is not None
    other = office.terminal(settled["room"]["id"])
    unknown = f"/api/v1/terminals/{settled['kiosk']}/files/{'0' * 64}"
    cases = [
        (twin.roster.path, settled["kiosk"], "wrong-password", 401),
        (twin.roster.path, "nobody", settled["password"], 401),
        (twin.roster.path, other["terminal"]["id"], other["password"], 403),
        (unknown, settled["kiosk"], settled["password"], 404),
        ("/api/v1/members", settled["kiosk"], settled["password"], 401),
    ]
    for path, name, password, status in cases:
        assert fetch(office, path, name, password).status_code == status
    with office.client() as client:
        assert client.get(twin.roster.path).status_code == 401


def test_a_disabled_terminal_is_shut_out_until_it_is_enabled(office: Office, settled: JSON, later: None) -> None:
    twin = renew(office)[settled["kiosk"]]
    assert twin.roster is not None
    with office.client() as client:
        for action, version, status in (("disable", 1, 401), ("disable", 2, 401), ("enable", 2, 200)):
            path = f"/api/v1/terminals/{settled['kiosk']}/{action}"
            assert client.post(path, headers=etag(version)).status_code == 200
            answer = fetch(office, twin.roster.path, settled["kiosk"], settled["password"])
            assert answer.status_code == status


def test_a_new_password_replaces_the_old_one(office: Office, settled: JSON, later: None) -> None:
    twin = renew(office)[settled["kiosk"]]
    assert twin.roster is not None
    with office.client() as client:
        made = client.post(f"/api/v1/terminals/{settled['kiosk']}/password", headers=etag(1)).json()
    assert fetch(office, twin.roster.path, settled["kiosk"], settled["password"]).status_code == 401
    assert fetch(office, twin.roster.path, settled["kiosk"], made["password"]).status_code == 200


@pytest.mark.parametrize(
    ("method", "act", "body"),
    [
        ("PUT", "staff-pin", {"pin": "2468"}),
        ("POST", "password", None),
        ("POST", "disable", None),
        ("POST", "enable", None),
    ],
)
def test_secrets_and_standing_change_only_in_the_version_that_was_read(
    office: Office, settled: JSON, method: str, act: str, body: JSON | None
) -> None:
    path = f"/api/v1/terminals/{settled['kiosk']}/{act}"
    with office.client() as client:
        assert client.request(method, path, json=body).status_code == 428
        assert client.request(method, path, json=body, headers=etag(9)).status_code == 412
        assert client.request(method, path, json=body, headers=etag(1)).status_code == 200


def test_a_staff_pin_reaches_the_twin_as_a_hash_and_outlives_an_edit(office: Office, settled: JSON) -> None:
    path = f"/api/v1/terminals/{settled['kiosk']}"
    with office.client(Role.OPERATOR) as client:
        assert client.put(f"{path}/staff-pin", json={"pin": "2468"}, headers=etag(1)).json()["has_staff_pin"]
        body = {"room_id": settled["room"]["id"], "settings": {"language": "en"}}
        edited = client.put(path, json=body, headers=etag(2))
        assert edited.json()["has_staff_pin"]
        shown = client.get(f"{path}").text
    twin = renew(office)[settled["kiosk"]]
    assert twin.language == "en"
    assert twin.staff_pin_hash is not None
    assert twin.staff_pin_hash.startswith("$argon2id$")
    assert "argon2" not in shown
    with office.client(Role.OPERATOR) as client:
        assert "argon2" not in client.get(f"{path}/twin").text
        removed = client.put(f"{path}/staff-pin", json={"pin": None}, headers=etag(3))
        assert not removed.json()["has_staff_pin"]
    assert renew(office)[settled["kiosk"]].staff_pin_hash is None


def test_a_terminal_without_a_room_has_a_twin_that_says_so(office: Office) -> None:
    terminal_id = office.terminal(None)["terminal"]["id"]
    with office.client() as client:
        assert client.get(f"/api/v1/terminals/{terminal_id}/twin").status_code == 404
    twin = renew(office)[terminal_id]
    assert (twin.room, twin.roster, twin.occurrences) == (None, None, [])


def test_terminals_are_found_by_room_kind_and_number(office: Office, settled: JSON) -> None:
    with office.client() as client:

        def found(**query: str) -> list[str]:
            items = client.get("/api/v1/terminals", params=query).json()["items"]
            return [each["id"] for each in items]

        assert found(room_id=settled["room"]["id"]) == [settled["kiosk"]]
        assert found(search=settled["room"]["number"], kind="kiosk") == [settled["kiosk"]]
        assert found(room_id=settled["room"]["id"], kind="tv") == []
        assert found(room_id=settled["room"]["id"], presence="online") == []


def test_mosquittos_password_file_follows_and_keeps_foreign_users(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text(f"monitor:{hash_password('x')}\n")
    more: JSON = {"mosquitto_password_file": path, "mqtt_password": "cloud-secret"}
    with open_office(tmp_path, f"sqlite:///{tmp_path}/ledger.db", **more) as office:
        made = office.terminal(None)
        assert made["broker_users"] == "written"
        terminal_id = made["terminal"]["id"]
        assert set(read_password_file(path)) == {"monitor", "roomlink-cloud", terminal_id}
        with office.client() as client:
            client.post(f"/api/v1/terminals/{terminal_id}/disable", headers=etag(1))
            assert set(read_password_file(path)) == {"monitor", "roomlink-cloud"}
            path.write_text("not a password file")
            answer = client.post(f"/api/v1/terminals/{terminal_id}/enable", headers=etag(2))
    assert answer.json()["broker_users"] == "failed"


def marked(office: Office, terminal: str, mark: str, at: int) -> None:
    with transaction(office.engine) as session:
        alarm.mark(Bulk.of(session), {terminal: {mark}}, at)


def test_marks_carry_their_time_and_go_when_somebody_says_what_was_found(office: Office, settled: JSON) -> None:
    kiosk = settled["kiosk"]
    at = to_us(office.now())
    marked(office, kiosk, "fork", at)
    marked(office, kiosk, "fork", at + 1)
    with office.client(Role.VIEWER) as viewer, office.client(Role.OPERATOR) as operator:
        shown = viewer.get(f"/api/v1/terminals/{kiosk}").json()
        assert (shown["marks"], shown["marked_at"]) == (["fork"], at)
        seen = {"marks": shown["marks"], "reason": "its disk was copied"}
        assert viewer.post(f"/api/v1/terminals/{kiosk}/marks/seen", json=seen).status_code == 403
        assert operator.post(f"/api/v1/terminals/{kiosk}/marks/seen", json={"marks": ["fork"]}).status_code == 422
        marked(office, kiosk, "broken", at + 2)
        left = operator.post(f"/api/v1/terminals/{kiosk}/marks/seen", json=seen).json()
        assert (left["marks"], left["marked_at"]) == (["broken"], at + 2)
        again = operator.post(f"/api/v1/terminals/{kiosk}/marks/seen", json=seen)
        assert again.status_code == 409
        left = operator.post(f"/api/v1/terminals/{kiosk}/marks/seen", json=seen | {"marks": ["broken"]}).json()
        assert (left["marks"], left["marked_at"]) == ([], None)
    with office.client() as admin:
        noted = admin.get("/api/v1/audit", params={"limit": 200}).json()
    entries = [each for each in noted["items"] if each["action"] == "terminal.see_marks"]
    assert {"marks": ["fork"], "reason": "its disk was copied"} in [each["detail"] for each in entries]


@pytest.mark.parametrize("path", ["/terminals", "/terminals/export"])
def test_terminals_of_an_organisation_that_there_is_not_are_not_found(office: Office, path: str) -> None:
    with office.client() as client:
        answer = client.get(f"/api/v1{path}", params={"organisation_id": "org_0123456789abcdef"})
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:roomlink:problem:not-found")
