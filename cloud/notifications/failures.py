"""Why something could not be delivered: a code, which the catalogues put into words, and whether trying again may help.

Promises that nothing of an address, a secret or a foreign answer's text is in it, so that it may be logged and shown.
"""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

from cloud.console.words import Words

MOST_ATTEMPTS: Final = 8
FIRST_PAUSE_S: Final = 30.0
GROWS: Final = 3.6
"""Seven pauses, each so many times the one before: 25 hours in all."""
LONGEST_ASKED: Final = timedelta(hours=6)
"""A server may ask to be left alone for so long (Retry-After)."""


class Undelivered(Exception):
    """One attempt failed. `final`: the same again would be refused again. `retry_after` is what the other side asked for."""

    def __init__(
        self, code: str, *, final: bool = False, retry_after: timedelta | None = None, **values: object
    ) -> None:
        super().__init__(code)
        self.code = code
        self.final = final
        self.retry_after = retry_after
        self.values = values

    def plain(self) -> dict[str, Any]:
        """As it is kept."""
        return {"code": self.code, **self.values}


def in_words(words: Words, why: dict[str, Any] | None) -> str:
    """The sentence; empty where there is none."""
    if why is None:
        return ""
    values = {name: value for name, value in why.items() if name != "code"}
    return words.maybe(f"undelivered.{why['code']}", **values) or words("undelivered.other")


def pause(attempts: int, asked: timedelta | None = None, draw: Callable[[], float] = random.random) -> timedelta | None:
    """How long to wait after so many attempts, give or take a fifth; None when it is given up."""
    if attempts >= MOST_ATTEMPTS:
        return None
    own = timedelta(seconds=FIRST_PAUSE_S * GROWS ** (attempts - 1) * (0.8 + 0.4 * draw()))
    return max(own, min(asked or own, LONGEST_ASKED))
