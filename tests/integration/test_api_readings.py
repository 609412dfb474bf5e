"""A terminal's measurements over HTTP, over any span; and what is refused."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from cloud.accounts.service import Role
from cloud.clock import to_us
from cloud.database import transaction
from cloud.errors import Unavailable
from cloud.readings import service
from cloud.scope import EVERYWHERE
from cloud.timeseries.memory import MemoryTimeseries
from cloud.timeseries.port import Measurement, Point, TimeseriesUnavailable
from tests.office import JSON, Office


@pytest.fixture
def kiosk(office: Office) -> str:
    room = office.room(office.organisation()["id"])
    return str(office.terminal(room["id"])["terminal"]["id"])


@pytest.fixture
def series() -> MemoryTimeseries:
    return MemoryTimeseries(ZoneInfo("UTC"))


def sample(series: MemoryTimeseries, kiosk: str, at: datetime, count: int = 90) -> None:
    points = [
        Point(Measurement.HEALTH, "s" * 8, number, to_us(at + timedelta(minutes=number)), 0, kiosk, "", "", "kiosk",
              {"cpu_percent": float(number), "outbox_depth": 3.0})
        for number in range(1, count)
    ]  # fmt: skip
    series.write(points)
    series.roll_up()


@pytest.fixture
def with_series(office: Office, series: MemoryTimeseries) -> Iterator[None]:
    """An office whose time series answer."""
    before = office.app.state.cloud
    office.app.state.cloud = replace(before, timeseries=lambda: series)
    yield
    office.app.state.cloud = before


@pytest.mark.usefixtures("with_series")
def test_span_is_answered_in_steps_with_unit_and_resolution(
    office: Office, kiosk: str, series: MemoryTimeseries
) -> None:
    start = office.now().replace(minute=0, second=0, microsecond=0) - timedelta(days=9)
    sample(series, kiosk, start)
    hour = ask(office, kiosk, metric="cpu_percent", from_at=to_us(start), until_at=to_us(start + timedelta(hours=1)))
    assert (hour["unit"], hour["every_s"], hour["resolution"], len(hour["steps"])) == ("%", 5, "raw", 59)
    assert hour["steps"][0] == {
        "start_at": to_us(start + timedelta(minutes=1)), "count": 1, "minimum": 1, "mean": 1, "maximum": 1, "last": 1,
    }  # fmt: skip
    week = ask(office, kiosk, metric="cpu_percent", from_at=to_us(start), until_at=to_us(start + timedelta(days=7)))
    assert (week["every_s"], week["resolution"]) == (3600, "hourly")
    assert [(step["count"], step["maximum"]) for step in week["steps"]] == [(59, 59), (30, 89)]
    assert ask(office, kiosk, metric="temperature_c")["steps"] == []


def test_only_metrics_with_points_are_read_for_a_page_in_the_order_asked_for(
    office: Office, kiosk: str, series: MemoryTimeseries
) -> None:
    start = office.now() - timedelta(hours=2)
    sample(series, kiosk, start)
    planned = service.plan(start, office.now())
    with transaction(office.engine, read_only=True) as session:
        known = service.measured_by(session, EVERYWHERE, kiosk)
    found = service.readings(lambda: series, kiosk, planned, known)
    some = service.readings(lambda: series, kiosk, planned, known, ("outbox_depth", "cpu_percent", "x"))
    assert [each.metric for each in found] == ["cpu_percent", "outbox_depth"]
    assert [each.metric for each in some] == ["outbox_depth", "cpu_percent"]


def test_store_that_is_away_is_said_to_be_away(office: Office, kiosk: str) -> None:
    def away() -> MemoryTimeseries:
        raise TimeseriesUnavailable("it is down")

    with office.client(Role.VIEWER) as client:
        answer = client.get(f"/api/v1/terminals/{kiosk}/readings", params={"metric": "cpu_percent"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    planned = service.plan(office.now() - timedelta(hours=1), office.now())
    with pytest.raises(Unavailable):
        service.reading(away, kiosk, planned, service.measured("kiosk"), "cpu_percent")


@pytest.mark.parametrize("path", ["readings?metric=cpu_percent", "timeline"])
def test_no_connection_to_the_ledger_is_held_while_the_store_is_asked(office: Office, kiosk: str, path: str) -> None:
    """A store that answers late would else take all of them, and ingest would wait for one."""
    held: list[str] = []

    def asked() -> MemoryTimeseries:
        held.append(office.engine.pool.status())
        raise TimeseriesUnavailable("it is slow")

    before = office.app.state.cloud
    office.app.state.cloud = replace(before, timeseries=asked)
    with office.client(Role.VIEWER) as client:
        client.get(f"/api/v1/terminals/{kiosk}/{path}")
    office.app.state.cloud = before
    assert ["Checked out connections: 0" in each for each in held] == [True]


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({"metric": "mood"}, "query.metric"),
        ({"metric": "cpu_percent", "from_at": "2", "until_at": "1"}, "query.until_at"),
        ({"metric": "cpu_percent", "until_at": "0"}, "query.until_at"),
        ({"metric": "cpu_percent", "from_at": "0"}, "query.from_at"),
        ({}, "query.metric"),
    ],
)
def test_span_or_metric_that_cannot_be_shown_is_refused_with_where(
    office: Office, kiosk: str, asked: dict[str, str], where: str
) -> None:
    with office.client(Role.VIEWER) as client:
        answer = client.get(f"/api/v1/terminals/{kiosk}/readings", params=asked)
    assert (answer.status_code, answer.json()["faults"][0]["where"]) == (422, where)


def ask(office: Office, kiosk: str, **asked: object) -> JSON:
    with office.client(Role.VIEWER) as client:
        answer = client.get(f"/api/v1/terminals/{kiosk}/readings", params=asked).raise_for_status()  # type: ignore[arg-type]
        return dict(answer.json())
