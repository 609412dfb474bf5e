"""Vectors of what a kiosk decides: a card, a typed number or a guest, with all that the kiosk knows at that moment."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from firmware_specs.credentials import Credential, card_number
from firmware_specs.messages import Occurrence
from firmware_specs.vectors import cards, samples
from firmware_specs.vectors.kiosks import (
    CLASS,
    MEMBER,
    MINUTE_US,
    OUTSIDER,
    SECOND_CARD,
    STRANGER,
    TWIN,
    accepted,
    named,
    occurrence,
    occurrences_file,
    presented,
    reference,
    revoked_file,
    text_of,
    twin,
)
from firmware_specs.vectors.vector import Vector

CODE = text_of(MEMBER)
INSTANT_MIN = 1 / MINUTE_US
EXPIRED = replace(MEMBER, expires=cards.NOT_BEFORE - timedelta(minutes=5))
"""Good, with the skew, until 09:40 and no longer."""
EARLY = replace(MEMBER, not_before=cards.NOT_BEFORE + timedelta(minutes=25))
"""Good, with the skew, from 09:40 on."""
UNTIL = samples.AT + 10 * MINUTE_US


def decided() -> Iterator[Vector]:
    """Every presentation."""
    yield from _by_schedule()
    yield from _nearest_start()
    yield from _audience()
    yield from _roster()
    yield from _already_in()
    yield from _refused()
    yield from _revoked()
    yield from _validity()
    yield from _clocks()
    yield from _without_twin()
    yield from _schedule_ended()
    yield from _guests()
    yield from _numbers()
    yield from _leaving()


def _by_schedule() -> Iterator[Vector]:
    yield presented("accepted", "in the roster, and the class is on", CODE, _in())
    yield presented("opens-at", "the first instant of check-in", CODE, _in(), now_min=-30.0)
    yield presented("before-opens-at", "a microsecond earlier", CODE, _visit(), now_min=-30 - INSTANT_MIN)
    yield presented("before-ends-at", "the last microsecond", CODE, _in(), now_min=90 - INSTANT_MIN)
    yield presented("ends-at", "the end is not part of it", CODE, _visit(), now_min=90.0)
    yield presented("nothing-ever", "a room without activities", CODE, _visit(), twin=twin())
    yield presented("visit-of-stranger", "a visit has flags too", text_of(STRANGER), _visit(STRANGER, "not_in_roster"),
                    twin=twin())  # fmt: skip


def _nearest_start() -> Iterator[Vector]:
    def open_at_once(name: str, shows: str, chosen: Occurrence, other: Occurrence) -> Vector:
        return presented(name, shows, CODE, _in(at=chosen), twin=twin(chosen, other))

    later = occurrence("act_later", 19)
    yield open_at_once("nearest-start-later", "starts in 9 minutes, the other 10 ago", later, CLASS)
    yield open_at_once("nearest-start-earlier", "started 10 ago, the other in 11", CLASS, occurrence("act_later", 21))
    yield open_at_once("equally-near", "the one that starts later", occurrence("act_later", 20), CLASS)
    yield open_at_once("same-start", "the one that ends earlier", CLASS, occurrence("act_a", 0, 91))
    yield open_at_once("same-times", "the smaller id, by bytes", CLASS, occurrence("act_d"))
    yield open_at_once("within-open-room", "the class, not the room that is open all day", CLASS,
                       occurrence("act_open", -120, 600))  # fmt: skip


def _audience() -> Iterator[Vector]:
    other, root = occurrence("act_other", 5, audience=["org_other"]), occurrence("act_root", 0, audience=["org_root"])
    third = occurrence("act_third", 4, audience=["org_third"])
    yield presented("audience-above", "for all below org_root", CODE, _in(at=root), twin=twin(root))
    yield presented("audience-empty", "for everybody", CODE, _in(at=occurrence("act_all", audience=[])),
                    twin=twin(occurrence("act_all", audience=[])))  # fmt: skip
    yield presented("audience-other", "for members of another branch", CODE, _not_for(other), twin=twin(other))
    yield presented("audience-second-nearest", "the nearest of those that are for this member", CODE, _in(),
                    twin=twin(CLASS, other))  # fmt: skip
    yield presented("audience-of-none", "refused, and the nearest is named", CODE, _not_for(other),
                    twin=twin(other, third))  # fmt: skip
    yield presented("audience-one-of-two", "one of those named is enough", CODE,
                    _in(at=occurrence("act_two", audience=["org_other", "org_branch"])),
                    twin=twin(occurrence("act_two", audience=["org_other", "org_branch"])))  # fmt: skip


def _roster() -> Iterator[Vector]:
    yield presented("not-in-roster", "known to the issuer, not to the roster: in, with a flag", text_of(STRANGER),
                    _in(STRANGER, "not_in_roster"))  # fmt: skip
    yield presented("roster-not-here", "named by the twin, not fetched yet", CODE, _in(MEMBER, "no_roster"),
                    roster=None)  # fmt: skip
    yield presented("roster-not-named", "a file of before counts no more when the twin names none", text_of(OUTSIDER),
                    _in(OUTSIDER, "no_roster"), twin=twin(CLASS, roster=None))  # fmt: skip
    older = TWIN | {"roster": reference("a newer one")}
    yield presented("roster-older", "the one of before stays until the newer is here", text_of(OUTSIDER),
                    _not_for(CLASS, OUTSIDER), twin=older)  # fmt: skip
    moved = replace(OUTSIDER, subject=STRANGER.subject)
    yield presented("roster-by-card", "the subject is not in the roster, the card's id is", text_of(moved),
                    _not_for(CLASS, moved))  # fmt: skip


def _already_in() -> Iterator[Vector]:
    again = _out("already_in", MEMBER, CLASS)
    yield presented("already-in", "the same card", CODE, again, accepted=[accepted(MEMBER)])
    yield presented("already-in-other-card", "another card of the same subject", CODE, again,
                    accepted=[accepted(SECOND_CARD)])  # fmt: skip
    yield presented("already-in-by-number", "staff typed this card's number before", CODE, again,
                    accepted=[accepted(MEMBER.id)])  # fmt: skip
    yield presented("in-elsewhere", "accepted for another date", CODE, _in(),
                    accepted=[accepted(MEMBER, occurrence("act_class", -1440))])  # fmt: skip
    yield presented("somebody-else-in", "another member is in", CODE, _in(), accepted=[accepted(OUTSIDER)])
    yield presented("already-in-nearest", "not moved on to the second nearest", CODE, again,
                    twin=twin(CLASS, occurrence("act_later", 30)), accepted=[accepted(MEMBER)])  # fmt: skip


def _refused() -> Iterator[Vector]:
    yield presented("unreadable", "half of a card", CODE[:90], _refuse("unreadable"))
    yield presented("another-code", "does not begin with RL1:", "https://example.org/card/1", _refuse("unknown_issuer"))
    yield presented("unknown-key", "a key that the twin does not name", text_of(replace(MEMBER, key_id="7e570009")),
                    _refuse("unknown_issuer"))  # fmt: skip
    yield presented("no-keys", "a twin without keys trusts nobody", CODE, _refuse("unknown_issuer"),
                    twin=twin(CLASS, issuer_keys=[]))  # fmt: skip
    yield presented("forged", "signed by another key", text_of(MEMBER, 3), _refuse("forged"))
    yield presented("forged-and-revoked", "the signature comes first: nothing it says is believed", text_of(MEMBER, 3),
                    _refuse("forged"), revocations=revoked_file(MEMBER.id))  # fmt: skip
    yield presented("expired-nothing-on", "refused, though nothing is on", text_of(EXPIRED),
                    _refuse("expired", EXPIRED), twin=twin())  # fmt: skip


def _revoked() -> Iterator[Vector]:
    revoked = revoked_file(MEMBER.id, EXPIRED.id)
    refused = _refuse("revoked", MEMBER)
    yield presented("revoked", "on the list", CODE, refused, revocations=revoked)
    yield presented("revoked-other-card", "the member's other card is not", text_of(SECOND_CARD), _in(SECOND_CARD),
                    revocations=revoked)  # fmt: skip
    yield presented("revoked-and-expired", "revoked comes first", text_of(EXPIRED), _refuse("revoked", EXPIRED),
                    revocations=revoked)  # fmt: skip
    yield presented("revoked-and-in", "revoked after the check-in", CODE, refused, revocations=revoked,
                    accepted=[accepted(MEMBER)])  # fmt: skip
    yield presented("revoked-clock-unset", "no clock is needed for it", CODE, refused, revocations=revoked,
                    clock="unset")  # fmt: skip
    yield presented("revoked-without-twin", "a list of before is kept", CODE, refused, revocations=revoked, twin=None,
                    roster=None)  # fmt: skip


def _validity() -> Iterator[Vector]:
    yield presented("expired", "15 minutes after, to the microsecond", text_of(EXPIRED), _refuse("expired", EXPIRED))
    yield presented("just-not-expired", "a microsecond less", text_of(EXPIRED), _in(EXPIRED), now_min=10 - INSTANT_MIN)
    yield presented("just-valid", "15 minutes before, to the microsecond", text_of(EARLY), _in(EARLY))
    yield presented("not-yet-valid", "a microsecond too early", text_of(EARLY), _refuse("not_yet_valid", EARLY),
                    now_min=10 - INSTANT_MIN)  # fmt: skip
    yield presented("expired-and-in", "the time is looked at before who is in", text_of(EXPIRED),
                    _refuse("expired", EXPIRED), accepted=[accepted(EXPIRED)])  # fmt: skip


def _clocks() -> Iterator[Vector]:
    yield presented("holdover", "decides like a synced clock", CODE, _in(), clock="holdover")
    yield presented("holdover-expired", "refuses like one", text_of(EXPIRED), _refuse("expired", EXPIRED),
                    clock="holdover")  # fmt: skip
    yield presented("unset", "without an occurrence: the cloud chooses it", CODE, _unsure(MEMBER, "clock_unsure"),
                    clock="unset")  # fmt: skip
    yield presented("unset-expired", "a clock that is wrong expires nobody", text_of(EXPIRED),
                    _unsure(EXPIRED, "clock_unsure"), clock="unset")  # fmt: skip
    yield presented("unset-and-in", "nobody is already in where no occurrence is known", CODE,
                    _unsure(MEMBER, "clock_unsure"), clock="unset", accepted=[accepted(MEMBER)])  # fmt: skip
    yield presented("unset-stranger", "flags add up", text_of(STRANGER),
                    _unsure(STRANGER, "clock_unsure", "not_in_roster"), clock="unset")  # fmt: skip
    yield presented("unset-forged", "a signature needs no clock", text_of(MEMBER, 3), _refuse("forged"), clock="unset")


def _without_twin() -> Iterator[Vector]:
    none: dict[str, Any] = {"twin": None, "roster": None}
    flags = ("no_roster", "not_verified")
    yield presented("no-twin", "nothing is known: in, and the cloud decides", CODE, _unsure(MEMBER, *flags), **none)
    yield presented("no-twin-forged", "nobody can tell without a key", text_of(MEMBER, 3), _unsure(MEMBER, *flags),
                    **none)  # fmt: skip
    yield presented("no-twin-unreadable", "not even a card", CODE[:90], _refuse("unreadable"), **none)
    yield presented("no-twin-expired", "what the card says of itself", text_of(EXPIRED), _refuse("expired", EXPIRED),
                    **none)  # fmt: skip
    yield presented("no-twin-unset", "flags add up", CODE, _unsure(MEMBER, "clock_unsure", *flags), clock="unset",
                    **none)  # fmt: skip
    yield presented("no-twin-guest", "a guest", "", _unsure(None), method="guest", **none)
    yield presented("no-twin-number", "a number has no signature", card_number(MEMBER.id),
                    _unsure(MEMBER.id, "no_roster"), method="staff", **none)  # fmt: skip


def _schedule_ended() -> Iterator[Vector]:
    unsure = _unsure(MEMBER, "no_schedule")
    yield presented("schedule-ended", "from occurrences_until on", CODE, unsure, twin=twin(occurrences_until=UNTIL))
    yield presented("schedule-ended-while-on", "another may be nearer: one that is known is not enough", CODE, unsure,
                    twin=twin(CLASS, occurrences_until=UNTIL))  # fmt: skip
    yield presented("schedule-just-known", "a microsecond before", CODE, _visit(), now_min=10 - INSTANT_MIN,
                    twin=twin(occurrences_until=UNTIL))  # fmt: skip
    file = occurrences_file(UNTIL + MINUTE_US, [CLASS])
    cut = twin(occurrences_until=UNTIL, occurrences_file=reference(file))
    yield presented("occurrences-file", "the file that the twin names counts instead of its own list", CODE, _in(),
                    twin=cut, occurrences=file)  # fmt: skip
    yield presented("occurrences-file-not-here", "not fetched yet", CODE, unsure, twin=cut)
    yield presented("occurrences-file-older", "a file that the twin does not name tells of dates that were moved", CODE,
                    unsure, twin=cut, occurrences=occurrences_file(UNTIL + 2 * MINUTE_US, [CLASS]))  # fmt: skip
    yield presented("occurrences-file-ended", "its until counts", CODE, unsure, now_min=11.0, twin=cut,
                    occurrences=file)  # fmt: skip


def _guests() -> Iterator[Vector]:
    guest: dict[str, Any] = {"method": "guest"}
    yield presented("guest", "one head; the audience is not asked", "", _in(None, method="guest"), **guest)
    yield presented("guest-visit", "nothing is on", "", _out("visit", None, method="guest"), now_min=-31.0, **guest)
    yield presented("guest-unset", "no roster flags for a guest", "", _unsure(None, "clock_unsure"), clock="unset",
                    roster=None, **guest)  # fmt: skip


def _numbers() -> Iterator[Vector]:
    def typed(name: str, shows: str, card: Credential, expect: dict[str, Any], **given: Any) -> Vector:
        return presented(name, shows, card_number(card.id), expect, method="staff", **given)

    number = MEMBER.id
    yield typed("number", "decides like a card", MEMBER, _in(number))
    yield typed("number-already-in", "this card was shown before", MEMBER, _out("already_in", number, CLASS),
                accepted=[accepted(MEMBER)])  # fmt: skip
    yield typed("number-of-other-card", "a number says nothing of the subject: only cards that were used count", MEMBER,
                _in(number), accepted=[accepted(SECOND_CARD)])  # fmt: skip
    yield typed("number-audience-other", "found in the roster by its card", OUTSIDER, _not_for(CLASS, OUTSIDER.id))
    yield typed("number-not-in-roster", "in, with a flag", STRANGER, _in(STRANGER.id, "not_in_roster"))
    yield typed("number-revoked", "as a card", MEMBER, _refuse("revoked", number), revocations=revoked_file(number))
    yield typed("number-without-dates", "a number has no validity of its own", EXPIRED, _in(EXPIRED.id))


def _leaving() -> Iterator[Vector]:
    def leaves(name: str, shows: str, at: Occurrence | None, card: Credential = MEMBER, **given: Any) -> Vector:
        record: dict[str, Any] = {"credential": named(card)} | ({"occurrence": at.id} if at else {})
        return presented(name, shows, text_of(card), {"check_out": record}, leaving=True, **given)

    before = occurrence("act_before", -60)
    both = [accepted(MEMBER), accepted(MEMBER, before)]
    yield leaves("leave", "what they are in", CLASS, accepted=both[:1])
    yield leaves("leave-latest", "the one that started last", CLASS, twin=twin(before, CLASS), accepted=both)
    yield leaves("leave-after-end", "it may have ended", CLASS, accepted=both[:1], now_min=600.0)
    yield leaves("leave-unknown", "never seen here", None)
    yield leaves("leave-unset", "the cloud works it out", None, accepted=both[:1], clock="unset")
    yield leaves("leave-holdover", "as with a synced clock", CLASS, accepted=both[:1], clock="holdover")
    ahead = occurrence("act_ahead", 60)
    yield leaves("leave-not-open", "accepted by a clock that was ahead", CLASS, twin=twin(CLASS, ahead),
                 accepted=[accepted(MEMBER), accepted(MEMBER, ahead)])  # fmt: skip
    yield leaves("leave-no-twin", "nor what was on", None, accepted=both[:1], twin=None, roster=None)
    yield leaves("leave-expired", "whatever may be said of the card", CLASS, EXPIRED, accepted=both[:1],
                 revocations=revoked_file(EXPIRED.id))  # fmt: skip
    yield presented("leave-forged", "a code that is no card is a refused check-in", text_of(MEMBER, 3),
                    _refuse("forged"), leaving=True)  # fmt: skip


def _out(outcome: str, who: Credential | str | None, at: Occurrence | None = None, *flags: str, method: str = "",
         reason: str = "") -> dict[str, Any]:  # fmt: skip
    """A check-in record's own fields; who comes as a guest is None, by a typed number a credential id."""
    fields: dict[str, Any] = {"method": method or ("staff" if isinstance(who, str) else "qr"), "outcome": outcome}
    fields |= {"reason": reason} if reason else {}
    fields |= {"credential": named(who)} if who else {}
    fields |= {"occurrence": at.id} if at else {}
    fields |= {"flags": list(flags)} if flags else {}
    return {"check_in": fields}


def _in(who: Credential | str | None = MEMBER, *flags: str, at: Occurrence = CLASS, method: str = "") -> dict[str, Any]:
    remember = {"remember": accepted(who, at)} if who else {}
    return _out("accepted", who, at, *flags, method=method) | remember


def _unsure(who: Credential | str | None, *flags: str) -> dict[str, Any]:
    return _out("accepted", who, None, *flags, method="" if who else "guest")


def _visit(who: Credential = MEMBER, *flags: str) -> dict[str, Any]:
    return _out("visit", who, None, *flags)


def _refuse(reason: str, who: Credential | str | None = None) -> dict[str, Any]:
    return _out("refused", who, reason=reason)


def _not_for(at: Occurrence, who: Credential | str = MEMBER) -> dict[str, Any]:
    return _out("refused", who, at, reason="not_for_this_activity")
