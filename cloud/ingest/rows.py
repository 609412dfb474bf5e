"""The ledger's rows of stored records: the same from a fresh batch as from the journal, so that rebuild repeats them.

Promises that a marked repeat makes no fact, and that a record that could not be understood makes one row of quarantine.
Writes within the caller's transaction.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloud.attendance import linking
from cloud.attendance.linking import Link, Reference
from cloud.bulk import Bulk, Row
from cloud.journal.format import REPEAT, ROOM_GUESSED, Fixed
from firmware_specs.errors import DecodeError
from firmware_specs.messages import (
    CheckIn,
    CheckOut,
    CredentialReference,
    Dropped,
    Flag,
    Gap,
    Health,
    Interaction,
    Outcome,
    Reason,
    Record,
    Started,
)

QUARANTINE_BYTES: Final = 8 * 1024
"""Of a payload or record this much is kept in the quarantine: a whole record line."""

NOBODYS_CARD: Final = frozenset({Reason.FORGED, Reason.UNKNOWN_ISSUER, Reason.UNREADABLE})
"""Refused for what its signature is worth: such a reference names nobody."""

QUARANTINE_COLUMNS: Final = ("terminal_id", "stream", "number", "kind", "reason", "bytes", "received_at", "state")

_CHECK_INS: Final = (
    "stream", "number", "record_id", "terminal_id", "room_id", "organisation_id", "occurrence_id",
    "said_occurrence_id", "method", "outcome", "reason", "issuer", "credential_id", "subject", "member_id", "waits",
    "effective_at", "uncertainty_us", "basis", "flags", "received_at", "linked_at", "said_at",
)  # fmt: skip
_CHECK_OUTS: Final = (
    "stream", "number", "record_id", "terminal_id", "room_id", "organisation_id", "occurrence_id", "issuer",
    "credential_id", "subject", "member_id", "effective_at", "uncertainty_us", "basis", "received_at", "said_at",
)  # fmt: skip
_INTERACTIONS: Final = (
    "stream", "number", "terminal_id", "room_id", "organisation_id", "screen", "minute_at", "touches", "help",
    "effective_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Told:
    """A stored batch as the ledger sees it. `lines` are the records' bytes, in order like `records`."""

    terminal: str
    stream: str
    first: int
    received_at: int
    records: Sequence[Record | DecodeError]
    lines: Sequence[bytes]
    fixed: Fixed

    def place_of(self, index: int) -> tuple[str | None, str | None]:
        """Room and organisation that the record counts for."""
        return self.fixed.places[self.fixed.place[index]]


def write_facts(bulk: Bulk, told: Iterable[Told]) -> None:
    """Facts, their links and attendance, quarantine and declared gaps of these batches."""
    facts = _facts(told)
    references = [_reference(record) for _, _, record in facts.check_ins]
    references += [_reference(record) for _, _, record in facts.check_outs]
    links = linking.find_links(bulk, [reference for reference in references if reference])
    bulk.insert("check_ins", _CHECK_INS, [_check_in(*item, links) for item in facts.check_ins])
    linking.attend(bulk, [row for item in facts.check_ins if (row := _attendance(*item, links))])
    bulk.insert("check_outs", _CHECK_OUTS, [_check_out(*item, links) for item in facts.check_outs])
    bulk.insert("interactions", _INTERACTIONS, [_interaction(*item) for item in facts.interactions])
    bulk.insert_new("quarantine", QUARANTINE_COLUMNS, [_unreadable(*item) for item in facts.unreadable])
    _declare_gaps(bulk, [(each, started.gap) for each, _, started in facts.started if started.gap])


@dataclass(frozen=True, slots=True)
class _Facts:
    """Records that make rows, each with its batch and its index there."""

    check_ins: list[tuple[Told, int, CheckIn]] = field(default_factory=list)
    check_outs: list[tuple[Told, int, CheckOut]] = field(default_factory=list)
    interactions: list[tuple[Told, int, Interaction]] = field(default_factory=list)
    started: list[tuple[Told, int, Started]] = field(default_factory=list)
    unreadable: list[tuple[Told, int, DecodeError]] = field(default_factory=list)


