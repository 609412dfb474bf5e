"""A real HTTP server on loopback that takes webhooks: keeps and checks them, and answers or hangs as a test says."""

import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from cloud.notifications import signing
from tests.authorities import Identity
from tests.process import HOST


@dataclass(frozen=True)
class Request:
    """What came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def message_id(self) -> str:
        """By which a receiver knows a repeat."""
        return self.headers["webhook-id"]

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data

    def is_signed_by(self, secret: str) -> bool:
        """As a receiver checks it."""
        made = signing.signature(secret, self.message_id, int(self.headers["webhook-timestamp"]), self.body)
        return made in self.headers["webhook-signature"].split(" ")


@dataclass
class Hook:
    """Start it with `with`. `answers` are (status, headers) for the next requests, then it is 200; `hang` takes a request
    and answers when it is released."""

    identity: Identity | None = None
    taken: list[Request] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    hang: bool = False
    released: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Listen."""
        hook = self

        class Handler(BaseHTTPRequestHandler):
            """One request."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.taken.append(Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                if hook.hang:
                    hook.released.wait(60)
                status, headers = hook.answers.pop(0) if hook.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        if self.identity is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.identity.certificate, self.identity.key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self.identity else 'http'}://{HOST}:{self.port}/alarms"

    def stop(self) -> None:
        """Listen no more, and let what hangs go."""
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
