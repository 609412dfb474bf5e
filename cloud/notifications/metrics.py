"""Counters of notifications, in Prometheus' form. None has a receiver as a label."""

from prometheus_client import Counter, Gauge

OUTCOMES = Counter(
    "roomlink_notifications",
    "Attempts to tell a receiver, by `outcome`: delivered, retried, dead; and dropped, what was not worth telling any more.",
    ["outcome"],
)
WAITING = Gauge("roomlink_notifications_waiting", "Notifications that wait to be sent; looked up at each scrape.")
OVERDUE_S = Gauge(
    "roomlink_notifications_overdue_seconds",
    "How long the notification that is late longest is past its time; looked up at each scrape.",
)
DEAD = Gauge("roomlink_notifications_dead", "Dead letters that nobody has sent again; looked up at each scrape.")
