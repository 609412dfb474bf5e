"""Receivers and notifications over HTTP, on both databases: what people set up, and what is refused and how."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from cloud.accounts.service import Role
from cloud.alarms.evaluating import Evaluator
from cloud.clock import to_us
from cloud.database import transaction
from cloud.notifications.carrying import carrier_of
from cloud.notifications.sending import Notifier
from tests.mail_server import SENDER, Mailbox
from tests.office import JSON, Office, etag, hire_in, open_office
from tests.process import HOST, wait_until
from tests.servers import PostgresServer
from tests.webhook_receiver import Hook


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as mailbox:
        yield mailbox


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def office(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, mailbox: Mailbox
) -> Iterator[Office]:
    """The API with a mail server, and webhooks allowed on loopback."""
    folder = tmp_path_factory.mktemp("office")
    more: dict[str, Any] = {
        "smtp_host": HOST,
        "smtp_port": mailbox.port,
        "smtp_from": SENDER,
        "webhook_allow": "127.0.0.0/8",
    }
    if request.param == "sqlite":
        with open_office(folder, f"sqlite:///{folder}/ledger.db", **more) as office:
            yield office
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    url = postgres.create_database()
    with open_office(folder, url, **more) as office:
        yield office
    postgres.drop_database(url.rpartition("/")[2])


@pytest.fixture
def client(office: Office) -> Iterator[httpx.Client]:
    with office.client(Role.OPERATOR) as client:
        yield client


@pytest.fixture
def hook() -> Iterator[Hook]:
    with Hook() as hook:
        yield hook


def post(client: httpx.Client, path: str, status: int = 201, **body: Any) -> JSON:
    answer = client.post(f"/api/v1{path}", json=body)
    assert answer.status_code == status, answer.text
    said: JSON = answer.json()
    return said


def mail(**more: Any) -> JSON:
    return {"name": "值班室", "kind": "email", "address": "desk@example.org", **more}


def test_a_receiver_is_made_read_changed_and_taken_away(client: httpx.Client, office: Office) -> None:
    made = post(client, "/receivers", **mail(quiet_from="22:00", quiet_until="07:00"))
    receiver = made["receiver"]
    assert (made["secret"], receiver["version"], receiver["what"]) == (None, 1, ["raised", "reopened", "cleared"])
    path = f"/api/v1/receivers/{receiver['id']}"
    assert client.get(path).headers["etag"] == '"1"'
    changed = client.put(path, json=mail(after_minutes=15), headers=etag(1))
    assert (changed.status_code, changed.json()["after_minutes"], changed.json()["quiet_from"]) == (200, 15, None)
    assert client.put(path, json=mail(), headers=etag(1)).status_code == 412
    assert client.put(path, json=mail(kind="webhook", address="https://127.0.0.1/"), headers=etag(2)).status_code == 409
    assert receiver["id"] in {each["id"] for each in client.get("/api/v1/receivers").json()["items"]}
    assert client.delete(path, headers=etag(2)).status_code == 204
    assert client.get(path).status_code == 404
    with office.client() as admin:
        audit = admin.get("/api/v1/audit", params={"subject": receiver["id"]}).json()["items"]
    assert [each["action"] for each in audit] == ["receiver.delete", "receiver.edit", "receiver.create"]
    assert "desk@" not in str(audit)


def test_a_receiver_whose_rule_was_deleted_can_be_changed_and_is_not_told_of_all(client: httpx.Client) -> None:
    rule = post(client, "/alarm-rules", name="离线", kind="absence", for_s=60, everywhere=True)
    receiver = post(client, "/receivers", **mail(rule_ids=[rule["id"]]))["receiver"]
    client.delete(f"/api/v1/alarm-rules/{rule['id']}", headers=etag(1)).raise_for_status()
    path = f"/api/v1/receivers/{receiver['id']}"
    changed = client.put(path, json=mail(rule_ids=[rule["id"]], enabled=False), headers=etag(1))
    assert (changed.status_code, changed.json()["rule_ids"]) == (200, [rule["id"]])
    assert client.put(path, json=mail(rule_ids=["alr_ffffffffffffffff"]), headers=etag(2)).status_code == 422
    assert client.put(path, json=mail(), headers=etag(2)).status_code == 200
    assert client.put(path, json=mail(rule_ids=[rule["id"]]), headers=etag(3)).status_code == 422


def test_a_webhook_whose_host_is_gone_can_be_switched_off_and_not_on(
    client: httpx.Client, office: Office, hook: Hook
) -> None:
    made = post(client, "/receivers", name="群", kind="webhook", address=hook.url)["receiver"]
    path, gone = f"/api/v1/receivers/{made['id']}", "https://nowhere.invalid/"
    off = {"name": "群", "kind": "webhook", "address": gone, "enabled": False}
    assert client.put(path, json=off, headers=etag(1)).status_code == 200
    assert client.put(path, json={**off, "enabled": True}, headers=etag(2)).status_code == 422
    assert client.put(path, json={**off, "address": "ftp://x/"}, headers=etag(2)).status_code == 422


def test_a_webhooks_secret_is_told_once_and_can_be_renewed(client: httpx.Client, hook: Hook) -> None:
    made = post(client, "/receivers", name="群", kind="webhook", address=hook.url)
    receiver_id, secret = made["receiver"]["id"], made["secret"]
    assert secret.startswith("whsec_")
    assert "secret" not in client.get(f"/api/v1/receivers/{receiver_id}").text
    new = post(client, f"/receivers/{receiver_id}/secret", 200)["secret"]
    assert new != secret
    assert post(client, f"/receivers/{receiver_id}/test", 200) == {"delivered": True, "failure": None}
    (request,) = hook.taken
    assert (request.is_signed_by(secret), request.is_signed_by(new)) == (True, True)
    by_mail = post(client, "/receivers", **mail())["receiver"]["id"]
    assert post(client, f"/receivers/{by_mail}/secret", 409)["detail"] == "Only a webhook has a secret."


def test_a_test_says_what_came_of_it_and_the_receiver_keeps_it(
    client: httpx.Client, office: Office, mailbox: Mailbox
) -> None:
    receiver_id = post(client, "/receivers", **mail(language="en"))["receiver"]["id"]
    mailbox.answers = ["550 nobody of that name"]
    said = post(client, f"/receivers/{receiver_id}/test", 200)
    assert said == {"delivered": False, "failure": "The mail server refused it (550)."}
    again = client.post(f"/api/v1/receivers/{receiver_id}/test")
    assert (again.status_code, again.headers["retry-after"]) == (429, "10")
    office.shift += timedelta(seconds=11)
    assert post(client, f"/receivers/{receiver_id}/test", 200)["delivered"]
    assert mailbox.subjects[-1] == "[Roomlink] Test"
    receiver = client.get(f"/api/v1/receivers/{receiver_id}").json()
    assert receiver["succeeded_at"] > receiver["failed_at"]
    assert receiver["failure"] == "The mail server refused it (550)."


@pytest.mark.parametrize(
    ("changed", "where", "says"),
    [
        ({"address": "desk"}, "address", "is not an e-mail address"),
        ({"address": "a@b\nBcc: c@d"}, "address", "is not an e-mail address"),
        ({"address": "a@example.org,b@example.org"}, "address", "is not an e-mail address"),
        ({"kind": "webhook", "address": "http://169.254.169.254/"}, "address", "that is not public"),
        ({"kind": "webhook", "address": "https://localhost.invalid/"}, "address", "cannot be found"),
        ({"severity": "loud"}, "severity", "'critical', 'warning' or 'info'"),
        ({"what": []}, "what", "at least 1 item"),
        ({"what": ["escalated"]}, "what", "told after a while"),
        ({"after_minutes": -1}, "after_minutes", "greater than or equal to 0"),
        ({"quiet_from": "22:00"}, "quiet_until", "both"),
        ({"quiet_from": "25:00", "quiet_until": "07:00"}, "quiet_from", "pattern"),
        ({"quiet_from": "08:00", "quiet_until": "08:00"}, "quiet_until", "quiet always"),
        ({"timezone": "Mars/Olympus"}, "timezone", "time zone"),
        ({"rule_ids": ["alr_ffffffffffffffff"]}, "rule_ids", "there is no rule"),
        ({"organisation_id": "org_0000000000000000"}, "organisation_id", "there is no organisation"),
        ({"secret": "whsec_x"}, "secret", "not permitted"),
    ],
)
def test_a_receiver_that_is_not_right_is_refused_field_by_field(
    client: httpx.Client, changed: JSON, where: str, says: str
) -> None:
    faults = post(client, "/receivers", 422, **mail(**changed))["faults"]
    assert any(each["where"].split(".")[1] == where and says in each["says"] for each in faults), faults


def test_a_branch_sees_and_makes_its_own_receivers_only(office: Office) -> None:
    here, there = office.organisation()["id"], office.organisation()["id"]
    tokens = hire_in(office, here)
    with office.client(token=tokens[Role.OPERATOR]) as client, office.client() as admin:
        own = post(client, "/receivers", **mail(organisation_id=here))["receiver"]
        post(client, "/receivers", 422, **mail())
        post(client, "/receivers", 422, **mail(organisation_id=there))
        other = post(admin, "/receivers", **mail(organisation_id=there))["receiver"]
        whole = post(admin, "/receivers", **mail())["receiver"]
        assert [each["id"] for each in client.get("/api/v1/receivers").json()["items"]] == [own["id"]]
        for foreign in (other, whole):
            path = f"/api/v1/receivers/{foreign['id']}"
            assert client.get(path).status_code == 404
            assert client.put(path, json=mail(organisation_id=here), headers=etag(1)).status_code == 404
            assert client.delete(path, headers=etag(1)).status_code == 404
            assert client.post(f"{path}/test").status_code == 404
            assert client.post(f"{path}/secret").status_code == 404


def test_a_dead_letter_is_listed_with_why_and_sent_again(client: httpx.Client, office: Office, hook: Hook) -> None:
    organisation = office.organisation()["id"]
    terminal = office.terminal(office.room(organisation)["id"])["terminal"]["id"]
    made = post(client, "/receivers", name="群", kind="webhook", address=hook.url, organisation_id=organisation)
    hook.answers = [(404, {})]
    with transaction(office.engine) as session:
        gone = {"at": to_us(office.now() - timedelta(minutes=10)), "id": terminal}
        session.execute(text("UPDATE terminals SET presence = 'offline', presence_at = :at WHERE id = :id"), gone)
    Evaluator(office.engine, office.now).turn()
    notifier = Notifier(office.engine, office.now, carrier_of(office.settings).carry)

    def settled(state: str) -> bool:
        notifier.turn()
        asked = {"state": state, "receiver_id": made["receiver"]["id"]}
        return bool(client.get("/api/v1/notifications", params=asked).json()["items"])

    assert wait_until(lambda: settled("dead"))
    (dead,) = client.get("/api/v1/notifications", params={"state": "dead"}).json()["items"]
    assert (dead["what"], dead["why"], dead["attempts"]) == ("raised", "Answered 404.", 1)
    assert client.get("/metrics").status_code == 200
    with office.client(Role.VIEWER) as viewer:
        assert "roomlink_notifications_dead 1.0" in viewer.get("/metrics").text
    with office.client(token=hire_in(office, office.organisation()["id"])[Role.OPERATOR]) as stranger:
        assert stranger.get("/api/v1/notifications").json()["items"] == []
        assert stranger.post(f"/api/v1/notifications/{dead['id']}/resend").status_code == 404
    assert post(client, f"/notifications/{dead['id']}/resend", 200)["state"] == "waiting"
    assert wait_until(lambda: settled("delivered"))
    assert [each.message_id for each in hook.taken] == [dead["message_id"]] * 2
    assert post(client, f"/notifications/{dead['id']}/resend", 409)["detail"] == "It was not given up."


def test_what_a_deleted_receiver_was_told_stays_in_its_branch_and_holds_up_nobody(office: Office) -> None:
    organisation = office.organisation()
    tokens = hire_in(office, office.organisation(parent_id=organisation["id"])["id"])
    branch = office.organisation(parent_id=organisation["id"])
    own = hire_in(office, branch["id"])[Role.OPERATOR]
    with (
        office.client(token=own) as client,
        office.client(token=tokens[Role.OPERATOR]) as stranger,
        office.client() as admin,
    ):
        receiver = post(client, "/receivers", **mail(organisation_id=branch["id"]))["receiver"]
        with transaction(office.engine) as session:
            session.execute(text(
                "INSERT INTO notifications (receiver_id, alarm_id, what, event_id, at, state, due_at, held, asked, attempts, "
                "message_id) VALUES (:id, 'alm_1', 'raised', 1, 0, 'dead', 0, FALSE, FALSE, 8, 'msg_1')"
            ), {"id": receiver["id"]})  # fmt: skip
        client.delete(f"/api/v1/receivers/{receiver['id']}", headers=etag(1)).raise_for_status()
        asked = {"receiver_id": receiver["id"]}
        (left,) = client.get("/api/v1/notifications", params=asked).json()["items"]
        assert (left["state"], left["why"]) == ("dropped", "The receiver was switched off or deleted.")
        assert stranger.get("/api/v1/notifications", params=asked).json()["items"] == []
        assert len(admin.get("/api/v1/notifications", params=asked).json()["items"]) == 1
    other = office.organisation()
    with office.client() as admin:
        gone = post(admin, "/receivers", **mail(organisation_id=other["id"]))["receiver"]
        assert admin.delete(f"/api/v1/organisations/{other['id']}", headers=etag(1)).status_code == 409
        admin.delete(f"/api/v1/receivers/{gone['id']}", headers=etag(1)).raise_for_status()
        assert admin.delete(f"/api/v1/organisations/{other['id']}", headers=etag(1)).status_code == 204


def test_without_a_mail_server_no_mail_receiver_is_made(
    office: Office, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bare")
    with open_office(folder, f"sqlite:///{folder}/ledger.db") as bare, bare.client() as admin:
        assert "ROOMLINK_SMTP_HOST" in post(admin, "/receivers", 409, **mail())["detail"]
