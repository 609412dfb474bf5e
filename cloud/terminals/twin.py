"""The desired twin: what a terminal needs to decide for weeks without a network, in at most 64 KiB.

A new version is numbered from one cloud-wide counter, and only when the document differs; after a restore every
terminal gets one, because the epoch is new. Publishing is the caller's part, after the commit, and again whenever a
broker may have lost it. Called by ingest.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, or_, select
from sqlalchemy.orm import Session

from cloud.activities import service as activities
from cloud.clock import EPOCH, to_us
from cloud.counters import Counts, advance, current
from cloud.credentials import issuer_keys
from cloud.database import transaction
from cloud.organisations import service as organisations
from cloud.rooms import service as rooms
from cloud.scope import EVERYWHERE
from cloud.templates import merging
from cloud.templates import service as templates
from cloud.templates.merging import Effective, Layer
from cloud.terminals import files
from cloud.terminals.models import PreparedFile, Terminal, Twin, TwinFile
from cloud.terminals.service import PIN_HASH
from firmware_specs.fields import MAX_NUMBER, MAX_TIME_US
from firmware_specs.messages import (
    Desired,
    FileReference,
    IssuerKey,
    Occurrence,
    OrganisationFacts,
    RoomFacts,
)
from firmware_specs.wire import encode, fit_desired

__all__ = ["Twin", "current_twin", "due_twins", "file_of", "has_due", "renew_twins", "settings_in_effect"]

WINDOW = timedelta(days=30)
STEP = timedelta(days=1)
"""A twin's window begins at a midnight (UTC), so that its document does not change with every glance at the clock."""

BEFORE = timedelta(hours=2)
"""What ended so shortly before the window is in it, for records on their way."""

LONGEST_OPENING = timedelta(hours=4)
"""No check-in opens longer before its start (the activity's form): the window holds whatever opens in it."""

FILES = ("occurrences_file", "roster", "revocations")
"""A twin's fields that name a file."""

FETCHABLE_TWINS = 3
"""A terminal may fetch the files of as many of its newest twins."""


@dataclass(frozen=True)
class _Shared:
    """What the twins of one call have in common."""

    now: datetime
    inputs: int
    epoch: int
    keys: tuple[IssuerKey, ...]
    files: dict[str, tuple[str, int]]
    coming: dict[str, list[Occurrence]]
    layers: dict[tuple[str | None, str], Sequence[Layer]] = field(default_factory=dict)
    """The templates that count in a room (or in none) for a kind."""


@dataclass(frozen=True)
class _Ahead:
    """What rooms have coming, as it was under this count of inputs."""

    inputs: int
    coming: dict[str, list[Occurrence]]


@dataclass(frozen=True)
class _Place:
    """Where a terminal stands, and the path of the organisation there; nothing of one that waits for a room."""

    room: RoomFacts | None = None
    organisation: OrganisationFacts | None = None
    path: str | None = None


def renew_twins(engine: Engine, epoch: int, now: datetime, limit: int = 100) -> list[Twin]:
    """Make files and twins that are due; the new twins, to be published. Cheap when nothing changed.

    Opens its own transactions, because a large roster and full rooms are read beside the writers, who would wait for
    seconds. At most `limit` terminals: call again while as many come back.
    """
    with transaction(engine, read_only=True) as session:
        has_key = files.has_key(session)
    if not has_key:
        with transaction(engine) as session:
            files.draw_key(session, now)
    _renew_files(engine, epoch, now)
    with transaction(engine, read_only=True) as session:
        due = _due_terminals(session, epoch, now, limit)
        if not due:
            return []
        rooms_due = {terminal.room_id for terminal in due if terminal.room_id is not None}
        ahead = _Ahead(
            current(session, Counts.TWIN_INPUTS),
            {room_id: _occurrences(session, now, room_id) for room_id in rooms_due},
        )
    with transaction(engine) as session:
        return due_twins(session, epoch, now, limit, ahead)


