"""Bad input without I/O: words for a person before the kiosk, names of all scripts, and the table itself.

Rows of docs/bad-input.md.
"""

import ast
import json
import logging
import re
from functools import cache
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud.logs import start_logging
from edge.kiosk.scan import Scanned
from firmware_specs.messages import Occurrence
from tests.kiosk import TALK, Stage, card, code, twin
from tests.process import ROOT

PAGE = ROOT / "docs" / "bad-input.md"
ISSUE = (  # section 8 of the issue that asked for the table, thing by thing
    "broken payload", "hostile payload", "fork", "forged", "expired", "cut", "wrong column", "duplicate", "formula cell",
    "wrong encoding", "too large", "picture bomb", "wrong setting", "missing setting", "port busy",
    "database not reachable at the start", "database not reachable later", "schema newer", "disk full in the cloud",
    "overlong name", "right-to-left", "combining", "2038", "leap second",
    # and what operating terminals from afar adds
    "certificate signing request with another name, a weak key", "claim code that is guessed", "claim code that is reused",
    "twin setting out of range or unknown", "rule on a metric that does not exist", "rule that matches everything",
    "import of 10,000 terminals with mistakes", "reports of its twin in a loop", "backup that is",
)  # fmt: skip
COLUMNS = ["what comes", "what answers", "what is kept", "shown by"]


def table() -> list[list[str]]:
    """The rows of every table of the page, without heads and rules."""
    rows = [line.strip().strip("|").split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line[:1] == "|"]
    return [[cell.strip() for cell in row] for row in rows if row[0].strip() != COLUMNS[0] and "---" not in row[0]]


@cache
def functions_of(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text("utf-8"))
    functions = [each for each in ast.walk(tree) if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return frozenset(each.name for each in functions if each.name.startswith("test_"))


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0]) for row in table()])
def test_each_row_names_tests_that_exist(row: list[str]) -> None:
    assert len(row) == len(COLUMNS)
    assert all(row)
    named = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`", row[-1])
    assert named
    for path, test in named:
        assert test in functions_of(ROOT / path), f"{path}::{test}"


@pytest.mark.parametrize("thing", ISSUE)
def test_each_kind_of_bad_input_has_its_row(thing: str) -> None:
    assert any(thing in row[0].lower() for row in table()), thing


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            code(card(), Ed25519PrivateKey.from_private_bytes(bytes(32))),
            ("不是本处的码", "Not one of our codes", "请出示活动室的二维码。", "Show the code you got from us."),
        ),
        (
            code(card(valid_days=(-9, -1))),
            (
                "二维码已过期",
                "QR code expired",
                "请到服务台换新，\n或打开手机页面。",
                "Get a new one at the desk or on your phone.",
            ),
        ),
        (
            code(card())[:-9],
            ("请再试一次", "Please try again", "放平，离镜头一掌远。", "Hold it flat, a hand’s width away."),
        ),
    ],
    ids=["forged", "expired", "cut"],
)
def test_a_bad_credential_gets_these_words(tmp_path: Path, text: str, said: tuple[str, ...]) -> None:
    with Stage(tmp_path, twin(TALK)) as stage:
        view = stage.see(text)
        assert view["field"] == "no"
        told = tuple(view[part][language] for part in ("title", "lines") for language in ("zh", "en"))
        assert told == said
        assert [record.type for record in stage.records()] == ["check_in"]


def test_a_title_with_marks_and_another_direction_reaches_the_page_as_it_is_and_the_page_isolates_it(
    tmp_path: Path,
) -> None:
    title = "שלום á̧ العربية"
    with Stage(tmp_path, twin(replace_title(title))) as stage:
        assert stage.see(code(card()))["activity"]["zh"] == title
    drawing = (ROOT / "edge/kiosk/page/draw.js").read_text("utf-8")
    assert 'tag === "span" ? "bdi" : tag' in drawing  # HTML isolates what stands in a bdi


def replace_title(title: str) -> Occurrence:
    return TALK.model_copy(update={"title": title, "title_en": ""})


def test_what_would_act_on_a_reader_of_the_log_is_written_as_escapes(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\u202eb\x1b[2Jc\nforged line\u2066"
    root = logging.getLogger()
    before = root.handlers, root.level
    try:
        for form in ("json", "text"):
            start_logging("info", form)
            structlog.get_logger("cloud").info("said", reason=hostile, name="样例 שלום")
            logging.getLogger("library").warning("said %s", hostile)
    finally:
        root.handlers, root.level = before
        structlog.reset_defaults()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert not any(character in line for line in lines for character in "\u202e\u2066\x1b")
    assert json.loads(lines[0])["reason"] == "a\\u202eb\\u001b[2Jc\\u000aforged line\\u2066"
    assert "样例 שלום" in lines[0]


def test_a_code_that_would_act_on_the_terminal_is_printed_as_escapes() -> None:
    scanned = Scanned("card.png", "a\x1b[2Jb\nc", "plain", 1.0)
    assert scanned.line(as_json=False) == "card.png\ta\\x1b[2Jb\\nc"
    assert json.loads(scanned.line(as_json=True))["text"] == "a\x1b[2Jb\nc"
