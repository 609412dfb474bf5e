"""What ingest must know of terminals, twins and occurrences to place a record; read by the group, kept with a bound.

Twins never change, so they are kept until pushed out; terminals are asked anew every few seconds, so that one that was
registered or disabled is noticed. Used by one ingest worker, in one thread.
"""

import json
import time
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from cloud.bulk import Bulk
from cloud.ingest.accept import Keys
from cloud.ingest.occurrences import Held
from cloud.journal.format import Place
from firmware_specs.fields import MAX_TIME_US

K = TypeVar("K")
V = TypeVar("V")

MAX_TWINS: Final = 20_000
MAX_TERMINALS: Final = 50_000
MAX_KEYS: Final = 50_000
NEWEST_TWINS: Final = 100
"""So many twins back a terminal stood where it stood lately."""
TERMINAL_FRESH_S: Final = 3.0
DEFAULT_RESEND_TIMEOUT_US: Final = 20_000_000
A_WEEK_US: Final = 7 * 86_400_000_000
"""No occurrence lasts longer, nor opens longer before its start: so its start is looked for by the index."""


@dataclass(frozen=True, slots=True)
class TerminalFacts:
    """A registered, enabled terminal: its kind, where it stands now, and its certificates' keys, each with the time of its end
    (microseconds); None before its claim."""

    kind: str
    place: Place
    keys: Mapping[str, tuple[EllipticCurvePublicKey, int]] | None = None

    def keys_at(self, at: int) -> Keys | None:
        """Those of its keys that are in force then."""
        if self.keys is None:
            return None
        return {key_id: key for key_id, (key, until_at) in self.keys.items() if at < until_at}


@dataclass(frozen=True, slots=True)
class TwinFacts:
    """A twin as it was published."""

    terminal: str
    place: Place
    resend_timeout_us: int


