"""`python -m demo run` as a visitor starts it: addresses, check-ins, a clean end, and the same data at the next start."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.parts import free_ports
from demo.world import Api
from tests.process import ROOT, ServerError, wait_until

START_WITHIN_S = 90.0
CHECK_INS_WITHIN_S = 30.0


@contextmanager
def running_demo(folder: Path, ports: tuple[int, ...]) -> Iterator[str]:
    """The demo with two simulated kiosks; gives what it printed. Ended by Ctrl-C, and its exit status must be 0."""
    names = ("--port", "--broker-port", "--kiosk-port")
    options = [part for name, port in zip(names, ports, strict=True) for part in (name, str(port))]
    log = folder.with_name("demo.log")
    with log.open("w+") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "demo", "run", "--dir", str(folder), *options, "--kiosks", "2", "--members", "8"],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            ended = wait_until(lambda: "Cards to print" in log.read_text() or demo.poll() is not None, START_WITHIN_S)
            if not ended or demo.poll() is not None:
                raise ServerError(log.read_text())
            yield log.read_text()
        finally:
            demo.send_signal(signal.SIGINT)
            status = demo.wait(60)
    assert status == 0, log.read_text()


def api_of(folder: Path, port: int) -> Api:
    kept = json.loads((folder / "demo.json").read_text())
    return Api(f"http://127.0.0.1:{port}", kept["token"])


def test_demo_prints_addresses_fills_with_check_ins_and_keeps_them_for_the_next_start(tmp_path: Path) -> None:
    folder, ports = tmp_path / "demo", tuple(free_ports(3))
    with running_demo(folder, ports) as printed:
        for address in (f"http://127.0.0.1:{ports[0]}/", f"http://127.0.0.1:{ports[0]}/api/v1/docs"):
            assert address in printed
        assert f"http://127.0.0.1:{ports[2]}/" in printed
        cards = re.search(r"file://(\S+)", printed)
        assert cards is not None
        assert "<svg" in Path(cards[1]).read_text("utf-8")
        api = api_of(folder, ports[0])
        assert wait_until(lambda: any(row["member_id"] for row in api.pages("/check-ins")), CHECK_INS_WITHIN_S, 0.5)
        before = {row["record_id"] for row in api.pages("/check-ins")}
        api.close()
    with running_demo(folder, ports):
        api = api_of(folder, ports[0])
        assert before <= {row["record_id"] for row in api.pages("/check-ins")}
        api.close()


def test_a_busy_port_is_named_with_the_option_that_changes_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "demo", "run", "--dir", str(tmp_path / "demo"), "--port", str(port)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "--port" in done.stderr
