"""The house's measures (CONTRIBUTING.md): short files, short functions, nothing unfinished, no test that merely waits."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAX_LINES = 400
MAX_FUNCTION_LINES = 40
UNFINISHED = re.compile("TODO|FIXME|NotImplementedError|pragma: no cover")

STRAIGHT_LISTS = ("cloud/migrations/",)
"""A migration is a list of columns, read once and never changed: cutting one table in two helps nobody."""

MAY_SLEEP = {
    "tests/process.py": "wait_until, the one poll with a deadline",
    "tests/bench/burner.py": "burns half a core on purpose",
    "tests/bench/linked.py": "the pace at which a measurement looks",
    "tests/bench/stage.py": "the span over which processor time is measured, in wait_until",
    "tests/contract/small_terminal.py": "a terminal's own pause before it dials again",
    "tests/faults/broken/answers_before_commit.py": "a fault: the window in which a cloud that lies is killed",
}


def files(*endings: str) -> Iterator[Path]:
    """Files of the project: what git knows, or would add."""
    patterns = [f"*.{ending}" for ending in endings]
    asked = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    listed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = (ROOT / line for line in listed.splitlines())
    return (path for path in found if path.is_file())


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_no_file_is_longer_than_its_reader_can_hold() -> None:
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in files("py", "js", "css")}
    assert len(lengths) > 100
    assert {name: length for name, length in lengths.items() if length >= MAX_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    long = [
        f"{name_of(path)}:{node.lineno} {node.name}"
        for path in files("py")
        if not name_of(path).startswith(STRAIGHT_LISTS)
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


def test_nothing_is_left_unfinished_or_uncounted() -> None:
    found = [
        f"{name_of(path)}:{number}"
        for path in files("py", "js", "css")
        if path != Path(__file__)  # which names them
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert found == []


def test_tests_wait_for_something_and_do_not_sleep() -> None:
    asleep = {
        name_of(path)
        for path in files("py")
        if path.is_relative_to(ROOT / "tests") and path != Path(__file__) and "time.sleep(" in path.read_text("utf-8")
    }
    assert asleep == set(MAY_SLEEP)
