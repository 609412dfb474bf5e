"""Puts what the broker reads into its folder: whom to trust, and whom no more. Each file whole, or as it was before.

Promises that a list is read back and judged before it is renamed into place, and that the broker is never told of another.
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from cloud.certificates import files, lists
from cloud.certificates.lists import Published
from cloud.errors import Unavailable

TRUSTED: Final = "ca.pem"
ROOT: Final = "root.pem"
CHAIN: Final = "chain.pem"
REVOKED: Final = "revoked.pem"


def put(folder: Path, wanted: Published, now: datetime) -> bool:
    """Bring the folder up to date; whether anything was new.

    Unavailable for an unsound list, or a folder that cannot be written: then the list there stays as it was.
    """
    contents = {
        ROOT: wanted.roots,
        CHAIN: wanted.chain,
        REVOKED: wanted.revoked,
        TRUSTED: wanted.roots + wanted.chain,
    }

    def check(content: bytes) -> None:
        lists.check(content, wanted.chain, now)

    checks: dict[str, Callable[[bytes], None]] = {REVOKED: check}
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        changed = [name for name, text in contents.items() if not _holds(folder / name, text)]
        for name in changed:
            files.replace(folder / name, contents[name].encode(), secret=False, check=checks.get(name))
    except OSError as error:
        raise Unavailable(
            f"What the broker reads cannot be written to {folder}: {error.strerror}.", code="authority_folder"
        ) from error
    return bool(changed)


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False
