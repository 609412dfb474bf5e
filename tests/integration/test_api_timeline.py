"""A terminal's timeline over HTTP: several lists as one, newest first, page by page, without anybody's name but operators'."""

from datetime import datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from cloud.accounts.service import Role
from cloud.alarms.grouping import Reach
from cloud.audit.service import Change
from cloud.clock import EPOCH, to_us
from cloud.commands import service as commands
from cloud.commands.service import CommandForm, Name
from cloud.database import transaction
from cloud.ingest.models import Quarantine
from cloud.paging import Paging
from cloud.scope import EVERYWHERE
from cloud.terminals.models import MarkSet, PresenceChange, ReportedTwin, Twin
from cloud.timeline import service as timelines
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import Bucket, Measurement, Point, TimeseriesUnavailable
from tests.office import JSON, Office, hire_in
from tests.past_alarms import past_alarm

HOUR = timedelta(hours=1)
EPOCHS = count(1)


@pytest.fixture
def kiosk(office: Office) -> str:
    room = office.room(office.organisation()["id"])
    return str(office.terminal(room["id"])["terminal"]["id"])


def connect(office: Office, kiosk: str, number: int, at: datetime, **more: Any) -> None:
    line = {"presence": "online", "cause": "birth", "connection": number, "times": 1, "flapping": False, "recent": []}
    with transaction(office.engine) as session:
        session.add(PresenceChange(terminal_id=kiosk, number=number, began_at=at, at=at, **line | more))


def pages(office: Office, kiosk: str, role: Role = Role.VIEWER, **asked: Any) -> list[JSON]:
    """All events, page by page."""
    found: list[JSON] = []
    with office.client(role) as client:
        while True:
            page = client.get(f"/api/v1/terminals/{kiosk}/timeline", params=asked).raise_for_status().json()
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            asked = asked | {"cursor": page["next_cursor"]}


def test_new_terminal_has_what_was_done_to_it(office: Office, kiosk: str) -> None:
    (event,) = pages(office, kiosk)
    assert (event["sort"], event["what"], event["detail"]["who"]) == ("audit", "terminal.register", "admin-1/test")
    assert "address" not in event["detail"]


def report(kiosk: str, number: int, at: datetime, **more: Any) -> ReportedTwin:
    line = {"twin_epoch": 1, "twin_number": 2, "applied": True, "problems": [], "changed": ["language"]}
    return ReportedTwin(terminal_id=kiosk, number=number, at=at, **line | more)


def fill(office: Office, kiosk: str) -> datetime:
    """One event of each list, an hour apart, and two at one time; when the first was."""
    start = office.now().replace(minute=0, second=0, microsecond=0) + timedelta(days=1)
    with transaction(office.engine) as session:
        for number, document in enumerate(
            ('{"language":"zh","version":[1,1]}', '{"language":"en","version":[1,2]}'), 1
        ):
            version = (next(EPOCHS), number)
            session.add(Twin(epoch=version[0], number=version[1], terminal_id=kiosk, document=document,
                             created_at=start + number * HOUR))  # fmt: skip
        session.add(report(kiosk, 1, start + 3 * HOUR))
        session.add(MarkSet(terminal_id=kiosk, at=start + 4 * HOUR, mark="two_devices"))
        for _ in range(3):
            session.add(Quarantine(terminal_id=kiosk, kind="payload", reason="unreadable", bytes=b"",
                                   received_at=to_us(start + 5 * HOUR + timedelta(minutes=9)), state="open"))  # fmt: skip
        asking = Change("operator-1", start + 6 * HOUR)
        command = commands.ask(session, asking, EVERYWHERE, kiosk, CommandForm(name=Name.IDENTIFY, arguments={}))
        commands.cancel(session, Change("operator-1", start + 7 * HOUR), EVERYWHERE, command.id)
    connect(office, kiosk, 1, start + 8 * HOUR)
    connect(office, kiosk, 2, start + 8 * HOUR, presence="offline", cause="lost")
    alarm(office, kiosk, {"raised": start + 10 * HOUR, "acknowledged": start + 11 * HOUR, "cleared": start + 12 * HOUR})
    connect(office, kiosk, 3, start + 9 * HOUR, flapping=True, times=14, cause="lost", presence="offline")
    return start


