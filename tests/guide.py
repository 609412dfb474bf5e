"""Commands, addresses and tables of the documentation, as text: what a reader would type, for tests that hold it to its word.

A command is a line of a fenced block without a language, or of `sh`; what follows ` # ` says what it is for. Pure.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.process import ROOT

OPERATIONS: Final = ROOT / "docs" / "operations.md"
_FENCE: Final = re.compile(r"^```(\w*)$")
_INLINE: Final = re.compile(r"`([^`\n]+)`")
_ADDRESS: Final = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/api/v1/[\w/{}.-]+)")


@dataclass(frozen=True)
class Command:
    """What is typed, and where it stands."""

    page: Path
    line: int
    text: str

    @property
    def words(self) -> list[str]:
        """As a shell reads them, the comment left out."""
        return shlex.split(self.text, comments=True)

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.text}"


def fenced(page: Path) -> list[Command]:
    """Every command of the page's blocks, in order."""
    return [Command(page, number, text) for number, language, text in _block_lines(page) if _is_command(language, text)]


def inline(page: Path) -> Iterator[Command]:
    """What stands between backquotes in the page's text."""
    is_open = False
    for number, text in enumerate(page.read_text("utf-8").splitlines(), 1):
        if _FENCE.match(text):
            is_open = not is_open
        elif not is_open:
            yield from (Command(page, number, found) for found in _INLINE.findall(text))


def block(page: Path, language: str) -> str:
    """The lines of the page's blocks in a language."""
    return "\n".join(text for _, spoken, text in _block_lines(page) if spoken == language)


def addresses(page: Path) -> list[tuple[str, str]]:
    """Method and path of each address of the API that the page names; what stands for an id is `{}`."""
    found = _ADDRESS.findall(page.read_text("utf-8"))
    return [(method, re.sub(r"\{\w+\}|\b[A-Z_]{2,}\b", "{}", path.rstrip("."))) for method, path in found]


def rows(page: Path, *columns: str) -> list[list[str]]:
    """The cells of the page's table with these columns. KeyError where there is none."""
    found: list[list[str]] = []
    lines = iter(page.read_text("utf-8").splitlines())
    for line in lines:
        if _cells(line) == list(columns):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    return found
                found.append(_cells(row))
            return found
    raise KeyError(columns)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def _block_lines(page: Path) -> Iterator[tuple[int, str, str]]:
    language: str | None = None
    for number, text in enumerate(page.read_text("utf-8").splitlines(), 1):
        fence = _FENCE.match(text)
        if fence:
            language = fence[1] if language is None else None
        elif language is not None:
            yield number, language, text


def _is_command(language: str, text: str) -> bool:
    return language in {"", "sh"} and bool(text.strip()) and not text.lstrip().startswith("#")
