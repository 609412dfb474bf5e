"""What was refused, said in the page's language: the title by kind, the sentence by code, each fault by field and code.

English has the error's own sentence. Where Chinese has no words for a code, it says what the kind means, never English.
"""

import re
from typing import Final

from markupsafe import Markup

from cloud.console.markup import join
from cloud.console.widgets import note
from cloud.console.words import Language, Words
from cloud.errors import CloudError, Fault, Invalid

SAID: Final = "said"
"""The code of a sentence that a page has put into its language already."""

FAULTS: Final = 5
"""Wrong fields that are named; there are rarely two."""

_ROW = re.compile(r"row (?P<n>\d+)(?:, (?P<column>\w+))?")


def refuse(words: Words, key: str, **values: object) -> Invalid:
    """An error of a page's own, in its words."""
    return Invalid(words(key, **values), code=SAID)


def explain(words: Words, error: CloudError) -> Markup:
    """A note about what was refused and why; nothing was changed."""
    return note("bad", title(words, error), why(words, error), role="alert")


def title(words: Words, error: CloudError) -> str:
    """What kind of refusal it is."""
    return words.known(f"problem.{error.kind}", words("problem.internal"))


def why(words: Words, error: CloudError) -> Markup:
    """The sentence, and a line for each wrong field."""
    lines = [fault(words, each) for each in error.faults[:FAULTS]]
    return join(sentence(words, error), *(Markup("<br>") + each for each in lines))


def sentence(words: Words, error: CloudError) -> str:
    """Why, and what to do."""
    if error.code == SAID or words.language is Language.ENGLISH:
        return error.sentence
    return words.maybe(f"refused.{error.code}", **_shown(words, error.values)) or words("problem.more")


def fault(words: Words, wrong: Fault) -> str:
    """One wrong thing: where, and what is wrong there."""
    return words("fault.line", where=where(words, wrong.where), says=says(words, wrong))


def where(words: Words, place: str) -> str:
    """`body.parent_id` as the form calls it; `row 7, name` as people count."""
    row = _ROW.fullmatch(place)
    if row is None:
        return words.known(f"field.{place.rpartition('.')[2]}", words("field.this"))
    if row["column"] in {None, "row"}:
        return words("fault.row", row=row["n"])
    return words("fault.row_column", row=row["n"], column=words.known(f"field.{row['column']}", row["column"]))


def says(words: Words, wrong: Fault) -> str:
    """What is wrong, without where."""
    known = words.maybe(f"fault.{wrong.code}", **_shown(words, wrong.values))
    if known is not None:
        return known
    return wrong.says if words.language is Language.ENGLISH else words("fault.other")


def _shown(words: Words, values: object) -> dict[str, object]:
    """A role and a unit are said in words; all else is data."""
    given = dict(values) if isinstance(values, dict) else {}
    return {name: _in_words(words, name, value) for name, value in given.items()}


def _in_words(words: Words, name: str, value: object) -> object:
    if name in {"role", "has"}:
        return words.known(f"role.{value}", str(value))
    if name == "unit" and value:
        unit = str(value).strip()
        return f" {words.known(f'unit.{unit}', unit)}"
    return value
