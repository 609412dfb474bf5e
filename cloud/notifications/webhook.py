"""Posts one message to one URL, within a deadline, and to no address but those that were judged.

Promises that the name is looked up once, for the connection itself (no DNS rebinding), that TLS verifies the host by its name,
that no redirect is followed, no proxy of the environment used, and nothing of the answer read but its status and headers.
"""

import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import httpcore

from cloud.notifications.addresses import Allowed, LookUp, judged, parse
from cloud.notifications.failures import Undelivered

WITHIN_S: Final = 15.0
"""All of one attempt: look up, connect, send, and the answer's headers, however slowly they drip."""
AGAIN: Final = frozenset({408, 425, 429})
"""Of the 4xx: what may be well later (RFC 9110)."""


@dataclass(frozen=True)
class Poster:
    """How webhooks are sent. `context` says whom to trust."""

    context: ssl.SSLContext
    allowed: Allowed = field(default_factory=Allowed)
    within_s: float = WITHIN_S
    look_up: LookUp | None = None

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> None:
        """Returns when the other side has taken it (2xx). Undelivered says why not."""
        try:
            parts = parse(url)
        except ValueError as error:
            raise Undelivered(str(error), final=True) from None
        host = parts.hostname or ""
        way = _Way(self, parts.scheme == "https", time.monotonic() + self.within_s)
        said = {"Host": parts.netloc, "User-Agent": "Roomlink", "Content-Type": "application/json", **headers}
        try:
            with (
                httpcore.ConnectionPool(ssl_context=self.context, network_backend=way, max_connections=1) as pool,
                pool.stream("POST", url, headers=list(said.items()), content=body) as answer,
            ):
                _check(answer.status, dict(answer.headers))
        except httpcore.TimeoutException as error:
            raise Undelivered("timeout", seconds=int(self.within_s)) from error
        except httpcore.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLError) or isinstance(error.__context__, ssl.SSLError):
                raise Undelivered("certificate", host=host) from error
            raise Undelivered("no_connection", host=host) from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise Undelivered("broken_answer", host=host) from error

    def judge(self, url: str) -> None:
        """Undelivered or ValueError where nothing may be sent there: asked before it is kept, and again at each attempt."""
        parts = parse(url)
        _addresses(self, parts.hostname or "", parts.port or 443, tls=parts.scheme == "https")


class _Way(httpcore.NetworkBackend):
    """Connects to judged addresses only, and lets nothing last longer than to the deadline."""

    def __init__(self, poster: Poster, tls: bool, deadline_s: float) -> None:
        self._poster, self._tls, self._deadline_s = poster, tls, deadline_s
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """The first of the addresses that answers."""
        addresses = _addresses(self._poster, host, port, tls=self._tls)
        for address in addresses[:-1]:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return self._to(address, port, local_address, socket_options, left_for=2)
        return self._to(addresses[-1], port, local_address, socket_options)

    def _to(
        self, address: str, port: int, local: str | None, options: Iterable[Any] | None, left_for: int = 1
    ) -> httpcore.NetworkStream:
        left_s = _left(self._deadline_s) / left_for
        return _Timed(self._plain.connect_tcp(address, port, left_s, local, options), self._deadline_s)


class _Timed(httpcore.NetworkStream):
    """A stream whose every step has only what is left of the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline_s: float) -> None:
        self._stream, self._deadline_s = stream, deadline_s

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """What has come."""
        return self._stream.read(max_bytes, _left(self._deadline_s))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """All of it."""
        self._stream.write(buffer, _left(self._deadline_s))

    def close(self) -> None:
        """End it."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Over TLS from here on, with the certificate of the name, not of the address."""
        secured = self._stream.start_tls(ssl_context, server_hostname, _left(self._deadline_s))
        return _Timed(secured, self._deadline_s)

    def get_extra_info(self, info: str) -> Any:
        """What is known of it."""
        return self._stream.get_extra_info(info)


def _addresses(poster: Poster, host: str, port: int, *, tls: bool) -> list[str]:
    if poster.look_up is None:
        return judged(host, port, poster.allowed, tls=tls)
    return judged(host, port, poster.allowed, tls=tls, look_up=poster.look_up)


def _left(deadline_s: float) -> float:
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise httpcore.ReadTimeout
    return left_s


def _check(status: int, headers: Mapping[bytes, bytes]) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise Undelivered("redirect", final=True, status=status)
    final = 400 <= status < 500 and status not in AGAIN
    raise Undelivered("status", final=final, retry_after=_asked(headers), status=status)


def _asked(headers: Mapping[bytes, bytes]) -> timedelta | None:
    """Retry-After in seconds; a date is not looked at."""
    said = next((value for name, value in headers.items() if name.lower() == b"retry-after"), b"").strip()
    return timedelta(seconds=int(said)) if said.isdigit() and len(said) < 8 else None
