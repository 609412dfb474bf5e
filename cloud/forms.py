"""What people and programs fill in: the base of all forms, and the types of their fields. Checked here, once.

Text is composed (NFC), spaces folded and trimmed; control characters, lone surrogates and characters that reorder
or hide text are refused, as is a pile of more than four marks on one letter. Right-to-left scripts, joiners and
emoji are kept. Lengths are in code points, after that. Used by the API, the console and the command line alike.
"""

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

from cloud.clock import from_us, to_us
from cloud.errors import Unfit

MAX_TIME_US = 253_402_300_799_999_999

MAX_MARKS = 4
"""Marks upon one letter: Vietnamese needs 2, pointed Hebrew 3, Arabic 3."""

_REORDER_OR_HIDE = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff")


def clean(value: str) -> str:
    """`value` as it is stored. ValueError, with a sentence, when it holds what no name needs."""
    text = unicodedata.normalize("NFC", " ".join(value.split(" ")).strip())
    text = " ".join(text.split())
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if category in {"Cc", "Cs", "Co"} or character in _REORDER_OR_HIDE:
            raise Unfit(
                f"the character U+{ord(character):04X} is not allowed", "character", character=f"U+{ord(character):04X}"
            )
        marks = marks + 1 if category in {"Mn", "Me"} else 0
        if marks > MAX_MARKS:
            raise Unfit(f"more than {MAX_MARKS} marks are piled on one letter", "marks", n=MAX_MARKS)
    return text


def clean_input(value: object) -> object:
    """`clean` for what may not be text at all; pydantic then says so."""
    return clean(value) if isinstance(value, str) else value


def _not_a_formula(value: str) -> str:
    if starts_formula(value):
        raise Unfit("it begins like a formula of a spreadsheet (= + - @)", "formula")
    return value


def starts_formula(value: str) -> bool:
    """Whether a spreadsheet would run `value` as a formula (OWASP, CSV injection)."""
    return value.startswith(("=", "+", "-", "@", "\t", "\r"))


def cell(value: str) -> str:
    """`value` as a cell of an exported CSV that no spreadsheet runs."""
    return f"'{value}" if starts_formula(value) else value


Clean = BeforeValidator(clean_input)

MAX_NAME = 120
Name = Annotated[str, Clean, Field(min_length=1, max_length=MAX_NAME)]
"""A name of a thing or a person."""

OptionalName = Annotated[str, Clean, Field(max_length=120)]
"""The same, and empty when there is none (a name in English)."""

Plate = Annotated[str, Clean, Field(min_length=1, max_length=12)]
"""A room's number, as its plate has room for."""

ExternalId = Annotated[str, Clean, AfterValidator(_not_a_formula), Field(min_length=1, max_length=64)]
"""A member's number in another system."""

Sentence = Annotated[str, Clean, Field(min_length=3, max_length=500)]
"""A reason that a person gives."""

Search = Annotated[str, Clean, Field(max_length=120)]
"""Part of a name that is looked for."""

NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f]*$"
"""The pattern of a text that is compared as it stands, as of one that a terminal says (PostgreSQL takes no NUL)."""


def askable(value: str) -> str:
    """`value` as something may be looked for by it: without control characters and lone surrogates, which nothing is called by.

    For what comes past every form: an address, a search field. No database can be asked for a NUL or a surrogate.
    """
    return "".join(" " if unicodedata.category(each) in {"Cc", "Cs"} else each for each in value).strip()


def _timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, KeyError, OSError) as error:
        raise Unfit("is not a time zone of the IANA database, such as Asia/Shanghai", "timezone") from error
    return value


TimeZone = Annotated[
    str,
    Field(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$", max_length=60, examples=["Asia/Shanghai"]),
    AfterValidator(_timezone),
]
"""A time zone of the IANA database."""


def _instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value
    if type(value) is int and 0 <= value <= MAX_TIME_US:
        return from_us(value)
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value) and int(value) <= MAX_TIME_US:
        return from_us(int(value))  # as a query parameter
    raise ValueError("must be microseconds since 1970-01-01T00:00:00Z, an integer")


InstantUs = Annotated[
    datetime,
    BeforeValidator(_instant),
    PlainSerializer(to_us, return_type=int, when_used="json"),
    WithJsonSchema(
        {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_TIME_US,
            "description": "microseconds since 1970-01-01T00:00:00Z",
        }
    ),
]
"""An instant on the wire."""


class Form(BaseModel):
    """What is filled in: unknown fields are refused, so that a misspelt one is not lost silently."""

    model_config = ConfigDict(extra="forbid", frozen=True)
