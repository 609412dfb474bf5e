"""The files a terminal fetches by their hash: who belongs to which organisations, which cards are revoked, what takes place.

Lines in UTF-8, each ended by a newline: a head, then as many lines as it counts, in ascending order, none twice; so the same
content gives the same bytes and the same hash, and a terminal may search the file without loading it. Pure: takes and
gives lines. Written by the cloud, read by the agent; raises DecodeError and its kinds.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from firmware_specs.errors import DecodeError, TooLarge
from firmware_specs.fields import MAX_FILE_OCCURRENCES, MAX_LINE_BYTES
from firmware_specs.file_messages import OccurrencesHead, RevocationsHead, RosterEntry, RosterHead
from firmware_specs.messages import Message, Occurrence
from firmware_specs.wire import decode, encode

KEY_BYTES: Final = 32
_CREDENTIAL_ID: Final = re.compile(rb"[0-9a-f]{16}")


def keyed_hash(key: bytes, value: str) -> str:
    """First 16 bytes of HMAC-SHA256 (RFC 2104) over a subject or a credential id as it is written, 32 hex digits."""
    return hmac.digest(key, value.encode("ascii"), hashlib.sha256)[:16].hex()


def roster_entry(key: bytes, subject: str, cards: Iterable[str], organisations: Sequence[str]) -> RosterEntry:
    """One member's line: ``subject`` and card ids in clear go in, their keyed hashes come out."""
    return RosterEntry(
        subject=keyed_hash(key, subject),
        cards=sorted(keyed_hash(key, card) for card in cards),
        organisations=list(organisations),
    )


def roster_lines(key: bytes, entries: Iterable[RosterEntry]) -> Iterator[bytes]:
    """A roster file, line by line; ``key`` has 32 random bytes and should stay the same while nobody is removed for good."""
    ordered = sorted(entries, key=lambda entry: entry.subject)
    yield encode(RosterHead(key=key.hex(), count=len(ordered))) + b"\n"
    for entry in ordered:
        yield _line("roster", entry)


def read_roster(lines: Iterable[bytes]) -> tuple[RosterHead, Iterator[RosterEntry]]:
    """The head, and the entries as they are read; the iterator raises DecodeError where the file is wrong or cut."""
    rest = _lines(lines)
    head = decode("line 1", RosterHead, next(rest, b""))
    return head, _entries(head, rest)


def revocation_lines(epoch: int, credential_ids: Iterable[str]) -> Iterator[bytes]:
    """A revocation file, line by line: credential ids as 16 hex digits."""
    ordered = sorted(set(credential_ids))
    yield encode(RevocationsHead(epoch=epoch, count=len(ordered))) + b"\n"
    for credential_id in ordered:
        yield credential_id.encode("ascii") + b"\n"


def read_revocations(lines: Iterable[bytes]) -> tuple[RevocationsHead, frozenset[str]]:
    """The head and the revoked credential ids."""
    rest = _lines(lines)
    head = decode("line 1", RevocationsHead, next(rest, b""))
    revoked: list[str] = []
    for number, line in enumerate(rest, 2):
        if not _CREDENTIAL_ID.fullmatch(line):
            raise DecodeError(f"line {number}", "not a credential id of 16 hex digits")
        credential_id = line.decode("ascii")
        _check_order(number, not revoked or revoked[-1] < credential_id)
        revoked.append(credential_id)
    _check_count(head.count, len(revoked))
    return head, frozenset(revoked)


def occurrence_lines(until: int, occurrences: Iterable[Occurrence]) -> Iterator[bytes]:
    """A file of occurrences, line by line; ``until`` (microseconds) is from when on nothing is known.

    Of more than 10,000 the first ones, and ``until`` is then when the first of those left out opens.
    """
    ordered = sorted(occurrences, key=_place)
    kept = ordered[:MAX_FILE_OCCURRENCES]
    until = min([until, *(occurrence.opens_at for occurrence in ordered[MAX_FILE_OCCURRENCES:])])
    yield encode(OccurrencesHead(until=until, count=len(kept))) + b"\n"
    for occurrence in kept:
        yield _line("occurrences", occurrence)


def read_occurrences(lines: Iterable[bytes]) -> tuple[OccurrencesHead, list[Occurrence]]:
    """The head and the occurrences in order of their start."""
    rest = _lines(lines)
    head = decode("line 1", OccurrencesHead, next(rest, b""))
    found: list[Occurrence] = []
    for number, line in enumerate(rest, 2):
        occurrence = decode(f"line {number}", Occurrence, line)
        _check_order(number, not found or _place(found[-1]) < _place(occurrence))
        found.append(occurrence)
        if len(found) > head.count:
            break
    _check_count(head.count, len(found))
    return head, found


def _place(occurrence: Occurrence) -> tuple[int, str]:
    """By what occurrences are in order."""
    return (occurrence.starts_at, occurrence.id)


def _line(file: str, message: Message) -> bytes:
    line = encode(message)
    if len(line) > MAX_LINE_BYTES:
        raise TooLarge(file, f"an entry of {len(line)} bytes, at most {MAX_LINE_BYTES}")
    return line + b"\n"


def _entries(head: RosterHead, lines: Iterable[bytes]) -> Iterator[RosterEntry]:
    previous, count = "", 0
    for number, line in enumerate(lines, 2):
        entry = decode(f"line {number}", RosterEntry, line)
        _check_order(number, previous < entry.subject)
        previous, count = entry.subject, count + 1
        yield entry
    _check_count(head.count, count)


def _lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their newline; a last line that lost its own was cut."""
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n"):
            raise DecodeError(f"line {number}", "cut: the line has no newline")
        yield line[:-1]


def _check_order(number: int, ascending: bool) -> None:
    if not ascending:
        raise DecodeError(f"line {number}", "out of order, or a second time")


def _check_count(expected: int, found: int) -> None:
    if found != expected:
        raise DecodeError("file", f"{found} lines after the head, which counts {expected}")
