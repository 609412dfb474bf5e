"""Counters of ingest, in Prometheus' form. None has a terminal as a label: their number must not grow with the fleet."""

from prometheus_client import Counter, Gauge, Histogram

from cloud.ingest.line import Result
from cloud.journal.format import REPEAT, UNREADABLE

DELIVERIES = Counter("roomlink_ingest_deliveries", "Messages of terminals on up/records.", ["became"])
RECORDS = Counter("roomlink_ingest_records", "Records stored.", ["kind"])
REFUSED = Counter("roomlink_ingest_refused", "Batches that changed nothing and should not have been.", ["error"])
DROPPED = Counter("roomlink_ingest_dropped", "Deliveries dropped because every slot was taken.")
FAILED = Counter("roomlink_ingest_failed", "Deliveries that broke the program; the log has the traceback.")
GROUP_SECONDS = Histogram(
    "roomlink_ingest_group_seconds",
    "Time to store one group of deliveries.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
WAITING = Gauge("roomlink_ingest_waiting", "Deliveries that wait in slots.")
CONNECTED = Gauge("roomlink_broker_connected", "1 while the subscriber is connected to the broker.")


def count(result: Result) -> None:
    """What a group has become."""
    DELIVERIES.labels("stored").inc(len(result.stored))
    DELIVERIES.labels("stranger").inc(len(result.strangers))
    DELIVERIES.labels("answered").inc(len(result.answers) - len(result.stored))
    for verdict in result.refused:
        REFUSED.labels(str(verdict.mark)).inc()
    records = repeats = unreadable = 0
    for prepared in result.stored:
        marks = prepared.fixed.marks
        records += len(marks)
        repeats += sum(1 for mark in marks if mark & REPEAT)
        unreadable += sum(1 for mark in marks if mark & UNREADABLE)
    RECORDS.labels("all").inc(records)
    RECORDS.labels("repeat").inc(repeats)
    RECORDS.labels("quarantined").inc(unreadable)
