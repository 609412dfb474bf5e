"""The cloud's side of an enrolment for terminal tests: claims and renewals over real HTTPS, with the real authority.

Promises to answer as docs/decisions/0010-certificates-and-claims.md says, and to refuse what the cloud refuses; `spoil`
changes an answer, `fail_next` refuses once. Its clock is its own: `now` is what it takes for the time.
"""

import base64
import json
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cloud.certificates.authority import (
    Authority,
    is_issued_by,
    make_intermediate,
    make_root,
    make_server,
    make_terminal,
    new_key,
    read_request,
    terminal_of,
)
from cloud.errors import Invalid
from edge.renewal import signed_bytes
from firmware_specs.signing import is_signed_by
from tests.process import HOST

CODE = "7K3QX9M2TB"
TERMINAL = "kiosk-302-a"
DAY = timedelta(days=1)


def pem(*certificates: x509.Certificate) -> str:
    """One after the other."""
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Refusal(Exception):
    """An HTTP answer that is no success."""

    def __init__(self, status: int, detail: str = "") -> None:
        super().__init__(status)
        self.status, self.detail = status, detail


@dataclass
class Pki:
    """A root, an intermediate, and certificates of servers made with them; files below `folder`."""

    folder: Path
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC) - 400 * DAY)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.root: Authority = make_root("Test", self.made_at)
        self.issuer: Authority = make_intermediate(self.root, "Test", self.made_at)
        self.root_file = self.folder / "root.pem"
        self.root_file.write_text(pem(self.root.certificate))

    def server_files(self, name: str, begins_at: datetime, lasts: timedelta = 90 * DAY) -> tuple[Path, Path]:
        """Certificate (with its chain) and key of a server on loopback."""
        key = new_key()
        certificate = make_server(self.issuer, [HOST, "localhost"], key.public_key(), begins_at, lasts)
        chain_file, key_file = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        chain_file.write_text(pem(certificate, self.issuer.certificate))
        key_file.write_bytes(key_pem(key))
        return chain_file, key_file


@dataclass
class EnrolmentDouble:
    """One cloud. `issued`: every certificate it made. `claims` and `renewals` count those it granted."""

    pki: Pki
    codes: dict[str, str] = field(default_factory=lambda: {CODE: TERMINAL})
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    certificate_begins_at: datetime | None = None
    broker_port: int = 8883
    desired: dict[str, Any] | None = None
    revoked: set[int] = field(default_factory=set)
    spoil: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
    fail_next: list[int] = field(default_factory=list)
    issued: list[x509.Certificate] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    claims: int = 0
    renewals: int = 0
    server_begins_at: datetime | None = None

    def __enter__(self) -> Self:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.pki.server_files("https", self.server_begins_at or datetime.now(UTC)))
        self._server = _Server((HOST, 0), _Handler)
        self._server.double = self
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self._server.server_port}"

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Status and JSON of one request; raises Refusal."""
        self.asked.append(f"{method} {path}")
        if path == "/healthz":
            return 200, {}
        if self.fail_next:
            raise Refusal(self.fail_next.pop(0))
        if path.endswith("/claims/owner"):
            return 200, {"terminal": self._terminal_of(body["code"])}
        if path.endswith("/claims"):
            return 201, self.spoil(self._claim(body["code"], body["csr"]))
        return 201, self.spoil(self._renew(body["certificate"], body["csr"], body["signature"]))

    def _terminal_of(self, code: str) -> str:
        if code not in self.codes:
            raise Refusal(404, "There is no such code.")
        return self.codes[code]

    def _claim(self, code: str, csr: str) -> dict[str, Any]:
        terminal = self._terminal_of(code)
        granted = self._grant(terminal, csr, self.certificate_begins_at or self.now)
        del self.codes[code]
        self.claims += 1
        return granted | {"password": f"files-{self.claims}", "desired": self.desired}

    def _renew(self, certificate: str, csr: str, signature: str) -> dict[str, Any]:
        old, request = x509.load_pem_x509_certificate(certificate.encode()), x509.load_pem_x509_csr(csr.encode())
        key, terminal = old.public_key(), terminal_of(old)
        assert isinstance(key, ec.EllipticCurvePublicKey)
        signed = is_signed_by(key, signed_bytes(old, request), base64.urlsafe_b64decode(signature + "=="))
        if not is_issued_by(old, self.pki.issuer.certificate) or not signed or terminal is None:
            raise Refusal(403, "The request is not signed by the certificate that it names.")
        if old.serial_number in self.revoked or self.now > old.not_valid_after_utc + 365 * DAY:
            raise Refusal(403, "The certificate is revoked.")
        granted = self._grant(terminal, csr, self.now)
        self.renewals += 1
        return granted

    def _grant(self, terminal: str, csr: str, at: datetime) -> dict[str, Any]:
        try:
            key = read_request(csr.encode(), terminal)
        except Invalid as error:
            raise Refusal(422, str(error)) from None
        certificate = make_terminal(self.pki.issuer, terminal, key, at)
        self.issued.append(certificate)
        return {
            "terminal": terminal,
            "kind": "kiosk",
            "profile": "kiosk",
            "certificate": pem(certificate),
            "chain": pem(self.pki.issuer.certificate),
            "root": pem(self.pki.root.certificate),
            "not_after": int(certificate.not_valid_after_utc.timestamp() * 1e6),
            "renew_at": int((at + 60 * DAY).timestamp() * 1e6),
            "broker": {"host": HOST, "port": self.broker_port},
        }


class _Server(ThreadingHTTPServer):
    double: EnrolmentDouble
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A terminal that does not trust the certificate goes away in the handshake: that is what a test looks at."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self._serve("GET", {})

    def do_POST(self) -> None:
        self._serve("POST", json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, method: str, body: dict[str, Any]) -> None:
        try:
            status, document = self.server.double.answer(method, self.path, body)
        except Refusal as refusal:
            status, document = refusal.status, {"detail": refusal.detail} if refusal.detail else {}
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(content)

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The `Date` header."""
        return format_datetime(self.server.double.now, usegmt=True)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base names it so
        """Quiet."""
