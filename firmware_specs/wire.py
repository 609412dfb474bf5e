"""Bytes to messages and back: the record batch and its hash chain.

A batch is newline-delimited JSON: a header line, then one line per record, sent as stored and never encoded again.
Called by the outbox, the uplink and the ingest; raises DecodeError and nothing else.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from firmware_specs.command_messages import Command
from firmware_specs.errors import DecodeError, TooLarge, UnknownVersion
from firmware_specs.fields import (
    MAX_BATCH_BYTES,
    MAX_LINE_BYTES,
    MAX_OCCURRENCES,
    MAX_TIME_US,
    MAX_TWIN_BYTES,
    VERSION,
)
from firmware_specs.messages import (
    CheckIn,
    CheckOut,
    CommandState,
    Desired,
    Header,
    Health,
    Message,
    Occurrence,
    Record,
    Reported,
    Stored,
)
from firmware_specs.presence_messages import State
from firmware_specs.signing import BatchSigner, check_place, sign_field
from firmware_specs.strict import has_exactly_members, json_object, validated

M = TypeVar("M", bound=Message)
_HEADER: Final[TypeAdapter[Header]] = TypeAdapter(Header)
_RECORD: Final[TypeAdapter[Record]] = TypeAdapter(Record)
_STATE: Final[TypeAdapter[State]] = TypeAdapter(State)
_HEADER_CHECK_BYTES: Final = len(',"check":"0123456789abcdef"}')


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch whose header, count and chain have been checked; its records have not been decoded."""

    header: Header
    lines: tuple[bytes, ...]

    @property
    def last(self) -> int:
        """Number of the last record; first - 1 for a question."""
        return self.header.first + self.header.count - 1


# --- the chain (design, section 3) --------------------------------------------------------------------------------


def chain_start(terminal: str, stream: str) -> bytes:
    """c(0) = SHA-256("roomlink/v1" 00 terminal 00 stream); 32 bytes."""
    return hashlib.sha256(b"\0".join((b"roomlink/v1", terminal.encode(), stream.encode()))).digest()


def chain_next(previous: bytes, line: bytes) -> bytes:
    """c(n) = SHA-256(c(n-1) || length as uint32 big-endian || line without its newline)."""
    return hashlib.sha256(previous + len(line).to_bytes(4, "big") + line).digest()


def chain_over(previous: bytes, lines: Iterable[bytes]) -> bytes:
    """The chain after all lines."""
    for line in lines:
        previous = chain_next(previous, line)
    return previous


# --- encoding -----------------------------------------------------------------------------------------------------


def encode(message: Message) -> bytes:
    """Compact JSON, absent fields left out."""
    return message.model_dump_json(exclude_none=True).encode()


def encode_record(record: Record) -> bytes:
    """One record line without its newline; raises TooLarge beyond 8 KiB."""
    line = encode(record)
    _check_size("record", line, MAX_LINE_BYTES)
    return line


def encode_header(header: Header, signer: BatchSigner | None = None) -> bytes:
    """The header line without its newline, with its check, and signed where there is a signer.

    Without one, a ``sign`` that the header has already stays as it is.
    """
    left_out = {"check"} if signer is None else {"check", "sign"}
    body = header.model_dump_json(exclude_none=True, exclude=left_out).encode()[:-1]
    if signer is not None:
        body += sign_field(signer, body)
    return body + _header_check(body)


def encode_batch(header: Header, lines: Sequence[bytes], signer: BatchSigner | None = None) -> bytes:
    """The payload of ``up/records``. The caller keeps to the limits; the header must fit the lines."""
    return b"\n".join((encode_header(header, signer), *lines)) + b"\n"


def fit_desired(desired: Desired, occurrences: Iterable[Occurrence]) -> Desired:
    """``desired`` with as many of the coming occurrences, by their start, as fit in 64 KiB.

    ``occurrences_until`` becomes the time when the first of those left out opens; raises TooLarge where not even the rest
    fits.
    """
    coming = sorted(occurrences, key=lambda occurrence: (occurrence.starts_at, occurrence.id))
    empty = desired.model_copy(update={"occurrences": [], "occurrences_until": MAX_TIME_US})
    room = MAX_TWIN_BYTES - len(encode(empty))
    if room < 0:
        raise TooLarge("desired", f"{-room} bytes too large even without occurrences, at most {MAX_TWIN_BYTES}")
    kept: list[Occurrence] = []
    for index, occurrence in enumerate(coming):
        room -= len(encode(occurrence)) + 1
        if room < 0 or len(kept) == MAX_OCCURRENCES:
            until = min(each.opens_at for each in coming[index:])
            return empty.model_copy(update={"occurrences": kept, "occurrences_until": until})
        kept.append(occurrence)
    return desired.model_copy(update={"occurrences": kept})


# --- decoding -----------------------------------------------------------------------------------------------------


