"""Activities, occurrences and attendance over HTTP."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.accounts.service import Role
from cloud.activities import service as activities
from cloud.attendance import service as attendance
from cloud.attendance.models import Attendance
from cloud.clock import to_us
from cloud.database import transaction
from cloud.paging import Paging
from cloud.scope import EVERYWHERE
from tests.office import JSON, Office, etag


def occurrences(office: Office, activity: JSON) -> list[JSON]:
    with office.client() as client:
        query = {"activity_id": activity["id"], "limit": 200}
        items: list[JSON] = client.get("/api/v1/occurrences", params=query).json()["items"]
    return items


def test_an_activity_has_its_occurrences_named_by_their_start(office: Office) -> None:
    room = office.room(office.organisation()["id"])
    starts_at = datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC)  # one second past 32 bits
    activity = office.activity(room["id"], starts_at=to_us(starts_at))
    only = occurrences(office, activity)
    assert [each["id"] for each in only] == [f"{activity['id']}/20380119T031408Z"]
    assert only[0]["ends_at"] - only[0]["starts_at"] == 3600 * 1_000_000


def test_a_weekly_activity_is_expanded_sixty_days_ahead_and_then_further(office: Office) -> None:
    room = office.room(office.organisation()["id"])
    activity = office.activity(room["id"], rrule="FREQ=WEEKLY")
    first = occurrences(office, activity)
    assert len(first) == 9
    office.shift = timedelta(days=30)
    try:
        with transaction(office.engine) as session:
            assert activities.expand_due(session, office.now()) >= 1
        with transaction(office.engine) as session:
            assert activities.expand_due(session, office.now()) == 0
    finally:
        office.shift = timedelta(0)
    again = occurrences(office, activity)
    assert again[: len(first)] == first
    assert len(again) in {13, 14}


def test_an_edit_moves_what_is_to_come_and_leaves_what_has_begun(office: Office) -> None:
    room = office.room(office.organisation()["id"])
    begun = to_us(office.now().replace(microsecond=0) - timedelta(minutes=10))
    activity = office.activity(room["id"], starts_at=begun, rrule="FREQ=DAILY;COUNT=3")
    before = occurrences(office, activity)
    later = begun + 2 * 3_600_000_000
    body = {
        "room_id": room["id"],
        "title": "太极",
        "starts_at": later,
        "duration_s": 3600,
        "rrule": "FREQ=DAILY;COUNT=3",
    }
    with office.client(Role.OPERATOR) as client:
        answer = client.put(f"/api/v1/activities/{activity['id']}", json=body, headers=etag(1))
    assert answer.status_code == 200
    after = [each["starts_at"] for each in occurrences(office, activity)]
    day = 86_400_000_000
    assert after == [before[0]["starts_at"], later, later + day, later + 2 * day]


def test_an_edit_leaves_a_cancelled_date_cancelled(office: Office) -> None:
    room = office.room(office.organisation()["id"])
    first = to_us(office.now().replace(microsecond=0) + timedelta(days=1))
    activity = office.activity(room["id"], starts_at=first, rrule="FREQ=DAILY;COUNT=3")
    off = occurrences(office, activity)[1]["id"]
    body = {
        "room_id": room["id"],
        "title": "太极，改了名字",
        "starts_at": first,
        "duration_s": 7200,
        "rrule": "FREQ=DAILY;COUNT=3",
    }
    with office.client(Role.OPERATOR) as client:
        assert client.delete(f"/api/v1/occurrences/{off}").status_code == 200
        assert client.put(f"/api/v1/activities/{activity['id']}", json=body, headers=etag(1)).status_code == 200
    after = occurrences(office, activity)
    assert [each["id"] for each in after if each["cancelled_at"] is not None] == [off]
    assert [each["ends_at"] - each["starts_at"] for each in after] == [7_200_000_000] * 3


def test_cancelling_keeps_what_has_been(office: Office) -> None:
    room = office.room(office.organisation()["id"])
    begun = to_us(office.now() - timedelta(hours=2))
    activity = office.activity(room["id"], starts_at=begun, rrule="FREQ=DAILY;COUNT=3")
    path = f"/api/v1/activities/{activity['id']}"
    with office.client() as client:
        assert client.delete(path, headers=etag(1)).json()["cancelled_at"] is not None
        assert client.delete(path, headers=etag(1)).status_code == 200
        body = {"room_id": room["id"], "title": "x", "starts_at": begun, "duration_s": 3600}
        assert client.put(path, json=body, headers=etag(2)).status_code == 409
    assert [each["cancelled_at"] is None for each in occurrences(office, activity)] == [True, False, False]


def test_one_date_can_be_cancelled_unless_it_is_over(office: Office) -> None:
    room = office.room(office.organisation()["id"])
    begun = to_us(office.now() - timedelta(hours=2))
    activity = office.activity(room["id"], starts_at=begun, rrule="FREQ=DAILY;COUNT=2")
    past, coming = occurrences(office, activity)
    with office.client() as client:
        assert client.delete(f"/api/v1/occurrences/{past['id']}").status_code == 409
        first = client.delete(f"/api/v1/occurrences/{coming['id']}").json()
        assert client.delete(f"/api/v1/occurrences/{coming['id']}").json() == first
        assert client.get(f"/api/v1/occurrences/{activity['id']}/20200101T000000Z").status_code == 404


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("rrule", "FREQ=SECONDLY", "FREQ"),
        ("rrule", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "no such day"),
        ("rrule", "DTSTART:20260101T000000Z", "a rule is like"),
        ("timezone", "Mars/Olympus", "time zone"),
        ("timezone", "../etc/passwd", "pattern"),
        ("duration_s", 10, "300"),
        ("starts_at", "2026-06-30T23:59:60Z", "microseconds"),
        ("starts_at", 1.5, "microseconds"),
        ("starts_at", True, "microseconds"),
        ("starts_at", 253_402_300_800_000_000, "microseconds"),
        ("audience", ["org_0000000000000000"], "no organisation"),
    ],
)
def test_a_wrong_field_is_named(office: Office, field: str, value: object, says: str) -> None:
    room = office.room(office.organisation()["id"])
    body = {"room_id": room["id"], "title": "x", "starts_at": 0, "duration_s": 3600, field: value}
    with office.client() as client:
        answer = client.post("/api/v1/activities", json=body)
    assert answer.status_code == 422
    fault = answer.json()["faults"][0]
    assert field in fault["where"]
    assert says in fault["says"]


@pytest.mark.parametrize(("starts_at", "status"), [(0, 201), (253_402_300_799_999_999, 422)])
def test_the_first_instant_is_taken_and_the_last_is_no_time_for_an_activity(
    office: Office, starts_at: int, status: int
) -> None:
    room = office.room(office.organisation()["id"])
    with office.client() as client:
        body = {"room_id": room["id"], "title": "x", "starts_at": starts_at, "duration_s": 3600}
        answer = client.post("/api/v1/activities", json=body)
    assert answer.status_code == status


def attended(office: Office) -> tuple[JSON, JSON]:
    """An occurrence and a member, as yet apart."""
    organisation = office.organisation()
    activity = office.activity(office.room(organisation["id"])["id"])
    return occurrences(office, activity)[0], office.member(organisation["id"])


def correct(office: Office, kind: str, occurrence: JSON, member: JSON) -> int:
    body = {"kind": kind, "occurrence_id": occurrence["id"], "member_id": member["id"], "reason": "the desk saw it"}
    with office.client(Role.OPERATOR) as client:
        return client.post("/api/v1/corrections", json=body).status_code


def present(office: Office, occurrence: JSON) -> list[JSON]:
    with office.client(Role.VIEWER) as client:
        answer = client.get("/api/v1/attendance", params={"occurrence_id": occurrence["id"]})
    items: list[JSON] = answer.json()["items"]
    return items


def test_a_correction_adds_and_another_takes_away_and_both_remain(office: Office) -> None:
    occurrence, member = attended(office)
    assert correct(office, "attendance_remove", occurrence, member) == 409
    assert correct(office, "attendance_add", occurrence, member) == 201
    assert correct(office, "attendance_add", occurrence, member) == 409
    shown = present(office, occurrence)
    assert [(each["member_name"], each["method"]) for each in shown] == [(member["display_name"], "correction")]
    assert correct(office, "attendance_remove", occurrence, member) == 201
    assert present(office, occurrence) == []
    with office.client() as client:
        entries = client.get("/api/v1/corrections", params={"member_id": member["id"]}).json()["items"]
    assert [each["kind"] for each in entries] == ["attendance_remove", "attendance_add"]
    assert {each["who"] for each in entries} == {"operator-1/test"}


def test_corrections_come_out_the_same_when_applied_again(office: Office) -> None:
    occurrence, member = attended(office)
    other = office.member(member["organisation_id"])
    with transaction(office.engine) as session:
        for each in (member, other):
            session.add(_checked_in(office, occurrence, each))
    assert correct(office, "attendance_remove", occurrence, member) == 201
    late = office.member(member["organisation_id"])
    assert correct(office, "attendance_add", occurrence, late) == 201
    before = present(office, occurrence)
    with transaction(office.engine) as session:
        for row in session.query(Attendance).filter(Attendance.occurrence_id == occurrence["id"]):
            session.delete(row)
        session.flush()
        for each in (member, other):
            session.add(_checked_in(office, occurrence, each))
        session.flush()
        attendance.apply_corrections(session)
        assert attendance.counts(session, [occurrence["id"]]) == {occurrence["id"]: 2}
    assert present(office, occurrence) == before


def test_attendance_is_listed_by_member_and_time_and_exported(office: Office) -> None:
    occurrence, member = attended(office)
    with transaction(office.engine) as session:
        session.add(_checked_in(office, occurrence, member))
    at = occurrence["starts_at"]
    with office.client() as client:

        def found(**query: int) -> int:
            answer = client.get("/api/v1/attendance", params={"member_id": member["id"], **query})
            return len(answer.json()["items"])

        assert [found(), found(from_at=at), found(until_at=at), found(from_at=at + 1)] == [1, 1, 0, 0]
        text = client.get("/api/v1/attendance/export", params={"from_at": at}).text
    assert member["display_name"] in text
    with transaction(office.engine, read_only=True) as session:
        found_rows = attendance.list_attendance(session, EVERYWHERE, Paging(), member_id=member["id"]).rows
    assert len(found_rows) == 1


def _checked_in(office: Office, occurrence: JSON, member: JSON) -> Attendance:
    return Attendance(
        occurrence_id=occurrence["id"],
        member_id=member["id"],
        effective_at=datetime.fromtimestamp(occurrence["starts_at"] / 1e6, UTC),
        uncertainty_us=0,
        organisation_id=occurrence["organisation_id"],
        method="qr",
        flags=[],
    )
