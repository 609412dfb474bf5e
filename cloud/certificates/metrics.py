"""What is watched of the revocation lists, in Prometheus' form."""

from prometheus_client import Counter, Gauge

REMAINING = Gauge(
    "roomlink_revocation_list_remaining_seconds",
    "Until the published revocation list ends, and the broker lets nobody in; NaN while there is none.",
)
REMAINING.set(float("nan"))
PUBLISHED = Counter("roomlink_revocation_lists_published", "Revocation lists put in place for the broker.")
CUT = Counter("roomlink_sessions_cut", "Times that a revoked terminal's session was taken over.")
