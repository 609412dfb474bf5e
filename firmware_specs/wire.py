"""Bytes to messages and back: the record batch and its hash chain.

A batch is newline-delimited JSON: a header line, then one line per record, sent as stored and never encoded again.
Called by the outbox, the uplink and the ingest; raises DecodeError and nothing else.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from firmware_specs.errors import DecodeError, TooLarge, UnknownVersion
from firmware_specs.messages import (
    MAX_BATCH_BYTES,
    MAX_LINE_BYTES,
    MAX_TWIN_BYTES,
    VERSION,
    Desired,
    Header,
    Message,
    Record,
    Reported,
    State,
    Stored,
)

MAX_DEPTH: Final = 8
M = TypeVar("M", bound=Message)
_RECORD: Final[TypeAdapter[Record]] = TypeAdapter(Record)
_RECORDS: Final[TypeAdapter[list[Record]]] = TypeAdapter(list[Record])
_STATE: Final[TypeAdapter[State]] = TypeAdapter(State)


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
    line = record.model_dump_json(exclude_none=True).encode()
    if len(line) > MAX_LINE_BYTES:
        raise TooLarge("record", f"{len(line)} bytes, at most {MAX_LINE_BYTES}")
    return line


def encode_batch(header: Header, lines: Sequence[bytes]) -> bytes:
    """The payload of ``up/records``. The caller keeps to the limits; the header must fit the lines."""
    return b"\n".join((encode(header), *lines)) + b"\n"


# --- decoding -----------------------------------------------------------------------------------------------------


def decode_batch(payload: bytes) -> Batch:
    """Check size, header, count and chain; the chain first, so that no record of a corrupted batch is ever looked at."""
    if len(payload) > MAX_BATCH_BYTES:
        raise TooLarge("batch", f"{len(payload)} bytes, at most {MAX_BATCH_BYTES}")
    if not payload.endswith(b"\n"):
        raise DecodeError("batch", "cut: the last line has no newline")
    first_line, *lines = payload[:-1].split(b"\n")
    header = decode_header(first_line)
    if len(lines) != header.count:
        raise DecodeError("batch", f"{len(lines)} record lines, the header counts {header.count}")
    for index, line in enumerate(lines, 1):
        if len(line) > MAX_LINE_BYTES:
            raise TooLarge(f"line {index}", f"{len(line)} bytes, at most {MAX_LINE_BYTES}")
    if chain_over(bytes.fromhex(header.prev), lines).hex() != header.chain:
        raise DecodeError("batch", "the lines do not give the header's chain")
    return Batch(header, tuple(lines))


def decode_header(line: bytes) -> Header:
    """Read a header line; UnknownVersion where ``v`` is another."""
    if len(line) > MAX_LINE_BYTES:
        raise TooLarge("header", f"{len(line)} bytes, at most {MAX_LINE_BYTES}")
    fields = _strict_object("header", line)
    version = fields.get("v")
    if isinstance(version, int) and not isinstance(version, bool) and version != VERSION:
        raise UnknownVersion("header.v", f"version {version}, here {VERSION} is spoken")
    return _validated("header", Header, fields)


def stream_of(payload: bytes) -> str | None:
    """The stream that a broken batch names, if its header can still be read: so that an answer can name it too."""
    try:
        return decode_header(payload[: MAX_LINE_BYTES + 1].split(b"\n", 1)[0]).stream
    except DecodeError:
        return None


def decode_record(line: bytes) -> Record:
    """Read one record line; an unknown type is a DecodeError that says so (the cloud puts it into quarantine)."""
    fields = _strict_object("record", line)
    try:
        return _RECORD.validate_python(fields)
    except ValidationError as error:
        raise _decode_error("record", error) from None


def decode_records(lines: Sequence[bytes]) -> list[Record | DecodeError]:
    """Read many lines, an error in the place of each that is not understood. Fast where all are good."""
    try:
        return list(_RECORDS.validate_python([_strict_object("record", line) for line in lines]))
    except (ValidationError, DecodeError):
        return [_record_or_error(line) for line in lines]  # at least one is bad: find which


def decode(where: str, model: type[M], payload: bytes, limit: int = MAX_LINE_BYTES) -> M:
    """Read one message of ``model`` from strict JSON of at most ``limit`` bytes; ``where`` names it in a DecodeError."""
    if len(payload) > limit:
        raise TooLarge(where, f"{len(payload)} bytes, at most {limit}")
    return _validated(where, model, _strict_object(where, payload))


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
    if len(payload) > MAX_LINE_BYTES:
        raise TooLarge("state", f"{len(payload)} bytes, at most {MAX_LINE_BYTES}")
    fields = _strict_object("state", payload)
    try:
        return _STATE.validate_python(fields)
    except ValidationError as error:
        raise _decode_error("state", error) from None


def decode_desired(payload: bytes) -> Desired:
    """Read a desired twin."""
    return decode("desired", Desired, payload, MAX_TWIN_BYTES)


def decode_reported(payload: bytes) -> Reported:
    """Read a reported twin."""
    return decode("reported", Reported, payload, MAX_TWIN_BYTES)


# --- strictness that JSON readers leave out (RFC 7493) --------------------------------------------------------------


def nested_deeper_than(payload: bytes, limit: int) -> bool:
    """Whether brackets outside strings nest deeper than ``limit``."""
    if payload.count(b"{") + payload.count(b"[") <= limit:
        return False
    depth, in_string, escaped = 0, False, False
    for byte in payload:
        if in_string:
            in_string, escaped = escaped or byte != 0x22, not escaped and byte == 0x5C
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            if depth > limit:
                return True
        elif byte in b"}]":
            depth -= 1
    return False


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(items)
    if len(fields) != len(items):
        raise ValueError("a key stands twice in one object")
    return fields


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


_JSON: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _strict_object(where: str, payload: bytes) -> dict[str, Any]:
    """One JSON object in UTF-8, no repeated key, no NaN, at most MAX_DEPTH deep."""
    if nested_deeper_than(payload, MAX_DEPTH):
        raise DecodeError(where, f"nested deeper than {MAX_DEPTH}")
    try:
        value = _JSON.decode(payload.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DecodeError(where, f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise DecodeError(where, f"not JSON at character {error.pos}: {error.msg}") from None
    except ValueError as error:
        raise DecodeError(where, f"not acceptable JSON: {str(error)[:120]}") from None
    if not isinstance(value, dict):
        raise DecodeError(where, "not a JSON object")
    return value


def _record_or_error(line: bytes) -> Record | DecodeError:
    try:
        return decode_record(line)
    except DecodeError as error:
        return error


def _validated(where: str, model: type[M], fields: dict[str, Any]) -> M:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise _decode_error(where, error) from None


def _decode_error(where: str, error: ValidationError) -> DecodeError:
    first = error.errors(include_url=False, include_input=False)[0]
    path = ".".join(str(part) for part in (where, *first["loc"]))
    return DecodeError(path, first["msg"][:200])
