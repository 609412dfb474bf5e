"""Counters of the projector, in Prometheus' form."""

from prometheus_client import Counter

PROJECTED = Counter("roomlink_projector_batches", "Batches of the journal written onward into the time series.")
REFUSED = Counter("roomlink_projector_refused", "Points that the time series will never take; they are in quarantine.")
