"""broker_config/haproxy: HAProxy itself takes the file."""

import subprocess
from pathlib import Path

from tests.process import ROOT, find_program

CONFIGURATION = ROOT / "broker_config" / "haproxy" / "haproxy.cfg"


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
