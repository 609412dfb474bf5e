"""Files of a twin over real HTTP: signed in as the terminal, and errors in words."""

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edge.fetcher import FetchError, HttpSource
from firmware_specs.messages import FileReference
from tests.process import free_port

CONTENT = b"x" * 200_000
REFERENCE = FileReference(sha256="0" * 64, size=len(CONTENT), path="/api/v1/terminals/kiosk-1/files/0")


class Answers(BaseHTTPRequestHandler):
    """One file, for kiosk-1 and its password."""

    def do_GET(self) -> None:
        expected = "Basic " + base64.b64encode(b"kiosk-1:secret").decode()
        known = self.path == REFERENCE.path
        status = 200 if known and self.headers["Authorization"] == expected else 401 if known else 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(CONTENT) if status == 200 else 0))
        self.end_headers()
        if status == 200:
            self.wfile.write(CONTENT)

    def do_PUT(self) -> None:
        expected = "Basic " + base64.b64encode(b"kiosk-1:secret").decode()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        known = self.headers["Authorization"] == expected and (self.path, content) == ("/here", CONTENT)
        self.send_response(204 if known else 409)
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Nothing on stderr."""


@pytest.fixture
def url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", free_port()), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def test_file_comes_in_pieces(url: str) -> None:
    pieces = list(HttpSource(url, "kiosk-1", "secret").pieces(REFERENCE))
    assert b"".join(pieces) == CONTENT
    assert len(pieces) > 1


def test_wrong_password_is_named(url: str) -> None:
    with pytest.raises(FetchError, match="answered 401"):
        list(HttpSource(url, "kiosk-1", "wrong").pieces(REFERENCE))


def test_file_that_is_gone_is_named(url: str) -> None:
    with pytest.raises(FetchError, match="answered 404"):
        list(HttpSource(url, "kiosk-1", "secret").pieces(REFERENCE.model_copy(update={"path": "/other"})))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [("", "cloud_url is missing"), ("http://127.0.0.1:1", "cannot be reached"), ("nonsense", "cannot be reached")],
)
def test_cloud_that_cannot_be_reached_is_named(url: str, sentence: str) -> None:
    with pytest.raises(FetchError, match=sentence):
        list(HttpSource(url, "kiosk-1", "secret").pieces(REFERENCE))


def test_what_a_command_asks_for_is_sent_in_and_a_refusal_is_named(url: str) -> None:
    source = HttpSource(url, "kiosk-1", "secret")
    source.send("/here", CONTENT)
    with pytest.raises(FetchError, match="answered 409"):
        source.send("/there", CONTENT)
    with pytest.raises(FetchError, match="cloud_url is missing"):
        HttpSource("", "kiosk-1", "secret").send("/here", b"")


@pytest.mark.parametrize("path", ["@127.0.0.1/x", ".example/x", ":1/x", "//evil.example/x"])
def test_what_is_sent_in_goes_to_no_other_host(path: str) -> None:
    with pytest.raises(FetchError, match=r"does not lie at|cannot be reached: \[Errno"):
        HttpSource("http://kiosk.invalid", "kiosk-1", "secret").send(path, b"x")


@pytest.mark.parametrize("path", ["@127.0.0.1/x", ".example/x", ":1/x", "//evil.example/x"])
def test_password_goes_to_no_other_host(path: str) -> None:
    source = HttpSource("http://kiosk.invalid", "kiosk-1", "secret")
    with pytest.raises(FetchError, match=r"does not lie at http://kiosk\.invalid|cannot be reached: \[Errno"):
        list(source.pieces(REFERENCE.model_copy(update={"path": path})))
