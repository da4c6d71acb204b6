"""Decimal numbers in a block of text, all at once.

Eight characters are loaded as one integer of 64 bits, whose bytes are then combined in three
multiplications (D. Lemire, Number parsing at a gigabyte per second, Softw. Pract. Exp. 51 (2021),
Sec. 4, who gives the origin of the trick).  Here NumPy does each step for all numbers of a block.
"""

from __future__ import annotations

import numpy as np

MARGIN = 16
"""Bytes that must stand in front of the first number."""

LONGEST = 24
"""Characters of a number that are read at once; more take longer."""

_WHOLE = 16
"""Digits of a whole number, at most."""

_EXACT = 2**53
_MOST_HIGH = 1843
"""Digits in front of the last sixteen, as a number, with which any sixteen are below ``2**64``."""

_WIDE = np.finfo(np.longdouble).nmant == 63
"""Whether there are floats with 64 bits of digits."""

_POWERS = 10.0 ** np.arange(23)
_WIDE_POWERS = np.concatenate([[1], np.cumprod(np.full(27, 10, np.longdouble))])
"""Powers of ten that are exact in their types."""


def _u(x: int) -> np.uint64:
    return np.uint64(x)


_ZEROS, _SIXES, _HIGH = _u(0x3030303030303030), _u(0x0606060606060606), _u(0xF0F0F0F0F0F0F0F0)
_ONES, _TOPS, _DOTS = _u(0x0101010101010101), _u(0x8080808080808080), _u(0x1E1E1E1E1E1E1E1E)
_PAIRS, _FIRST, _SECOND = _u(0x000000FF000000FF), _u(0x000F424000000064), _u(0x0000271000000001)
_LAST = np.array([2**64 - 2 ** (64 - 8 * k) for k in range(9)], np.uint64)
"""Masks of the last k of eight characters."""


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


def _characters(
    loaded: np.ndarray, ends: np.ndarray, lengths: np.ndarray, longest: int
) -> list[np.ndarray]:
    """Digits as bytes 0 to 9, eight and eight of them from the end; 0 in front of a number."""
    made = []
    for back in range(0, max(longest, 1), 8):
        kept = lengths - back if back else lengths
        if back or longest > 8:
            kept = np.clip(kept, 0, 8)
        digits = loaded[ends - (8 + back)]
        digits ^= _ZEROS
        digits &= _LAST[kept]
        made.append(digits)
    return made


def _wrong(digits: np.ndarray) -> np.ndarray:
    """Where a byte is not 0 to 9."""
    # Taken apart: a byte above 9 plus 6 reaches the upper half, and bytes above 249 are there.
    return (((digits & ~_HIGH) + _SIXES) | digits) & _HIGH != 0


def _value(digits: np.ndarray) -> np.ndarray:
    made = digits * _u(10)
    made += digits >> _u(8)
    low = made & _PAIRS
    low *= _FIRST
    made >>= _u(16)
    made &= _PAIRS
    made *= _SECOND
    made += low
    made >>= _u(32)
    return made


