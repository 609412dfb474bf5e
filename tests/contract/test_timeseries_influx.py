"""What the InfluxDB adapter does with what a server may answer, over HTTP against the double."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from cloud.timeseries.influx_http import InfluxServer
from cloud.timeseries.influx_lines import Line
from cloud.timeseries.influx_store import InfluxTimeseries
from cloud.timeseries.port import Resolution, StreamCount, TimeseriesUnavailable
from tests.influx_double import ORG, TOKEN, Failure, InfluxDouble
from tests.timeseries_stores import DAY, HEALTH, HOUR, NOON, STREAM, cpu, point

WRITE = "/api/v2/write"


@pytest.fixture
def double() -> Iterator[InfluxDouble]:
    with InfluxDouble() as double:
        yield double


@pytest.fixture
def store(double: InfluxDouble) -> Iterator[InfluxTimeseries]:
    with closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series")) as store:
        store.count_by_stream()  # makes the buckets
        double.requests.clear()
        yield store


def test_three_buckets_are_made_where_they_are_missing(double: InfluxDouble, store: InfluxTimeseries) -> None:
    assert set(double.buckets) == {"series", "series_hourly", "series_daily"}
    assert {bucket.retention_s for bucket in double.buckets.values()} == {0}


def test_buckets_that_are_there_are_used_with_their_retention(double: InfluxDouble) -> None:
    for name in ("series", "series_hourly", "series_daily"):
        double.add_bucket(name, retention_s=86_400 if name == "series" else 0)
    with closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series")) as store:
        result = store.write([point(1, NOON - 10 * DAY), point(2, datetime.now(UTC))])
        assert [refused.point.number for refused in result.refused] == [1]
        assert "older than the raw points" in result.refused[0].reason


def test_a_batch_is_one_request_beside_its_marks(double: InfluxDouble, store: InfluxTimeseries) -> None:
    store.write([point(n) for n in range(1, 4001)])
    store.write([point(n) for n in range(4001, 5001)])
    marks, first, second = double.bodies(WRITE)
    assert marks.startswith("due,measurement=health,terminal=kiosk-1 pending=1.0 ")
    assert (first.count("\n") + 1, second.count("\n") + 1) == (4000, 1000)


@pytest.mark.parametrize(
    ("failure", "sentence", "retry_after_s"),
    [
        (Failure(401, "unauthorized access"), "refuses the token", 60.0),
        (Failure(403, "forbidden"), "may read, write and make its buckets", 60.0),
        (Failure(404, 'bucket "series" not found'), "does not know", 60.0),
        (Failure(429, "limit exceeded", {"Retry-After": "17"}), "cannot do it now", 17.0),
        (Failure(503, "not ready", {"Retry-After": "2"}), "cannot do it now", 2.0),
        (Failure(503, "not ready"), "cannot do it now", 5.0),
        (Failure(503, "", {"Retry-After": "Tue, 24 Nov 2026 08:00:00 GMT"}), "cannot do it now", 5.0),
        (Failure(500, "internal error"), "cannot do it now", 5.0),
        (Failure(0), "does not answer", 5.0),
    ],
)
def test_what_may_pass_is_unavailable_and_the_same_write_succeeds_later(
    double: InfluxDouble, store: InfluxTimeseries, failure: Failure, sentence: str, retry_after_s: float
) -> None:
    batch = [point(1), point(2)]
    for failing in range(2):  # the marks, then the points
        double.failures.extend([None] * failing + [failure])
        with pytest.raises(TimeseriesUnavailable, match=sentence) as caught:
            store.write(batch)
        assert caught.value.retry_after_s == retry_after_s
        assert store.count_by_stream() == {}
    assert store.write(batch).accepted == 2
    assert store.count_by_stream() == {STREAM: StreamCount(2, 2)}


def test_a_server_that_is_not_there_is_unavailable(double: InfluxDouble, store: InfluxTimeseries) -> None:
    double.stop()
    with pytest.raises(TimeseriesUnavailable, match="does not answer"):
        store.write([point(1)])
    with pytest.raises(TimeseriesUnavailable, match="does not answer"):
        store.count_by_stream()


def test_a_wrong_token_is_said_to_be_wrong(double: InfluxDouble) -> None:
    with (
        closing(InfluxTimeseries(InfluxServer(double.url, "another token", ORG), "series")) as store,
        pytest.raises(TimeseriesUnavailable, match="refuses the token"),
    ):
        store.write([point(1)])


def test_an_unknown_organisation_is_said_to_be_unknown(double: InfluxDouble) -> None:
    with (
        closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, "nobody"), "series")) as store,
        pytest.raises(TimeseriesUnavailable, match="does not know"),
    ):
        store.write([point(1)])


def test_points_whose_field_has_another_type_are_refused_alone(double: InfluxDouble, store: InfluxTimeseries) -> None:
    double.buckets["series"].types["health", "gpu_percent"] = bool  # as another program may have written it
    batch = [point(n, fields={"gpu_percent": 1.0} if n % 50 == 7 else None) for n in range(1, 201)]
    result = store.write(batch)
    assert [refused.point.number for refused in result.refused] == [7, 57, 107, 157]
    assert "field type conflict" in result.refused[0].reason
    assert store.count_by_stream() == {STREAM: StreamCount(196, 200)}


def test_a_line_that_cannot_be_parsed_is_found_by_halving_and_the_others_are_stored(
    double: InfluxDouble, store: InfluxTimeseries
) -> None:
    at_ns = int(NOON.timestamp()) * 1_000_000_000
    lines = [Line(f"health,stream=s number={n}i {at_ns + n}", at_ns + n) for n in range(1, 33)]
    lines[20] = Line("health,stream=s number=what", at_ns + 21)
    with closing(InfluxServer(double.url, TOKEN, ORG)) as server:
        refused = server.write("series", lines)
    assert [each.place for each in refused] == [20]
    assert "unable to parse" in refused[0].reason
    assert len(double.bodies(WRITE)) <= 2 * 5 + 1
    assert store.count_by_stream() == {"s": StreamCount(31, 32)}


def test_points_older_than_the_retention_are_refused_in_few_requests(double: InfluxDouble) -> None:
    double.add_bucket("series", retention_s=86_400)
    now_ns = int(datetime.now(UTC).timestamp()) * 1_000_000_000
    old, new = now_ns - 40 * 3600 * 1_000_000_000, now_ns
    lines = [Line(f"health,stream=s number={n}i {new + n}", new + n) for n in range(100)]
    lines += [Line(f"health,stream=s number={n}i {old + n}", old + n) for n in range(900)]
    with closing(InfluxServer(double.url, TOKEN, ORG)) as server:
        refused = server.write("series", lines)
    assert sorted(each.place for each in refused) == list(range(100, 1000))
    assert "outside retention policy" in refused[0].reason
    assert len(double.bodies(WRITE)) < 30


def test_a_batch_that_is_too_large_is_split(double: InfluxDouble, store: InfluxTimeseries) -> None:
    double.max_body_bytes = 20_000
    assert store.write([point(n) for n in range(1, 1001)]).accepted == 1000
    assert store.count_by_stream() == {STREAM: StreamCount(1000, 1000)}


def test_a_point_that_alone_is_too_large_is_refused(double: InfluxDouble, store: InfluxTimeseries) -> None:
    double.max_body_bytes = 4_000
    result = store.write([point(1), point(2, fields={"note": "x" * 8000}), point(3)])
    assert [refused.point.number for refused in result.refused] == [2]
    assert "too large" in result.refused[0].reason
    assert store.count_by_stream() == {STREAM: StreamCount(2, 3)}


def test_marks_survive_the_process_that_wrote_them(double: InfluxDouble, store: InfluxTimeseries) -> None:
    store.write([point(1), point(2, NOON + HOUR)])
    with closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series")) as successor:
        assert successor.roll_up() == 2
        assert cpu(successor, resolution=Resolution.HOURLY) == [1.0, 2.0]
    with closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series")) as successor:
        assert successor.roll_up() == 0


def test_a_process_that_takes_over_marks_what_the_one_before_it_had_done(
    double: InfluxDouble, store: InfluxTimeseries
) -> None:
    store.write([point(1)])
    with closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series")) as successor:
        assert cpu(successor) == [1.0]  # a console's question, while the other still projects
        store.roll_up()
        successor.write([point(2)])
    with closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series")) as third:
        assert third.roll_up() == 1
        assert cpu(third, resolution=Resolution.HOURLY) == [3.0]


def test_a_retention_that_another_process_set_is_seen_within_the_hour(
    double: InfluxDouble, store: InfluxTimeseries
) -> None:
    now = datetime.now(UTC)
    with closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series", now=lambda: now)) as reader:
        store.write([point(1)])
        assert reader.count_by_stream() == {STREAM: StreamCount(1, 1)}
        store.expire(now)
        now += timedelta(hours=1)
        assert reader.count_by_stream() == {}


def test_a_rollup_that_was_broken_off_is_made_the_next_time(double: InfluxDouble, store: InfluxTimeseries) -> None:
    store.write([point(1)])
    double.failures.extend([None, Failure(503)])
    with pytest.raises(TimeseriesUnavailable):
        store.roll_up()
    assert store.roll_up() == 1
    assert cpu(store, resolution=Resolution.HOURLY) == [1.0]


def test_a_week_of_many_terminals_is_rolled_up_in_bounded_questions(
    double: InfluxDouble, store: InfluxTimeseries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.timeseries.influx_rollups.TERMINALS_PER_SLICE", 4)
    store.write(
        [point(n, NOON - (n % 48) * HOUR, terminal=f"kiosk-{n % 10}", fields={"cpu_percent": 1}) for n in range(1, 481)]
    )
    store.roll_up()
    for question in double.bodies("/api/v2/query"):
        assert question.count("r.terminal ==") <= 4 * 5
    days = store.series(HEALTH, "cpu_percent", NOON - 3 * DAY, NOON + DAY, DAY, resolution=Resolution.DAILY)
    assert sum(day.count for day in days) == 480


def test_the_horizon_moves_with_the_retention(double: InfluxDouble) -> None:
    now = NOON + DAY
    with closing(InfluxTimeseries(InfluxServer(double.url, TOKEN, ORG), "series", now=lambda: now)) as store:
        store.write([point(1, NOON)])
        store.expire(now - timedelta(hours=30))
        assert double.buckets["series"].retention_s == 30 * 3600
        store.expire(now - timedelta(hours=31))
        assert double.buckets["series"].retention_s == 30 * 3600  # near enough to be left alone
        now += timedelta(hours=8)
        assert store.count_by_stream() == {}
        assert cpu(store, NOON - DAY, NOON + DAY) == [1.0]  # by hours, since the raw point has gone
        assert len(store.write([point(2, NOON)]).refused) == 1
        store.clear(since=NOON)
        assert double.buckets["series"].retention_s == 0
        result = store.write([point(1, NOON), point(3, NOON - 2 * DAY)])
        assert [refused.point.number for refused in result.refused] == [3]


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (Failure(400, "error @1:1: undefined identifier"), "undefined identifier"),
        (Failure(200, "a page of a proxy"), "cannot be read"),
        (Failure(0), "does not answer"),
    ],
)
def test_an_answer_that_is_none_is_unavailable(
    double: InfluxDouble, store: InfluxTimeseries, failure: Failure, sentence: str
) -> None:
    double.failures.append(failure)
    with pytest.raises(TimeseriesUnavailable, match=sentence):
        store.count_by_stream()
