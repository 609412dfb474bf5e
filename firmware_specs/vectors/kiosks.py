"""The made-up kiosk of the decision vectors: its room's occurrences, its members' cards, its files, and one presentation."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from firmware_specs import roster
from firmware_specs.credentials import Credential, card_id_from_random, sign
from firmware_specs.messages import Desired, FileReference, IssuerKey, Occurrence
from firmware_specs.vectors import cards, samples
from firmware_specs.vectors.payloads import HASH_KEY
from firmware_specs.vectors.vector import Vector
from firmware_specs.wire import encode

MINUTE_US: Final = 60_000_000
MEMBER: Final = replace(cards.CARD, not_before=cards.NOT_BEFORE - timedelta(days=30))
SECOND_CARD: Final = replace(MEMBER, id=card_id_from_random(22_222_222_222))
OUTSIDER: Final = replace(MEMBER, subject="OutsiderOutsiderOutsiA", id=card_id_from_random(33_333_333_333))
STRANGER: Final = replace(MEMBER, subject="StrangerStrangerStranA", id=card_id_from_random(44_444_444_444))


def text_of(card: Credential, key: int = 1) -> str:
    """The text of a card's QR code."""
    return sign(card, cards.known_key(key))


def occurrence(
    activity: str, start_min: float = 0, lasts_min: float = 90, audience: Sequence[str] = ("org_branch",)
) -> Occurrence:
    """One date that starts so many minutes after 2026-11-23T09:30:00Z; its check-in opens 30 minutes before."""
    starts_at = samples.AT + int(start_min * MINUTE_US)
    return Occurrence(
        id=f"{activity}/{datetime.fromtimestamp(starts_at // 1_000_000, UTC):%Y%m%dT%H%M%SZ}",
        title=activity,
        starts_at=starts_at,
        ends_at=starts_at + int(lasts_min * MINUTE_US),
        opens_at=starts_at - 30 * MINUTE_US,
        audience=list(audience),
    )


CLASS: Final = occurrence("act_class")
"""For everybody of org_branch, from 09:30 to 11:00."""


def reference(content: str) -> dict[str, Any]:
    """How a twin names a file."""
    sha256 = hashlib.sha256(content.encode()).hexdigest()
    return FileReference(
        sha256=sha256, size=len(content.encode()), path=f"/api/v1/terminals/self/files/{sha256}"
    ).model_dump()


def roster_file() -> str:
    """Two members: MEMBER of org_branch, with one card of two, and OUTSIDER of org_other; both below org_root."""
    members = (MEMBER, "org_branch"), (OUTSIDER, "org_other")
    entries = [roster.roster_entry(HASH_KEY, m.subject, [m.id], [branch, "org_root"]) for m, branch in members]
    return b"".join(roster.roster_lines(HASH_KEY, entries)).decode()


def revoked_file(*card_ids: str) -> str:
    """A list of revoked cards."""
    return b"".join(roster.revocation_lines(samples.EPOCH, card_ids)).decode()


def occurrences_file(until: int, occurrences: Iterable[Occurrence]) -> str:
    """A file of occurrences."""
    return b"".join(roster.occurrence_lines(until, occurrences)).decode()


def twin(*occurrences: Occurrence, **more: Any) -> dict[str, Any]:
    """A desired twin that names the roster and trusts the issuer's two keys."""
    fields: dict[str, Any] = {
        "version": samples.CONFIG,
        "occurrences": sorted(occurrences, key=lambda each: (each.starts_at, each.id)),
        "issuer_keys": [IssuerKey(**key) for key in cards.trusted_keys()[:2]],
        "roster": reference(roster_file()),
    }
    document: dict[str, Any] = json.loads(encode(Desired.model_validate(fields | more)))
    return document


TWIN: Final = twin(CLASS)


def accepted(card: Credential | str, at: Occurrence = CLASS) -> dict[str, str]:
    """One who is in: by a card, or by a typed number."""
    who = {"id": card} if isinstance(card, str) else {"subject": card.subject, "id": card.id}
    return {"occurrence": at.id} | who


def named(card: Credential | str) -> dict[str, str]:
    """The credential as the record names it."""
    if isinstance(card, str):
        return {"id": card}
    return {"issuer": card.issuer, "subject": card.subject, "id": card.id, "key_id": card.key_id}


def presented(
    name: str, shows: str, payload: str, expect: Mapping[str, Any], *, now_min: float = 10.0, **given: Any
) -> Vector:
    """One presentation: a card at 09:40 of a synced clock, with twin and roster, unless ``given`` says otherwise."""
    usual = {"method": "qr", "clock": "synced", "twin": TWIN, "roster": roster_file(), "accepted": []}
    kept = {field: value for field, value in (usual | given).items() if value is not None}
    kept |= {"now": samples.AT + round(now_min * MINUTE_US)}
    return Vector("decision", name, shows, payload.encode(), expect, given=kept)
