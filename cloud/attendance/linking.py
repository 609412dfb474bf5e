"""Links facts to members: credential reference → credential → member → attendance, single per (occurrence, member).

Promises that the earlier effective time wins whatever the order of arrival, that a record wins over a correction's guess of
the time, and that what could not be linked when it came is linked by `link_late` once its member or card is there.
Called by ingest, its housekeeping and rebuild.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from cloud.bulk import Bulk, Row

COLUMNS: Final = (
    "occurrence_id", "member_id", "effective_at", "uncertainty_us", "terminal_id", "room_id", "organisation_id",
    "stream", "number", "method", "flags",
)  # fmt: skip

_UPSERT: Final = f"""INSERT INTO attendance ({",".join(COLUMNS)}) VALUES ({",".join("?" * len(COLUMNS))})
ON CONFLICT (occurrence_id, member_id) DO UPDATE SET
{",".join(f"{column}=excluded.{column}" for column in COLUMNS[2:])}
WHERE attendance.stream IS NULL OR excluded.effective_at < attendance.effective_at
OR (excluded.effective_at = attendance.effective_at
AND (excluded.stream, excluded.number) < (attendance.stream, attendance.number))"""  # noqa: S608

# An erased member's cards still link to the empty row that is left, so that rebuilding gives the same counts.
_CARDS: Final = (
    "SELECT c.id, CASE WHEN m.erased_at IS NULL THEN m.subject END, m.id, "
    "CASE WHEN c.created_at > m.created_at THEN c.created_at ELSE m.created_at END "
    "FROM credentials c JOIN members m ON m.id = c.member_id WHERE c.id IN"
)
_SUBJECTS: Final = "SELECT subject, id, created_at FROM members WHERE erased_at IS NULL AND subject IN"

_WAITING: Final = f"""SELECT f.id, f.credential_id, f.subject, f.flags, f.outcome, f.occurrence_id, f.{", f.".join(COLUMNS[2:])}
FROM check_ins f WHERE f.waits = 1 AND f.id > ? AND (EXISTS (SELECT 1 FROM credentials c WHERE c.id = f.credential_id)
OR EXISTS (SELECT 1 FROM members m WHERE m.subject = f.subject)) ORDER BY f.id LIMIT ?"""  # noqa: S608
_LINK: Final = """UPDATE check_ins SET member_id = ?, waits = 0,
linked_at = CASE WHEN received_at > ? THEN received_at ELSE ? END WHERE id = ?"""
_LINK_CHECK_OUTS: Final = """UPDATE check_outs SET member_id = (SELECT c.member_id FROM credentials c
WHERE c.id = check_outs.credential_id) WHERE member_id IS NULL
AND EXISTS (SELECT 1 FROM credentials c WHERE c.id = check_outs.credential_id)"""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a terminal said about a card. Only a `verified` one is believed without its credential being known."""

    credential_id: str
    subject: str | None
    verified: bool = True


@dataclass(frozen=True, slots=True)
class Link:
    """Whose card it is, and since when both member and card are known here (microseconds)."""

    member_id: str
    since_at: int


Links = Mapping[Reference, Link | None]
"""By reference; None where the card is one member's and the subject said is another's."""


def find_links(bulk: Bulk, references: Iterable[Reference]) -> Links:
    """The members of those references that are known; the others are left out."""
    wanted = set(references)
    cards = {
        card: (subject, Link(member, since))
        for card, subject, member, since in bulk.rows_in(_CARDS, {each.credential_id for each in wanted})
    }
    links: dict[Reference, Link | None] = {}
    for each in wanted:
        if each.credential_id in cards:
            subject, link = cards[each.credential_id]
            links[each] = None if each.subject and subject and each.subject != subject else link
    return links | _by_subject(bulk, wanted - links.keys())


def attend(bulk: Bulk, rows: Iterable[Row]) -> None:
    """Rows of COLUMNS: each makes the attendance, or moves it to an earlier time."""
    bulk.run_many(_UPSERT, sorted(rows, key=lambda row: (row[0], row[1])))


def link_late(bulk: Bulk, after_id: int = 0, limit: int = 1_000) -> tuple[int, int | None]:
    """Link what waits for a member or a card that is there now. How many, and the id to go on after; None at the end."""
    if after_id == 0:
        bulk.run(_LINK_CHECK_OUTS)
    rows = bulk.rows(_WAITING, (after_id, limit))
    waiting = {row[0]: Reference(row[1], row[2], "not_verified" not in json.loads(row[3])) for row in rows}
    links = find_links(bulk, waiting.values())
    linked = [(row, link) for row in rows if (link := links.get(waiting[row[0]]))]
    bulk.run_many(_LINK, [(link.member_id, link.since_at, link.since_at, row[0]) for row, link in linked])
    attend(bulk, [_attendance(row, link) for row, link in linked if row[4] == "accepted" and row[5] is not None])
    return len(linked), rows[-1][0] if len(rows) == limit else None


def _attendance(row: Row, link: Link) -> Row:
    """A row of COLUMNS from one of _WAITING."""
    return (row[5], link.member_id, *row[6:])


def _by_subject(bulk: Bulk, references: Iterable[Reference]) -> dict[Reference, Link | None]:
    """A card that is not registered here, but whose signature a kiosk has verified, names its member."""
    named = {each: each.subject for each in references if each.verified and each.subject is not None}
    members = {subject: Link(member, since) for subject, member, since in bulk.rows_in(_SUBJECTS, set(named.values()))}
    return {reference: members[subject] for reference, subject in named.items() if subject in members}
