"""What a kiosk answers to a card, a typed number or a guest: one pure function, no clock, disk or network of its own.

Promises: the same arguments give the same Decision, and nobody is turned away for what the terminal does not know
(no roster, no twin, no time, no schedule): they are accepted and flagged, and the cloud sees the flags. Called by the session.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nsmallest
from typing import Final, Protocol

from firmware_specs.credentials import Credential, check_validity
from firmware_specs.errors import CredentialError
from firmware_specs.messages import Clock, CredentialReference, Desired, Flag, Method, Occurrence, Outcome, Reason

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

Accepted = Callable[[str, Collection[str]], bool]
"""(occurrence id, keys) -> whether any of the keys has been accepted for that occurrence."""


class RosterLookup(Protocol):
    """The members' organisations, each with those above it; None for who is not in the roster."""

    def lookup_subject(self, subject: str) -> frozenset[str] | None: ...
    def lookup_card(self, credential_id: str) -> frozenset[str] | None: ...


@dataclass(frozen=True, slots=True)
class TypedNumber:
    """A card number that staff typed, already turned into the credential id (16 hex digits)."""

    id: str


@dataclass(frozen=True, slots=True)
class Guest:
    """One head without a link."""


Presented = Credential | CredentialError | TypedNumber | Guest
"""What came to the kiosk: a card whose signature holds (or, without any twin, was not checked), a code that is no
acceptable card, a typed number, or a guest's touch."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one presentation; the fields of a check-in record and what the screen needs for its words.

    ``remember`` are the keys to keep as accepted for ``occurrence``; ``next`` is the room's next occurrence, given where
    nothing is on.
    """

    method: Method
    outcome: Outcome
    reason: Reason | None = None
    credential: CredentialReference | None = None
    occurrence: Occurrence | None = None
    flags: tuple[Flag, ...] = ()
    remember: tuple[str, ...] = ()
    next: Occurrence | None = None


@dataclass(frozen=True, slots=True)
class _Person:
    """One who may be accepted: how they came, by what they are remembered, and what the roster says of them."""

    method: Method
    reference: CredentialReference | None = None
    keys: tuple[str, ...] = ()
    organisations: frozenset[str] | None = None
    flags: tuple[Flag, ...] = field(default=())


def decide(
    presented: Presented,
    now: datetime,
    quality: Clock,
    *,
    desired: Desired | None,
    roster: RosterLookup | None,
    accepted: Accepted,
    revoked: Collection[str],
) -> Decision:
    """Decide; ``now`` is aware UTC. The rules, in order:

    1. A code that is no acceptable card is refused with its reason; then revoked; then, unless the clock is known to be
       wrong, expired and not yet valid (with the contract's skew).
    2. A clock known to be wrong (``unset``), no twin at all, or one whose occurrences are known until before now, cannot say
       what is on: accepted without an occurrence and flagged; the cloud chooses it from the effective time. Without a twin
       there are no keys either: ``not_verified``.
    3. No occurrence whose check-in is open (``opens_at`` <= now < ``ends_at``): a visit.
    4. Of the open ones that are for this person, the one whose start is nearest; if they are in, already in, else accepted.
       None is for this person, which only a roster entry can say: refused.
    """
    if isinstance(presented, CredentialError):
        return Decision(Method.QR, Outcome.REFUSED, Reason(presented.reason.value))
    refused = _refused_card(presented, now, quality, revoked)
    if refused is not None:
        return refused
    person = _person(presented, roster, verified=desired is not None)
    if quality is Clock.UNSET:
        return _accept_unsure(person, Flag.CLOCK_UNSURE)
    if desired is None:
        return _accept_unsure(person)
    if not knows_schedule(desired, to_us(now)):
        return _accept_unsure(person, Flag.NO_SCHEDULE)
    return _decide_by_schedule(person, to_us(now), desired, accepted)


def find_left(
    card: Credential, now: datetime, quality: Clock, *, desired: Desired | None, accepted: Accepted
) -> Occurrence | None:
    """The occurrence that a leaving member was accepted for: the last to have begun; None where the terminal cannot say."""
    if desired is None or quality is Clock.UNSET:
        return None
    now_us, keys = to_us(now), card_keys(card)
    been = [o for o in desired.occurrences if o.opens_at <= now_us and accepted(o.id, keys)]
    return max(been, key=lambda o: (o.starts_at, o.id), default=None)


def knows_schedule(desired: Desired, now_us: int) -> bool:
    """Whether the twin still tells what is on: what it left out has not opened yet."""
    return desired.occurrences_until is None or now_us < desired.occurrences_until