def integers(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whole numbers without a sign of at most 16 digits, and which are none."""
    lengths = ends - starts
    longest = int(lengths.max(initial=0))
    with np.errstate(over="ignore"):
        parts = _characters(words(text), ends, lengths, min(longest, _WHOLE))
        wrong = _wrong(parts[0])
        made = _value(parts[0])
        if longest > 8:
            wrong |= _wrong(parts[1]) | (lengths > _WHOLE)
            made += _value(parts[1]) * _u(10**8)
    return made.view(np.int64), wrong


def decimals(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as the nearest float64, and which are none.

    Digits with a point and an exponent make an integer and a power of ten.  Where the first is
    below ``2**53`` and the second at most ``10**22``, both are exact, and one product or quotient
    rounds right (W. D. Clinger, How to read floating point numbers accurately, PLDI 1990).  Up to
    ``2**64`` and ``10**27`` the same holds of floats with 64 bits; rounded again to 53, the result
    is right unless it lies just half-way between two numbers.  What is left is read one by one.
    """
    first = text[starts]
    minus = first == ord("-")
    signed = minus | (first == ord("+"))
    any_signed = bool(signed.any())
    inside = starts + signed if any_signed else starts
    behind, powers = _exponents(text, inside, ends)
    lengths = behind - inside
    longest = int(lengths.max(initial=0))
    with np.errstate(over="ignore"):
        # A sign alone has no characters, a point alone no digits.
        slow = (lengths < 1) | ((lengths == 1) & (text[inside] == ord(".")))
        parts = _characters(words(text), behind, np.maximum(lengths, 0), min(longest, LONGEST))
        places = _take_out_point(parts)
        made = _value(parts[0])
        slow |= _wrong(parts[0])
        for k, part in enumerate(parts[1:], 1):
            slow |= _wrong(part)
            value = _value(part)
            if k == 2:
                slow |= (value > _u(_MOST_HIGH)) | (lengths > LONGEST)
            made += value * _u(10 ** (8 * k))
    if places is not None:
        powers = -places if powers is None else powers - places
    numbers, unsure = _scaled(made, powers, longest)
    slow |= unsure
    if any_signed:
        np.negative(numbers, out=numbers, where=minus)
    wrong = np.zeros(len(numbers), bool)
    if slow.any():
        rows = np.flatnonzero(slow)
        numbers[rows], wrong[rows] = _one_by_one(text, starts[rows], ends[rows])
    return numbers, wrong


def _exponents(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """Where digits end, and the powers of ten of numbers that end like ``e+05``; None: of none."""
    there = (text[ends - 4] | 32) == ord("e")
    there &= ends - starts > 4
    if not there.any():
        return ends, None
    sign, tens, ones = text[ends - 3], text[ends - 2] - np.uint8(48), text[ends - 1] - np.uint8(48)
    there &= ((sign == ord("+")) | (sign == ord("-"))) & (tens < 10) & (ones < 10)
    powers = 10 * tens.astype(np.int64) + ones
    np.negative(powers, out=powers, where=sign == ord("-"))
    return ends - 4 * there, np.where(there, powers, 0)


def _scaled(
    digits: np.ndarray, powers: np.ndarray | None, longest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Integers times powers of ten, and for which of them that may not be the nearest number."""
    numbers = digits.astype(np.float64)
    unsure = np.zeros(len(numbers), bool)
    if longest > 15:
        unsure |= digits > _u(_EXACT)
    if powers is not None:
        low, high = int(powers.min(initial=0)), int(powers.max(initial=0))
        if low < 0:
            numbers /= _POWERS[np.clip(-powers, 0, 22)]
        if high > 0:
            numbers *= _POWERS[np.clip(powers, 0, 22)]
        if low < -22 or high > 22:
            unsure |= np.abs(powers) > 22
    if not (_WIDE and unsure.any()):
        return numbers, unsure
    rows = np.flatnonzero(unsure)
    wide = digits[rows].astype(np.longdouble)
    half = np.zeros(len(rows), bool)
    if powers is not None:
        power = powers[rows]
        wide = np.where(
            power < 0,
            wide / _WIDE_POWERS[np.clip(-power, 0, 27)],
            wide * _WIDE_POWERS[np.clip(power, 0, 27)],
        )
        half |= np.abs(power) > 27
    numbers[rows] = wide.astype(np.float64)
    # The digits are the first of the two words that such a float takes.
    half |= wide.view(np.uint64)[::2] & _u(0x7FF) == _u(0x400)
    unsure[rows] = half
    return numbers, unsure


def _take_out_point(parts: list[np.ndarray]) -> np.ndarray | None:
    """Close the gap of the last point among the digits; how many stand behind it."""
    places: np.ndarray | None = None
    for k, part in enumerate(parts):
        at = _point(part)
        here = at != 0
        if places is not None:
            here &= places < 0
        if not here.any():
            continue
        # `at` is the lowest bit of the point's byte.
        below = at - _u(1)
        behind = np.bitwise_count(below).astype(np.int64)
        behind >>= 3
        behind = 8 * k + 7 - behind
        moved = (part & below) << _u(8)
        moved |= part & ~(below | (at * _u(255)))
        for j in range(k, len(parts)):
            if j > k:
                moved = parts[j] << _u(8)
            if j + 1 < len(parts):
                moved |= parts[j + 1] >> _u(56)
            parts[j] = moved if here.all() else np.where(here, moved, parts[j])
        places = np.where(here, behind, -1 if places is None else places)
    return None if places is None else np.maximum(places, 0)


def _point(digits: np.ndarray) -> np.ndarray:
    """The lowest bit of the first byte that is a point, else 0."""
    there = digits ^ _DOTS
    there = (there - _ONES) & ~there & _TOPS
    return (there & (~there + _u(1))) >> _u(7)


def _one_by_one(
    text: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers as Python reads them."""
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
