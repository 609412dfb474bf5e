"""Limits of the contract, and the constrained types that its messages are made of.

Every reader and writer keeps to them; `firmware_specs.messages` is built on them.
"""

import re
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema

VERSION: Final = 1
MAX_LINE_BYTES: Final = 8 * 1024
MAX_BATCH_RECORDS: Final = 200
MAX_BATCH_BYTES: Final = 64 * 1024
MAX_TWIN_BYTES: Final = 64 * 1024
MAX_OCCURRENCES: Final = 400
MAX_FILE_OCCURRENCES: Final = 10_000
MAX_NUMBER: Final = 2**53 - 1  # the largest integer that every JSON reader keeps exact (RFC 8259, section 6)
MAX_TEXT: Final = 200
MAX_TIME_US: Final = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z

Number = Annotated[int, Field(strict=True, ge=1, le=MAX_NUMBER)]
Position = Annotated[int, Field(strict=True, ge=0, le=MAX_NUMBER)]
TimeUs = Annotated[int, Field(strict=True, ge=0, le=MAX_TIME_US, description="microseconds since 1970, UTC")]
MonoMs = Annotated[int, Field(strict=True, ge=0, le=MAX_NUMBER, description="CLOCK_BOOTTIME, milliseconds since boot")]
Uuid = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Chain = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Field(description="SHA-256, lower-case hex")]
Sha256 = Chain
Word = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Text = Annotated[
    str,
    StringConstraints(max_length=MAX_TEXT, pattern=r"^[^\x00-\x1f\x7f]*$"),
    Field(description="at most 200 Unicode code points, no control characters (PostgreSQL keeps no NUL)"),
]
FilePath = Annotated[
    str,
    StringConstraints(max_length=200, pattern=r"^/[^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"),
    Field(description="below the cloud's own address: begins with one slash, so that it names no other host"),
]
Subject = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{22}$"), Field(description="base64url of 128 bits")]
CredentialId = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{16}$"), Field(description="8 bytes, lower-case hex")
]
KeyId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$"), Field(description="4 bytes, lower-case hex")]
Issuer = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,8}$")]
OccurrenceId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}/[0-9]{8}T[0-9]{6}Z$"),
    Field(description="activity id, '/', start in UTC"),
]
HeaderCheck = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{16}$"),
    Field(description='always the last field: the first 8 bytes of SHA-256 over the header line before `,"check"`'),
]
HeaderSign = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9a-f]{16}\.[A-Za-z0-9_-]{85}[AQgw]$"),
    Field(description="the last field before `check`: key id, a dot, ES256 signature as base64url of r || s"),
]
Version = tuple[Position, Position]  # (epoch, number) of a twin
Major = Annotated[int, Field(strict=True, ge=VERSION, le=VERSION)]  # Literal[1] would also take 1.0 and true


def or_else(default: str, *known: str) -> BeforeValidator:
    """Read a word that is not known here, from a newer sender, as ``default``."""
    return BeforeValidator(lambda word: default if isinstance(word, str) and word not in known else word)


def open_words(default: str, *known: str) -> WithJsonSchema:
    """Schema of a field whose words may grow within version 1."""
    return WithJsonSchema(
        {"anyOf": [{"enum": list(known)}, {"type": "string"}], "description": f"a word not known counts as {default}"}
    )


def as_text(sentence: str) -> str:
    """Made fit for a `Text`: errors carry what others wrote, control characters and halves of characters too."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", sentence.encode("utf-8", "replace").decode("utf-8"))[:MAX_TEXT]
