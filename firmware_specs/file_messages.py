"""The lines of the files that a twin names, as pydantic models: heads, and one member of a roster.

An occurrence's line is `messages.Occurrence`. Read and written by `firmware_specs.roster`.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from firmware_specs.fields import MAX_FILE_OCCURRENCES, VERSION, Major, Position, Text, TimeUs
from firmware_specs.messages import Message


class RosterEntry(Message):
    """One member: keyed hash of the subject, keyed hashes of the card ids, organisations with those above them."""

    subject: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    cards: list[Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]] = Field(default=[], max_length=8)
    organisations: Annotated[list[Text], Field(max_length=50)]


class RosterHead(Message):
    """First line of a roster file; one RosterEntry a line follows. ``key`` is the HMAC key of its hashes, hex."""

    v: Major = VERSION
    kind: Literal["roster"] = "roster"
    key: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    count: Position


class RevocationsHead(Message):
    """First line of a revocation file; one credential id (16 hex digits) a line follows."""

    v: Major = VERSION
    kind: Literal["revocations"] = "revocations"
    epoch: Position
    count: Position


class OccurrencesHead(Message):
    """First line of a file of occurrences; one Occurrence a line follows. From ``until`` on nothing is known."""

    v: Major = VERSION
    kind: Literal["occurrences"] = "occurrences"
    until: TimeUs
    count: Annotated[int, Field(strict=True, ge=0, le=MAX_FILE_OCCURRENCES)]
