"""Counters of alarms, in Prometheus' form. None has a terminal as a label."""

from prometheus_client import Counter, Gauge, Histogram

RAISED = Counter("roomlink_alarms_raised", "Alarms raised, those that came back among them.")
CLEARED = Counter("roomlink_alarms_cleared", "Alarms cleared, those that became part of a group among them.")
ACTIVE = Gauge("roomlink_alarms_active", "Alarms that are not cleared, by `severity`.", ["severity"])
TURN_SECONDS = Histogram(
    "roomlink_alarms_turn_seconds",
    "Time of one turn of the evaluator.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
