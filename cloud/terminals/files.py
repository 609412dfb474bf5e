"""The files that twins name: rosters, the list of revoked cards, a room's occurrences; kept under the hash of their bytes.

One roster serves all kiosks below one root organisation, and holds all members there: that is how a kiosk can say
"not for this activity". Rosters are made anew at most once in `ROSTER_PAUSE`; revocations at once.
"""

import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cloud.counters import Counts, advance, current
from cloud.credentials import service as credentials
from cloud.members import service as members
from cloud.organisations import service as organisations
from cloud.rooms import service as rooms
from cloud.terminals.fleet import IN_SERVICE
from cloud.terminals.models import PreparedFile, RosterKey, Terminal, TwinFile
from firmware_specs import roster as contract
from firmware_specs.file_messages import RosterEntry
from firmware_specs.messages import Occurrence

REVOCATIONS = "revocations"
ROSTER_PAUSE = timedelta(seconds=30)
KEEP_UNNAMED = timedelta(days=7)
"""How long a file stays that no newest twin names: a kiosk may still be fetching it."""


@dataclass(frozen=True)
class Draft:
    """A file that was made while reading, to be kept by a short write."""

    name: str
    epoch: int
    changes: int
    content: bytes


def due_drafts(session: Session, epoch: int, now: datetime) -> list[Draft]:
    """Every file that must be made anew. Reads much where a roster is due: call it in a transaction that only reads."""
    kept = {each.name: each for each in session.scalars(select(PreparedFile))}
    drafts = []
    revoked = current(session, Counts.REVOCATIONS)
    if _is_due(kept.get(REVOCATIONS), epoch, revoked, now, timedelta(0)):
        lines = contract.revocation_lines(epoch, credentials.revoked_ids(session, now))
        drafts.append(Draft(REVOCATIONS, epoch, revoked, b"".join(lines)))
    changes = current(session, Counts.ROSTER)
    for root in _roots(session):
        if _is_due(kept.get(roster_name(root)), epoch, changes, now, ROSTER_PAUSE):
            content = b"".join(contract.roster_lines(_key(session), _entries(session, root, now)))
            drafts.append(Draft(roster_name(root), epoch, changes, content))
    return drafts


def keep(session: Session, drafts: Sequence[Draft], now: datetime) -> None:
    """Store what was made; twins are due where the bytes are new."""
    for draft in drafts:
        if _keep(session, draft, now):
            advance(session, Counts.TWIN_INPUTS)


def keep_occurrences(
    session: Session, room_id: str, epoch: int, occurrences: Sequence[Occurrence], until: int, now: datetime
) -> tuple[str, int]:
    """Store all coming occurrences of a room as a file; its hash and its size in bytes.

    The caller makes the twin that names it: no other is due for it.
    """
    content = b"".join(contract.occurrence_lines(until, occurrences))
    _keep(session, Draft(occurrences_name(room_id), epoch, 0, content), now)
    return hashlib.sha256(content).hexdigest(), len(content)


def drop_occurrences(session: Session, room_id: str) -> None:
    """The room's occurrences fit into its twins again."""
    session.execute(delete(PreparedFile).where(PreparedFile.name == occurrences_name(room_id)))


def has_key(session: Session) -> bool:
    """Whether the rosters' first key was drawn."""
    return session.scalar(select(RosterKey.id).limit(1)) is not None


def draw_key(session: Session, now: datetime) -> None:
    """A new key for rosters, when a member is erased: no old hash can be told from the new ones."""
    session.add(RosterKey(key=secrets.token_hex(contract.KEY_BYTES), created_at=now))
    session.flush()
    advance(session, Counts.ROSTER)


def sweep(session: Session, now: datetime) -> None:
    """Delete files that no twin names any more."""
    named = select(PreparedFile.sha256)
    session.execute(delete(TwinFile).where(TwinFile.sha256.not_in(named), TwinFile.created_at < now - KEEP_UNNAMED))


def roster_name(root: str) -> str:
    """The name under which a root organisation's roster is prepared."""
    return f"roster/{root}"


def occurrences_name(room_id: str) -> str:
    """The name under which a room's occurrences are prepared."""
    return f"occurrences/{room_id}"


def _keep(session: Session, draft: Draft, now: datetime) -> bool:
    """Store one file; whether its bytes differ from those kept under its name."""
    sha256 = hashlib.sha256(draft.content).hexdigest()
    if session.get(TwinFile, sha256) is None:
        session.add(TwinFile(sha256=sha256, size=len(draft.content), content=draft.content, created_at=now))
        session.flush()
    before = session.get(PreparedFile, draft.name, with_for_update=True)
    differs = before is None or before.sha256 != sha256
    prepared = PreparedFile(name=draft.name, sha256=sha256, epoch=draft.epoch, changes=draft.changes, made_at=now)
    session.merge(prepared)
    session.flush()
    return differs


def _is_due(kept: PreparedFile | None, epoch: int, changes: int, now: datetime, pause: timedelta) -> bool:
    if kept is None:
        return True
    renewed = kept.changes != changes or (kept.name == REVOCATIONS and kept.epoch != epoch)
    return renewed and abs(now - kept.made_at) >= pause  # a clock that was set back must not hold it up


def _roots(session: Session) -> list[str]:
    room_ids = session.scalars(select(Terminal.room_id).where(IN_SERVICE).distinct())
    ids = rooms.organisation_ids(session, (room_id for room_id in room_ids if room_id is not None))
    return sorted({organisations.ancestors(path)[0] for path in organisations.paths(session, ids).values()})


def _key(session: Session) -> bytes:
    return bytes.fromhex(session.scalars(select(RosterKey.key).order_by(RosterKey.id.desc()).limit(1)).one())


def _entries(session: Session, root: str, now: datetime) -> Iterator[RosterEntry]:
    key = _key(session)
    for rows in members.subjects_below(session, root):
        cards = credentials.in_force(session, [member_id for member_id, _, _ in rows], now)
        paths = organisations.paths(session, (organisation_id for _, _, organisation_id in rows))
        for member_id, subject, organisation_id in rows:
            above = organisations.ancestors(paths[organisation_id])
            yield contract.roster_entry(key, subject, cards.get(member_id, ()), above)
