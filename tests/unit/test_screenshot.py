"""A screenshot is of the covered page, by a hook that is no shell, bounded, and leaves nothing on the disk."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge import actions, screenshot
from edge.commands import CommandFailed
from edge.screenshot import MOST_BYTES

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
URL = "http://127.0.0.1:8480/"


@dataclass
class Page:
    """Whether it is covered, and all that was done to it."""

    pages: int = 1
    says_so: bool = True
    url: str = URL
    done: list[bool] = field(default_factory=list)

    def cover(self, *, on: bool) -> None:
        self.done.append(on)

    def is_covered(self, within_s: float) -> bool:
        return self.says_so and self.done[-1:] == [True] and within_s > 0


def hook(code: str) -> list[str]:
    """Python that finds the picture's file in `file` and the page in `url`."""
    return [sys.executable, "-c", f"import sys, pathlib; file, url = sys.argv[1:]; {code}", "{file}", "{url}"]


def refused(page: Page | None, command: list[str], folder: Path) -> tuple[str, str]:
    with pytest.raises(CommandFailed) as failed:
        screenshot.take(page, command, folder)
    return failed.value.reason, str(failed.value)


def test_picture_is_what_the_hook_left_and_its_file_is_gone(tmp_path: Path) -> None:
    page = Page()
    code = f"assert url == {URL!r}; pathlib.Path(file).write_bytes({PNG!r})"
    assert screenshot.take(page, hook(code), tmp_path) == PNG
    assert (page.done, list(tmp_path.iterdir())) == ([True, False], [])


def test_page_that_does_not_say_that_it_is_covered_is_not_taken(tmp_path: Path) -> None:
    page, taken = Page(says_so=False), tmp_path / "taken"
    reason, says = refused(page, hook(f"pathlib.Path({str(taken)!r}).touch()"), tmp_path)
    assert (reason, page.done, taken.exists()) == ("not_possible", [True, False], False)
    assert "did not say that it is covered" in says


@pytest.mark.parametrize(
    ("code", "reason", "says"),
    [
        ("sys.exit(3)", "error", "ended with 3"),
        ("pass", "error", "left no picture"),
        ("pathlib.Path(file).write_text('no picture')", "error", "neither a PNG nor a JPEG"),
        (f"pathlib.Path(file).write_bytes({PNG!r} + bytes({MOST_BYTES}))", "error", "has more than"),
        ("pathlib.Path(file).symlink_to('/etc/hostname')", "error", "left no picture"),
    ],
)
def test_what_goes_wrong_is_said_and_the_page_is_open_again(tmp_path: Path, code: str, reason: str, says: str) -> None:
    page = Page()
    assert refused(page, hook(code), tmp_path)[0] == reason
    assert says in refused(page, hook(code), tmp_path)[1]
    assert (page.done[-1], list(tmp_path.iterdir())) == (False, [])


def test_what_a_process_that_was_killed_left_is_gone_after_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "screenshot-old").mkdir()
    (tmp_path / "screenshot-old" / "page.png").write_bytes(PNG)
    screenshot.take(Page(), hook(f"pathlib.Path(file).write_bytes({PNG!r})"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_terminal_that_cannot_says_why(tmp_path: Path) -> None:
    assert "No screenshot_hook" in refused(Page(), [], tmp_path)[1]
    assert "No screen" in refused(Page(pages=0), hook("pass"), tmp_path)[1]
    assert "No screen" in refused(None, hook("pass"), tmp_path)[1]
    assert "cannot be run" in refused(Page(), ["/nowhere/to/be/found", "{file}"], tmp_path)[1]
    assert "cannot be kept on this disk" in refused(Page(), hook("pass"), tmp_path / "gone")[1]


def test_argument_is_one_argument_and_no_shell_reads_it(tmp_path: Path) -> None:
    script = "import sys, pathlib; pathlib.Path(sys.argv[2]).write_bytes(pathlib.Path(sys.argv[1]).read_bytes())"
    (tmp_path / "$(touch x);.png").write_bytes(PNG)
    command = [sys.executable, "-c", script, str(tmp_path / "$(touch x);.png"), "{file}"]
    assert screenshot.take(Page(), command, tmp_path) == PNG


def test_action_sends_where_the_cloud_says_and_nowhere_else() -> None:
    sent: list[tuple[str, bytes]] = []
    act = actions.screenshot(lambda: PNG, lambda path, content: sent.append((path, content)))
    assert act({"upload": "/api/v1/x"}) == {"bytes": str(len(PNG))}
    assert sent == [("/api/v1/x", PNG)]
    for wrong in ({}, {"upload": 1.0}, {"upload": "https://elsewhere.example/x"}):
        with pytest.raises(CommandFailed, match="upload must be the path"):
            act(wrong)
    assert len(sent) == 1


def test_logs_action_sends_as_many_lines_as_were_asked_for() -> None:
    sent: list[bytes] = []
    act = actions.upload_logs(lambda lines: b"x\n" * lines, lambda _path, content: sent.append(content), 500, 2_000)
    assert act({"upload": "/x", "lines": 7.0}) == {"lines": "7", "bytes": "14"}
    assert act({"upload": "/x"})["lines"] == "500"
    for wrong in (2_001.0, 0.5, 0.0, 1.5, True, "7"):
        with pytest.raises(CommandFailed, match="lines must be"):
            act({"upload": "/x", "lines": wrong})
    assert [len(each) for each in sent] == [14, 1_000]
