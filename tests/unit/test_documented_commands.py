"""Every command that the documentation names is one that there is, with options that it takes; every address is the API's."""

import argparse
import re
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import typer

from broker_config.__main__ import app as broker_config
from cloud.__main__ import app as cloud
from cloud.app import create_app
from cloud.database import create_engine_for
from cloud.settings import Settings
from edge.__main__ import _parser as edge
from firmware_specs.__main__ import _parser as firmware_specs
from tests.guide import OPERATIONS, Command, addresses, fenced, inline
from tests.process import ROOT

PAGES = sorted({
    *(ROOT / "docs").glob("*.md"), *(ROOT / "broker_config").glob("**/README.md"), ROOT / "README.md",
    ROOT / "CONTRIBUTING.md", ROOT / "firmware_specs/README.md", ROOT / "observability/README.md",
})  # fmt: skip
TYPER = {"cloud": typer.main.get_command(cloud), "broker_config": typer.main.get_command(broker_config)}
ARGPARSE = {"edge": edge(), "firmware_specs": firmware_specs()}
WORD = re.compile(r"[a-z][a-z-]*")


def named() -> Iterator[Command]:
    """Those of the project's programs, in blocks and in the text, and those that are said short: `ca rotate`."""
    for page in PAGES:
        for each in (*fenced(page), *inline(page)):
            if "python -m " in each.text and not each.text.rstrip().endswith("\\"):
                yield Command(page, each.line, each.text[each.text.index("python -m ") :])
            elif each.text.startswith("ca ") and page == OPERATIONS:
                yield Command(page, each.line, f"python -m cloud {each.text}")


COMMANDS = [each for each in named() if each.words[2] in TYPER.keys() | ARGPARSE.keys()]


def wrong(program: str, words: Sequence[str]) -> str | None:
    """What is not as the program has it."""
    return _typer(TYPER[program], words) if program in TYPER else _argparse(ARGPARSE[program], words)


def _typer(command: Any, words: Sequence[str]) -> str | None:
    """`command` is click's, which typer has inside."""
    rest = list(words)
    while hasattr(command, "commands") and rest and WORD.fullmatch(rest[0]):
        found = command.commands.get(rest.pop(0))
        if found is None:
            return f"{words} is no command"
        command = found
    taken = {option for each in command.params for option in each.opts}
    return next((f"{word} is no option" for word in rest if word.startswith("--") and word not in taken), None)


def _argparse(parser: argparse.ArgumentParser, words: Sequence[str]) -> str | None:
    rest = list(words)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and rest:
            if rest[0] not in action.choices:
                return f"{rest[0]} is no command"
            parser = action.choices[rest.pop(0)]
    taken = set(parser._option_string_actions)
    return next((f"{word} is no option" for word in rest if word.startswith("--") and word not in taken), None)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_named_command_is_one_that_there_is(command: Command) -> None:
    program, words = command.words[2], [word for word in command.words[3:] if word != "…"]
    assert wrong(program, [part for word in words for part in word.split("|")[:1]]) is None


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("cloud", ["ca", "rotat"]),
        ("cloud", ["backup", "--everything"]),
        ("edge", ["export", "--every"]),
        ("edge", ["start"]),
    ],
)
def test_what_there_is_not_would_be_found(program: str, words: list[str]) -> None:
    assert wrong(program, words)


def test_named_addresses_are_those_of_the_api() -> None:
    document = create_app(Settings(), engine=create_engine_for("sqlite://")).openapi()
    known = {
        (method.upper(), re.sub(r"\{\w+\}", "{}", path)) for path, each in document["paths"].items() for method in each
    }
    pages: list[Path] = [OPERATIONS, ROOT / "docs/alarms.md", ROOT / "docs/claiming.md"]
    found = {address for page in pages for address in addresses(page)}
    assert len(found) > 10
    assert found <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_targets_of_make_are_in_the_makefile(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    said = [each.text for each in (*fenced(page), *inline(page)) if each.text.startswith("make ")]
    assert {word for text in said for word in text.split("#")[0].split()[1:] if WORD.fullmatch(word)} <= targets


def test_installing_makes_the_environment_that_the_guide_names() -> None:
    command = ["make", "--dry-run", "--always-make", "install"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "-m venv .venv" in done.stdout
