"""Twins and the files that they name, as a cloud would offer them to a terminal; used by the tests of the terminal's twin."""

import hashlib
from collections.abc import Iterable

from edge.fetcher import FetchError
from firmware_specs.messages import Desired, FileReference
from firmware_specs.roster import revocation_lines, roster_entry, roster_lines
from firmware_specs.wire import encode

KEY = b"k" * 32
MEMBER = "A" * 22


class Files:
    """What the cloud offers: content by path; and what was asked for."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.broken = False

    def offer(self, content: bytes) -> FileReference:
        sha256 = hashlib.sha256(content).hexdigest()
        self.contents[f"/{sha256}"] = content
        return FileReference(sha256=sha256, size=len(content), path=f"/{sha256}")

    def pieces(self, reference: FileReference) -> Iterable[bytes]:
        self.asked.append(reference.path)
        if self.broken:
            raise FetchError("The cloud cannot be reached.")
        content = self.contents[reference.path]
        return [content[:100], content[100:]]


def roster(organisation: str) -> bytes:
    return b"".join(roster_lines(KEY, [roster_entry(KEY, MEMBER, ["00000000000000aa"], [organisation])]))


def revocations(epoch: int, *ids: str) -> bytes:
    return b"".join(revocation_lines(epoch, ids))


def desired(number: int, epoch: int = 1, **fields: object) -> bytes:
    return encode(Desired.model_validate({"version": (epoch, number)} | fields))
