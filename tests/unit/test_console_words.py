"""The console's catalogues, its markup, and what its script repeats of them."""

import ast
import re
import string
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from markupsafe import Markup

from cloud.console.lists import address
from cloud.console.markup import join, tag
from cloud.console.preferences import local_path
from cloud.console.words import Language, Words, catalogue
from cloud.quarantine.page import hex_lines, printable

CLOUD = Path(__file__).parent.parent.parent / "cloud"
KEY = re.compile(r"""words\(\s*"([a-z_]+\.[a-z_]+)\"""")
SHANGHAI = ZoneInfo("Asia/Shanghai")
NOTED = 4
"""`note` has a session, who and when, what was done, to what."""


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def noted(tree: ast.AST) -> set[str]:
    """The names under which calls of `audit.service.note` keep what they know."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and len(node.args) >= NOTED)
    return {
        word.arg
        for call in calls
        if "note" in {getattr(call.func, "id", None), getattr(call.func, "attr", None)}
        for word in call.keywords
        if word.arg
    }


def test_both_languages_have_the_same_keys_and_placeholders() -> None:
    chinese, english = catalogue(Language.CHINESE), catalogue(Language.ENGLISH)
    plain = {key: text for key, text in english.items() if not key.endswith("_one")}
    assert {key for key in chinese if not key.startswith("refused.") and not key.endswith("_one")} == set(plain)
    assert {key for key in chinese if key.endswith("_one")} <= set(english)
    for key, text in plain.items():
        assert placeholders(chinese[key]) == placeholders(text), key


def test_every_key_that_a_page_names_is_in_the_catalogues() -> None:
    known = set(catalogue(Language.ENGLISH))
    for path in [*CLOUD.glob("*/*page.py"), *CLOUD.glob("console/*.py"), CLOUD / "terminals" / "twin_table.py"]:
        missing = set(KEY.findall(path.read_text("utf-8"))) - known
        assert not missing, f"{path}: {missing}"


def test_what_the_audit_notes_has_a_word() -> None:
    known = set(catalogue(Language.ENGLISH))
    named = {name for path in CLOUD.rglob("*.py") for name in noted(ast.parse(path.read_text("utf-8")))}
    assert {name for name in named - {"before"} if f"field.{name}" not in known} == set()
    assert len(named) > 30


def test_one_is_said_as_one_in_english() -> None:
    words = Words(Language.ENGLISH, SHANGHAI)
    assert words("members.attended", n=1) == "Latest 1 attendance"
    assert words("members.attended", n=48_231) == "Latest 48,231 attendances"


def test_rooms_are_told_as_all_that_there_are_and_not_as_those_in_use() -> None:
    words = Words(Language.ENGLISH, SHANGHAI)
    assert [words("overview.now_why", n=n) for n in (1, 3)] == ["one room altogether", "3 rooms altogether"]


@pytest.mark.parametrize(
    ("seconds", "english", "chinese"),
    [(3, "3 s ago", "3 秒前"), (119, "119 s ago", "119 秒前"), (360, "6 min ago", "6 分钟前"),
     (7_200, "2 h ago", "2 小时前"), (864_000, "10 d ago", "10 天前")],
)  # fmt: skip
def test_ages_are_said_in_the_largest_unit_they_fill_twice(seconds: int, english: str, chinese: str) -> None:
    now = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
    at = now - timedelta(seconds=seconds)
    assert Words(Language.ENGLISH, SHANGHAI).ago(at, now) == english
    assert Words(Language.CHINESE, SHANGHAI).ago(at, now) == chinese


def test_days_are_written_as_each_language_does() -> None:
    at = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
    assert Words(Language.ENGLISH, SHANGHAI).day(at) == "Monday 23 November 2026"
    assert Words(Language.CHINESE, SHANGHAI).day(at) == "2026年11月23日 星期一"


def test_text_never_becomes_markup() -> None:
    assert tag("b", "<i>", title='"x"') == '<b title="&#34;x&#34;">&lt;i&gt;</b>'
    assert join("a & b", Markup("<br>"), None, ["c"]) == "a &amp; b<br>c"
    assert tag("i", x=0, hidden=True, lang=None) == '<i x="0" hidden></i>'


@pytest.mark.parametrize("path", ["https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example", "x", ""])
def test_a_redirection_never_leaves_the_site(path: str) -> None:
    assert local_path(path) == "/"


def test_addresses_leave_out_what_is_empty() -> None:
    assert address("/members", search="王", cursor="") == "/members?search=%E7%8E%8B"
    assert address("/members", search="") == "/members"


def test_bytes_are_shown_as_text_that_neither_acts_nor_reorders() -> None:
    assert printable(b"a\x00\n\xe2\x80\xaeb") == "a·\n·b"
    assert hex_lines(b"Roomlink is a line.") == (
        "000000  52 6f 6f 6d 6c 69 6e 6b 20 69 73 20 61 20 6c 69  Roomlink is a li\n"
        "000010  6e 65 2e                                         ne."
    )


def test_a_token_has_one_value_on_console_and_kiosk() -> None:
    """The kiosk carries only the tokens that it uses."""
    kiosk = declared((CLOUD.parent / "edge" / "kiosk" / "page" / "tokens.css").read_text("utf-8"))
    console = declared((CLOUD / "console" / "assets" / "tokens.css").read_text("utf-8"))
    shared = {key: value for key, value in kiosk.items() if key in console}
    assert len(shared) > 60
    assert shared == {key: console[key] for key in shared}


def declared(css: str) -> dict[tuple[str, str], str]:
    """Each token's value by (selector, name), without comments and white space."""
    plain = re.sub(r"/\*.*?\*/", "", css, flags=re.S)
    found = {}
    for selector, body in re.findall(r"([^{}]+)\{([^{}]*)\}", plain):
        for name, value in re.findall(r"(--[\w-]+):([^;]+)", body):
            found[re.sub(r"\s+", "", selector), name] = re.sub(r"\s+", "", value)
    return found
