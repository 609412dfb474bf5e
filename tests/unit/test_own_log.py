"""The agent's own log: kept within two files, private, and sent in only redacted and bounded."""

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import own_log
from edge.own_log import LINE_CHARACTERS, MAX_BYTES, MOST_LINES, TAIL_BYTES, OwnLog, file_in, tail


@pytest.fixture
def log(tmp_path: Path) -> Iterator[logging.Logger]:
    logger = logging.getLogger("test-of-own-log")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    handler = OwnLog(file_in(tmp_path))
    logger.addHandler(handler)
    yield logger
    logger.removeHandler(handler)
    handler.close()


def test_newest_lines_come_oldest_first_and_redacted(tmp_path: Path, log: logging.Logger) -> None:
    for number in range(10):
        log.info("line %d password=hunter%d", number, number)
    lines = tail(tmp_path, 3, []).decode().splitlines()
    assert [line.partition("line ")[2] for line in lines] == [f"{n} password=[redacted]" for n in (7, 8, 9)]


def test_it_is_for_its_owner_only_and_within_two_files(tmp_path: Path, log: logging.Logger) -> None:
    for _ in range(1_500):
        log.info("x" * 1_000)
    files = sorted(tmp_path.iterdir())
    assert [each.name for each in files] == ["agent.log", "agent.log.1"]
    assert all(each.stat().st_size <= MAX_BYTES for each in files)
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_what_is_sent_in_is_bounded_in_lines_and_bytes(tmp_path: Path) -> None:
    file_in(tmp_path).write_text("short\n" * 5_000)
    assert len(tail(tmp_path, 10_000, []).splitlines()) == MOST_LINES
    file_in(tmp_path).write_text(("long " * 2_000 + "\n") * 60 + "the last\n")
    sent = tail(tmp_path, 2_000, [])
    assert len(sent) <= TAIL_BYTES
    assert sent.endswith(b"the last\n")
    assert max(map(len, sent.splitlines())) <= LINE_CHARACTERS


def test_secret_where_a_long_line_is_cut_is_out_whole(tmp_path: Path) -> None:
    secret = "correct horse battery"
    file_in(tmp_path).write_text("a " * (LINE_CHARACTERS // 2 - 6) + secret + " and more\n")
    assert "correct" not in tail(tmp_path, 10, [secret]).decode()


def test_bytes_that_are_no_text_and_control_characters_do_no_harm(tmp_path: Path) -> None:
    file_in(tmp_path).write_bytes(b"a\xffb\x1b[31m\x00c\n")
    assert tail(tmp_path, 10, []).decode() == "a\ufffdb [31m c\n"


def test_without_a_log_there_is_nothing(tmp_path: Path) -> None:
    assert tail(tmp_path, 10, []) == b""


def test_disk_that_takes_nothing_troubles_nobody(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "hello", (), None)
    own_log.OwnLog(tmp_path / "gone" / "agent.log").handle(record)
    assert capsys.readouterr().err == ""
