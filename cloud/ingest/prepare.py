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
from cloud.journal.format import ROOM_GUESSED, UNREADABLE, Fixed, Place
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
    there = lookups.occurrences(bulk, said) if said else set()
    return [replace(each, fixed=replace(each.fixed, occurrences=_of(bulk, lookups, each, there))) for each in prepared]


def _of(bulk: Bulk, lookups: Lookups, prepared: Prepared, there: set[str]) -> dict[int, str]:
    """By index, the occurrence that each check-in and check-out counts for."""
    found = {}
    for index, record in enumerate(prepared.records):
        if not isinstance(record, CheckIn | CheckOut):
            continue
        trusted = record.clock == Clock.SYNCED and record.occurrence in there
        if trusted or (isinstance(record, CheckIn) and record.outcome not in COUNTS_FOR_AN_OCCURRENCE):
            occurrence = record.occurrence if record.occurrence in there else None
        else:
            occurrence = _chosen(bulk, lookups, record, prepared.fixed, index)
        if occurrence is not None:
            found[index] = occurrence
    return found


def _chosen(bulk: Bulk, lookups: Lookups, record: CheckIn | CheckOut, fixed: Fixed, index: int) -> str | None:
    room, _organisation = fixed.places[fixed.place[index]]
    if room is None:
        return None
    at, uncertainty = fixed.effective_at[index], min(fixed.uncertainty_us[index], MOST_UNCERTAIN_US)
    held = lookups.held(bulk, room, at - uncertainty, at + uncertainty)
    return choose(record.occurrence, at, uncertainty, held)
