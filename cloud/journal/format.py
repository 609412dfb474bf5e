"""How a batch's lines, and what was decided about its records, lie in the journal's two columns of bytes.

Promises that `unpack` gives back exactly what `pack` was given, and that the lines are the bytes received. A version
byte begins each; older ones stay readable. Pure; used by ingest, projector, rebuild and reconciler.
"""

import json
import sys
import zlib
from array import array
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

PLAIN: Final = b"\x00"
ZLIB: Final = b"\x01"
WORTH_COMPRESSING: Final = 512
"""Fewer bytes are kept as they are: a lone record gains nothing, and the deflate call costs more than the rest."""

REPEAT: Final = 1
"""The record's id was stored before, under another number or stream: passed over by ledger and series."""
UNREADABLE: Final = 2
"""The record could not be understood; it is in quarantine."""
ROOM_GUESSED: Final = 4
"""The record's twin is unknown here: it counts for the terminal's newest known room."""

OCCURRENCE_FOREIGN: Final = 8
"""The terminal named an occurrence that was never in the record's room: it is not believed about that."""

Place = tuple[str | None, str | None]
"""Room and organisation."""

if sys.byteorder != "little":
    raise ImportError("the journal's arrays are little-endian; this machine is not")


class Fixed(NamedTuple):
    """What was decided when the batch was first stored; one entry per record, in order.

    Times in microseconds. `basis` is a `cloud.ingest.effective.Basis`; `place` an index into `places`; `marks` holds
    the bits above. `occurrences` names by index the occurrence that a check-in or check-out counts for. `kind` is the
    terminal's; None in a batch that an older program stored.
    """

    effective_at: Sequence[int]
    uncertainty_us: Sequence[int]
    basis: Sequence[int]
    place: Sequence[int]
    marks: Sequence[int]
    places: Sequence[Place]
    occurrences: Mapping[int, str] = MappingProxyType({})
    kind: str | None = None


def pack_lines(body: bytes) -> bytes:
    """The record lines as they came, each with its newline."""
    return _packed(body)


def unpack_lines(packed: bytes) -> list[bytes]:
    """The lines without their newlines."""
    body = _unpacked(packed)
    return body[:-1].split(b"\n") if body else []


def pack_fixed(fixed: Fixed) -> bytes:
    """Fixed arrays: a head in JSON with its length, then effective times, uncertainties, bases, places, marks."""
    words = {str(index): occurrence for index, occurrence in fixed.occurrences.items()}
    head = json.dumps([fixed.places, words, fixed.kind], ensure_ascii=False, separators=(",", ":")).encode()
    columns = (
        array("q", fixed.effective_at).tobytes(),
        array("q", fixed.uncertainty_us).tobytes(),
        bytes(fixed.basis),
        array("H", fixed.place).tobytes(),
        bytes(fixed.marks),
    )
    return _packed(len(head).to_bytes(4, "little") + head + b"".join(columns))


def unpack_fixed(packed: bytes) -> Fixed:
    """The reverse of `pack_fixed`."""
    data = _unpacked(packed)
    start = 4 + int.from_bytes(data[:4], "little")
    places, words, *kind = json.loads(data[4:start])
    count = (len(data) - start) // 20
    effective, uncertainty, place = array("q"), array("q"), array("H")
    effective.frombytes(data[start : start + 8 * count])
    uncertainty.frombytes(data[start + 8 * count : start + 16 * count])
    place.frombytes(data[start + 17 * count : start + 19 * count])
    return Fixed(
        effective_at=effective,
        uncertainty_us=uncertainty,
        basis=data[start + 16 * count : start + 17 * count],
        place=place,
        marks=data[start + 19 * count :],
        places=[(room, organisation) for room, organisation in places],
        occurrences={int(index): occurrence for index, occurrence in words.items()},
        kind=kind[0] if kind else None,
    )


def _packed(data: bytes) -> bytes:
    if len(data) < WORTH_COMPRESSING:
        return PLAIN + data
    return ZLIB + zlib.compress(data, 1)


def _unpacked(packed: bytes) -> bytes:
    if packed[:1] == PLAIN:
        return packed[1:]
    if packed[:1] == ZLIB:
        return zlib.decompress(packed[1:])
    raise ValueError(f"a journal column begins with {packed[:1]!r}: written by a newer program")
