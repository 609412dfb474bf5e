"""Counters of the HTTP side, in Prometheus' form, the page that shows all of the process's, and the list of them for docs."""

import time
from collections.abc import MutableMapping
from operator import attrgetter
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter(
    "roomlink_http_requests",
    "Answers of the HTTP API, by `method`, `route` and `status`.",
    ["method", "route", "status"],
)
SECONDS = Histogram(
    "roomlink_http_request_seconds", "Time until an answer of the HTTP API began, by `route`.", ["route"]
)
TERMINALS = Gauge(
    "roomlink_terminals", "Terminals in service, by `state` of presence; looked up at each scrape.", ["state"]
)
SERIES_WAITING = Gauge(
    "roomlink_projector_waiting_batches",
    "Batches of the journal that the time series does not have, at most; looked up at each scrape.",
)
_METRICS_HEAD = """# Metrics

What `GET /metrics` tells in Prometheus' text form, beside what every Python process tells (`process_`, `python_`). Each
process counts for itself, from its start. No metric has a terminal, a room or a person as a label: their number does not
grow with the fleet. Made by `python -m cloud metrics`.
[observability/](../observability/README.md) has a scrape configuration, rules and a dashboard.

| name | type | what, and by which labels |
| --- | --- | --- |
"""
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """Counts answers by route, never by address, so that the number of series is bounded."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and count when the answer begins."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.monotonic()

        async def counting(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = _route(scope)
                method = scope["method"] if scope["method"] in METHODS else "other"
                REQUESTS.labels(method, route, message["status"]).inc()
                SECONDS.labels(route).observe(time.monotonic() - began)
            await send(message)

        await self.app(scope, receive, counting)


def exposition() -> tuple[bytes, str]:
    """All metrics of this process, and their media type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


def metrics_markdown() -> str:
    """docs/metrics.md: all of Roomlink's metrics whose modules are imported, by name."""
    families = sorted(
        (each for each in REGISTRY.collect() if each.name.startswith("roomlink_")), key=attrgetter("name")
    )
    rows = [
        f"| `{each.name}{'_total' if each.type == 'counter' else ''}` | {each.type} | {each.documentation} |"
        for each in families
    ]
    return _METRICS_HEAD + "\n".join(rows) + "\n"


def _route(scope: MutableMapping[str, Any]) -> str:
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) and path else "other"
