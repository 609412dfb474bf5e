"""Links facts to members: credential reference → credential → member → attendance, single per (occurrence, member).

Promises that the earlier effective time wins whatever the order of arrival, that a record wins over a correction's guess of
the time, and that what could not be linked when it came is linked by `link_late` once its member or card is there.
Called by ingest, its housekeeping and rebuild.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

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

_KNOWN: Final = """(EXISTS (SELECT 1 FROM credentials c WHERE c.id = f.credential_id)
OR EXISTS (SELECT 1 FROM members m WHERE m.subject = f.subject))"""
_WAITING: Final = f"""SELECT f.id, f.credential_id, f.subject, f.flags, f.outcome, f.occurrence_id, f.{", f.".join(COLUMNS[2:])}
FROM check_ins f WHERE f.waits = 1 AND f.id > ? AND {_KNOWN} ORDER BY f.id LIMIT ?"""  # noqa: S608
_LINK: Final = """UPDATE check_ins SET member_id = ?, waits = 0,
linked_at = CASE WHEN received_at > ? THEN received_at ELSE ? END WHERE id = ?"""
_CONFLICT: Final = "UPDATE check_ins SET waits = 0, flags = ? WHERE id = ?"
_CHECK_OUTS: Final = f"""SELECT f.credential_id, f.stream, f.number, f.subject FROM check_outs f WHERE f.member_id IS NULL
AND (f.credential_id, f.stream, f.number) > (?, ?, ?) AND {_KNOWN}
ORDER BY f.credential_id, f.stream, f.number LIMIT ?"""  # noqa: S608
_LINK_CHECK_OUT: Final = "UPDATE check_outs SET member_id = ? WHERE stream = ? AND number = ?"

CARD_CONFLICT: Final = "card_conflict"
"""The flag of a check-in whose card is one member's and whose subject is another's: it links to nobody."""

After = int | tuple[str, str, int]
"""How far `link_late` is: an id of check_ins, or card, stream and number of check_outs, which come after them."""


class Reference(NamedTuple):
    """What a terminal said about a card. Only a `verified` one is believed without its credential being known."""

    credential_id: str
    subject: str | None
    verified: bool = True


class Link(NamedTuple):
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


def link_late(bulk: Bulk, after: After = 0, limit: int = 1_000) -> tuple[int, After | None]:
    """Link what waits for a member or a card that is there now, by the rules of `find_links`: one part.

    How many were linked, and where to go on; None at the end.
    """
    if not isinstance(after, int):
        return _link_check_outs(bulk, after, limit)
    linked, last = _link_check_ins(bulk, after, limit)
    return linked, ("", "", 0) if last is None else last


def _link_check_ins(bulk: Bulk, after_id: int, limit: int) -> tuple[int, int | None]:
    rows = bulk.rows(_WAITING, (after_id, limit))
    waiting = {row[0]: Reference(row[1], row[2], "not_verified" not in json.loads(row[3])) for row in rows}
    links = find_links(bulk, waiting.values())
    found = [(row, links[waiting[row[0]]]) for row in rows if waiting[row[0]] in links]
    linked = [(row, link) for row, link in found if link is not None]
    bulk.run_many(_LINK, [(link.member_id, link.since_at, link.since_at, row[0]) for row, link in linked])
    bulk.run_many(_CONFLICT, [(_with_conflict(row[3]), row[0]) for row, link in found if link is None])
    attend(bulk, [_attendance(row, link) for row, link in linked if row[4] == "accepted" and row[5] is not None])
    return len(linked), rows[-1][0] if len(rows) == limit else None


def _link_check_outs(bulk: Bulk, after: tuple[str, str, int], limit: int) -> tuple[int, After | None]:
    rows = bulk.rows(_CHECK_OUTS, (*after, limit))
    waiting = {row: Reference(row[0], row[3]) for row in rows}
    links = find_links(bulk, waiting.values())
    linked = [(link.member_id, row[1], row[2]) for row in rows if (link := links.get(waiting[row]))]
    bulk.run_many(_LINK_CHECK_OUT, linked)
    return len(linked), rows[-1][:3] if len(rows) == limit else None


def _with_conflict(flags: str) -> str:
    return json.dumps([*json.loads(flags), CARD_CONFLICT], separators=(",", ":"))


def _attendance(row: Row, link: Link) -> Row:
    """A row of COLUMNS from one of _WAITING."""
    return (row[5], link.member_id, *row[6:])


def _by_subject(bulk: Bulk, references: Iterable[Reference]) -> dict[Reference, Link | None]:
    """A card that is not registered here, but whose signature a kiosk has verified, names its member."""
    named = {each: each.subject for each in references if each.verified and each.subject is not None}
    members = {subject: Link(member, since) for subject, member, since in bulk.rows_in(_SUBJECTS, set(named.values()))}
    return {reference: members[subject] for reference, subject in named.items() if subject in members}
