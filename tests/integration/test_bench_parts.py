"""Every part of the bench runs, at a size that measures nothing, and yields its keys. No time is asserted."""

from collections.abc import Callable, Mapping

import pytest

from tests.bench import alarms, decision, drain, fleet_page, ingest, linked, memory, project
from tests.bench.__main__ import PARTS
from tests.bench.goals import GOALS, said_of
from tests.bench.payloads import Mix
from tests.bench.stage import Crowd

LONE = Crowd(terminals=6, members=20, mix=Mix(records=3, per_batch=1, check_in_every=1))
FULL = Crowd(terminals=4, members=20, mix=Mix(records=250))
SMALL: Mapping[str, tuple[Callable[[], Mapping[str, float | str]], set[str]]] = {
    "ingest_single": (lambda: ingest.measure_single(LONE), {"ingest_single.ratio", "ingest_single.bottleneck"}),
    "ingest_backlog": (lambda: ingest.measure_backlog(FULL), {"ingest_backlog.records_per_s"}),
    "ingest_postgres": (lambda: ingest.measure_postgres(FULL), {"ingest_postgres.records_per_s"}),
    "project": (lambda: project.measure(FULL), {"project.records_per_s"}),
    "linked": (lambda: linked.measure(3, 4, 30.0, 2.0, warm_up_s=1.0), {"checkin_to_linked_ms.p99"}),
    "drain": (lambda: drain.measure(1_000, 4), {"drain_week_s"}),
    "alarms": (lambda: alarms.measure(20, 2), {"alarms.core_share", "alarms.all_gone_s"}),
    "fleet_page": (lambda: fleet_page.measure(60, 6, 3, 1), {"fleet_page.first_paint_ms", "fleet_page.rows_ms"}),
    "decision": (lambda: decision.measure(4.0, 6), {"checkin_decision_ms.p95"}),
    "memory": (
        lambda: memory.measure(6.0, 2, 1.0),
        {"memory_mb.agent", "memory_mb.agent_camera", "memory_mb.cloud"},
    ),
}


@pytest.mark.parametrize("part", SMALL)
def test_part_of_the_bench_yields_its_figures(part: str) -> None:
    measure, keys = SMALL[part]
    figures = measure()
    assert keys <= figures.keys()
    assert all(value > 0 for key, value in figures.items() if key in keys and not isinstance(value, str))


def test_every_goal_is_a_figure_of_some_part() -> None:
    elsewhere = {"query_ms.max", "qr.roomlink.median_ms"}
    assert GOALS.keys() - elsewhere <= set().union(*(keys for _, keys in SMALL.values()))
    assert PARTS.keys() == SMALL.keys() | {"qr", "timeseries"}


def test_table_says_whether_a_goal_is_met() -> None:
    assert said_of("drain_week_s", 20.0).endswith("met")
    assert said_of("drain_week_s", 20.1).endswith("MISSED")
    assert said_of("ingest_single.ratio", 0.34).endswith("MISSED")
    assert said_of("ingest_single.bottleneck", "cloud") == said_of("unasked", 1.0) == ""
