"""Reads a code, decides, and keeps the record: what stands between a card and the screen.

Promises that a check-in is on the disk, together with who was accepted by it, before the caller hears of it; an
OutboxError means that nothing was kept. Called by the session, in its thread.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge.clock import Clock
from edge.errors import OutboxError
from edge.kiosk.decision import Decision, Presented, RosterLookup, card_reference, decide, find_left
from edge.outbox import Accepted, Outbox
from firmware_specs import credentials
from firmware_specs.credentials import Credential
from firmware_specs.errors import CredentialError, CredentialReason
from firmware_specs.messages import CheckIn, CheckOut, Desired, Occurrence

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Twin(Protocol):
    """What a kiosk needs of its twin (edge.twin.TwinStore)."""

    def current(self) -> Desired | None: ...
    def roster(self) -> RosterLookup | None: ...
    def revoked(self) -> frozenset[str]: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A decision whose record is on the disk; when it was made, and time.monotonic() just before it was written."""

    decision: Decision
    at_us: int
    decided_mono_s: float


@dataclass(frozen=True, slots=True)
class Left:
    """A check-out that is on the disk, and the occurrence that was left, where the kiosk knows it."""

    occurrence: Occurrence | None
    decided_mono_s: float


class Register:
    """Who came and who left, by the twin's last copy."""

    def __init__(self, outbox: Outbox, twin: Twin, clock: Clock, mono_s: Callable[[], float]) -> None:
        self._outbox, self._twin, self._clock, self._mono_s = outbox, twin, clock, mono_s
        self._keys_version = (-1, -1)
        self._keys: Mapping[tuple[str, str], Ed25519PublicKey] = {}

    def read(self, text: str) -> Credential | CredentialError:
        """The card behind a code. Without any twin there are no keys, and the cloud checks what the kiosk cannot.

        A code of something else is none of ours, not one that was read badly.
        """
        if not text.startswith(credentials.PREFIX):
            return CredentialError(CredentialReason.UNKNOWN_ISSUER, "a code of something else")
        desired = self._twin.current()
        try:
            if desired is None:
                return credentials.read_unverified(text)
            return credentials.read(text, self._keys_of(desired))
        except CredentialError as error:
            return error

    def check_in(self, presented: Presented) -> Kept:
        """Decide and keep; raises OutboxError."""
        desired = self._twin.current()
        stamp = self.stamp(desired)
        decision = decide(
            presented,
            _instant(stamp["at"]),
            stamp["clock"],
            desired=desired,
            roster=self._twin.roster(),
            accepted=self._is_accepted,
            revoked=self._twin.revoked(),
        )
        decided_s = self._mono_s()
        occurrence = decision.occurrence.id if decision.occurrence else None
        marks = [Accepted(occurrence, key, stamp["at"]) for key in decision.remember] if occurrence else []
        self._outbox.append([_record(stamp, decision)], accepted=marks)
        return Kept(decision, stamp["at"], decided_s)

    def check_out(self, card: Credential) -> Left:
        """Keep the time of leaving, whatever else may be said of the card; raises OutboxError."""
        desired = self._twin.current()
        stamp = self.stamp(desired)
        left = find_left(card, _instant(stamp["at"]), stamp["clock"], desired=desired, accepted=self._is_accepted)
        decided_s = self._mono_s()
        record = CheckOut(**stamp, credential=card_reference(card), occurrence=left.id if left else None)
        self._outbox.append([record])
        return Left(left, decided_s)

    def stamp(self, desired: Desired | None) -> dict[str, Any]:
        """The fields that every record carries, under this twin."""
        return self._clock.stamp(desired.version if desired else (0, 0))

    def _keys_of(self, desired: Desired) -> Mapping[tuple[str, str], Ed25519PublicKey]:
        if self._keys_version != desired.version:
            self._keys = {
                (key.issuer, key.key_id): Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public_key))
                for key in desired.issuer_keys
            }
            self._keys_version = desired.version
        return self._keys

    def _is_accepted(self, occurrence: str, keys: Collection[str]) -> bool:
        """What the outbox remembers; where it cannot be read, the append that follows says so."""
        try:
            return self._outbox.is_accepted(occurrence, keys)
        except OutboxError:
            return False


def _instant(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)


def _record(stamp: dict[str, Any], decision: Decision) -> CheckIn:
    return CheckIn(
        **stamp,
        method=decision.method,
        outcome=decision.outcome,
        credential=decision.credential,
        occurrence=decision.occurrence.id if decision.occurrence else None,
        reason=decision.reason,
        flags=list(decision.flags),
    )
