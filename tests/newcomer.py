"""Somebody who has nothing but the operations guide, and types what it says: command by command, as a test asks for them.

The machine's places in the guide stand for folders of the test; the passphrase is given by a file instead of the keyboard.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.guide import Command
from tests.process import ROOT, Process

WITHIN_S: Final = 120.0
ASKS: Final = {("ca", "init"), ("ca", "rotate"), ("ca", "backup"), ("ca", "restore")}
"""Commands that ask for the passphrase."""


@dataclass
class Newcomer:
    """`places` are what the guide writes and what is meant here: folders, addresses; each is replaced wherever it stands."""

    folder: Path
    commands: Sequence[Command]
    places: Mapping[str, str]
    passphrase: Path
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._left, self._typed = list(self.commands), list[Command]()

    @property
    def left(self) -> list[str]:
        """What was never typed."""
        return [str(each) for each in self._left]

    def note(self, beginning: str) -> list[str]:
        """Take the guide's next command that begins so, or the last one again; its words, as they would be typed here."""
        found = next((each for each in (*self._left, *reversed(self._typed)) if each.text.startswith(beginning)), None)
        assert found is not None, f"the guide has no command that begins {beginning!r}"
        if found in self._left:
            self._left.remove(found)
        self._typed.append(found)
        return [self._here(word) for word in found.words]

    def type(self, beginning: str, values: Mapping[str, str] | None = None, *, status: int | None = 0) -> str:
        """Run it to its end; all that it said. `values` stand for words such as CODE; without a status any will do."""
        words = self._filled(self.note(beginning), values or {})
        done = subprocess.run(
            words, cwd=self.folder, env=self._environment(), stdin=subprocess.DEVNULL, timeout=WITHIN_S,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        assert status is None or done.returncode == status, f"{words} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def start(self, beginning: str, process: Process, ready: Callable[[], bool]) -> None:
        """Run it until somebody stops it; returns when it is `ready`."""
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        process.spawn(["env", *variables, *self._filled(self.note(beginning), {})], ready=ready)

    def export(self, name: str) -> None:
        """As a shell keeps a variable."""
        self.environment[name] = self.note(f"export {name}=")[1].partition("=")[2]

    def _environment(self) -> Mapping[str, str]:
        mine = {name: value for name, value in os.environ.items() if not name.startswith("ROOMLINK_")}
        return mine | self.environment | {"PYTHONPATH": str(ROOT)}

    def _filled(self, words: Sequence[str], values: Mapping[str, str]) -> list[str]:
        filled = [values.get(word, word) for word in words]
        if tuple(filled[3:5]) in ASKS:
            filled += ["--passphrase-file", str(self.passphrase)]
        return [sys.executable, *filled[1:]] if filled[0] == "python" else filled

    def _here(self, word: str) -> str:
        for there, here in self.places.items():
            word = word.replace(there, here)
        return word