class Lookups:
    """The caches. `shut_out`: disabled terminals, and certificates that were revoked or have ended, count like any other,
    as an operator has decided."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic, *, shut_out: bool = False) -> None:
        self._monotonic_s = monotonic_s
        self._shut_out = shut_out
        self._terminals: dict[str, tuple[float, TerminalFacts | None]] = {}
        self._twins: dict[tuple[int, int], TwinFacts] = {}
        self._read_keys: dict[str, EllipticCurvePublicKey] = {}

    def terminals(self, bulk: Bulk, ids: Iterable[str], anew: Container[str] = ()) -> dict[str, TerminalFacts]:
        """Those of `ids` that are registered and enabled; those `anew` are asked for again, however fresh they are."""
        now = self._monotonic_s()
        wanted = set(ids)
        stale = [
            each for each in wanted if each in anew or each not in self._terminals or self._terminals[each][0] <= now
        ]
        keys = self._keys(bulk, stale) if stale else {}
        found = {
            terminal: TerminalFacts(kind, (room, organisation), keys.get(terminal))
            for terminal, kind, room, organisation in bulk.rows_in(
                "SELECT t.id, t.kind, t.room_id, r.organisation_id FROM terminals t "
                "LEFT JOIN rooms r ON r.id = t.room_id WHERE (t.enabled OR ?) AND t.id IN",
                stale,
                (self._shut_out,),
            )
        }
        for each in stale:
            self._terminals.pop(each, None)
            self._terminals[each] = (now + TERMINAL_FRESH_S, found.get(each))
        _keep_within(self._terminals, MAX_TERMINALS, wanted)
        known = ((each, self._terminals[each][1]) for each in wanted)
        return {each: facts for each, facts in known if facts is not None}

    def _keys(self, bulk: Bulk, terminals: Iterable[str]) -> dict[str, dict[str, tuple[EllipticCurvePublicKey, int]]]:
        """Of those that were claimed: none, where all was revoked. A key is read once from its certificate, which never
        changes; it ends with the last of the certificates that are for it."""
        keys: dict[str, dict[str, tuple[EllipticCurvePublicKey, int]]] = {}
        for terminal, key_id, certificate, until_at, revoked_at in bulk.rows_in(
            "SELECT terminal_id, key_id, certificate, not_after_at, revoked_at FROM certificates "
            "WHERE kind = 'terminal' AND terminal_id IN",
            terminals,
        ):
            its = keys.setdefault(terminal, {})
            if revoked_at is not None and not self._shut_out:
                continue
            if key_id not in self._read_keys:
                self._read_keys[key_id] = _key_of(certificate)
            last_at = MAX_TIME_US if self._shut_out else until_at
            its[key_id] = (self._read_keys[key_id], max(last_at, its[key_id][1] if key_id in its else 0))
        _keep_within(self._read_keys, MAX_KEYS, {each for of_one in keys.values() for each in of_one})
        return keys

    def twins(self, bulk: Bulk, versions: Iterable[tuple[int, int]]) -> dict[tuple[int, int], TwinFacts]:
        """Those of `versions` that were ever published."""
        wanted = set(versions)
        for epoch in {epoch for epoch, number in wanted if (epoch, number) not in self._twins and epoch > 0}:
            numbers = [number for its, number in wanted if its == epoch and (its, number) not in self._twins]
            for row in bulk.rows_in(
                "SELECT number, terminal_id, room_id, organisation_id, document FROM twins WHERE epoch = ? AND number IN",
                numbers,
                (epoch,),
            ):
                self._twins[epoch, row[0]] = TwinFacts(row[1], (row[2], row[3]), _resend_timeout_us(row[4]))
        _keep_within(self._twins, MAX_TWINS, wanted)
        return {each: self._twins[each] for each in wanted if each in self._twins}

    def occurrences(self, bulk: Bulk, ids: Iterable[str]) -> dict[str, str]:
        """The rooms of those of `ids` that exist."""
        return dict(bulk.rows_in("SELECT id, room_id FROM occurrences WHERE id IN", set(ids)))

    def told(self, bulk: Bulk, version: tuple[int, int], occurrence: str) -> bool:
        """Whether a twin, or the file of occurrences that it names, tells of this occurrence: it was in its room then."""
        for (document,) in bulk.rows("SELECT document FROM twins WHERE epoch = ? AND number = ?", version):
            if f'"{occurrence}"' in document:
                return True
            file = json.loads(document).get("occurrences_file")
            rows = bulk.rows("SELECT content FROM twin_files WHERE sha256 = ?", (file["sha256"],)) if file else []
            return any(f'"{occurrence}"'.encode() in bytes(content) for (content,) in rows)
        return False

    def stood_in(self, bulk: Bulk, terminal: str, room_id: str) -> bool:
        """Whether one of the terminal's newest twins is of this room."""
        newest = "SELECT room_id FROM twins WHERE terminal_id = ? ORDER BY number DESC LIMIT ?"
        return (room_id,) in bulk.rows(newest, (terminal, NEWEST_TWINS))

    def held(self, bulk: Bulk, room_id: str, from_at: int, until_at: int) -> list[Held]:
        """The room's occurrences whose hours touch the interval, at most 100, those that were cancelled left out."""
        return [
            Held(each, starts_at - opens_before_s * 1_000_000, starts_at, ends_at)
            for each, starts_at, ends_at, opens_before_s in bulk.rows(
                "SELECT o.id, o.starts_at, o.ends_at, a.opens_before_s FROM occurrences o "
                "JOIN activities a ON a.id = o.activity_id WHERE o.room_id = ? AND o.starts_at BETWEEN ? AND ? "
                "AND o.starts_at - a.opens_before_s * 1000000 <= ? AND o.ends_at >= ? AND o.cancelled_at IS NULL "
                "ORDER BY o.starts_at LIMIT 100",
                (room_id, from_at - A_WEEK_US, until_at + A_WEEK_US, until_at, from_at),
            )
        ]


def _key_of(certificate: str) -> EllipticCurvePublicKey:
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    assert isinstance(key, EllipticCurvePublicKey)  # noqa: S101 - the authority signs no other
    return key


def _resend_timeout_us(document: str) -> int:
    timeout_s = json.loads(document).get("resend_timeout_s")
    return int(timeout_s * 1_000_000) if isinstance(timeout_s, int | float) else DEFAULT_RESEND_TIMEOUT_US


def _keep_within(cache: dict[K, V], bound: int, wanted: set[K]) -> None:
    """Push out the oldest entries, but none that is needed now."""
    if len(cache) <= bound:
        return
    for key in list(cache)[: len(cache) - bound]:
        if key not in wanted:
            del cache[key]
