"""The ledger's rows of stored records: the same from a fresh batch as from the journal, so that rebuild repeats them.

Promises that a marked repeat makes no fact, and that a record that could not be understood makes one row of quarantine.
Writes within the caller's transaction.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloud.attendance import linking
from cloud.attendance.linking import Link, Links, Reference
from cloud.bulk import Bulk, Row
from cloud.commands import words
from cloud.journal.format import OCCURRENCE_FOREIGN, REPEAT, ROOM_GUESSED
from cloud.journal.reading import Entry
from firmware_specs.errors import DecodeError
from firmware_specs.messages import (
    CheckIn,
    CheckOut,
    CommandState,
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

_OUR_FLAGS: Final = ((ROOM_GUESSED, "room_guessed"), (OCCURRENCE_FOREIGN, "foreign_occurrence"))

Records = Sequence[Record | DecodeError]
"""A batch's records in order, an error in the place of each that is not understood."""

Decoded = tuple[Entry, Records]
"""A stored batch and its records."""

Fact = CheckIn | CheckOut | Interaction | CommandState
"""Whose ids are unique over all streams (firmware_specs.messages.FACT_TYPES)."""


def fact_id(record: Fact) -> bytes:
    """The key of `fact_ids`: the UUID's 16 bytes."""
    return bytes.fromhex(record.id.replace("-", ""))


def counts(records: Records, marks: Sequence[int]) -> tuple[int, int]:
    """How many facts and how many points these records become."""
    facts = points = 0
    for record, mark in zip(records, marks, strict=True):
        if mark & REPEAT:
            continue
        facts += isinstance(record, Fact)
        points += isinstance(record, Health | CheckIn | Interaction)
    return facts, points


def write_facts(bulk: Bulk, entries: Iterable[Decoded], *, again: bool = False) -> None:
    """Facts, their links and attendance, quarantine and declared gaps of these batches; `again` for a rebuild."""
    facts = _facts(entries)
    references = [shown[3] for shown in (*facts.check_ins, *facts.check_outs)]
    links = linking.find_links(bulk, [reference for reference in references if reference])
    check_ins, attendance = _check_ins_and_attendance(facts.check_ins, links)
    bulk.insert("check_ins", _CHECK_INS, check_ins)
    linking.attend(bulk, attendance)
    bulk.insert("check_outs", _CHECK_OUTS, [_check_out(*shown, links) for shown in facts.check_outs])
    bulk.insert("interactions", _INTERACTIONS, [_interaction(*item) for item in facts.interactions])
    (words.keep if again else words.write)(bulk, facts.command_states)
    bulk.insert_new("quarantine", QUARANTINE_COLUMNS, [_unreadable(*item) for item in facts.unreadable])
    _declare_gaps(bulk, [(each, started.gap) for each, _, started in facts.started if started.gap])


@dataclass(frozen=True, slots=True)
class _Facts:
    """Records that make rows, each with its batch and its index there; where a card was shown, with whose it was."""

    check_ins: list[tuple[Entry, int, CheckIn, Reference | None]] = field(default_factory=list)
    check_outs: list[tuple[Entry, int, CheckOut, Reference | None]] = field(default_factory=list)
    interactions: list[tuple[Entry, int, Interaction]] = field(default_factory=list)
    command_states: list[tuple[Entry, int, CommandState]] = field(default_factory=list)
    started: list[tuple[Entry, int, Started]] = field(default_factory=list)
    unreadable: list[tuple[Entry, int, DecodeError]] = field(default_factory=list)


def _facts(entries: Iterable[Decoded]) -> _Facts:
    """No health, nothing dropped, no repeats."""
    facts = _Facts()
    for each, records in entries:
        for index, record in enumerate(records):
            if isinstance(record, Health | Dropped) or each.fixed.marks[index] & REPEAT:
                continue
            if isinstance(record, CheckIn):
                facts.check_ins.append((each, index, record, _reference(record)))
            elif isinstance(record, CheckOut):
                facts.check_outs.append((each, index, record, _reference(record)))
            elif isinstance(record, Interaction):
                facts.interactions.append((each, index, record))
            elif isinstance(record, CommandState):
                facts.command_states.append((each, index, record))
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


