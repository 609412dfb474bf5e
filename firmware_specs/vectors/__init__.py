"""Golden payloads, valid and invalid, for firmware in any language: made here, kept as JSON in the folders beside.

`python -m firmware_specs vectors --write` makes them anew, always with the same bytes; a test fails when they drift.
Keys and names are for tests only, and look it.
"""

from collections.abc import Iterator

from firmware_specs.vectors import answers, batches, cards, commands, decisions, payloads, signatures, twins
from firmware_specs.vectors.vector import FOLDER, Vector, from_json, kept

__all__ = ["FOLDER", "Vector", "from_json", "kept", "made"]


def made() -> Iterator[Vector]:
    """Every vector, made anew."""
    for maker in (
        batches.readable,
        batches.refused,
        batches.accepted_or_not,
        signatures.signed,
        signatures.refused,
        answers.judged,
        payloads.records,
        payloads.records_refused,
        twins.presence,
        twins.twins,
        commands.commands,
        payloads.files,
        payloads.occurrence_files,
        payloads.topics,
        cards.credentials,
        cards.numbers,
        decisions.decided,
    ):
        yield from maker()
