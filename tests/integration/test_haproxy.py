"""broker_config/haproxy: HAProxy takes the file, passes TLS through with the terminal's address, and leaves a sick broker out.

Before Mosquitto without the PROXY protocol, which 2.0.11 does not read; what is sent of it is looked at by a stand-in.
"""

import http.server
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mqtt import MqttClient, RefusedError
from tests.process import HOST, ROOT, Process, accepts, find_program, free_port, wait_until
from tests.servers import MutualTlsMosquitto

CONFIGURATION = ROOT / "broker_config" / "haproxy" / "haproxy.cfg"
PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n"
TERMINAL = "kiosk-1"


def check(path: Path) -> subprocess.CompletedProcess[str]:
    program = find_program("haproxy", "haproxy")
    return subprocess.run([program, "-c", "-f", path], capture_output=True, text=True, timeout=60, check=False)


def test_haproxy_takes_the_configuration_without_a_warning() -> None:
    done = check(CONFIGURATION)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stdout + done.stderr


def test_a_mistake_in_it_would_be_found(tmp_path: Path) -> None:
    broken = tmp_path / "haproxy.cfg"
    broken.write_text(CONFIGURATION.read_text("utf-8").replace("balance leastconn", "balance by-guess"))
    assert check(broken).returncode != 0


class Health:
    """What EMQX says at `GET /status`, here on a free port; None: it is not well."""

    def __init__(self) -> None:
        self.well = True
        self.asked = 0
        health = self

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                health.asked += 1
                self.send_response(200 if health.well and self.path == "/status" else 503)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self._server = http.server.ThreadingHTTPServer((HOST, 0), Answer)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def haproxy(folder: Path, brokers: dict[int, Health], *, proxy_protocol: bool) -> Iterator[int]:
    """HAProxy with the file, on a free port, before these brokers; yields its port for terminals."""
    port, text = free_port(), CONFIGURATION.read_text("utf-8")
    servers = "".join(f"  server b{at} {HOST}:{at} check port {each.port}\n" for at, each in brokers.items())
    text = re.sub(r"(?:  server \S+ [\d.]+:8883\n)+", servers, text.partition("listen cloud")[0])
    for line, instead in {
        "  maxconn 60000": "  maxconn 500",  # for which a test's machine has not the file descriptors
        "bind :8883": f"bind {HOST}:{port}",
        "check port 18083 inter 2s": "inter 100ms",
        " send-proxy-v2": " send-proxy-v2" if proxy_protocol else "",
        "  stats socket /run/haproxy/admin.sock mode 600 level admin\n": "",
    }.items():
        assert line in text
        text = text.replace(line, instead)
    (folder / "haproxy.cfg").write_text(text)
    process = Process(folder / "haproxy.log")
    program = str(find_program("haproxy", "haproxy"))
    process.spawn([program, "-db", "-f", str(folder / "haproxy.cfg")], ready=lambda: accepts(port))
    try:
        yield port
    finally:
        process.kill()


@pytest.fixture
def health() -> Iterator[tuple[Health, Health]]:
    one, two = Health(), Health()
    yield one, two
    one.close()
    two.close()


def test_certificates_pass_through_to_the_broker_that_is_well(tmp_path: Path, health: tuple[Health, Health]) -> None:
    """Both brokers are one authority's; when the first falls ill its connections are cut, and the second takes all."""
    first, second = health
    with MutualTlsMosquitto(tmp_path / "first", {TERMINAL: "-"}) as one, MutualTlsMosquitto(tmp_path / "second") as two:
        for name in ("ca.pem", "server.pem", "server-key.pem", "revoked.pem"):
            (two.certificates / name).write_bytes((one.certificates / name).read_bytes())
        two.reload()
        second.well = False
        with haproxy(tmp_path, {one.port: first, two.port: second}, proxy_protocol=False) as port:
            assert wait_until(lambda: second.asked > 3)
            terminal = MqttClient(port, TERMINAL, None, tls=one.tls(TERMINAL))
            assert terminal.publish(f"roomlink/v1/{TERMINAL}/up/records", b"own") is not None
            assert f"as {TERMINAL} " in one.process.log()
            assert f"as {TERMINAL} " not in two.process.log()
            first.well, second.well = False, True
            assert terminal.ended.wait(10)
            terminal.close()
            assert wait_until(lambda: comes_to(two, port, one.tls(TERMINAL)))


def comes_to(broker: MutualTlsMosquitto, port: int, tls: ssl.SSLContext) -> bool:
    try:
        MqttClient(port, TERMINAL, None, tls=tls).close()
    except RefusedError:  # as long as the second is not yet known to be well
        return False
    return f"as {TERMINAL} " in broker.process.log()


def test_broker_is_told_the_terminals_address_and_sees_its_tls(tmp_path: Path, health: tuple[Health, Health]) -> None:
    with socket.create_server((HOST, free_port())) as stand_in:
        port = stand_in.getsockname()[1]
        with haproxy(tmp_path, {port: health[0]}, proxy_protocol=True) as there:
            assert wait_until(lambda: health[0].asked > 3)
            with socket.create_connection((HOST, there)) as junk:
                junk.sendall(b"\x10\x0c\x00\x04MQTT")  # in clear: goes to no broker
                assert junk.recv(1) == b""
            with socket.create_connection((HOST, there)) as plain:
                threading.Thread(target=greet, args=(plain,)).start()
                stand_in.settimeout(10)
                arrived, _ = stand_in.accept()
                with arrived:
                    start = arrived.recv(16, socket.MSG_WAITALL)
                    addresses = arrived.recv(int.from_bytes(start[14:16]), socket.MSG_WAITALL)
                    hello = arrived.recv(3, socket.MSG_WAITALL)
                assert start[:12] == PROXY_V2
                assert socket.inet_ntoa(addresses[:4]) == HOST
                assert int.from_bytes(addresses[8:10]) == plain.getsockname()[1]
                assert hello[:2] == b"\x16\x03"  # a TLS handshake record


def greet(plain: socket.socket) -> None:
    """Say TLS's hello, whatever becomes of it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="broker.example")
    with pytest.raises(ssl.SSLWantReadError):
        secured.do_handshake()
    plain.sendall(outgoing.read())
