"""From taken batches to what will be stored: records decoded, effective times, rooms and occurrences decided.

Reads the database through `Lookups` and writes nothing; done before the transaction, so that decoding holds no lock.
What is decided here is fixed in the journal; `rows` makes the ledger's rows from it, now and at every rebuild.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cloud.bulk import Bulk
from cloud.ingest.accept import Neighbour, Verdict
from cloud.ingest.effective import Sending, effective_times, neighbour_of
from cloud.ingest.lookups import DEFAULT_RESEND_TIMEOUT_US, Lookups, TerminalFacts, TwinFacts
from cloud.ingest.occurrences import choose
from cloud.journal.format import OCCURRENCE_FOREIGN, ROOM_GUESSED, UNREADABLE, Fixed, Place
from firmware_specs.errors import DecodeError
from firmware_specs.messages import CheckIn, CheckOut, Clock, Outcome, Record
from firmware_specs.wire import decode_records

Twins = dict[tuple[int, int], TwinFacts]

COUNTS_FOR_AN_OCCURRENCE = frozenset({Outcome.ACCEPTED, Outcome.ALREADY_IN})
"""The other outcomes keep the kiosk's own word, if it said one."""

MOST_UNCERTAIN_US = 2 * 3_600_000_000
"""An estimate may reach this far for an occurrence; one that is wider would be a guess."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A taken batch with all that the journal will keep of it. `last` is the neighbour that it leaves behind."""

    verdict: Verdict
    records: Sequence[Record | DecodeError]
    fixed: Fixed
    last: Neighbour | None

    @property
    def stream(self) -> str:
        """Its stream."""
        return self.verdict.batch.header.stream

    @property
    def first(self) -> int:
        """The number of its first record."""
        return self.verdict.batch.header.first


def prepare(
    bulk: Bulk, lookups: Lookups, taken: Sequence[Verdict], terminals: dict[str, TerminalFacts]
) -> list[Prepared]:
    """Decode and decide. Of two batches of one stream the second's neighbours are the first's records."""
    decoded = [decode_records(verdict.batch.lines) for verdict in taken]
    twins = lookups.twins(bulk, _configs(decoded))
    prepared: list[Prepared] = []
    left: dict[str, Neighbour | None] = {}
    for verdict, records in zip(taken, decoded, strict=True):
        stream = verdict.batch.header.stream
        last = left.get(stream, verdict.position.last if verdict.position else None)
        prepared.append(_fix(verdict, records, twins, terminals[verdict.delivery.terminal], last))
        left[stream] = prepared[-1].last
    return _with_occurrences(bulk, lookups, prepared)


def _configs(decoded: Iterable[Sequence[Record | DecodeError]]) -> set[tuple[int, int]]:
    return {record.config for records in decoded for record in records if not isinstance(record, DecodeError)}


def _fix(
    verdict: Verdict, records: Sequence[Record | DecodeError], twins: Twins, here: TerminalFacts, last: Neighbour | None
) -> Prepared:
    header, terminal = verdict.batch.header, verdict.delivery.terminal
    stamps = [None if isinstance(record, DecodeError) else record for record in records]
    own = {
        version: twins[version]
        for version in {stamp.config for stamp in stamps if stamp is not None}
        if version in twins and twins[version].terminal == terminal
    }
    sending = Sending(
        header.sent_at, header.sent_mono_ms, header.boot, verdict.delivery.received_at, _resend_timeout_us(stamps, own)
    )
    times = effective_times(sending, stamps, last)
    place, places, marks = _placed(stamps, own, here.place)
    fixed = Fixed(
        effective_at=[time.at for time in times],
        uncertainty_us=[time.uncertainty_us for time in times],
        basis=[time.basis for time in times],
        place=place,
        marks=marks,
        places=places,
        kind=here.kind,
    )
    return Prepared(verdict, records, fixed, neighbour_of(stamps, times, last))


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


def _with_occurrences(bulk: Bulk, lookups: Lookups, prepared: list[Prepared]) -> list[Prepared]:
    said = {
        record.occurrence
        for each in prepared
        for record in each.records
        if isinstance(record, CheckIn | CheckOut) and record.occurrence is not None
    }
    rooms = lookups.occurrences(bulk, said) if said else {}
    return [replace(each, fixed=_with_its_own(bulk, lookups, each, rooms)) for each in prepared]


def _with_its_own(bulk: Bulk, lookups: Lookups, prepared: Prepared, rooms: dict[str, str]) -> Fixed:
    """With the occurrence that each check-in and check-out counts for, and a mark on those that named a foreign one."""
    found, marks = {}, list(prepared.fixed.marks)
    for index, record in enumerate(prepared.records):
        if not isinstance(record, CheckIn | CheckOut):
            continue
        there = rooms.get(record.occurrence or "")
        trusted = there is not None and _was_in_its_room(bulk, lookups, record, prepared, index, there)
        if there is not None and not trusted:
            marks[index] |= OCCURRENCE_FOREIGN
        its_word = isinstance(record, CheckIn) and record.outcome not in COUNTS_FOR_AN_OCCURRENCE
        if its_word or (trusted and record.clock == Clock.SYNCED):
            occurrence = record.occurrence if trusted else None
        else:
            occurrence = _chosen(bulk, lookups, record, prepared.fixed, index)
        if occurrence is not None:
            found[index] = occurrence
    return replace(prepared.fixed, occurrences=found, marks=marks)


def _was_in_its_room(
    bulk: Bulk, lookups: Lookups, record: CheckIn | CheckOut, prepared: Prepared, index: int, there: str
) -> bool:
    """Whether the occurrence, which is in the room `there` now, may be what the kiosk had on.

    It is in the record's room, or was when the record's twin was made: an activity may move. Under a twin that is unknown
    here it may be in any room in which the kiosk stood lately.
    """
    fixed = prepared.fixed
    room, _organisation = fixed.places[fixed.place[index]]
    if there == room or record.occurrence is None:
        return True
    if fixed.marks[index] & ROOM_GUESSED:
        return lookups.stood_in(bulk, prepared.verdict.delivery.terminal, there)
    return lookups.told(bulk, record.config, record.occurrence)


def _chosen(bulk: Bulk, lookups: Lookups, record: CheckIn | CheckOut, fixed: Fixed, index: int) -> str | None:
    room, _organisation = fixed.places[fixed.place[index]]
    if room is None:
        return None
    at, uncertainty = fixed.effective_at[index], min(fixed.uncertainty_us[index], MOST_UNCERTAIN_US)
    held = lookups.held(bulk, room, at - uncertainty, at + uncertainty)
    return choose(record.occurrence, at, uncertainty, held)