def due_twins(session: Session, epoch: int, now: datetime, limit: int = 100, ahead: _Ahead | None = None) -> list[Twin]:
    """New versions for terminals whose document differs from the one they have; each is already stored.

    What was read `ahead` counts only while no input has changed since.
    """
    query = select(PreparedFile.name, TwinFile.sha256, TwinFile.size).join(TwinFile)
    inputs = current(session, Counts.TWIN_INPUTS)
    shared = _Shared(
        now,
        inputs,
        epoch,
        tuple(_issuer_keys(session, now)),
        {name: (sha256, size) for name, sha256, size in session.execute(query)},
        dict(ahead.coming) if ahead is not None and ahead.inputs == inputs else {},
    )
    due = sorted(_due_terminals(session, epoch, now, limit), key=lambda each: each.id)  # as `locks` does
    made = [_renew(session, shared, each) for each in due]
    session.flush()
    return [twin for twin in made if twin is not None]


def has_due(session: Session, epoch: int, now: datetime) -> bool:
    """Whether any terminal's twin is still to be looked at."""
    return bool(_due_terminals(session, epoch, now, 1))


def current_twin(session: Session, terminal_id: str) -> Twin | None:
    """The newest; None before the first was made. By the number alone, which rises over a restore, too: along the index, and
    not through all documents that the terminal ever had."""
    query = select(Twin).where(Twin.terminal_id == terminal_id)
    return session.scalar(query.order_by(Twin.number.desc()).limit(1))


def settings_in_effect(session: Session, terminal: Terminal, *, own: bool = True) -> dict[str, Effective]:
    """What its next twin tells of each setting of its profile, and whence: by templates and its own; or would, without those."""
    layers = _layers(session, terminal, _place(session, terminal))
    return _in_effect(terminal, layers, terminal.settings if own else {})


def file_of(session: Session, terminal_id: str, sha256: str) -> bytes | None:
    """The content of a file that one of the terminal's newest twins names; None for any other."""
    query = select(Twin.document).where(Twin.terminal_id == terminal_id)
    for document in session.scalars(query.order_by(Twin.number.desc()).limit(FETCHABLE_TWINS)):
        twin = json.loads(document)
        if any((twin.get(name) or {}).get("sha256") == sha256 for name in FILES):
            return session.scalar(select(TwinFile.content).where(TwinFile.sha256 == sha256))
    return None


def _renew_files(engine: Engine, epoch: int, now: datetime) -> None:
    """In a transaction of their own: they count a change of the inputs, before which whoever edits a terminal locks its row."""
    with transaction(engine, read_only=True) as session:
        drafts = files.due_drafts(session, epoch, now)
    if drafts:
        with transaction(engine) as session:
            files.keep(session, drafts, now)


def _due_terminals(session: Session, epoch: int, now: datetime, limit: int) -> Sequence[Terminal]:
    query = (
        select(Terminal)
        .where(
            Terminal.enabled,
            or_(
                Terminal.twin_inputs.is_(None),
                Terminal.twin_inputs != current(session, Counts.TWIN_INPUTS),
                Terminal.twin_epoch != epoch,
                Terminal.twin_checked_at < _window_start(now),
            ),
        )
        .order_by(Terminal.id)
        .limit(limit)
    )
    return session.scalars(query).all()


def _renew(session: Session, shared: _Shared, terminal: Terminal) -> Twin | None:
    terminal.twin_inputs, terminal.twin_epoch = shared.inputs, shared.epoch
    terminal.twin_checked_at = shared.now
    facts = _facts(session, shared, terminal)
    last = current_twin(session, terminal.id)
    if last is not None and last.epoch == shared.epoch and _same(last.document, facts):
        return None
    version = (shared.epoch, advance(session, Counts.TWINS))
    desired = facts.model_copy(update={"version": version})
    twin = Twin(
        epoch=version[0],
        number=version[1],
        terminal_id=terminal.id,
        room_id=desired.room and desired.room.id,
        organisation_id=desired.organisation and desired.organisation.id,
        document=encode(desired).decode(),
        created_at=shared.now,
    )
    session.add(twin)
    return twin


def _facts(session: Session, shared: _Shared, terminal: Terminal) -> Desired:
    """The document under the largest version there can be; as many occurrences as fit then fit under any."""
    stands = _place(session, terminal)
    where = (stands.room.id if stands.room else None, terminal.kind)
    if where not in shared.layers:
        shared.layers[where] = _layers(session, terminal, stands)
    settings = merging.values(_in_effect(terminal, shared.layers[where], terminal.settings))
    terminal.twin_settings = settings
    facts = Desired.model_validate(
        {
            **settings,
            PIN_HASH: terminal.settings.get(PIN_HASH),
            "version": (shared.epoch, MAX_NUMBER),
            "occurrences_until": MAX_TIME_US,
            "room": stands.room,
            "organisation": stands.organisation,
            "issuer_keys": shared.keys,
            "roster": stands.path and _reference(shared, terminal, _roster_at(stands.path)),
            "revocations": _reference(shared, terminal, files.REVOCATIONS),
        }
    )
    return _with_occurrences(session, shared, terminal, facts)


