"""JSON as the contract wants it (I-JSON, RFC 7493): UTF-8, no key twice, no NaN, no lone surrogate, not nested deeply.

Readers differ in exactly these, so what one of them would take silently is refused here. Called by `wire` and `roster` alone.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from firmware_specs.errors import DecodeError

MAX_DEPTH: Final = 8
T = TypeVar("T")
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET: Final = re.compile(rb"[\[\]{}]")


def nested_deeper_than(payload: bytes, limit: int) -> bool:
    """Whether brackets outside strings nest deeper than ``limit``."""
    if payload.count(b"{") + payload.count(b"[") <= limit:
        return False
    depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", payload)):
        depth += 1 if bracket in b"{[" else -1
        if depth > limit:
            return True
    return False


def json_object(where: str, payload: bytes) -> dict[str, Any]:
    """The one JSON object that ``payload`` is; raises DecodeError."""
    if nested_deeper_than(payload, MAX_DEPTH):
        raise DecodeError(where, f"nested deeper than {MAX_DEPTH}")
    try:
        value = _JSON.decode(payload.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DecodeError(where, f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise DecodeError(where, f"not JSON at character {error.pos}: {error.msg}") from None
    except ValueError as error:
        raise DecodeError(where, f"not acceptable JSON: {error}") from None
    if not isinstance(value, dict):
        raise DecodeError(where, "not a JSON object")
    return value


def validated(where: str, read: Callable[[bytes], T], payload: bytes) -> T:
    """What pydantic's ``read`` makes of the payload; its first complaint as a DecodeError that names the field."""
    try:
        return read(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(str(part) for part in (where, *first["loc"]))
        raise DecodeError(path, first["msg"]) from None


def has_exactly_members(payload: bytes, members: int) -> bool:
    """Whether ``payload``, read without a complaint into that many members, can hide none twice and none unknown.

    Every member has a colon of its own, and a repeated key is read as one member: where there are as many colons as members
    that were read, nothing repeats. False says nothing (a colon may stand in a string): then read strictly.
    """
    return payload.count(b":") == members


def _pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(items)
    if len(fields) != len(items):
        keys = [key for key, _ in items]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice in one object")
    return fields


def _constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


_JSON: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)