def decode_batch(payload: bytes) -> Batch:
    """Check size, header, count and chain; the chain first, so that no record of a corrupted batch is ever looked at."""
    _check_size("batch", payload, MAX_BATCH_BYTES)
    if not payload.endswith(b"\n"):
        raise DecodeError("batch", "cut: the last line has no newline")
    first_line, *lines = payload[:-1].split(b"\n")
    header = decode_header(first_line)
    if len(lines) != header.count:
        raise DecodeError("batch", f"{len(lines)} record lines, the header counts {header.count}")
    for index, line in enumerate(lines, 1):
        _check_size(f"line {index}", line, MAX_LINE_BYTES)
    if chain_over(bytes.fromhex(header.prev), lines).hex() != header.chain:
        raise DecodeError("batch", "the lines do not give the header's chain")
    return Batch(header, tuple(lines))


def decode_header(line: bytes) -> Header:
    """Read a header line; UnknownVersion where ``v`` is another."""
    _check_size("header", line, MAX_LINE_BYTES)
    header = _quickly(_HEADER.validate_json, line)
    if header is None:
        _check_version("header", json_object("header", line))
        header = validated("header", _HEADER.validate_json, line)
    if header.check is not None:
        _verify_header_check(line)
    if header.sign is not None:
        check_place(line)
    return header


def stream_of(payload: bytes) -> str | None:
    """The stream that a broken batch names, if its header can still be read: so that an answer can name it too."""
    try:
        return decode_header(payload[: MAX_LINE_BYTES + 1].split(b"\n", 1)[0]).stream
    except DecodeError:
        return None


def decode_record(line: bytes) -> Record:
    """Read one record line; an unknown type is a DecodeError that says so (the cloud puts it into quarantine)."""
    record = _quickly(_RECORD.validate_json, line)
    if record is None:
        json_object("record", line)
        record = validated("record", _RECORD.validate_json, line)
    return record


def decode_records(lines: Iterable[bytes]) -> list[Record | DecodeError]:
    """Read many lines, an error in the place of each that is not understood."""
    return [_record_or_error(line) for line in lines]


def decode(where: str, model: type[M], payload: bytes, limit: int = MAX_LINE_BYTES) -> M:
    """Read one message of ``model`` from strict JSON of at most ``limit`` bytes; ``where`` names it in a DecodeError."""
    _check_size(where, payload, limit)
    _check_version(where, json_object(where, payload))
    return validated(where, model.model_validate_json, payload)


def decode_stored(payload: bytes) -> Stored:
    """Read the cloud's answer; one without through and chain must carry an error."""
    stored = decode("stored", Stored, payload)
    if (stored.through is None) != (stored.chain is None):
        raise DecodeError("stored", "through and chain come together or not at all")
    if stored.through is None and stored.error is None:
        raise DecodeError("stored", "neither through nor error")
    if stored.through is not None and stored.stream is None:
        raise DecodeError("stored", "through without its stream")
    return stored


def decode_state(payload: bytes) -> State:
    """Read a birth or a death."""
    _check_size("state", payload, MAX_LINE_BYTES)
    _check_version("state", json_object("state", payload))
    return validated("state", _STATE.validate_json, payload)


def decode_desired(payload: bytes) -> Desired:
    """Read a desired twin."""
    return decode("desired", Desired, payload, MAX_TWIN_BYTES)


def decode_command(payload: bytes) -> Command:
    """Read a command."""
    return decode("command", Command, payload)


def decode_reported(payload: bytes) -> Reported:
    """Read a reported twin."""
    return decode("reported", Reported, payload, MAX_TWIN_BYTES)


# --- inside ---------------------------------------------------------------------------------------------------------


def _quickly(read: Callable[[bytes], M], payload: bytes) -> M | None:
    """Read in one pass what is plainly good, at a third of the strict way's cost; None where that must have a look."""
    try:
        message = read(payload)
    except ValidationError:
        return None
    return message if has_exactly_members(payload, _members(message)) else None


def _members(message: Message) -> int:
    """How many JSON members were read into a header or a record; the kinds that come often, never more than there were."""
    members = len(message.__pydantic_fields_set__)
    if isinstance(message, Health):
        return members + len(message.metrics)
    if isinstance(message, CommandState):
        return members + len(message.results)
    if isinstance(message, CheckIn | CheckOut):
        return members + (_members(message.credential) if message.credential else 0)
    if isinstance(message, Header):
        return members + (_members(message.parent) if message.parent else 0)
    return members


def _record_or_error(line: bytes) -> Record | DecodeError:
    try:
        return decode_record(line)
    except DecodeError as error:
        return error


def _check_size(where: str, payload: bytes, limit: int) -> None:
    if len(payload) > limit:
        raise TooLarge(where, f"{len(payload)} bytes, at most {limit}")


def _check_version(where: str, fields: dict[str, Any]) -> None:
    version = fields.get("v", VERSION)
    if type(version) is int and version != VERSION:
        raise UnknownVersion(f"{where}.v", f"version {version}, here {VERSION} is spoken")


def _header_check(body: bytes) -> bytes:
    return b',"check":"' + hashlib.sha256(body).hexdigest()[:16].encode() + b'"}'


def _verify_header_check(line: bytes) -> None:
    """The check stands at the line's very end and covers all before it."""
    if line[-_HEADER_CHECK_BYTES:] != _header_check(line[:-_HEADER_CHECK_BYTES]):
        raise DecodeError("header.check", "does not cover this header, or is not its last field")
