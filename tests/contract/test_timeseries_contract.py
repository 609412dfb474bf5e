"""What every store of the time series promises, tried on each of them: memory, DuckDB, InfluxDB."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from cloud.timeseries.port import (
    GroupBy,
    Measurement,
    Point,
    QuestionInvalid,
    Resolution,
    StreamCount,
    Timeseries,
    Where,
)
from tests.timeseries_stores import DAY, HEALTH, HOUR, NOON, OTHER_STREAM, STREAM, cpu, point

ATTENDANCE = Measurement.ATTENDANCE


def test_written_points_come_back_in_buckets_with_count_extremes_mean_and_last(store: Timeseries) -> None:
    loads = [30.0, 10.0, 20.0, 50.0]
    points = [
        point(n, NOON + n * timedelta(minutes=15), {"cpu_percent": load}) for n, load in enumerate(loads, start=1)
    ]
    assert store.write(points).accepted == 4
    first, second = store.series(HEALTH, "cpu_percent", NOON, NOON + 2 * HOUR, HOUR)
    assert (first.start_at, first.count, first.minimum, first.mean) == (NOON, 3, 10.0, 20.0)
    assert (first.maximum, first.last) == (30.0, 20.0)
    assert (second.start_at, second.count, second.last) == (NOON + HOUR, 1, 50.0)


def test_a_repeated_point_lands_on_itself(store: Timeseries) -> None:
    points = [point(n, NOON + timedelta(seconds=n)) for n in range(1, 6)]
    store.write(points)
    result = store.write(points[1:4])
    assert (result.accepted, result.refused) == (3, ())
    assert store.count_by_stream() == {STREAM: StreamCount(5, 5)}
    assert cpu(store) == [15.0]


def test_a_point_twice_in_one_batch_is_one_point(store: Timeseries) -> None:
    store.write([point(1), point(2, NOON + HOUR), point(1)])
    assert store.count_by_stream() == {STREAM: StreamCount(2, 2)}


def test_a_number_below_the_highest_is_still_a_new_point(store: Timeseries) -> None:
    store.write([point(9, NOON + HOUR)])
    store.write([point(3)])
    assert store.count_by_stream() == {STREAM: StreamCount(2, 9)}
    assert cpu(store) == [3.0, 9.0]


def test_records_of_one_microsecond_stay_apart(store: Timeseries) -> None:
    store.write([point(number, NOON) for number in range(1, 401)])
    store.write([point(number, NOON, stream=OTHER_STREAM) for number in range(1, 401)])
    assert store.count_by_stream() == {STREAM: StreamCount(400, 400), OTHER_STREAM: StreamCount(400, 400)}


def test_thousands_of_records_with_one_estimated_time_stay_apart(store: Timeseries) -> None:
    minute_us = 60_000_000
    store.write([point(number, NOON, uncertainty_us=minute_us) for number in range(1, 3001)])
    assert store.count_by_stream() == {STREAM: StreamCount(3000, 3000)}


def test_the_same_number_in_two_streams_is_two_points(store: Timeseries) -> None:
    store.write([point(1), point(1, stream=OTHER_STREAM)])
    assert set(store.count_by_stream()) == {STREAM, OTHER_STREAM}
    assert cpu(store) == [2.0]


def test_the_interval_holds_its_start_and_not_its_end(store: Timeseries) -> None:
    store.write([point(1, NOON), point(2, NOON + HOUR)])
    assert cpu(store, NOON, NOON + HOUR) == [1.0]
    assert store.count_by_stream(NOON, NOON + HOUR) == {STREAM: StreamCount(1, 1)}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where(), 15.0),
        (Where(terminals=["kiosk-1"]), 3.0),
        (Where(rooms={"room-2"}), 4.0),
        (Where(organisations=["north", "south"]), 7.0),
        (Where(kinds=["tv"]), 8.0),
        (Where(rooms=["room-1"], kinds=["kiosk"]), 3.0),
        (Where(terminals=["unheard-of"]), 0.0),
        (Where(terminals=[]), 0.0),
    ],
)
def test_tags_restrict_a_question(store: Timeseries, where: Where, expected: float) -> None:
    store.write(
        [
            point(1, fields={"cpu_percent": 1}),
            point(2, fields={"cpu_percent": 2}),
            point(3, fields={"cpu_percent": 4}, terminal="kiosk-2", room="room-2", organisation="south"),
            point(4, fields={"cpu_percent": 8}, terminal="tv-1", organisation="west", kind="tv"),
        ]
    )
    store.roll_up()
    for resolution in Resolution:
        found = store.totals(HEALTH, "cpu_percent", GroupBy.DAY, NOON, NOON + HOUR, where, resolution)
        assert sum(total.total for total in found) == expected


def test_words_with_signs_of_every_protocol_come_back_unchanged(store: Timeseries) -> None:
    words = [
        "a b",
        "a,b",
        "a=b",
        'say "hi"',
        "$" + "{x}",
        "茶室 三号",
        "o'clock; DROP TABLE health",
        "#1",
        "é\u0301",
        "",
    ]
    store.write([point(n, room=word, terminal=f"t{n}") for n, word in enumerate(words, start=1)])
    found = store.totals(HEALTH, "cpu_percent", GroupBy.ROOM, NOON, NOON + HOUR)
    assert {total.group for total in found} == set(words)
    for number, word in enumerate(words, start=1):
        assert cpu(store, where=Where(rooms=[word])) == [float(number)]


def test_totals_are_grouped_by_tag_or_time(store: Timeseries) -> None:
    heads = {"heads": 1}
    rows = [("room-1", NOON), ("room-2", NOON), ("room-1", NOON + HOUR), ("room-1", NOON + DAY)]
    store.write([point(n, at, heads, measurement=ATTENDANCE, room=room) for n, (room, at) in enumerate(rows, start=1)])

    def heads_by(by: GroupBy) -> dict[str, float]:
        found = store.totals(ATTENDANCE, "heads", by, NOON, NOON + 2 * DAY)
        return {total.group: total.total for total in found}

    midnight = NOON.replace(hour=0)
    assert heads_by(GroupBy.ROOM) == {"room-1": 3.0, "room-2": 1.0}
    assert heads_by(GroupBy.ORGANISATION) == {"north": 4.0}
    assert heads_by(GroupBy.TERMINAL) == {"kiosk-1": 4.0}
    assert heads_by(GroupBy.KIND) == {"kiosk": 4.0}
    assert heads_by(GroupBy.DAY) == {iso(midnight): 3.0, iso(midnight + DAY): 1.0}
    assert heads_by(GroupBy.HOUR) == {iso(NOON): 2.0, iso(NOON + HOUR): 1.0, iso(NOON + DAY): 1.0}


def iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def test_latest_gives_the_newest_point_of_each_terminal_with_all_its_fields(store: Timeseries) -> None:
    store.write(
        [
            point(1, NOON, {"cpu_percent": 1.5, "firmware": "1.0"}),
            point(2, NOON + HOUR, {"cpu_percent": 7, "page_alive": True, "gpu_percent": 3, "firmware": "1.1 测"}),
            point(3, NOON, terminal="kiosk-2"),
        ]
    )
    found = store.latest(HEALTH, ["kiosk-1", "kiosk-2", "kiosk-3"], NOON)
    assert set(found) == {"kiosk-1", "kiosk-2"}
    newest = found["kiosk-1"]
    assert (newest.effective_at, newest.number) == (NOON + HOUR, 2)
    assert newest.fields == {"cpu_percent": 7.0, "page_alive": 1.0, "gpu_percent": 3.0, "firmware": "1.1 测"}
    assert store.latest(HEALTH, ["kiosk-2"], NOON + HOUR) == {}
    assert store.latest(HEALTH, [], NOON) == {}


def test_a_field_without_a_column_of_its_own_is_kept_and_rolled_up(store: Timeseries) -> None:
    store.write([point(n, NOON, {'fan speed, "rpm"=x/y~z': n * 100}) for n in (1, 2)])
    store.roll_up()
    for resolution in Resolution:
        (bucket,) = store.series(HEALTH, 'fan speed, "rpm"=x/y~z', NOON, NOON + HOUR, HOUR, resolution=resolution)
        assert (bucket.count, bucket.minimum, bucket.maximum) == (2, 100.0, 200.0)


def test_a_field_that_only_texts_have_has_no_series(store: Timeseries) -> None:
    store.write([point(1, fields={"firmware": "12"})])
    store.roll_up()
    for resolution in Resolution:
        assert store.series(HEALTH, "firmware", NOON, NOON + HOUR, HOUR, resolution=resolution) == []


def test_a_name_may_stand_for_a_number_here_and_a_text_there(store: Timeseries) -> None:
    assert store.write([point(1, fields={"reading": 4}), point(2, fields={"reading": "none"})]).refused == ()
    (bucket,) = store.series(HEALTH, "reading", NOON, NOON + HOUR, HOUR)
    assert (bucket.count, bucket.last) == (1, 4.0)


def test_a_point_without_fields_is_a_point(store: Timeseries) -> None:
    assert store.write([point(1, fields={})]).accepted == 1
    assert store.count_by_stream() == {STREAM: StreamCount(1, 1)}


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (point(2, fields={"cpu_percent": float("nan")}), "not a finite number"),
        (point(2, fields={"gpu_percent": float("inf")}), "not a finite number"),
        (point(2, fields={"cpu_percent": 10**400}), "too large"),
        (point(2, fields={"cpu_percent": "12"}), "is a text where"),
        (point(2, fields={"_time": 1}), "keep for themselves"),
        (point(2, fields={"firmware": "\ud800"}), "not Unicode"),
        (point(2, fields={"firmware": "x" * 10_000}), "10000 characters"),
        (point(2, fields={"line\nbreak": 1}), "control character"),
        (point(2, fields={f"f{n}": n for n in range(65)}), "65 fields"),
        (point(0), "number 0"),
        (point(2**63), "number 9223372036854775808"),
        (point(2, NOON.replace(year=1969)), "1970"),
        (point(2, NOON.replace(year=2300)), "2262"),
        (point(2, uncertainty_us=-1), "uncertainty"),
        (point(2, room="line\nbreak"), "room"),
        (point(2, kind="back\\slash"), "backslash"),
        (point(2, terminal="x" * 300), "terminal is longer"),
        (point(2, stream=""), "stream"),
    ],
)
def test_an_impossible_point_is_refused_with_its_reason_and_the_others_are_kept(
    store: Timeseries, bad: Point, reason: str
) -> None:
    result = store.write([point(1), bad, point(3)])
    assert result.accepted == 2
    ((refused, why),) = [(each.point, each.reason) for each in result.refused]
    assert refused is bad
    assert reason in why
    assert store.count_by_stream() == {STREAM: StreamCount(2, 3)}


def test_a_batch_of_nothing_is_nothing(store: Timeseries) -> None:
    assert store.write([]).accepted == 0
    assert store.count_by_stream() == {}
    assert store.roll_up() == 0


def test_measurements_are_written_together_and_asked_apart(store: Timeseries) -> None:
    fields = {"heads": 1, "touches": 2, "plays": 3, "cpu_percent": 4, "online": True}
    batch = [
        point(n, NOON, {name: value}, measurement=measurement)
        for n, (measurement, (name, value)) in enumerate(zip(Measurement, fields.items(), strict=True), start=1)
    ]
    assert store.write(batch).accepted == 5
    for measurement, (name, value) in zip(Measurement, fields.items(), strict=True):
        (bucket,) = store.series(measurement, name, NOON, NOON + HOUR, HOUR)
        assert bucket.last == float(value)
    assert store.count_by_stream() == {STREAM: StreamCount(5, 5)}


@pytest.mark.parametrize(
    ("start", "end", "every"),
    [
        (NOON.replace(tzinfo=None), NOON, HOUR),
        (NOON, NOON - HOUR, HOUR),
        (NOON, NOON + DAY, timedelta(0)),
        (NOON, NOON + DAY, 7 * DAY),
    ],
)
def test_a_question_that_makes_no_sense_is_turned_down(
    store: Timeseries, start: datetime, end: datetime, every: timedelta
) -> None:
    with pytest.raises(QuestionInvalid):
        store.series(HEALTH, "cpu_percent", start, end, every)
