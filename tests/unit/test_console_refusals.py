"""What is refused is said in the page's language, and every refusal that a page can meet has its words."""

import ast
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from cloud.accounts.service import Role
from cloud.activities.service import ActivityForm
from cloud.console import refusals
from cloud.console.words import Language, Words, catalogue
from cloud.errors import CloudError, Conflict, Fault, Forbidden, Invalid, Unfit, faults_of
from cloud.members.service import MemberForm

CLOUD = Path(__file__).parent.parent.parent / "cloud"
CHINESE = Words(Language.CHINESE, ZoneInfo("Asia/Shanghai"))
ENGLISH = Words(Language.ENGLISH, ZoneInfo("Asia/Shanghai"))
ERRORS = {each.__name__ for each in CloudError.__subclasses__()} | {"TooLarge", "_Stopped"}
NOT_ON_PAGES = {
    "app.py",
    "api.py",
    "guard.py",
    "health.py",
    "uploads.py",
    "routes.py",
    "security.py",
    "child.py",
    "recurrence.py",
}
"""Said by programs to programs: HTTP itself, probes, terminals."""


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Every error, fault and unfit value that the cloud's code makes, outside what only programs meet."""
    for path in CLOUD.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield f"{path.relative_to(CLOUD)}:{node.lineno}", node


def test_every_error_that_a_page_can_meet_has_its_words_in_chinese() -> None:
    known = catalogue(Language.CHINESE)
    missing = []
    for place, call in raised():
        assert isinstance(call.func, ast.Name)
        if call.func.id not in ERRORS - {"StartError"} or place.partition(":")[0].rpartition("/")[2] in NOT_ON_PAGES:
            continue
        if not call.args or isinstance(call.args[0], ast.Name | ast.Attribute | ast.Starred):
            continue
        codes = [each.value for each in call.keywords if each.arg == "code"]
        code = codes[0].value if codes and isinstance(codes[0], ast.Constant) else None
        if codes and code is None:
            continue  # a page's own words
        if f"refused.{code!s}" not in known:
            missing.append(f"{place} {code!s}")
    assert not missing


def test_every_fault_has_its_words_in_both_languages() -> None:
    for place, call in raised():
        assert isinstance(call.func, ast.Name)
        at = {"Fault": 2, "Unfit": 1}.get(call.func.id)
        if at is None or place.startswith("errors.py"):
            continue
        code = call.args[at] if len(call.args) > at else None
        if isinstance(code, ast.Name):
            continue
        assert isinstance(code, ast.Constant), place
        for language in Language:
            assert f"fault.{code.value!s}" in catalogue(language), f"{place} {code.value!s}"


@pytest.mark.parametrize(
    ("form", "values"),
    [
        (MemberForm, {"display_name": "", "organisation_id": "x", "external_id": "=1"}),
        (MemberForm, {"display_name": "a" * 121, "organisation_id": "org_0123456789abcdef", "more": "x"}),
        (ActivityForm, {"room_id": "rm_0123456789abcdef", "title": "\u202e", "starts_at": 0, "duration_s": 1,
                        "rrule": "FREQ=NEVER", "timezone": "Nowhere/Atall"}),
    ],
)  # fmt: skip
def test_what_a_form_does_not_take_is_said_without_a_word_of_english(
    form: type[MemberForm | ActivityForm], values: dict[str, object]
) -> None:
    with pytest.raises(ValidationError) as caught:
        form(**values)  # type: ignore[arg-type]
    said = [refusals.fault(CHINESE, each) for each in faults_of(caught.value.errors())]
    assert said
    for line in said:
        letters = "".join(c for c in line if c.isascii() and c.isalpha())
        assert letters in {"", "U", "UE", "AsiaShanghai", "FREQWEEKLYBYDAYTUTH"}, line


def test_an_error_is_said_by_its_code_and_values() -> None:
    error = Conflict("The organisation has a room 302 already.", code="room_exists", number="302")
    assert refusals.sentence(CHINESE, error) == "这个组织已有房间 302。"
    assert refusals.sentence(ENGLISH, error) == "The organisation has a room 302 already."


def test_an_error_without_words_is_still_not_english_on_a_chinese_page() -> None:
    shown = refusals.explain(CHINESE, Invalid("Something new.", [Fault("body.new", "is wrong")], code="not_known_yet"))
    assert "Something" not in shown
    assert "wrong" not in shown
    assert "这一项：不对" in shown


def test_a_role_that_is_missing_is_named_in_words() -> None:
    error = Forbidden("…", code="role", role=Role.ADMIN, has=Role.VIEWER)
    assert refusals.sentence(CHINESE, error) == "这需要“管理员”的角色，您是“查看者”。"


def test_rows_of_a_file_are_named_as_people_count() -> None:
    assert refusals.where(CHINESE, "row 7, external_id") == "第 7 行，编号"
    assert refusals.where(ENGLISH, "row 7") == "Row 7"
    assert refusals.where(ENGLISH, "body.parent_id") == "Parent"


def test_a_page_may_refuse_in_its_own_words() -> None:
    error = refusals.refuse(CHINESE, "occurrence.who_nobody", n=0)
    assert refusals.sentence(CHINESE, error) == CHINESE("occurrence.who_nobody", n=0)


def test_an_unfit_value_is_an_error_of_its_field() -> None:
    fault = faults_of(
        [{"loc": ("pin",), "type": "value_error", "msg": "no", "ctx": {"error": Unfit("no", "marks", n=4)}}]
    )
    assert refusals.fault(CHINESE, fault[0]) == "工作人员密码：一个字上叠了超过 4 个符号"
