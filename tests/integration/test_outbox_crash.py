"""The outbox under SIGKILL before every write and sync, and on a disk that is full, failing or read-only.

strace injects both into a real process; what the process has printed must be there when the file is opened again.
"""

import json
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge.outbox import Outbox
from firmware_specs.wire import chain_next, chain_start, decode_batch, decode_record
from tests.process import ROOT, find_program

CHILD = [sys.executable, "-m", "tests.integration.outbox_child"]
WRITES = "pwrite64,write,fdatasync,fsync,ftruncate,unlink,rename"
EVERY_WRITE = os.environ.get("ROOMLINK_TEST_EVERY_WRITE") == "1"
"""Kill before each single write instead of every fifth one; minutes instead of seconds."""


@dataclass
class Said:
    """What a child has printed."""

    numbers: dict[int, str]
    stored: int
    errors: list[str]
    status: int


def run_child(file: Path, *arguments: str, inject: str | None = None, max_file_bytes: int | None = None) -> Said:
    tracer = [] if inject is None else [str(find_program("strace", "strace")), "-f", "-qq", "-o", "/dev/null"]
    options = [] if inject is None else ["-e", f"trace={WRITES}", "-e", f"inject={inject}", "--"]

    def limit() -> None:
        if max_file_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (max_file_bytes, max_file_bytes))

    done = subprocess.run(
        [*tracer, *options, *CHILD, str(file), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=limit,
    )
    said = Said({}, 0, [], done.returncode)
    for line in done.stdout.splitlines():
        word, *rest = line.split()
        if word == "got":
            said.numbers[int(rest[0])] = rest[1]
        elif word == "stored":
            said.stored = int(rest[0])
        elif word == "error":
            said.errors.append(rest[0])
    assert "Traceback" not in done.stderr, done.stderr
    return said


def kept_records(file: Path) -> dict[int, str]:
    """Number and id of every kept record, after checking that numbers are contiguous and fixed chains right."""
    Outbox.open(file, terminal="kiosk-1").close()
    with closing(sqlite3.connect(file)) as connection:
        stream, base, trimmed, trimmed_chain, fixed, last = connection.execute(
            "SELECT stream, base, trimmed, trimmed_chain, fixed, last FROM stream"
        ).fetchone()
        rows = connection.execute("SELECT place - ?, line, chain FROM records ORDER BY place", (base,)).fetchall()
    assert [number for number, _, _ in rows] == list(range(trimmed + 1, last + 1))
    chain = trimmed_chain if trimmed else chain_start("kiosk-1", stream)
    for number, line, kept_chain in rows:
        chain = chain_next(chain, line)
        assert number > fixed or chain == kept_chain
    return {number: decode_record(line).id for number, line, _ in rows}


def check_all_there(file: Path, said: Said) -> None:
    kept = kept_records(file)
    least = min(kept)
    for number, record_id in said.numbers.items():
        assert number < least <= said.stored + 1 or kept[number] == record_id
    outbox = Outbox.open(file, terminal="kiosk-1")
    assert all(outbox.is_accepted("act/20261123T000000Z", [record_id]) for record_id in said.numbers.values())
    batch = outbox.next_batch(200, 65_536)
    outbox.close()
    assert batch is not None
    assert decode_batch(batch.payload).last == batch.last


@pytest.mark.parametrize(("call", "stride"), [("pwrite64", 11), ("fdatasync", 3), ("ftruncate", 1), ("unlink", 1)])
def test_killed_before_any_write_or_sync_keeps_all_that_was_promised(call: str, stride: int, tmp_path: Path) -> None:
    point, said = 1, Said({}, 0, [], -1)
    while said.status != 0:
        file = tmp_path / f"{point}.db"
        said = run_child(file, "12", "--send", inject=f"{call}:signal=SIGKILL:when={point}")
        assert said.status in (0, -signal.SIGKILL, 128 + signal.SIGKILL)
        check_all_there(file, said)
        point += 1 if EVERY_WRITE else stride
    assert point > stride + 1, "not one was killed"


def test_killed_again_and_again_on_one_file_keeps_all_that_was_promised(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    for point in range(3, 60, 2 if EVERY_WRITE else 8):
        said = run_child(file, "12", "--send", inject=f"pwrite64:signal=SIGKILL:when={point}")
        check_all_there(file, said)


def test_killed_while_several_threads_commit_as_a_group_keeps_all_that_was_promised(tmp_path: Path) -> None:
    for point in range(5, 30, 1 if EVERY_WRITE else 6):
        file = tmp_path / f"{point}.db"
        said = run_child(file, "8", "--threads", "4", inject=f"fdatasync:signal=SIGKILL:when={point}")
        check_all_there(file, said)


@pytest.mark.parametrize(
    ("error", "named"),
    [("ENOSPC", {"OutboxFull"}), ("EROFS", {"OutboxReadOnly", "OutboxUnavailable"}), ("EIO", {"OutboxUnavailable"})],
)
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync"])
def test_failing_disk_is_a_named_error_and_recovers_by_itself(
    error: str, named: set[str], call: str, tmp_path: Path
) -> None:
    file = tmp_path / "outbox.db"
    run_child(file, "3")
    said = run_child(file, "12", "--send", inject=f"{call}:error={error}:when=8..20")
    assert said.status == 0
    assert set(said.errors) <= named | {"OutboxUnavailable"}
    assert said.errors
    assert said.numbers
    check_all_there(file, said)


def test_file_that_may_not_grow_is_full_and_recovers_when_it_may(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    full = run_child(file, "200", max_file_bytes=96 * 1024)
    assert full.status == 0
    assert full.errors
    check_all_there(file, full)
    after = run_child(file, "5")
    assert len(after.numbers) == 5
    check_all_there(file, after)


def test_disk_that_fails_from_the_first_moment_does_not_end_the_agent(tmp_path: Path) -> None:
    said = run_child(tmp_path / "outbox.db", "5", inject="pwrite64:error=EROFS")
    assert said.status == 0
    assert len(said.errors) == 5


def test_damaged_pages_are_found_at_the_start_and_moved_aside(tmp_path: Path) -> None:
    file = tmp_path / "outbox.db"
    run_child(file, "50")
    with file.open("r+b") as opened:
        opened.seek(4096 * 3)
        opened.write(b"\xa5" * 4096 * 4)
    said = run_child(file, "3")
    assert said.status == 0
    check_all_there(file, said)
    assert list(tmp_path.glob("outbox.db.damaged-*"))
    with closing(sqlite3.connect(file)) as connection:
        started = [json.loads(line) for (line,) in connection.execute("SELECT line FROM records WHERE type='started'")]
    assert started[0]["reason"] == "damaged"


@pytest.mark.parametrize(
    ("call", "stride"),
    [("rename", 1), ("unlink", 1), ("pwrite64", 9), ("fdatasync", 2), ("fsync", 1), ("ftruncate", 1)],
)
def test_killed_while_a_damaged_file_is_saved_keeps_all_that_was_promised(
    call: str, stride: int, tmp_path: Path
) -> None:
    said = run_child(tmp_path / "sound.db", "20")
    with closing(sqlite3.connect(tmp_path / "sound.db")) as connection:  # open: nobody brings its log into the file
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("DELETE FROM records WHERE place = 1")
        connection.commit()
        again, point = Said({}, 0, [], -1), 1
        while again.status != 0:
            folder = tmp_path / f"{point}"
            folder.mkdir()
            for suffix in ("", "-wal"):
                shutil.copyfile(tmp_path / f"sound.db{suffix}", folder / f"outbox.db{suffix}")
            again = run_child(folder / "outbox.db", "1", inject=f"{call}:signal=SIGKILL:when={point}")
            assert {*said.numbers.values(), *again.numbers.values()} <= set(kept_records(folder / "outbox.db").values())
            point += 1 if EVERY_WRITE else stride
    assert point > stride + 1, "not one was killed"
