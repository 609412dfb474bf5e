"""The roster on a kiosk: which organisations a member belongs to, found by keyed hashes, in little memory.

Promises 100,000 members in less than 15 MB, and an answer without reading the file again. Called by the decision.
"""

import hmac
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final, Self, overload

from firmware_specs.fields import MAX_LINE_BYTES
from firmware_specs.roster import read_roster

HASH_BYTES: Final = 16
NUMBER_BYTES: Final = 4


class _Column(Sequence[bytes]):
    """Fixed-size keys in one string of bytes, for `bisect`."""

    def __init__(self, data: bytes, stride: int) -> None:
        self._data, self._stride = data, stride

    def __len__(self) -> int:
        return len(self._data) // self._stride

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        start = index * self._stride
        return self._data[start : start + HASH_BYTES]

    def find(self, key: bytes) -> int | None:
        """Index of a key; None where it is not there."""
        index = bisect_left(self, key)
        return index if index < len(self) and self[index] == key else None


class Roster:
    """All entries of one file, sorted by hash; equal sets of organisations are kept once."""

    def __init__(
        self, key: bytes, subjects: bytes, groups: Sequence[int], cards: bytes, sets: Sequence[frozenset[str]]
    ) -> None:
        self._key = key
        self._subjects = _Column(subjects, HASH_BYTES)
        self._groups = groups
        self._card_data = cards
        self._cards = _Column(cards, HASH_BYTES + NUMBER_BYTES)
        self._sets = sets

    def __len__(self) -> int:
        return len(self._subjects)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a roster file; raises DecodeError where it is wrong, OSError where it cannot be read."""
        with path.open("rb") as file:
            head, entries = read_roster(bounded_lines(file))
            subjects, groups, cards = bytearray(), array("I"), []
            numbers: dict[frozenset[str], int] = {}
            for entry in entries:
                group = numbers.setdefault(frozenset(entry.organisations), len(numbers))
                subjects += bytes.fromhex(entry.subject)
                groups.append(group)
                cards += [bytes.fromhex(card) + group.to_bytes(NUMBER_BYTES, "big") for card in entry.cards]
        cards.sort()
        return cls(bytes.fromhex(head.key), bytes(subjects), groups, b"".join(cards), list(numbers))

    def lookup_subject(self, subject: str) -> frozenset[str] | None:
        """Organisations of a member by the card's subject, those above included; None for who is not in the roster."""
        index = self._subjects.find(self._hash(subject))
        return None if index is None else self._sets[self._groups[index]]

    def lookup_card(self, credential_id: str) -> frozenset[str] | None:
        """The same by a card's id (16 hex digits), for a number that was typed."""
        index = self._cards.find(self._hash(credential_id))
        if index is None:
            return None
        stride = HASH_BYTES + NUMBER_BYTES
        return self._sets[int.from_bytes(self._card_data[index * stride + HASH_BYTES : (index + 1) * stride], "big")]

    def _hash(self, value: str) -> bytes:
        return hmac.digest(self._key, value.encode("ascii", "replace"), "sha256")[:HASH_BYTES]


def bounded_lines(file: IO[bytes]) -> Iterator[bytes]:
    """Lines with their newline; one that is longer than the contract allows comes in pieces without, and is refused."""
    return iter(lambda: file.readline(MAX_LINE_BYTES + 2), b"")
