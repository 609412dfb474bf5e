"""A picture of the terminal's own page, by a hook that the settings name: an argument list, never a shell.

Promises that the page is covered first, in every page that is open and as each has said itself, so that nothing about a visitor
is in the picture; and that its file is gone afterwards. The camera is never asked. Called by the commands' thread.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from edge.commands import CommandFailed

WITHIN_S: Final = 20.0
COVERED_WITHIN_S: Final = 5.0
MOST_BYTES: Final = 1024 * 1024
PREFIX: Final = "screenshot-"
FILE, URL = "{file}", "{url}"
_PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")


class Page(Protocol):
    """The terminal's own page: the kiosk's app."""

    @property
    def url(self) -> str: ...
    @property
    def pages(self) -> int: ...
    def cover(self, *, on: bool) -> None:
        """Show nothing about a visitor from now on; or everything again."""
        ...

    def is_covered(self, within_s: float) -> bool:
        """Whether every open page has said that it is, within a time."""
        ...


def take(page: Page | None, hook: Sequence[str], folder: Path) -> bytes:
    """A PNG or JPEG of the covered page; raises CommandFailed."""
    if not hook:
        raise CommandFailed("not_possible", "No screenshot_hook is set on this terminal.")
    if page is None or not page.pages:
        raise CommandFailed("not_possible", "No screen of this terminal is open, so there is nothing to see.")
    for left in folder.glob(f"{PREFIX}*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with _covered(page), _private(folder) as private:
        file = private / "page.png"
        _run([each.replace(FILE, str(file)).replace(URL, page.url) for each in hook])
        return _picture(file)


@contextlib.contextmanager
def _covered(page: Page) -> Iterator[None]:
    page.cover(on=True)
    try:
        if not page.is_covered(COVERED_WITHIN_S):
            raise CommandFailed("not_possible", "The page did not say that it is covered, so no picture was taken.")
        yield
    finally:
        page.cover(on=False)


@contextlib.contextmanager
def _private(folder: Path) -> Iterator[Path]:
    """A folder of its own for the picture, gone with all that is in it."""
    try:
        made = tempfile.TemporaryDirectory(dir=folder, prefix=PREFIX)
    except OSError as error:
        raise CommandFailed("not_possible", f"A picture cannot be kept on this disk: {error.strerror}.") from error
    with made as private:
        yield Path(private)


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(list(command), capture_output=True, timeout=WITHIN_S, check=False)
    except OSError as error:
        raise CommandFailed("not_possible", f"The screenshot hook cannot be run: {error.strerror}.") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed("error", f"The screenshot hook took longer than {WITHIN_S:.0f} s.") from error
    if done.returncode:
        raise CommandFailed("error", f"The screenshot hook ended with {done.returncode}.")


def _picture(file: Path) -> bytes:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise CommandFailed("error", f"The screenshot hook left no picture: {error.strerror}.") from error
    with os.fdopen(descriptor, "rb") as opened:
        content = opened.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise CommandFailed("error", f"The picture has more than {MOST_BYTES} bytes.")
    if not content.startswith(_PICTURES):
        raise CommandFailed("error", "What the screenshot hook left is neither a PNG nor a JPEG.")
    return content