def _in_effect(terminal: Terminal, layers: Sequence[Layer], own: Mapping[str, Any]) -> dict[str, Effective]:
    return merging.merged(merging.known_settings(terminal.profile, terminal.kind), layers, own)


def _layers(session: Session, terminal: Terminal, stands: _Place) -> Sequence[Layer]:
    return templates.for_terminal(session, stands.path, stands.room.id if stands.room else None, terminal.kind)


def _place(session: Session, terminal: Terminal) -> _Place:
    """Where it stands; a terminal that was replaced has given its room away."""
    if terminal.room_id is None or terminal.replaced_by is not None:
        return _Place()
    room = rooms.get(session, EVERYWHERE, terminal.room_id)
    owner = organisations.get(session, EVERYWHERE, room.organisation_id)
    return _Place(
        RoomFacts(id=room.id, number=room.number, name=room.name, name_en=room.name_en),
        OrganisationFacts(id=owner.id, name=owner.name, name_en=owner.name_en, timezone=owner.timezone),
        owner.path,
    )


def _with_occurrences(session: Session, shared: _Shared, terminal: Terminal, facts: Desired) -> Desired:
    """The nearest occurrences in the document; where not all of the window fit, all of them in a file beside it."""
    until_at, room_id = _window_end(shared.now), facts.room.id if facts.room else None
    if room_id is None:
        return fit_desired(facts, []).model_copy(update={"occurrences_until": to_us(until_at)})
    if room_id not in shared.coming:
        shared.coming[room_id] = _occurrences(session, shared.now, room_id)
    coming = shared.coming[room_id]
    whole = fit_desired(facts, coming)
    if whole.occurrences_until == MAX_TIME_US:
        if files.occurrences_name(room_id) in shared.files:
            files.drop_occurrences(session, room_id)
        return whole.model_copy(update={"occurrences_until": to_us(until_at)})
    sha256, size = files.keep_occurrences(session, room_id, shared.epoch, coming, to_us(until_at), shared.now)
    file = _file(terminal, sha256, size)
    return fit_desired(facts.model_copy(update={"occurrences_file": file}), coming)


def _same(document: str, facts: Desired) -> bool:
    before: dict[str, Any] = json.loads(document)
    after: dict[str, Any] = json.loads(encode(facts))
    return before | {"version": None} == after | {"version": None}


def _occurrences(session: Session, now: datetime, room_id: str) -> list[Occurrence]:
    """What opens before the window ends, so that at its end nothing is on of which the terminal was not told."""
    until_at = _window_end(now)
    taking_place = activities.coming(session, room_id, _window_start(now) - BEFORE, until_at + LONGEST_OPENING)
    known = [
        Occurrence(
            id=occurrence.id,
            title=activity.title,
            title_en=activity.title_en,
            starts_at=to_us(occurrence.starts_at),
            ends_at=to_us(occurrence.ends_at),
            opens_at=to_us(occurrence.starts_at - timedelta(seconds=activity.opens_before_s)),
            audience=activity.audience,
        )
        for occurrence, activity in taking_place
    ]
    return [each for each in known if each.opens_at < to_us(until_at)]


def _window_start(now: datetime) -> datetime:
    return EPOCH + (now - EPOCH) // STEP * STEP


def _window_end(now: datetime) -> datetime:
    return _window_start(now) + STEP + WINDOW


def _roster_at(path: str) -> str:
    return files.roster_name(organisations.ancestors(path)[0])


def _reference(shared: _Shared, terminal: Terminal, name: str) -> FileReference | None:
    if name not in shared.files:
        return None
    return _file(terminal, *shared.files[name])


def _file(terminal: Terminal, sha256: str, size: int) -> FileReference:
    return FileReference(sha256=sha256, size=size, path=f"/api/v1/terminals/{terminal.id}/files/{sha256}")


def _issuer_keys(session: Session, now: datetime) -> list[IssuerKey]:
    return [
        IssuerKey(issuer=key.issuer, key_id=key.key_id, public_key=base64.b64decode(key.public_key).hex())
        for key in issuer_keys.trusted(session, now)
    ]
