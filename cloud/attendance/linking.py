"""Links facts to members: credential reference → credential → member → attendance, single per (occurrence, member).

Promises that the earlier effective time wins whatever the order of arrival, and that what could not be linked when it
came is linked by `link_late` once its member or credential is there. Called by ingest, its sweep and rebuild.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cloud.bulk import Bulk, Row

COLUMNS: Final = (
    "occurrence_id",
    "member_id",
    "effective_at",
    "uncertainty_us",
    "terminal_id",
    "room_id",
    "organisation_id",
    "stream",
    "number",
    "method",
    "flags",
)

_UPSERT: Final = f"""INSERT INTO attendance ({",".join(COLUMNS)}) VALUES ({",".join("?" * len(COLUMNS))})
ON CONFLICT (occurrence_id, member_id) DO UPDATE SET
{",".join(f"{column}=excluded.{column}" for column in COLUMNS[2:])}
WHERE excluded.effective_at < attendance.effective_at
OR (excluded.effective_at = attendance.effective_at
AND (excluded.stream, excluded.number) < (attendance.stream, attendance.number))"""  # noqa: S608


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


def find_links(bulk: Bulk, references: Iterable[Reference]) -> dict[Reference, Link]:
    """The members of those references that are known. A card whose subject is another member's links to nobody."""
    wanted = set(references)
    cards = {
        card: (subject, Link(member, since))
        for card, subject, member, since in bulk.rows_in(
            "SELECT c.id, m.subject, m.id, CASE WHEN c.created_at > m.created_at THEN c.created_at ELSE m.created_at END "
            "FROM credentials c JOIN members m ON m.id = c.member_id WHERE m.erased_at IS NULL AND c.id IN",
            {reference.credential_id for reference in wanted},
        )
    }
    links = {}
    for reference in wanted:
        subject, link = cards.get(reference.credential_id, (None, None))
        if link is not None and reference.subject in {None, subject}:
            links[reference] = link
    return links | _by_subject(bulk, [each for each in wanted if each.credential_id not in cards])


def _by_subject(bulk: Bulk, references: Sequence[Reference]) -> dict[Reference, Link]:
    """A card that is not registered here, but whose signature a kiosk has verified, names its member."""
    named = {each: each.subject for each in references if each.verified and each.subject is not None}
    members = {
        subject: Link(member, since)
        for subject, member, since in bulk.rows_in(
            "SELECT subject, id, created_at FROM members WHERE erased_at IS NULL AND subject IN", set(named.values())
        )
    }
    return {reference: members[subject] for reference, subject in named.items() if subject in members}


def attend(bulk: Bulk, rows: Sequence[Row]) -> None:
    """Rows of COLUMNS: each makes the attendance, or moves it to an earlier time."""
    bulk.run_many(_UPSERT, sorted(rows, key=lambda row: (row[0], row[1])))


def link_late(bulk: Bulk, limit: int = 1_000) -> int:
    """Link check-ins that wait for a member or a card which is there now; how many. Call again while it is not 0."""
    waiting = [_Waiting(*row) for row in bulk.rows(_WAITING, (limit,))]
    links = find_links(bulk, {each.reference for each in waiting})
    linked = [(each, links[each.reference]) for each in waiting if each.reference in links]
    bulk.run_many(
        "UPDATE check_ins SET member_id = ?, waits = 0, "
        "linked_at = CASE WHEN received_at > ? THEN received_at ELSE ? END WHERE id = ?",
        [(link.member_id, link.since_at, link.since_at, each.id) for each, link in linked],
    )
    attend(bulk, [each.attendance(link) for each, link in linked if each.makes_attendance])
    return len(linked)
