"""Alarms, rules and maintenance windows over HTTP, on both databases: what people do, and what is refused and how."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from cloud.accounts.service import Role
from cloud.alarms import ruling, service, windows
from cloud.alarms.evaluating import Evaluator
from cloud.alarms.service import SnoozeForm, Wanted
from cloud.audit.service import Change
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import Forbidden, Invalid, NotFound
from cloud.organisations import service as organisations
from cloud.paging import Paging
from cloud.scope import EVERYWHERE, Scope
from tests.office import JSON, Office

THRESHOLD: JSON = {
    "name": "磁盘",
    "kind": "threshold",
    "metric": "disk_percent",
    "compare": "above",
    "level": 70,
    "for_s": 60,
}
HOUR_US = 3_600_000_000


@pytest.fixture
def client(office: Office) -> Iterator[httpx.Client]:
    with office.client(Role.OPERATOR) as client:
        yield client


@pytest.fixture
def place(office: Office) -> JSON:
    """An organisation with a room and a terminal, beside the others of the module."""
    organisation = office.organisation()
    room = office.room(organisation["id"])
    terminal = office.terminal(room["id"])["terminal"]
    return {"organisation": organisation["id"], "room": room["id"], "terminal": terminal["id"]}


@pytest.fixture
def alarm(office: Office, place: JSON) -> str:
    """Of the one terminal that is offline; its id."""
    gone = to_us(office.now() - timedelta(minutes=10))
    with transaction(office.engine) as session:
        session.execute(text("UPDATE terminals SET presence = 'online' WHERE presence = 'offline'"))
        values = {"at": gone, "id": place["terminal"]}
        session.execute(text("UPDATE terminals SET presence = 'offline', presence_at = :at WHERE id = :id"), values)
    Evaluator(office.engine, office.now).turn()
    with transaction(office.engine, read_only=True) as session:
        query = text("SELECT alarm_id FROM alarm_members WHERE terminal_id = :id AND over_at IS NULL")
        return str(session.scalar(query, {"id": place["terminal"]}))


def post(client: httpx.Client, path: str, status: int = 201, **body: Any) -> JSON:
    answer = client.post(f"/api/v1{path}", json=body)
    assert answer.status_code == status, answer.text
    said: JSON = answer.json()
    return said


def branch(office: Office, organisation_id: str) -> Scope:
    with transaction(office.engine, read_only=True) as session:
        return Scope(organisations.get(session, EVERYWHERE, organisation_id).path)


def test_an_alarm_is_listed_told_acknowledged_commented_and_put_to_sleep(
    client: httpx.Client, office: Office, place: JSON, alarm: str
) -> None:
    listed = client.get("/api/v1/alarms", params={"state": "active", "terminal_id": place["terminal"]}).json()["items"]
    assert [(each["id"], each["acknowledged_at"], each["members"]) for each in listed] == [(alarm, None, 1)]
    story = client.get(f"/api/v1/alarms/{alarm}").json()
    assert (story["name_en"], story["severity"], [each["kind"] for each in story["events"]]) == (
        "Terminal offline",
        "critical",
        ["raised"],
    )
    assert story["todo"]
    members = client.get(f"/api/v1/alarms/{alarm}/members").json()["items"]
    assert [each["terminal_id"] for each in members] == [place["terminal"]]
    said = post(client, f"/alarms/{alarm}/acknowledgement", 200, comment="有人去看了")
    assert (said["acknowledged_by"].startswith("operator"), said["cleared_at"]) == (True, None)
    assert post(client, f"/alarms/{alarm}/acknowledgement", 409)["detail"].startswith("It was acknowledged already")
    post(client, f"/alarms/{alarm}/comments", 200, comment="The fuse was out.")
    until = to_us(office.now()) + HOUR_US
    assert post(client, f"/alarms/{alarm}/snooze", 200, until_at=until)["snoozed_until_at"] == until
    assert post(client, f"/alarms/{alarm}/snooze", 200, until_at=None)["snoozed_until_at"] is None
    kinds = [each["kind"] for each in client.get(f"/api/v1/alarms/{alarm}").json()["events"]]
    assert kinds == ["woken", "snoozed", "commented", "acknowledged", "raised"]
    with office.client() as admin:
        audit = admin.get("/api/v1/audit", params={"subject": alarm}).json()["items"]
    assert [each["action"] for each in audit] == ["alarm.wake", "alarm.snooze", "alarm.comment", "alarm.acknowledge"]


def test_filters_leave_out_what_is_not_asked_for(client: httpx.Client, place: JSON, alarm: str) -> None:
    def ids(**query: Any) -> set[str]:
        return {each["id"] for each in client.get("/api/v1/alarms", params={"limit": 200, **query}).json()["items"]}

    assert alarm in ids() & ids(acknowledged=False) & ids(severity="critical")
    assert alarm not in ids(state="cleared") | ids(acknowledged=True) | ids(severity="info") | ids(
        terminal_id="kiosk-none"
    )
    rule = client.get(f"/api/v1/alarms/{alarm}").json()["rule_id"]
    assert alarm in ids(rule_id=rule)


def test_a_snooze_into_the_past_or_too_far_is_refused(client: httpx.Client, office: Office, alarm: str) -> None:
    for until in (to_us(office.now()) - 1, to_us(office.now() + timedelta(days=31))):
        assert post(client, f"/alarms/{alarm}/snooze", 422, until_at=until)["faults"][0]["where"] == "body.until_at"


def test_a_cleared_alarm_cannot_be_put_to_sleep_but_acknowledged(
    client: httpx.Client, office: Office, place: JSON, alarm: str
) -> None:
    with transaction(office.engine) as session:
        session.execute(text("UPDATE terminals SET presence = 'online' WHERE id = :id"), {"id": place["terminal"]})
    Evaluator(office.engine, office.now).turn()
    assert client.get(f"/api/v1/alarms/{alarm}").json()["cleared_why"] == "well"
    post(client, f"/alarms/{alarm}/snooze", 409, until_at=to_us(office.now()) + HOUR_US)
    assert post(client, f"/alarms/{alarm}/acknowledgement", 200)["acknowledged_by"].startswith("operator")


def test_nobody_sees_alarms_of_another_branch_nor_acts_beyond_the_own(office: Office, place: JSON, alarm: str) -> None:
    here, elsewhere = branch(office, place["organisation"]), branch(office, office.organisation()["id"])
    other = office.terminal(office.room(office.organisation()["id"])["id"])["terminal"]["id"]
    change = Change("anna", office.now())
    with transaction(office.engine) as session:
        assert service.get(session, here, alarm).id == alarm
        assert service.count_active(session, elsewhere) == 0
        assert service.list_alarms(session, elsewhere, Paging(), Wanted()).rows == []
        with pytest.raises(NotFound):
            service.get(session, elsewhere, alarm)
        assert service.snooze(session, change, here, alarm, SnoozeForm(until_at=None)).id == alarm
        row = {"a": alarm, "t": other}
        session.execute(text("INSERT INTO alarm_members SELECT alarm_id, :t, rule_id, since_at, raised_at, over_at, value "
                             "FROM alarm_members WHERE alarm_id = :a"), row)  # fmt: skip
        session.flush()
        with pytest.raises(Forbidden):
            service.snooze(session, change, here, alarm, SnoozeForm(until_at=None))
        assert [each.terminal_id for each in service.members(session, here, alarm, Paging()).rows] == [
            place["terminal"]
        ]
        assert service.list_alarms(session, here, Paging(), Wanted(terminal_id=other)).rows == []
        session.rollback()


def test_a_rule_is_tried_made_changed_and_taken_away(client: httpx.Client, office: Office, place: JSON) -> None:
    body = {**THRESHOLD, "organisation_id": place["organisation"]}
    tried = post(client, "/alarm-rules/preview", 200, **body)
    assert (tried["terminals"], tried["of"] > 1) == (1, True)
    made = post(client, "/alarm-rules", **body)
    assert (made["clear_level"], made["name_en"], made["version"]) == (70.0, "磁盘", 1)
    path = f"/api/v1/alarm-rules/{made['id']}"
    read = client.get(path)
    assert read.headers["etag"] == '"1"'
    changed = client.put(path, json={**body, "level": 80}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["level"]) == (200, 80.0)
    assert client.put(path, json=body, headers={"If-Match": '"1"'}).status_code == 412
    assert made["id"] in {
        each["id"] for each in client.get("/api/v1/alarm-rules", params={"limit": 200}).json()["items"]
    }
    assert client.delete(path, headers={"If-Match": '"2"'}).status_code == 204
    assert client.get(path).status_code == 404
    with office.client() as admin:
        audit = admin.get("/api/v1/audit", params={"subject": made["id"]}).json()["items"]
    assert [each["action"] for each in audit] == ["alarm_rule.delete", "alarm_rule.edit", "alarm_rule.create"]
    assert audit[1]["before"]["level"] == 70


@pytest.mark.parametrize(
    ("changed", "where", "says"),
    [
        ({"metric": "disk_precent"}, "metric", "there is no metric 'disk_precent'; there are: answer_ms, camera_fps, clock_off"),
        ({"metric": "camera_fps", "terminal_kind": "tv"}, "metric", "there is no metric 'camera_fps'"),
        ({"metric": None}, "metric", "is needed"),
        ({"level": None}, "level", "is needed"),
        ({"level": 170}, "level", "disk_percent lies between 0 and 100"),
        ({"clear_level": 90}, "clear_level", "must not lie above the level"),
        ({"compare": "below", "clear_level": 10}, "clear_level", "must not lie below the level"),
        ({"days": 3}, "days", "is not used by a rule of the kind threshold"),
        ({"kind": "rate"}, "metric", "there is no counter metric 'disk_percent'; there are: network_errors, uptime_s"),
        ({"kind": "trend"}, "days", "is needed"),
        ({"kind": "trend", "days": 7, "metric": "uptime_s"}, "metric", "there is no gauge metric"),
        ({"kind": "trend", "days": 7, "metric": "network_up", "level": 1}, "metric", "network_up is only 0 or 1"),
        ({"kind": "absence", "metric": None, "compare": None, "level": None, "for_s": 5}, "for_s", "must be 30 at least"),
        ({"kind": "mark", "metric": None, "compare": None, "level": None, "mark": "x"}, "mark", "there is no mark 'x';"),
        ({"everywhere": False, "organisation_id": None}, "everywhere", "must be true: the rule is about every terminal"),
        ({"organisation_id": "org_0000000000000000"}, "organisation_id", "there is no organisation"),
        ({"for_s": -1}, "for_s", "greater than or equal to 0"),
        ({"severity": "loud"}, "severity", "'critical', 'warning' or 'info'"),
        ({"level": "NaN"}, "level", "finite"),
        ({"colour": "red"}, "colour", "not permitted"),
    ],
)  # fmt: skip
def test_a_rule_that_is_not_right_is_refused_with_what_and_where(
    client: httpx.Client, place: JSON, changed: JSON, where: str, says: str
) -> None:
    body = {**THRESHOLD, "organisation_id": place["organisation"], **changed}
    refused = post(client, "/alarm-rules", 422, **{name: value for name, value in body.items() if value is not None})
    faults = {each["where"]: each["says"] for each in refused["faults"]}
    assert says in faults[f"body.{where}"], faults


def test_a_rule_about_every_terminal_must_say_so(client: httpx.Client, place: JSON) -> None:
    made = post(client, "/alarm-rules", **(THRESHOLD | {"everywhere": True}))
    assert made["organisation_id"] is None
    client.delete(f"/api/v1/alarm-rules/{made['id']}", headers={"If-Match": '"1"'})


def test_the_metrics_that_rules_may_name_are_told(client: httpx.Client) -> None:
    found = {each["name"]: each for each in client.get("/api/v1/alarm-metrics").json()}
    assert {"disk_percent", "camera_fps", "uptime_s"} <= found.keys()
    assert (found["disk_percent"]["unit"], found["uptime_s"]["kind"]) == ("%", "counter")


def test_rules_of_a_branch_stay_in_it(office: Office, place: JSON) -> None:
    here, elsewhere = branch(office, place["organisation"]), branch(office, office.organisation()["id"])
    change = Change("anna", office.now())
    form = ruling.RuleForm.model_validate({**THRESHOLD, "room_id": place["room"]})
    with transaction(office.engine) as session:
        rule = ruling.create(session, change, here, form)
        assert rule.id in {each.id for each in ruling.all_rules(session, here)}
        assert rule.id not in {each.id for each in ruling.all_rules(session, elsewhere)}
        with pytest.raises(NotFound):
            ruling.get(session, elsewhere, rule.id)
        built_in = ruling.get(session, here, "alr_0000000000000001")  # it concerns everybody
        with pytest.raises(Forbidden):
            ruling.delete(session, change, here, built_in.id, built_in.version)
        with pytest.raises(Invalid):
            ruling.create(session, change, here, ruling.RuleForm.model_validate({**THRESHOLD, "everywhere": True}))
        session.rollback()


def test_a_maintenance_window_is_made_listed_and_ended(client: httpx.Client, office: Office, place: JSON) -> None:
    now = to_us(office.now())
    body: JSON = {"room_id": place["room"], "starts_at": now, "ends_at": now + HOUR_US, "reason": "Painters"}
    made = post(client, "/maintenance-windows", **body)
    later = post(client, "/maintenance-windows", **(body | {"starts_at": now + HOUR_US, "ends_at": now + 2 * HOUR_US}))
    assert made["made_by"].startswith("operator")
    on = [each["id"] for each in client.get("/api/v1/maintenance-windows").json()["items"]]
    assert {made["id"], later["id"]} <= set(on)
    for each in (made, later):
        assert client.delete(f"/api/v1/maintenance-windows/{each['id']}").status_code == 204
    assert client.delete(f"/api/v1/maintenance-windows/{made['id']}").status_code == 409
    assert client.delete(f"/api/v1/maintenance-windows/{later['id']}").status_code == 404
    over = {each["id"] for each in client.get("/api/v1/maintenance-windows", params={"over": True}).json()["items"]}
    assert made["id"] in over
    assert later["id"] not in over


@pytest.mark.parametrize(
    ("changed", "where"),
    [
        ({"ends": -1}, "ends_at"),
        ({"ends": 31 * 24}, "ends_at"),
        ({"room_id": None}, "everywhere"),
        ({"everywhere": True}, "everywhere"),
        ({"room_id": None, "organisation_id": "org_0000000000000000"}, "organisation_id"),
        ({"reason": "x"}, "reason"),
    ],
)
def test_a_window_that_is_not_right_is_refused(
    client: httpx.Client, office: Office, place: JSON, changed: JSON, where: str
) -> None:
    now = to_us(office.now())
    body = {
        "room_id": place["room"],
        "starts_at": now,
        "ends_at": now + changed.get("ends", 1) * HOUR_US,
        "reason": "Painters",
    }
    told = {name: value for name, value in (body | changed).items() if value is not None and name != "ends"}
    refused = post(client, "/maintenance-windows", 422, **told)
    assert refused["faults"][0]["where"] == f"body.{where}"


def test_windows_of_a_branch_stay_in_it(office: Office, place: JSON) -> None:
    here, elsewhere = branch(office, place["organisation"]), branch(office, office.organisation()["id"])
    change, now = Change("anna", office.now()), office.now()
    form = windows.WindowForm.model_validate({"terminal_id": place["terminal"], "starts_at": to_us(now),
                                              "ends_at": to_us(now) + HOUR_US, "reason": "Painters"})  # fmt: skip
    with transaction(office.engine) as session:
        made = windows.create(session, change, here, form)
        assert windows.list_windows(session, here, Paging(), now).rows == [made]
        assert windows.list_windows(session, elsewhere, Paging(), now).rows == []
        with pytest.raises(NotFound):
            windows.end(session, change, elsewhere, made.id)
        over_all = windows.create(
            session, change, EVERYWHERE, form.model_copy(update={"terminal_id": None, "everywhere": True})
        )
        with pytest.raises(Forbidden):
            windows.end(session, change, here, over_all.id)
        assert [each.id for each in windows.of_terminal(session, place["terminal"], place["room"], here.path, now)]
        session.rollback()


def test_there_may_be_only_so_many(
    client: httpx.Client, office: Office, place: JSON, alarm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ruling, "MOST_RULES", 16)
    monkeypatch.setattr(windows, "MOST_WINDOWS", 0)
    monkeypatch.setattr(service, "MOST_COMMENTS", 1)
    assert "16 rules" in post(client, "/alarm-rules", 409, **(THRESHOLD | {"room_id": place["room"]}))["detail"]
    now = to_us(office.now())
    window = {"room_id": place["room"], "starts_at": now, "ends_at": now + HOUR_US, "reason": "Painters"}
    assert client.post("/api/v1/maintenance-windows", json=window).status_code == 409
    post(client, f"/alarms/{alarm}/comments", 200, comment="The first")
    post(client, f"/alarms/{alarm}/comments", 409, comment="The second")