def _facts(told: Iterable[Told]) -> _Facts:
    """No health, nothing dropped, no repeats."""
    facts = _Facts()
    for each in told:
        for index, record in enumerate(each.records):
            if isinstance(record, Health | Dropped) or each.fixed.marks[index] & REPEAT:
                continue
            if isinstance(record, CheckIn):
                facts.check_ins.append((each, index, record))
            elif isinstance(record, CheckOut):
                facts.check_outs.append((each, index, record))
            elif isinstance(record, Interaction):
                facts.interactions.append((each, index, record))
            elif isinstance(record, Started):
                facts.started.append((each, index, record))
            else:
                facts.unreadable.append((each, index, record))
    return facts


def _reference(record: CheckIn | CheckOut) -> Reference | None:
    """Whose card it was, where the record may be believed about that."""
    credential = record.credential
    if credential is None:
        return None
    if isinstance(record, CheckOut):
        return Reference(credential.id, credential.subject)
    if record.outcome == Outcome.REFUSED and record.reason in NOBODYS_CARD:
        return None
    return Reference(credential.id, credential.subject, Flag.NOT_VERIFIED not in record.flags)


def _flags(told: Told, index: int, record: CheckIn) -> str:
    """The kiosk's flags and ours, as JSON."""
    ours = ["room_guessed"] if told.fixed.marks[index] & ROOM_GUESSED else []
    return json.dumps([*record.flags, *ours], separators=(",", ":")) if record.flags or ours else "[]"


def _card(credential: CredentialReference | None) -> Row:
    return (None, None, None) if credential is None else (credential.issuer, credential.id, credential.subject)


def _check_in(told: Told, index: int, record: CheckIn, links: dict[Reference, Link]) -> Row:
    reference = _reference(record)
    link = links.get(reference) if reference else None
    return (
        told.stream,
        told.first + index,
        record.id,
        told.terminal,
        *told.place_of(index),
        told.fixed.occurrences.get(index),
        record.occurrence,
        record.method.value,
        record.outcome.value,
        record.reason,
        *_card(record.credential),
        link.member_id if link else None,
        int(reference is not None and link is None),
        told.fixed.effective_at[index],
        told.fixed.uncertainty_us[index],
        told.fixed.basis[index],
        _flags(told, index, record),
        told.received_at,
        max(told.received_at, link.since_at) if link else None,
        record.at,
    )


def _attendance(told: Told, index: int, record: CheckIn, links: dict[Reference, Link]) -> Row | None:
    """A row of `linking.COLUMNS`, where the check-in makes attendance."""
    reference, occurrence = _reference(record), told.fixed.occurrences.get(index)
    if record.outcome != Outcome.ACCEPTED or occurrence is None or reference not in links:
        return None
    return (
        occurrence,
        links[reference].member_id,
        told.fixed.effective_at[index],
        told.fixed.uncertainty_us[index],
        told.terminal,
        *told.place_of(index),
        told.stream,
        told.first + index,
        record.method.value,
        _flags(told, index, record),
    )


def _check_out(told: Told, index: int, record: CheckOut, links: dict[Reference, Link]) -> Row:
    reference = _reference(record)
    link = links.get(reference) if reference else None
    return (
        told.stream,
        told.first + index,
        record.id,
        told.terminal,
        *told.place_of(index),
        told.fixed.occurrences.get(index),
        *_card(record.credential),
        link.member_id if link else None,
        told.fixed.effective_at[index],
        told.fixed.uncertainty_us[index],
        told.fixed.basis[index],
        told.received_at,
        record.at,
    )


def _interaction(told: Told, index: int, record: Interaction) -> Row:
    return (
        told.stream,
        told.first + index,
        told.terminal,
        *told.place_of(index),
        record.screen,
        record.minute_at,
        record.touches,
        record.help_called,
        told.fixed.effective_at[index],
    )


def _unreadable(told: Told, index: int, error: DecodeError) -> Row:
    line = told.lines[index][:QUARANTINE_BYTES]
    return (told.terminal, told.stream, told.first + index, "record", str(error), line, told.received_at, "open")


def _declare_gaps(bulk: Bulk, gaps: Sequence[tuple[Told, Gap]]) -> None:
    bulk.run_many(
        "UPDATE streams SET gap_stream = ?, gap_first = ?, gap_last = ?, gap_reason = ? WHERE stream = ?",
        [(gap.stream, gap.first, gap.last, gap.reason, each.stream) for each, gap in gaps],
    )