def current(occurrences: Collection[Occurrence], now_us: int) -> list[Occurrence]:
    """The occurrences whose check-in is open, best first: nearest start, then the later start, the earlier end, the id.

    Nearest start, because people come about when something begins: late for the morning's lecture until the next one is
    nearer, and for the lecture rather than for the open room that runs all day around it.
    """
    open_now = [o for o in occurrences if o.opens_at <= now_us < o.ends_at]
    return sorted(open_now, key=lambda o: (abs(o.starts_at - now_us), -o.starts_at, o.ends_at, o.id))


def coming(occurrences: Collection[Occurrence], now_us: int, most: int) -> list[Occurrence]:
    """The next occurrences that have not begun, soonest first; a few of thousands cost no sorting of all."""
    return nsmallest(most, (o for o in occurrences if o.starts_at > now_us), key=lambda o: (o.starts_at, o.id))


def card_keys(card: Credential) -> tuple[str, ...]:
    """By what a card is remembered: its subject (every card of the member) and its id (what staff type)."""
    return (f"s:{card.subject}", f"c:{card.id}")


def card_reference(card: Credential) -> CredentialReference:
    """The card as records name it."""
    return CredentialReference(issuer=card.issuer, subject=card.subject, id=card.id, key_id=card.key_id)


def to_us(at: datetime) -> int:
    """Integer microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


# --- inside ---------------------------------------------------------------------------------------------------------


def _refused_card(
    presented: Credential | TypedNumber | Guest, now: datetime, quality: Clock, revoked: Collection[str]
) -> Decision | None:
    """The refusal of a card that is revoked or outside its validity; a typed number has no validity of its own."""
    if isinstance(presented, Guest):
        return None
    if presented.id in revoked:
        return _refusal(presented, Reason.REVOKED)
    if isinstance(presented, TypedNumber) or quality is Clock.UNSET:
        return None
    try:
        check_validity(presented, now)
    except CredentialError as error:
        return _refusal(presented, Reason(error.reason.value))
    return None


def _refusal(presented: Credential | TypedNumber, reason: Reason) -> Decision:
    if isinstance(presented, TypedNumber):
        return Decision(Method.STAFF, Outcome.REFUSED, reason, CredentialReference(id=presented.id))
    return Decision(Method.QR, Outcome.REFUSED, reason, card_reference(presented))


def _person(presented: Credential | TypedNumber | Guest, roster: RosterLookup | None, *, verified: bool) -> _Person:
    if isinstance(presented, Guest):
        return _Person(Method.GUEST)
    if isinstance(presented, TypedNumber):
        found = roster.lookup_card(presented.id) if roster else None
        reference = CredentialReference(id=presented.id)
        return _Person(Method.STAFF, reference, (f"c:{presented.id}",), found, _roster_flags(roster, found))
    found = None
    if roster:
        found = roster.lookup_subject(presented.subject)
        found = roster.lookup_card(presented.id) if found is None else found
    flags = _roster_flags(roster, found) if verified else (*_roster_flags(roster, found), Flag.NOT_VERIFIED)
    return _Person(Method.QR, card_reference(presented), card_keys(presented), found, flags)


def _roster_flags(roster: RosterLookup | None, found: frozenset[str] | None) -> tuple[Flag, ...]:
    if roster is None:
        return (Flag.NO_ROSTER,)
    return (Flag.NOT_IN_ROSTER,) if found is None else ()


def _accept_unsure(person: _Person, *why: Flag) -> Decision:
    return Decision(person.method, Outcome.ACCEPTED, credential=person.reference, flags=(*why, *person.flags))


def _decide_by_schedule(person: _Person, now_us: int, desired: Desired, accepted: Accepted) -> Decision:
    open_now = current(desired.occurrences, now_us)
    if not open_now:
        following = next(iter(coming(desired.occurrences, now_us, 1)), None)
        return Decision(person.method, Outcome.VISIT, credential=person.reference, flags=person.flags, next=following)
    chosen = next((o for o in open_now if _is_for(o, person)), None)
    if chosen is None:
        return Decision(
            person.method, Outcome.REFUSED, Reason.NOT_FOR_THIS_ACTIVITY, person.reference, open_now[0], person.flags
        )
    if person.keys and accepted(chosen.id, person.keys):
        return Decision(person.method, Outcome.ALREADY_IN, None, person.reference, chosen, person.flags)
    return Decision(person.method, Outcome.ACCEPTED, None, person.reference, chosen, person.flags, person.keys)


def _is_for(occurrence: Occurrence, person: _Person) -> bool:
    """Whether the audience holds the person; an empty audience, a guest and one whom the roster does not know pass."""
    if not occurrence.audience or person.organisations is None:
        return True
    return not person.organisations.isdisjoint(occurrence.audience)
