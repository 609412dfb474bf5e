"""Counters of ingest, in Prometheus' form. None has a terminal as a label: their number must not grow with the fleet."""

from prometheus_client import Counter, Gauge, Histogram

from cloud.ingest.line import Result

DELIVERIES = Counter(
    "roomlink_ingest_deliveries",
    "Messages on up/records, by `became`: stored, stranger, answered.",
    ["became"],
)
RECORDS = Counter(
    "roomlink_ingest_records", "Records stored, by `kind`: all, and among them repeat and quarantined.", ["kind"]
)
ALARMS = Counter("roomlink_ingest_alarms", "Deliveries that a person should look at, by `mark`.", ["mark"])
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
    DELIVERIES.labels("stored").inc(result.batches)
    DELIVERIES.labels("stranger").inc(len(result.strangers))
    DELIVERIES.labels("answered").inc(len(result.answers) - result.batches)
    for alarm in result.alarms:
        ALARMS.labels(alarm.mark).inc()
    RECORDS.labels("all").inc(result.records)
    RECORDS.labels("repeat").inc(result.repeats)
    RECORDS.labels("quarantined").inc(result.unreadable)
