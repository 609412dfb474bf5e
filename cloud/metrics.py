"""Counters of the HTTP side, in Prometheus' form, and the page that shows all of the process's."""

import time
from collections.abc import MutableMapping
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUESTS = Counter("roomlink_http_requests", "Answers of the HTTP API.", ["method", "route", "status"])
SECONDS = Histogram("roomlink_http_request_seconds", "Time until an answer of the HTTP API began.", ["route"])
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


def _route(scope: MutableMapping[str, Any]) -> str:
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) and path else "other"
