"""The audit's hash chain: what of an entry is hashed, and whether entries in their order fit together. Pure: no I/O.

An entry's hash is SHA-256 over the hash before it (64 hexadecimal letters) and the entry's canonical bytes, so that whoever
keeps one head (number and hash) elsewhere can tell that nothing up to it was changed, removed, added or put in another order.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Line = Mapping[str, Any]
"""An entry as it is exported: id, at (microseconds), who, action, subject, address, detail, before, prev, hash."""

BEGINNING: Final = hashlib.sha256(b"roomlink audit").hexdigest()
"""What the first entry has as its `prev`."""

NOT_HASHED: Final = frozenset({"prev", "hash"})


@dataclass(frozen=True)
class Head:
    """An entry's number and hash: with it all entries up to this one are fixed."""

    number: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Head":
        """From `NUMBER:HASH`. ValueError when it is not that."""
        number, _, digest = text.strip().partition(":")
        if not number.isdecimal() or len(digest) != len(BEGINNING) or not set(digest) <= set("0123456789abcdef"):
            raise ValueError("it is NUMBER:HASH, as verify prints it")
        return cls(int(number), digest)

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


NOTHING: Final = Head(0, BEGINNING)
"""The head of an audit without entries."""


@dataclass(frozen=True)
class Wrong:
    """The first entry that does not fit, and why."""

    number: int
    says: str


@dataclass(frozen=True)
class Checked:
    """How many entries fit, the last of them, and the first that does not."""

    count: int
    head: Head
    wrong: Wrong | None


def canonical(line: Line) -> bytes:
    """What is hashed of an entry: JSON of all but `prev` and `hash`, keys sorted, no spaces, UTF-8."""
    content = {name: value for name, value in line.items() if name not in NOT_HASHED}
    return json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def link(prev: str, line: Line) -> str:
    """The hash of an entry that follows the one whose hash is `prev`."""
    return hashlib.sha256(prev.encode() + canonical(line)).hexdigest()


def check(lines: Iterable[Line], expected: Head | None = None) -> Checked:
    """Go through all entries, oldest first, to the first that does not fit; `expected` is a head known from before."""
    head, count = NOTHING, 0
    seen = expected is None or expected == NOTHING
    for line in lines:
        says = _misfit(head, line)
        if says is None and expected is not None and expected.number == line["id"]:
            seen = True
            says = (
                None if expected.hash == line["hash"] else "is another one than was expected: the chain was made anew"
            )
        if says is not None:
            return Checked(count, head, Wrong(line["id"], says))
        head, count = Head(line["id"], line["hash"]), count + 1
    if expected is not None and not seen:
        return Checked(count, head, Wrong(expected.number, "is missing: the end was cut off"))
    return Checked(count, head, None)


def _misfit(before: Head, line: Line) -> str | None:
    if not _is_whole(line):
        return "was changed, or put in another place"
    if line["prev"] == before.hash:
        return None
    follows = f"does not follow {before.number if before.number else 'the beginning'}"
    if line["id"] > before.number + 1:
        return f"{follows}: what was between them was removed"
    return f"{follows}: one of them was put in, or what was between them was removed"


def _is_whole(line: Line) -> bool:
    try:
        return bool(line["hash"] == link(line["prev"], line))
    except (TypeError, ValueError, AttributeError):  # a value of a kind that no entry has
        return False
