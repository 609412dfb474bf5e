"""From taken batches to what will be stored: records decoded, effective times, rooms and occurrences decided.

Reads the database through `Lookups` and writes nothing; done before the transaction, so that decoding holds no lock.
What is decided here is fixed in the journal; `rows` makes the ledger's rows from it, now and at every rebuild.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from cloud.bulk import Bulk
from cloud.ingest.accept import Neighbour, Verdict
from cloud.ingest.effective import Effective, Sending, carried, effective_times, neighbour_of
from cloud.ingest.lookups import DEFAULT_RESEND_TIMEOUT_US, Lookups, TerminalFacts, TwinFacts
from cloud.ingest.occurrences import Held, choose
from cloud.journal.format import OCCURRENCE_FOREIGN, ROOM_GUESSED, UNREADABLE, Fixed, Place
from firmware_specs.errors import DecodeError
from firmware_specs.messages import CheckIn, CheckOut, Clock, Outcome, Record
from firmware_specs.wire import decode_records

Twins = dict[tuple[int, int], TwinFacts]

COUNTS_FOR_AN_OCCURRENCE = frozenset({Outcome.ACCEPTED, Outcome.ALREADY_IN})
"""The other outcomes keep the kiosk's own word, if it said one."""

AN_HOUR_US = 3_600_000_000
MOST_UNCERTAIN_US = 2 * AN_HOUR_US
"""An estimate may reach this far for an occurrence; one that is wider would be a guess."""


class Prepared(NamedTuple):
    """A taken batch with all that the journal will keep of it. `last` is the neighbour that it leaves behind.

    `stream` is its stream, `first` the number of its first record.
    """

    verdict: Verdict
    stream: str
    first: int
    records: Sequence[Record | DecodeError]
    fixed: Fixed
    last: Neighbour | None


