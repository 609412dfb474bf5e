""".ci/system-packages on a bare machine: a PATH that holds fakes of what it calls, and nothing else."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.process import ROOT

Run = Callable[..., "subprocess.CompletedProcess[str]"]
FAKES = {
    "id": "echo $FAKE_UID",
    "sudo": '[ "$FAKE_SUDO" = yes ] || exit 1\n[ "$1" = -n ] && shift\necho "sudo: $*" >>"$FAKE_LOG"\nexec "$@"',
    "apt-get": 'echo "apt-get: $DEBIAN_FRONTEND $*" >>"$FAKE_LOG"',
}
MISSING = {"strace"}
"""What no PATH of these tests holds; the rest depends on the machine."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """What was called as root."""
    return tmp_path / "log"


@pytest.fixture
def run(tmp_path: Path, log: Path) -> Run:
    """Run the script with the fakes."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, body in FAKES.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    for name in ("env", "true", "grep", "sh"):
        (folder / name).symlink_to(shutil.which(name) or name)

    def run(
        what: str, *, uid: int = 1000, sudo: bool = False, without: str = "", **more: str
    ) -> "subprocess.CompletedProcess[str]":
        if without:
            (folder / without).unlink()
        fake = {"FAKE_UID": str(uid), "FAKE_SUDO": "yes" if sudo else "no", "FAKE_LOG": str(log)}
        return subprocess.run(
            [shutil.which("bash") or "bash", str(ROOT / ".ci" / "system-packages"), what],
            env={"PATH": str(folder)} | fake | more,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def test_a_plain_user_is_told_the_one_command(run: Run, log: Path) -> None:
    done = run("tests")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    missing, _, command = line.partition(". Run: ")
    assert set(missing.removeprefix("Missing from the system: ").split()) >= MISSING
    assert command.startswith("sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends ")
    assert "strace" in command
    assert not log.exists()


def test_a_user_without_sudo_installed_is_told_the_same(run: Run) -> None:
    done = run("tests", without="sudo")
    assert done.returncode == 1
    assert "Run: sudo sh -c" in done.stderr


def test_root_installs_what_is_missing_and_is_asked_nothing(run: Run, log: Path) -> None:
    assert run("tests", uid=0, without="sudo").returncode == 0
    update, install = log.read_text().splitlines()
    assert update == "apt-get: noninteractive update -qq"
    assert install.startswith("apt-get: noninteractive install -y --no-install-recommends ")
    assert set(install.split()) >= MISSING


def test_a_user_with_sudo_that_asks_nothing_installs_by_it(run: Run, log: Path) -> None:
    assert run("tests", sudo=True).returncode == 0
    called = log.read_text().splitlines()
    assert "sudo: env DEBIAN_FRONTEND=noninteractive apt-get update -qq" in called
    assert any(line.startswith("apt-get: noninteractive install") for line in called)


def test_a_machine_without_apt_get_names_what_is_missing(run: Run) -> None:
    done = run("tests", uid=0, without="apt-get")
    assert done.returncode == 1
    assert "strace" in done.stderr
    assert "install them by hand" in done.stderr


def test_a_machine_without_python_gets_it(run: Run, log: Path) -> None:
    assert run("python", uid=0).returncode == 0
    assert "python3-venv" in log.read_text()


def test_a_python_that_is_too_old_is_named_with_the_way_out(run: Run, tmp_path: Path) -> None:
    old = tmp_path / "bin" / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run("python", uid=0)
    assert done.returncode == 1
    assert "make PYTHON=python3.12" in done.stderr


def test_nothing_is_called_where_nothing_is_missing(run: Run, tmp_path: Path, log: Path) -> None:
    (tmp_path / "bin" / "make").symlink_to("true")
    assert run("build").returncode == 0
    assert not log.exists()


def test_another_word_is_refused(run: Run) -> None:
    assert run("everything").returncode == 1
