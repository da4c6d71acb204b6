"""Decimal numbers in a block of text, all at once.

Eight characters are loaded as one integer of 64 bits, whose bytes are then combined in three
multiplications (D. Lemire, Number parsing at a gigabyte per second, Softw. Pract. Exp. 51 (2021),
Sec. 4, who gives the origin of the trick).  Here NumPy does each step for all numbers of a block.
"""

from __future__ import annotations

import numpy as np

MARGIN = 16
"""Bytes that must stand in front of the first number."""

LONGEST = 16
"""Characters of a number that are read at once; more take longer."""

_EXACT = 2**53
_POWERS = 10.0 ** np.arange(LONGEST + 1)


def _u(x: int) -> np.uint64:
    return np.uint64(x)


_ZEROS, _SIXES, _HIGH = _u(0x3030303030303030), _u(0x0606060606060606), _u(0xF0F0F0F0F0F0F0F0)
_ONES, _TOPS, _DOTS = _u(0x0101010101010101), _u(0x8080808080808080), _u(0x1E1E1E1E1E1E1E1E)
_PAIRS, _FIRST, _SECOND = _u(0x000000FF000000FF), _u(0x000F424000000064), _u(0x0000271000000001)


def words(text: np.ndarray) -> np.ndarray:
    """The eight characters from each byte on; the last of them are the highest bits."""
    return np.ndarray((len(text) - 7,), "<u8", text.data, strides=(1,))  # type: ignore[arg-type]


def edges(text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where words start and end (one behind the last character); the text begins and ends with
    white space.
    """
    ink = text > 32
    change = np.flatnonzero(ink[1:] != ink[:-1])
    change += 1
    return change[0::2], change[1::2]


def _characters(loaded: np.ndarray, ends: np.ndarray, lengths: np.ndarray, back: int) -> np.ndarray:
    """Digits as bytes 0 to 9: the eight in front of ``ends - back``, 0 in front of the number."""
    shift = np.clip(8 - lengths + back, 0, 8).astype(np.uint64)
    shift *= _u(8)
    found = loaded[ends - (8 + back)]
    found ^= _ZEROS
    # A shift by 64 bits would leave all of them.
    half = shift >> _u(1)
    rest = shift - half
    found >>= half
    found >>= rest
    found <<= half
    found <<= rest
    return found


def _wrong(digits: np.ndarray) -> np.ndarray:
    """Where a byte is not 0 to 9."""
    # Taken apart: a byte above 9 plus 6 reaches the upper half, and bytes above 249 are there.
    return (((digits & ~_HIGH) + _SIXES) | digits) & _HIGH != 0


def _value(digits: np.ndarray) -> np.ndarray:
    digits = digits * _u(10) + (digits >> _u(8))
    low = (digits & _PAIRS) * _FIRST
    high = ((digits >> _u(16)) & _PAIRS) * _SECOND
    return (low + high) >> _u(32)


def integers(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers without a sign of at most 16 digits, and which are none."""
    loaded, lengths = words(text), ends - starts
    with np.errstate(over="ignore"):
        low = _characters(loaded, ends, lengths, 0)
        wrong = _wrong(low)
        made = _value(low)
        if lengths.max(initial=0) > 8:
            high = _characters(loaded, ends, lengths, 8)
            wrong |= _wrong(high) | (lengths > LONGEST)
            made += _value(high) * _u(10**8)
    return made.astype(np.int64), wrong


def decimals(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as the nearest float64, and which are none.

    Up to 16 characters that are digits, a point and a sign make an integer below ``2**53`` and a
    power of ten up to ``10**15``, both exact, so that one division rounds right (W. D. Clinger, How
    to read floating point numbers accurately, PLDI 1990).  All others are read one by one.
    """
    first = text[starts]
    minus = first == ord("-")
    signed = minus | (first == ord("+"))
    if signed.any():
        starts = starts + signed
    lengths = ends - starts
    loaded = words(text)
    long = bool(lengths.max(initial=0) > 8)
    with np.errstate(over="ignore"):
        low = _characters(loaded, ends, lengths, 0)
        high = _characters(loaded, ends, lengths, 8) if long else np.zeros_like(low)
        low, high, places = _without_point(low, high, long)
        slow = _wrong(low) | (lengths < 1)
        made = _value(low)
        if long:
            slow |= _wrong(high) | (lengths > LONGEST)
            made += _value(high) * _u(10**8)
        slow |= made > _u(_EXACT)
        # A point alone has no digits.
        slow |= (lengths == 1) & (text[starts] == ord("."))
    numbers = made.astype(np.float64)
    if places is not None:
        numbers /= _POWERS[places]
    if signed.any():
        np.negative(numbers, out=numbers, where=minus)
    wrong = np.zeros(len(numbers), bool)
    if slow.any():
        rows = np.flatnonzero(slow)
        numbers[rows], wrong[rows] = _by_library(text, starts[rows] - signed[rows], ends[rows])
    return numbers, wrong


def _without_point(
    low: np.ndarray, high: np.ndarray, long: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Digits without the last point among them, and how many stand behind it."""
    at_low = _point(low)
    at_high = _point(high) if long else np.zeros_like(low)
    if not (at_low.any() or at_high.any()):
        return low, high, None
    # `at` is the lowest bit of the byte, 0 where there is no point.
    below = at_low - _u(1)
    in_low, in_high = at_low != 0, (at_low == 0) & (at_high != 0)
    places = np.where(in_low, 7 - np.bitwise_count(below) // 8, 0)
    above = ~(below | (at_low * _u(255)))
    carried = high >> _u(56)
    low = np.where(in_low, (low & above) | ((low & below) << _u(8)) | carried, low)
    if long:
        high = np.where(in_low, high << _u(8), high)
        below = at_high - _u(1)
        above = ~(below | (at_high * _u(255)))
        high = np.where(in_high, (high & above) | ((high & below) << _u(8)), high)
        places = np.where(in_high, 15 - np.bitwise_count(below) // 8, places)
    return low, high, places


def _point(digits: np.ndarray) -> np.ndarray:
    """The lowest bit of the first byte that is a point, else 0."""
    there = digits ^ _DOTS
    there = (there - _ONES) & ~there & _TOPS
    return (there & (~there + _u(1))) >> _u(7)


def _by_library(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The same numbers one after the other, as Python reads them."""
    inside = np.zeros(len(text) + 1, np.int8)
    # The white space behind each word is kept, and may be next to another word.
    inside[starts] += 1
    inside[ends + 1] -= 1
    np.cumsum(inside, dtype=np.int8, out=inside)
    joined = text[inside[:-1].view(bool)].tobytes()
    found = joined.split()
    if b"_" not in joined:
        try:
            return np.array(list(map(float, found))), np.zeros(len(starts), bool)
        except ValueError:
            pass
    numbers, wrong = np.zeros(len(starts)), np.zeros(len(starts), bool)
    for i, word in enumerate(found):
        try:
            # Python would take 1_000 for a number.
            numbers[i] = float(word if b"_" not in word else "")
        except ValueError:
            wrong[i] = True
    return numbers, wrong
