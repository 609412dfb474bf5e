"""The password file: Mosquitto's format, replaced in one step, readable by the broker and nobody else."""

import base64
import os
import stat
import subprocess
from pathlib import Path

import pytest

from broker_config.passwords import (
    PasswordFileError,
    ask_for_reload,
    hash_password,
    read_password_file,
    write_password_file,
)
from tests.process import wait_until

MADE_BY_MOSQUITTO = (  # mosquitto_passwd -b FILE kiosk-1 "correct horse", version 2.0.11
    "$7$101$7sMR5Mb/fZB803Sv$wPxMDMvLYD6c1Dtv13t0QItdK7cHCo0ood0e01idTHKGEXa2gqIx/xtf9dLVMXv/1IRzOvIGqqViKoBG4IHR6Q=="
)


def test_hash_is_the_one_mosquitto_passwd_makes() -> None:
    salt = base64.b64decode(MADE_BY_MOSQUITTO.split("$")[3])
    assert hash_password("correct horse", salt) == MADE_BY_MOSQUITTO


def test_same_password_is_hashed_differently_each_time() -> None:
    assert hash_password("correct horse") != hash_password("correct horse")


def test_written_users_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "terminals"
    hashes = {"kiosk-2": hash_password("two"), "亭-1": hash_password("one")}
    write_password_file(path, hashes)
    assert read_password_file(path) == hashes
    assert path.read_text("utf-8").endswith("\n")


def test_missing_file_has_no_users(tmp_path: Path) -> None:
    assert read_password_file(tmp_path / "terminals") == {}


@pytest.mark.parametrize("line", ["no colon", ":hash only", "name only:"])
def test_line_that_is_not_name_and_hash_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "terminals"
    path.write_text(f"kiosk-1:$7$1$a$b\n{line}\n")
    with pytest.raises(PasswordFileError, match="line 2"):
        read_password_file(path)


@pytest.mark.parametrize("name", ["", "a:b", "a\nroomlink-cloud", "a\rb", "#kiosk", "a\0b"])
def test_name_that_would_change_the_files_meaning_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "terminals"
    write_password_file(path, {"kiosk-1": "$7$1$a$b"})
    with pytest.raises(PasswordFileError):
        write_password_file(path, {name: "$7$1$a$b"})
    assert read_password_file(path) == {"kiosk-1": "$7$1$a$b"}
    assert [file.name for file in tmp_path.iterdir()] == ["terminals"]


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    path = tmp_path / "terminals"
    write_password_file(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_group_of_a_set_group_id_directory_may_read_the_file(tmp_path: Path) -> None:
    tmp_path.chmod(0o2750)
    path = tmp_path / "terminals"
    write_password_file(path, {})
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_gid == tmp_path.stat().st_gid


def test_file_belongs_to_the_owner_of_its_directory(tmp_path: Path) -> None:
    if os.geteuid() == 0:  # root writes for whom Mosquitto drops to; anyone else can only write for themselves
        os.chown(tmp_path, 12_345, 12_345)
    path = tmp_path / "terminals"
    write_password_file(path, {})
    assert (path.stat().st_uid, path.stat().st_gid) == (tmp_path.stat().st_uid, tmp_path.stat().st_gid)


def test_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "terminals"
    path.mkdir()  # a rename onto a directory fails after the new file was written
    with pytest.raises(OSError, match="terminals"):
        write_password_file(path, {"kiosk-1": "$7$1$a$b"})
    assert [file.name for file in tmp_path.iterdir()] == ["terminals"]


@pytest.mark.parametrize("content", ["", "not a number", "4194305", "{of this test}"])
def test_reload_signals_nothing_but_a_running_mosquitto(tmp_path: Path, content: str) -> None:
    pid_file = tmp_path / "mosquitto.pid"
    pid_file.write_text(content.replace("{of this test}", str(os.getpid())))
    with pytest.raises(PasswordFileError):
        ask_for_reload(pid_file)


def test_mosquitto_that_has_only_begun_to_start_is_not_ended_by_the_signal(tmp_path: Path) -> None:
    """Under its name, a shell that minds the signal late, as Mosquitto does after it has written its pid file."""
    program = tmp_path / "mosquitto"
    program.symlink_to("/bin/sh")
    late = "sleep 0.5; trap 'exit 7' HUP; while :; do sleep 0.05; done"
    # A shell cannot mind a signal that was ignored when it began, as under nohup.
    command = ["env", "--default-signal=HUP", str(program), "-c", late]
    with subprocess.Popen(command) as starting:
        try:
            comm = Path(f"/proc/{starting.pid}/comm")
            assert wait_until(lambda: comm.read_text() == "mosquitto\n")
            pid_file = tmp_path / "pid"
            pid_file.write_text(str(starting.pid))
            ask_for_reload(pid_file)
            assert starting.wait(10) == 7
        finally:
            starting.kill()
