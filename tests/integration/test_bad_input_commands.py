"""Bad input to our commands, run as people run them: one sentence, and the exit status that the table promises.

Rows of docs/bad-input.md.
"""

import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.process import ROOT

MOST_BYTES = 2 << 30
"""Address space that the decoder may take: the picture below would need far more."""


def run(*arguments: str, limit: bool = False, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ROOMLINK_")}
    bounded = ["prlimit", f"--as={MOST_BYTES}"] if limit else []
    return subprocess.run(
        [*bounded, sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is huge, and keeps its word: rows of zeros."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width // 8 + 1)) for _ in range(min(height, 2_000))) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_picture_bomb_is_refused_undecoded_with_exit_status_0(tmp_path: Path) -> None:
    picture = tmp_path / "bomb.png"
    picture.write_bytes(bomb(60_000, 60_000))
    assert picture.stat().st_size < 100_000
    done = run("edge", "scan", str(picture), limit=True)
    assert (done.returncode, done.stdout) == (0, f"{picture}\t\n")
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith(f"{picture}: The picture has ")
    assert "pixels" in done.stderr


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Setting terminal is missing. Example: terminal = 'kiosk-302-a'"),
        ("terminal = 'KIOSK 1'\n", "Setting terminal is wrong: "),
        (
            "terminal = 'kiosk-1'\ndata_dir = '/tmp'\nbroker = {host = 'x', port = 70000}\n",
            "Setting broker.port is wrong:",
        ),
        ("terminal = 'kiosk-1'\nprot = 1\n", "Setting "),
        ("terminal =\n", "is not TOML"),
    ],
)
def test_a_wrong_setting_of_the_agent_is_one_sentence_and_exit_status_2(
    tmp_path: Path, text: str, sentence: str
) -> None:
    file = tmp_path / "kiosk.toml"
    file.write_text(text)
    done = run("edge", "run", "--config", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert sentence in done.stderr


def test_a_settings_file_that_is_not_there_is_named_with_an_example(tmp_path: Path) -> None:
    done = run("edge", "run", "--config", str(tmp_path / "none.toml"))
    assert done.returncode == 2
    assert done.stderr.strip().endswith("does not exist. Example: --config /etc/roomlink/kiosk.toml")


def test_a_database_that_is_not_reachable_at_the_start_is_waited_for_and_then_named() -> None:
    done = run(
        "cloud",
        "serve",
        ROOMLINK_DATABASE_URL="postgresql://roomlink@127.0.0.1:1/roomlink",
        ROOMLINK_DATABASE_WAIT_S="1",
    )
    *waited, last = done.stderr.strip().splitlines()
    assert done.returncode == 2
    assert waited
    assert all("is not reachable" in line and "trying again in" in line for line in waited)
    assert "was not reachable within 1 s" in last