EXPECTED = [
    (12, "alarm", "cleared"), (11, "alarm", "acknowledged"), (10, "alarm", "raised"),
    (9, "connection", "flapping"), (8, "connection", "offline"), (8, "connection", "online"), (7, "command", "cancelled"),
    (6, "command", "asked"), (5, "mark", "quarantine"), (4, "mark", "two_devices"), (3, "twin", "applied"),
    (2, "twin", "told"), (1, "twin", "told"),
]  # fmt: skip


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_lists_are_one_newest_first_however_long_a_page_is(
    office: Office, kiosk: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = fill(office, kiosk)
    monkeypatch.setattr(office, "shift", timedelta(days=2))
    found = pages(office, kiosk, limit=limit)
    said = [((event["at"] - to_us(start)) // 3_600_000_000, event["sort"], event["what"]) for event in found[:-1]]
    assert said == EXPECTED
    assert found[3]["detail"]["times"] == 14
    assert found[8]["detail"] == {"count": 3, "until": to_us(start + 6 * HOUR)}
    assert [event["detail"]["parts"] for event in found if event["what"] == "told"] == [["language"], []]


def test_of_the_present_hour_no_more_is_told_than_has_come(
    office: Office, kiosk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = fill(office, kiosk)
    so_far = timedelta(hours=5, minutes=20)
    monkeypatch.setattr(office, "shift", start + so_far - office.now())
    (counted,) = [event for event in pages(office, kiosk, sort="mark") if event["what"] == "quarantine"]
    assert to_us(start + so_far) <= counted["detail"]["until"] < to_us(start + 6 * HOUR)


def test_timeline_is_filtered_by_sort(office: Office, kiosk: str) -> None:
    fill(office, kiosk)
    for sort in ("connection", "alarm", "twin", "command", "mark"):
        events = pages(office, kiosk, sort=sort)
        assert [(event["sort"], event["what"]) for event in events] == [
            each[1:] for each in EXPECTED if each[1] == sort
        ]


def test_things_of_one_instant_are_all_told_over_pages(office: Office, kiosk: str) -> None:
    """Several lists have something at the same microsecond: a cursor between them loses none and repeats none."""
    at = office.now() + timedelta(days=2)
    with transaction(office.engine) as session:
        session.add_all(MarkSet(terminal_id=kiosk, at=at, mark=mark) for mark in ("broken", "fork", "too_large"))
        session.add_all(
            report(kiosk, number, at, applied=number == 2, problems=["no room"] if number == 3 else [])
            for number in (1, 2, 3)
        )
    for number in range(1, 4):
        connect(office, kiosk, number, at)
    found = [(event["what"], event["detail"].get("connection")) for event in pages(office, kiosk, limit=1)][:-1]
    assert found == [
        ("refused", None), ("applied", None), ("pending", None), ("online", 3), ("online", 2), ("online", 1),
        ("too_large", None), ("fork", None), ("broken", None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "cursor", ["AA", "WzEsMiwzXQ", "WzEsICJhdWRpdCIsICJ4Il0", "Wy0xLCAiYXVkaXQiLCAxXQ", "bm90aGluZw"]
)
def test_foreign_cursor_is_refused(office: Office, kiosk: str, cursor: str) -> None:
    with office.client(Role.VIEWER) as client:
        answer = client.get(f"/api/v1/terminals/{kiosk}/timeline", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["faults"][0]["where"]) == (422, "query.cursor")


def test_terminal_of_another_branch_is_not_there(office: Office, kiosk: str) -> None:
    tokens = hire_in(office, office.organisation()["id"])
    with office.client(token=tokens[Role.ADMIN]) as client:
        assert client.get(f"/api/v1/terminals/{kiosk}/timeline").status_code == 404
    with office.client(Role.VIEWER) as client:
        assert client.get("/api/v1/terminals/kiosk-nowhere/timeline").status_code == 404


def alarm(
    office: Office, kiosk: str, happened: dict[str, datetime], reach: Reach = Reach.TERMINAL, **member: Any
) -> str:
    with transaction(office.engine) as session:
        return past_alarm(session, kiosk, happened, reach, **member)


def test_alarm_is_told_with_its_name_and_severity_and_leads_to_itself(office: Office, kiosk: str) -> None:
    at = office.now()
    one = alarm(
        office, kiosk, {"raised": at, "commented": at + HOUR, "acknowledged": at + 2 * HOUR, "grouped": at + 3 * HOUR}
    )
    found = pages(office, kiosk, sort="alarm", limit=1)
    assert [event["what"] for event in found] == ["grouped", "acknowledged", "raised"]
    assert {(event["detail"]["id"], event["detail"]["severity"]) for event in found} == {(one, "critical")}
    assert found[0]["detail"]["into"] == "alm_larger"
    assert found[1]["detail"]["who"] == "olga"
    assert (found[2]["detail"]["name_en"], found[2]["detail"]["members"]) == ("Terminal offline", 1)


def test_of_an_alarm_of_several_only_the_time_with_this_one_is_told(office: Office, kiosk: str) -> None:
    at = office.now()
    happened = {"raised": at, "acknowledged": at + 2 * HOUR, "cleared": at + 9 * HOUR}
    alarm(office, kiosk, happened, Reach.ROOM, raised_at=at + HOUR, over_at=at + 3 * HOUR)
    found = pages(office, kiosk, sort="alarm", limit=1)
    assert [(event["what"], event["at"]) for event in found] == [
        ("recovered", to_us(at + 3 * HOUR)), ("acknowledged", to_us(at + 2 * HOUR)), ("joined", to_us(at + HOUR)),
    ]  # fmt: skip


def test_an_alarm_of_several_that_began_and_ended_with_this_one_is_told_once(office: Office, kiosk: str) -> None:
    at = office.now()
    alarm(office, kiosk, {"raised": at, "cleared": at + HOUR}, Reach.ROOM)
    assert [event["what"] for event in pages(office, kiosk, sort="alarm")] == ["cleared", "raised"]


def test_time_series_that_is_away_is_named_and_the_rest_is_told(office: Office, kiosk: str) -> None:
    with office.client(Role.VIEWER) as client:
        page = client.get(f"/api/v1/terminals/{kiosk}/timeline").raise_for_status().json()
    assert page["missing"] == ["check_in"]  # this office has no time series
    assert page["items"]


def test_check_ins_are_counts_per_hour_and_never_persons(office: Office, kiosk: str) -> None:
    series = MemoryTimeseries(ZoneInfo("UTC"))
    start = office.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=30)
    points = [
        Point(Measurement.ATTENDANCE, "s" * 8, number, to_us(start + timedelta(minutes=number)), 0, kiosk, "", "", "accepted",
              {"heads": float(number % 2)})
        for number in range(1, 100)
    ]  # fmt: skip
    series.write(points)
    series.roll_up()
    found = [event for event in read(office, kiosk, series) if event.sort == "check_in"]
    assert [(event.at, event.detail["count"], event.detail["heads"]) for event in found] == [
        (start + HOUR, 40, 20), (start, 59, 30),
    ]  # fmt: skip
    assert {key for event in found for key in event.detail} == {"count", "heads", "until"}


def read(office: Office, kiosk: str, series: MemoryTimeseries, limit: int = 1) -> list[timelines.Event]:
    found: list[timelines.Event] = []
    cursor: str | None = None
    while True:
        with transaction(office.engine, read_only=True) as session:
            kept = timelines.kept(session, EVERYWHERE, lambda: series, office.now(), kiosk, Paging(limit, cursor))
        page = timelines.timeline(kept)
        assert page.missing == []
        found += page.events
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_time_series_that_fails_is_named(office: Office, kiosk: str) -> None:
    def away() -> MemoryTimeseries:
        raise TimeseriesUnavailable("it is down")

    with transaction(office.engine, read_only=True) as session:
        kept = timelines.kept(session, EVERYWHERE, away, EPOCH, kiosk, Paging(5))
    assert timelines.timeline(kept).missing == ["check_in"]


@pytest.mark.parametrize(("limit", "days"), [(3, 7), (50, 800)])
def test_time_series_is_asked_no_further_back_than_the_other_lists_fill_the_page(
    office: Office, kiosk: str, limit: int, days: int
) -> None:
    starts: list[datetime] = []

    class Noting(MemoryTimeseries):
        def series(self, *asked: Any, **more: Any) -> list[Bucket]:
            starts.append(asked[2])
            return super().series(*asked, **more)

    now = office.now()
    for number in range(1, 5):
        connect(office, kiosk, number, now - (9 - number) * timedelta(days=1))
    with transaction(office.engine, read_only=True) as session:
        noting = Noting(ZoneInfo("UTC"))
        kept = timelines.kept(session, EVERYWHERE, lambda: noting, now, kiosk, Paging(limit))
    timelines.timeline(kept)
    assert abs(now - min(starts) - timedelta(days=days)) < 2 * HOUR
