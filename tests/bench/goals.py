"""What each figure is to reach on two cores with everything on them (issue 3, section 7). Pure; read by the printed table."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """A bound: at least, or at most."""

    at_least: float | None = None
    at_most: float | None = None

    def is_met(self, value: float) -> bool:
        """Whether a figure is within it."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return f">= {self.at_least:,g}" if self.at_least is not None else f"<= {self.at_most:,g}"


GOALS: Mapping[str, Goal] = {
    "ingest_single.ratio": Goal(at_least=0.35),
    "ingest_backlog.records_per_s": Goal(at_least=50_000),
    "ingest_postgres.records_per_s": Goal(at_least=30_000),
    "project.records_per_s": Goal(at_least=100_000),
    "checkin_decision_ms.p95": Goal(at_most=100),
    "checkin_to_linked_ms.p99": Goal(at_most=1_000),
    "query_ms.max": Goal(at_most=200),
    "qr.roomlink.median_ms": Goal(at_most=30),
    "memory_mb.agent": Goal(at_most=75),
    "memory_mb.agent_camera": Goal(at_most=180),
    "memory_mb.cloud": Goal(at_most=400),
    "drain_week_s": Goal(at_most=20),
    "alarms.core_share": Goal(at_most=0.2),
    "fleet_page.first_paint_ms": Goal(at_most=1_000),
    "fleet_page.rows_ms": Goal(at_most=1_000),
}


def said_of(key: str, value: float | str) -> str:
    """The goal of a figure and whether it is met; empty where there is none."""
    goal = GOALS.get(key)
    if goal is None or isinstance(value, str):
        return ""
    return f"{goal!s:>12}  {'met' if goal.is_met(value) else 'MISSED'}"