def _check_ins_and_attendance(
    shown: Iterable[tuple[Entry, int, CheckIn, Reference | None]], links: Links
) -> tuple[list[Row], list[Row]]:
    check_ins, attendance = [], []
    for entry, index, record, reference in shown:
        known = reference is not None and reference in links
        link = links[reference] if reference is not None and known else None
        conflict = known and link is None  # the card is one member's and the subject another's
        flags = _flags(entry.fixed.marks[index], record, conflict=conflict)
        waits = reference is not None and not known
        check_ins.append(_check_in(entry, index, record, link, flags, waits=waits))
        if record.outcome == Outcome.ACCEPTED and link is not None and index in entry.fixed.occurrences:
            attendance.append(_attendance(entry, index, record, link, flags))
    return check_ins, attendance


def _flags(mark: int, record: CheckIn, *, conflict: bool) -> str:
    """The kiosk's flags and ours, as JSON."""
    ours = [flag for bit, flag in _OUR_FLAGS if mark & bit]
    if conflict:
        ours.append(linking.CARD_CONFLICT)
    return json.dumps([*record.flags, *ours], separators=(",", ":")) if record.flags or ours else "[]"


def _card(credential: CredentialReference | None) -> Row:
    return (None, None, None) if credential is None else (credential.issuer, credential.id, credential.subject)


def _check_in(entry: Entry, index: int, record: CheckIn, link: Link | None, flags: str, *, waits: bool) -> Row:
    return (
        entry.stream,
        entry.first + index,
        record.id,
        entry.terminal,
        *entry.place_of(index),
        entry.fixed.occurrences.get(index),
        record.occurrence,
        record.method.value,
        record.outcome.value,
        record.reason,
        *_card(record.credential),
        link.member_id if link else None,
        int(waits),
        entry.fixed.effective_at[index],
        entry.fixed.uncertainty_us[index],
        entry.fixed.basis[index],
        flags,
        entry.received_at,
        max(entry.received_at, link.since_at) if link else None,
        record.at,
    )


def _attendance(entry: Entry, index: int, record: CheckIn, link: Link, flags: str) -> Row:
    """A row of `linking.COLUMNS`."""
    return (
        entry.fixed.occurrences[index],
        link.member_id,
        entry.fixed.effective_at[index],
        entry.fixed.uncertainty_us[index],
        entry.terminal,
        *entry.place_of(index),
        entry.stream,
        entry.first + index,
        record.method.value,
        flags,
    )


def _check_out(entry: Entry, index: int, record: CheckOut, reference: Reference | None, links: Links) -> Row:
    link = None if reference is None else links.get(reference)
    return (
        entry.stream,
        entry.first + index,
        record.id,
        entry.terminal,
        *entry.place_of(index),
        entry.fixed.occurrences.get(index),
        *_card(record.credential),
        link.member_id if link else None,
        entry.fixed.effective_at[index],
        entry.fixed.uncertainty_us[index],
        entry.fixed.basis[index],
        entry.received_at,
        record.at,
    )


def _interaction(entry: Entry, index: int, record: Interaction) -> Row:
    return (
        entry.stream,
        entry.first + index,
        entry.terminal,
        *entry.place_of(index),
        record.screen,
        record.minute_at,
        record.touches,
        record.help_called,
        entry.fixed.effective_at[index],
    )


def _unreadable(entry: Entry, index: int, error: DecodeError) -> Row:
    line = entry.lines[index][:QUARANTINE_BYTES]
    return (entry.terminal, entry.stream, entry.first + index, "record", str(error), line, entry.received_at, "open")


def _declare_gaps(bulk: Bulk, gaps: Sequence[tuple[Entry, Gap]]) -> None:
    bulk.run_many(
        "UPDATE streams SET gap_stream = ?, gap_first = ?, gap_last = ?, gap_reason = ? WHERE stream = ?",
        [(gap.stream, gap.first, gap.last, gap.reason, each.stream) for each, gap in gaps],
    )
