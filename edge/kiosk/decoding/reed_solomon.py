"""Reed-Solomon correction over GF(256) as QR codes use it, with erasures.

zxing-cpp corrects errors only; a codeword known to lie under a reflection costs half as much when it is
declared erased. Source: ISO/IEC 18004:2015 section 7.5.2 and annex B (polynomial 0x11D, roots alpha^0...).
Called by `symbol`.
"""

from __future__ import annotations

from collections.abc import Sequence

_EXP = [1] * 512
_LOG = [0] * 256
for _power in range(1, 512):
    _next = _EXP[_power - 1] << 1
    _EXP[_power] = _next ^ 0x11D if _next & 0x100 else _next
for _power in range(255):
    _LOG[_EXP[_power]] = _power


def syndromes_of(block: Sequence[int], parity: int) -> list[int]:
    """What `correct` needs of a block, whatever is erased: all 0 for a codeword."""
    return [_evaluate(block, power) for power in range(parity)]


def correct(block: Sequence[int], syndromes: Sequence[int], erased: Sequence[int]) -> tuple[list[int], int] | None:
    """The nearest codeword and how many errors outside `erased` it took; None when there is none in reach.

    `block`: data then check symbols, as many as `syndromes`. `erased`: distinct indices whose values are not
    trusted. In reach means 2 x errors + erasures <= check symbols.
    """
    parity = len(syndromes)
    if len(erased) > parity:
        return None
    if not any(syndromes):
        return list(block), 0
    length = len(block)
    locator = _locator(syndromes, [length - 1 - index for index in erased], parity)
    if locator is None:
        return None
    places = [p for p in range(length) if _evaluate_ascending(locator, (255 - p) % 255) == 0]
    if len(places) != len(locator) - 1:
        return None
    fixed = _with_magnitudes(block, syndromes, locator, places)
    if any(_evaluate(fixed, power) for power in range(parity)):
        return None
    untrusted = set(erased)
    return fixed, sum(1 for p in places if length - 1 - p not in untrusted)


def _times(a: int, b: int) -> int:
    return _EXP[_LOG[a] + _LOG[b]] if a and b else 0


def _evaluate(block: Sequence[int], power: int) -> int:
    """The received polynomial (highest power first) at alpha^power."""
    value = 0
    for symbol in block:
        value = (_EXP[_LOG[value] + power] if value else 0) ^ symbol
    return value


def _evaluate_ascending(polynomial: Sequence[int], power: int) -> int:
    """A polynomial given lowest power first, at alpha^power."""
    value = 0
    for coefficient in reversed(polynomial):
        value = (_EXP[_LOG[value] + power] if value else 0) ^ coefficient
    return value


def _product(a: Sequence[int], b: Sequence[int]) -> list[int]:
    result = [0] * (len(a) + len(b) - 1)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            result[i + j] ^= _times(x, y)
    return result


def _locator(syndromes: Sequence[int], erased: Sequence[int], parity: int) -> list[int] | None:
    """Errors-and-erasures locator, lowest power first (Berlekamp-Massey begun with the erasures)."""
    current = [1]
    for place in erased:
        current = _product(current, [1, _EXP[place]])
    previous, size = list(current), len(erased)
    for step in range(len(erased), parity):
        discrepancy = 0
        for i, coefficient in enumerate(current[: step + 1]):
            discrepancy ^= _times(coefficient, syndromes[step - i])
        previous = [0, *previous]
        if discrepancy:
            updated = _sum(current, [_times(discrepancy, c) for c in previous])
            if 2 * size <= step + len(erased):
                inverse = _EXP[255 - _LOG[discrepancy]]
                previous = [_times(inverse, c) for c in current]
                size = step + 1 + len(erased) - size
            current = updated
    while current[-1] == 0:
        current.pop()
    reachable = 2 * (len(current) - 1) - len(erased) <= parity
    return current if reachable else None


def _sum(a: Sequence[int], b: Sequence[int]) -> list[int]:
    long, short = (a, b) if len(a) >= len(b) else (b, a)
    return [x ^ (short[i] if i < len(short) else 0) for i, x in enumerate(long)]


def _with_magnitudes(
    block: Sequence[int], syndromes: Sequence[int], locator: Sequence[int], places: Sequence[int]
) -> list[int]:
    """The block with each located symbol repaired (Forney)."""
    evaluator = _product(syndromes, locator)[: len(syndromes)]
    slope = [c if i % 2 else 0 for i, c in enumerate(locator)]
    fixed = list(block)
    for place in places:
        inverse = (255 - place) % 255
        numerator = _evaluate_ascending(evaluator, inverse)
        derivative = _evaluate_ascending(slope[1:], inverse)
        if numerator and derivative:
            # With first root alpha^0 the magnitude carries one more factor of the place.
            power = (_LOG[numerator] - _LOG[derivative] + place) % 255
            fixed[len(block) - 1 - place] ^= _EXP[power]
    return fixed
