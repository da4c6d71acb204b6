"""Declarations of variables: shapes and properties as text, and what a bare name means."""

from __future__ import annotations

import re
import unicodedata
from difflib import get_close_matches

from tensorcalculus.errors import ParseError, nearest
from tensorcalculus.expr.dims import Dim, dim
from tensorcalculus.expr.node import Variable

PROPERTIES = ("sym", "spd", "diag", "orth", "tri", "nonneg")
"""Symmetric, symmetric positive definite, diagonal, orthogonal (X'X = I), lower triangular,
entrywise non-negative."""

GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "iota",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "xi",
        "omicron",
        "pi",
        "rho",
        "sigma",
        "tau",
        "upsilon",
        "phi",
        "chi",
        "psi",
        "omega",
    ]
)
MAX_ORDER = 12
_MEANT = {
    "symmetric": "sym", "psd": "spd", "pd": "spd", "posdef": "spd", "positive": "nonneg",
    "pos": "nonneg", "nonnegative": "nonneg", "orthogonal": "orth", "diagonal": "diag",
    "triangular": "tri", "lower": "tri",
}  # fmt: skip


def declare(name: str, spec: str) -> Variable:
    """The variable that ``X="m n spd"`` declares: dimensions, then properties; ``""``: a scalar.

    Raises ParseError for a spec that cannot be read.
    """
    check_name(name)
    if isinstance(spec, (int, Dim)):
        spec = str(spec)
    if isinstance(spec, (tuple, list)):
        spec = " ".join(str(s) for s in spec)
    if not isinstance(spec, str):
        raise ParseError(
            f"the declaration of {name} is a text such as 'm n' or 'n n spd', not {spec!r}"
        )
    words = re.sub(r"\s*([-+*])\s*", r"\1", spec.replace(",", " ")).split()
    shape: list[Dim] = []
    properties: set[str] = set()
    for word in words:
        if word in PROPERTIES:
            properties.add(word)
        elif properties or _like_a_property(word):
            meant = _MEANT.get(word.lower())
            hint = f" Did you mean {meant!r}?" if meant else nearest(word, PROPERTIES)
            raise ParseError(
                f"the declaration {name}={spec!r} holds {word!r}, which is not a property "
                f"({', '.join(PROPERTIES)})." + hint
            )
        else:
            shape.append(_dimension(name, spec, word))
    if len(shape) > MAX_ORDER:
        raise ParseError(f"{name} has {len(shape)} axes; at most {MAX_ORDER} are accepted")
    square = properties & {"sym", "spd", "diag", "tri"}
    if square and (len(shape) < 2 or any(d is not shape[0] for d in shape)):
        raise ParseError(
            f"{name}={spec!r} is declared {sorted(square)[0]}, which needs equal dimensions, "
            "as in 'n n'"
        )
    if properties & {"orth", "tri", "spd"} and len(shape) != 2:
        raise ParseError(f"{name}={spec!r}: {', '.join(sorted(properties))} describes matrices")
    return Variable(name, tuple(shape), frozenset(properties))


def _like_a_property(word: str) -> bool:
    """Whether a word is meant as a property rather than as the name of a size."""
    word = word.lower()
    return word in _MEANT or (
        len(word) > 2 and bool(get_close_matches(word, PROPERTIES, n=1, cutoff=0.8))
    )


def _dimension(name: str, spec: str, word: str) -> Dim:
    try:
        d = dim(int(word)) if word.isdecimal() else dim(word)
    except (ValueError, ArithmeticError) as error:
        raise ParseError(f"the declaration {name}={spec!r}: {error}") from None
    if d.value is not None and d.value < 0:
        raise ParseError(f"the declaration {name}={spec!r} holds a negative dimension, {d}")
    return d


def check_name(name: str) -> None:
    """Refuse names that the language cannot spell."""
    if not isinstance(name, str) or not name.isidentifier():
        raise ParseError(f"{name!r} is not a name; names are letters, digits and underscores")
    if name in ("where", "with", "eye", "pi"):
        raise ParseError(f"{name!r} is a word of the language and cannot name a variable")


def natural_order(name: str) -> int:
    """The order of a variable that is not declared: Greek 0, small 1, capital 2."""
    base = name.rstrip("0123456789_")
    if base.lower() in GREEK or (base[:1] and "GREEK" in unicodedata.name(base[0], "")):
        return 0
    return 2 if name[0].isupper() else 1