@dataclass(frozen=True)
class Known:
    """What the database tells about a group: its twins, and the rooms of the occurrences that it names.

    What only some records need is asked once for all that need the same: a kiosk's backlog may hold thousands of check-ins
    of one hour in one room, made by a clock that was not synced, or under a twin that told of another room.
    """

    bulk: Bulk
    lookups: Lookups
    twins: Twins
    rooms: Mapping[str, str]
    _held: dict[tuple[str, int, int], Sequence[Held]] = field(default_factory=dict)
    _told: dict[tuple[tuple[int, int], str], bool] = field(default_factory=dict)
    _stood: dict[tuple[str, str], bool] = field(default_factory=dict)

    def held(self, room: str, from_at: int, until_at: int) -> Sequence[Held]:
        """The room's occurrences of the interval and of the whole hours around it: `choose` passes over what is too far."""
        key = (room, from_at // AN_HOUR_US * AN_HOUR_US, -(-until_at // AN_HOUR_US) * AN_HOUR_US)
        if key not in self._held:
            self._held[key] = self.lookups.held(self.bulk, *key)
        return self._held[key]

    def told(self, version: tuple[int, int], occurrence: str) -> bool:
        """As `Lookups.told`."""
        key = (version, occurrence)
        if key not in self._told:
            self._told[key] = self.lookups.told(self.bulk, *key)
        return self._told[key]

    def stood_in(self, terminal: str, room: str) -> bool:
        """As `Lookups.stood_in`."""
        key = (terminal, room)
        if key not in self._stood:
            self._stood[key] = self.lookups.stood_in(self.bulk, *key)
        return self._stood[key]


def prepare(
    bulk: Bulk, lookups: Lookups, taken: Sequence[Verdict], terminals: dict[str, TerminalFacts]
) -> list[Prepared]:
    """Decode and decide. Of two batches of one stream the second's neighbours are the first's records."""
    decoded = [decode_records(verdict.batch.lines) for verdict in taken]
    said = _occurrences(decoded)
    rooms = lookups.occurrences(bulk, said) if said else {}
    known = Known(bulk, lookups, lookups.twins(bulk, _configs(decoded)), rooms)
    prepared: list[Prepared] = []
    left: dict[str, Neighbour | None] = {}
    for verdict, records in zip(taken, decoded, strict=True):
        stream = verdict.batch.header.stream
        last = left.get(stream, verdict.position.last if verdict.position else None)
        prepared.append(_fix(verdict, records, known, terminals[verdict.delivery.terminal], last))
        left[stream] = prepared[-1].last
    return prepared


def _configs(decoded: Iterable[Sequence[Record | DecodeError]]) -> set[tuple[int, int]]:
    return {record.config for records in decoded for record in records if not isinstance(record, DecodeError)}


def _occurrences(decoded: Iterable[Sequence[Record | DecodeError]]) -> set[str]:
    return {
        record.occurrence
        for records in decoded
        for record in records
        if isinstance(record, CheckIn | CheckOut) and record.occurrence is not None
    }


def _fix(
    verdict: Verdict,
    records: Sequence[Record | DecodeError],
    known: Known,
    here: TerminalFacts,
    last: Neighbour | None,
) -> Prepared:
    header, terminal = verdict.batch.header, verdict.delivery.terminal
    stamps = [None if isinstance(record, DecodeError) else record for record in records]
    own = _own_twins(known.twins, stamps, terminal)
    sending = _sending(verdict, stamps, own)
    times = effective_times(sending, stamps, last)
    place, places, marks = _placed(stamps, own, here.place)
    found: dict[int, str] = {}
    for index, record in enumerate(records):
        if isinstance(record, CheckIn | CheckOut):
            spot = Spot(terminal, places[place[index]][0], bool(marks[index] & ROOM_GUESSED), times[index])
            occurrence, foreign = _occurrence(known, record, spot)
            if foreign:
                marks[index] |= OCCURRENCE_FOREIGN
            if occurrence is not None:
                found[index] = occurrence
    fixed = Fixed(
        effective_at=[time.at for time in times],
        uncertainty_us=[time.uncertainty_us for time in times],
        basis=[time.basis for time in times],
        place=place,
        marks=marks,
        places=places,
        occurrences=found,
        kind=here.kind,
    )
    return Prepared(verdict, header.stream, header.first, records, fixed, neighbour_of(stamps, times, last))


def _sending(verdict: Verdict, stamps: Sequence[Record | None], own: Twins) -> Sending:
    header, received_at = verdict.batch.header, verdict.delivery.received_at
    if verdict.delivery.carried:
        return carried(header.sent_at, header.sent_mono_ms, header.boot, header.clock, received_at)
    return Sending(header.sent_at, header.sent_mono_ms, header.boot, received_at, _resend_timeout_us(stamps, own))


def _own_twins(twins: Twins, stamps: Sequence[Record | None], terminal: str) -> Twins:
    """Of the records' twins those that were published to this terminal."""
    return {
        version: twins[version]
        for version in {stamp.config for stamp in stamps if stamp is not None}
        if version in twins and twins[version].terminal == terminal
    }


def _resend_timeout_us(stamps: Sequence[Record | None], own: Twins) -> int:
    """That of the newest twin among the records': the batch was sent under it or a later one."""
    versions = [stamp.config for stamp in stamps if stamp is not None and stamp.config in own]
    return own[max(versions)].resend_timeout_us if versions else DEFAULT_RESEND_TIMEOUT_US


def _placed(stamps: Sequence[Record | None], own: Twins, here: Place) -> tuple[list[int], list[Place], list[int]]:
    """For each record the index of its place and its marks; and the places."""
    places: dict[Place, int] = {}
    indices, marks = [], []
    for stamp in stamps:
        facts = None if stamp is None else own.get(stamp.config)
        indices.append(places.setdefault(here if facts is None else facts.place, len(places)))
        marks.append((0 if facts else ROOM_GUESSED) | (UNREADABLE if stamp is None else 0))
    return indices, list(places), marks


class Spot(NamedTuple):
    """Where and when a record counts: its terminal, the room (`guessed` where its twin is unknown), its effective time."""

    terminal: str
    room: str | None
    guessed: bool
    time: Effective


def _occurrence(known: Known, record: CheckIn | CheckOut, spot: Spot) -> tuple[str | None, bool]:
    """The occurrence that a check-in or check-out counts for, and whether it named a foreign one."""
    there = known.rooms.get(record.occurrence or "")
    trusted = there is not None and _was_in_its_room(known, record, spot, there)
    foreign = there is not None and not trusted
    its_word = isinstance(record, CheckIn) and record.outcome not in COUNTS_FOR_AN_OCCURRENCE
    if its_word or (trusted and record.clock == Clock.SYNCED):
        return record.occurrence if trusted else None, foreign
    return _chosen(known, record, spot), foreign


def _was_in_its_room(known: Known, record: CheckIn | CheckOut, spot: Spot, there: str) -> bool:
    """Whether the occurrence, which is in the room `there` now, may be what the kiosk had on.

    It is in the record's room, or was when the record's twin was made: an activity may move. Under a twin that is unknown
    here it may be in any room in which the kiosk stood lately.
    """
    if there == spot.room or record.occurrence is None:
        return True
    if spot.guessed:
        return known.stood_in(spot.terminal, there)
    return known.told(record.config, record.occurrence)


def _chosen(known: Known, record: CheckIn | CheckOut, spot: Spot) -> str | None:
    if spot.room is None:
        return None
    at, uncertainty = spot.time.at, min(spot.time.uncertainty_us, MOST_UNCERTAIN_US)
    held = known.held(spot.room, at - uncertainty, at + uncertainty)
    return choose(record.occurrence, at, uncertainty, held)
