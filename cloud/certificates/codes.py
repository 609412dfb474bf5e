"""Claim codes: what a person types once at a terminal. Pure.

Ten characters of Crockford's base32 (crockford.com/base32.html): 50 random bits, written without I, L, O and U, and read
in either case, with or without hyphens, O as 0, I and L as 1.
"""

import hashlib
import secrets
from typing import Final

ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH: Final = 10
MAX_TYPED: Final = 40
"""Characters that are looked at."""

_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


def draw() -> str:
    """A new code, such as `7KQ2MZX4RA`."""
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def read(typed: str) -> str | None:
    """The code that a person typed; None for what can be none."""
    code = typed[:MAX_TYPED].upper().translate(_READ_AS)
    return code if len(code) == LENGTH and set(code) <= set(ALPHABET) else None


def digest(code: str) -> str:
    """SHA-256, in hex, as it is kept. A code lasts a day, and guesses are counted: a slow hash would add nothing."""
    return hashlib.sha256(code.encode()).hexdigest()
