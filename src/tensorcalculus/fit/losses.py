"""Losses of generalised CP models: a table of formulas, and what follows from each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from tensorcalculus.calculus.derivative import gradient
from tensorcalculus.compiler.pointwise import Pointwise
from tensorcalculus.display import html
from tensorcalculus.errors import InputError, UnknownNameError, nearest
from tensorcalculus.expr.node import Expr, Number, Variable, exact, variables_of
from tensorcalculus.expr.rebuild import substitute
from tensorcalculus.notation.elaborate import parse
from tensorcalculus.simplify.engine import simplify

X, M = Variable("x", ()), Variable("m", ())
"""A cell of the data, and of the model."""

DOMAINS: dict[str, str] = {
    "real": "real numbers",
    "nonnegative": "numbers that are not negative",
    "counts": "whole numbers that are not negative",
    "binary": "0 and 1",
}

_NAME = re.compile(r"(?<![\w.])[^\W\d]\w*(?![\w]|\s*\()")
"""A name that is no function's."""

BLOCK = 1 << 20
"""Cells that are looked at together where the domain is checked."""


@dataclass(frozen=True)
class Row:
    """One row of the table of losses."""

    name: str
    text: str
    """The formula in ``x``, ``m`` and the parameters; constants in ``x`` alone are left out."""
    link: str
    """What the model stands for."""
    mean: str
    """The mean of the data as a formula in ``m`` and the parameters."""
    domain: str
    nonnegative: bool
    """Whether the model may not be negative."""
    parameters: Mapping[str, float] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    reference: str = "Hong, Kolda and Duersch (2020), Table 1"


EPS = {"eps": 1e-10}

TABLE = [
    Row("gaussian", "(x-m)^2", "m is the mean", "m", "real", False, aliases=("normal",)),
    Row("gamma", "x/(m+eps) + log(m+eps)", "m is the mean k*theta", "m", "nonnegative", True, EPS),
    Row("rayleigh", "2*log(m+eps) + pi/4*(x/(m+eps))^2", "m is the mean sqrt(pi/2)*sigma",
        "m", "nonnegative", True, EPS),
    Row("poisson", "m - x*log(m+eps)", "m is the mean", "m", "counts", True, EPS),
    Row("poisson-log", "exp(m) - x*m", "exp(m) is the mean", "exp(m)", "counts", False),
    Row("bernoulli", "log(1+m) - x*log(m+eps)", "m are the odds p/(1-p)", "m/(1+m)", "binary",
        True, EPS, ("bernoulli-odds",)),
    Row("bernoulli-logit", "log(1+exp(m)) - x*m", "m is log(p/(1-p))", "sigmoid(m)", "binary",
        False),
    Row("negative-binomial", "(trials+x)*log(1+m) - x*log(m+eps)", "m are the odds p/(1-p)",
        "trials*m", "counts", True, {"trials": 1.0, **EPS}),
    Row("huber", "min(abs(x-m), delta)*(2*abs(x-m) - min(abs(x-m), delta))",
        "m is the value without outliers", "m", "real", False, {"delta": 0.25}),
    Row("beta", "(m+eps).^beta/beta - x*(m+eps).^(beta-1)/(beta-1)", "m is the mean",
        "m", "nonnegative", True, {"beta": 0.5, **EPS}),
]  # fmt: skip

ROWS: dict[str, Row] = {name: row for row in TABLE for name in (row.name, *row.aliases)}


class Loss:
    """An elementwise loss ``f(x, m)`` of a cell x of the data and m of the model.

    Parameters
    ----------
    text
        A formula in ``x`` and ``m``, as ``"(x-m)^2/(1+abs(x-m))"``, or an expression of this
        library in scalars of these names.  Its derivative is derived, and both are compiled.
    nonnegative
        Whether the model may not be negative; its factors then are not.
    domain
        What the data may hold: ``"real"``, ``"nonnegative"``, ``"counts"`` or ``"binary"``.

    Raises
    ------
    InputError, NotDifferentiableError
        For a formula with other names than ``x`` and ``m``, that is no number, or does not depend
        on ``m``; and for one without a derivative.

    See Also
    --------
    Loss.named : the losses of the table.

    References
    ----------
    D. Hong, T. G. Kolda, J. A. Duersch, Generalized canonical polyadic tensor decomposition, SIAM
    Rev. 62 (2020).

    Examples
    --------
    >>> import tensorcalculus as tc
    >>> tc.Loss("m - x*log(m+1e-10)", nonnegative=True, domain="counts")
    Loss("m-x*log(m+1e-10)", nonnegative=True, domain="counts")
    >>> tc.Loss.named("poisson").derivative
    1-x/(m+1e-10)
    """

    def __init__(
        self,
        text: str | Expr,
        *,
        nonnegative: bool = False,
        domain: str = "real",
    ) -> None:
        if domain not in DOMAINS:
            raise InputError(f"domain: one of {', '.join(DOMAINS)} is expected, not {domain!r}")
        self.expression = _read(text, {})
        self.nonnegative = bool(nonnegative)
        self.domain = domain
        self.name = "own"
        self._mean: Expr = M
        self._settle()

    def _settle(self) -> None:
        if M not in variables_of(self.expression).values():
            raise InputError(
                f"loss: {self.expression} does not depend on m, the model; write a formula in x"
                " and m, as '(x-m)^2'"
            )
        self.derivative = simplify(gradient(self.expression, M))

    @classmethod
    def named(cls, name: str, **parameters: float) -> Loss:
        """A loss of the table: ``gaussian``, ``gamma``, ``rayleigh``, ``poisson``, ``poisson-log``,
        ``bernoulli`` (odds), ``bernoulli-logit``, ``negative-binomial`` (``trials``), ``huber``
        (``delta``), ``beta`` (``beta``, other than 0 and 1).

        Those with logarithms or quotients of the model add ``eps`` (1e-10 by default) to it.
        """
        if name not in ROWS:
            raise UnknownNameError(
                f"loss: {name!r} is not in the table; it has {', '.join(r.name for r in TABLE)}."
                + nearest(name, ROWS)
            )
        row = ROWS[name]
        for key, value in parameters.items():
            if key not in row.parameters:
                told = ", ".join(row.parameters) or "none"
                raise InputError(f"loss: {row.name} has no parameter {key!r}; it has {told}")
            _check_parameter(row, key, value)
        made = cls.__new__(cls)
        made.expression = _read(row.text, {**row.parameters, **parameters})
        made.nonnegative, made.domain, made.name = row.nonnegative, row.domain, row.name
        made._mean = _read(row.mean, {**row.parameters, **parameters})
        made._settle()
        return made

    @property
    def identity(self) -> bool:
        """Whether the model is the mean itself, or nothing is known of the mean."""
        return self._mean is M or self.nonnegative

    def mean(self, m: np.ndarray) -> np.ndarray:
        """Expected values of the data from values of the model."""
        return Pointwise([self._mean], [M])(m)[0]

    def described(self) -> dict[str, Any]:
        """Name, formulas and requirements as plain data; see :meth:`from_description`."""
        return {
            "name": self.name, "text": str(self.expression), "mean": str(self._mean),
            "nonnegative": self.nonnegative, "domain": self.domain,
        }  # fmt: skip

    @classmethod
    def from_description(cls, told: Mapping[str, Any]) -> Loss:
        """The loss that :meth:`described` told of."""
        return _described(*(told[key] for key in ("name", "text", "mean", "nonnegative", "domain")))

    def __reduce__(self) -> tuple[Any, ...]:
        return Loss.from_description, (self.described(),)

    @cached_property
    def pair(self) -> Pointwise:
        """``(x, m) -> (f, df/dm)``."""
        return Pointwise([self.expression, self.derivative], [X, M])

    @cached_property
    def zero_part(self) -> tuple[float, ...] | None:
        """``f(0, m)`` as the coefficients of 1, m and m^2; None where it is no such polynomial.

        Sums of such a polynomial over all cells of a CP model follow from its factors alone.
        """
        zero = substitute(self.expression, {X: Number(0)})
        found: list[float] = []
        part, factorial = zero, 1.0
        for k in range(3):
            value = substitute(part, {M: Number(0)})
            if not isinstance(value, Number):
                return None
            factorial *= max(k, 1)
            found.append(float(value.value) / factorial)
            part = simplify(gradient(part, M))
        if part is not Number(0):
            return None
        while len(found) > 1 and found[-1] == 0:
            found.pop()
        return tuple(found)

    @cached_property
    def remainder(self) -> Pointwise:
        """``(x, m) -> (f(x, m) - f(0, m), its derivative in m)``."""
        zero = substitute(self.expression, {X: Number(0)})
        slope = simplify(self.derivative - gradient(zero, M))
        value = simplify(self.expression - zero)
        if M not in variables_of(slope).values():
            # Linear in m: no large terms that cancel, as in (x-m)^2 - m^2.
            value = simplify(slope * M + substitute(value, {M: Number(0)}))
        return Pointwise([value, slope], [X, M])

    @cached_property
    def at_zero(self) -> Pointwise:
        """``(x, m) -> (f(0, m), its derivative in m)``."""
        zero = substitute(self.expression, {X: Number(0)})
        return Pointwise([zero, simplify(gradient(zero, M))], [X, M])

    def check(self, values: np.ndarray) -> None:
        """Refuse data outside of the domain; NaN and inf are told of where data are read."""
        flat = values.reshape(-1)
        for start in range(0, flat.size, BLOCK):
            block = flat[start : start + BLOCK]
            wrong = np.flatnonzero(~_inside(block, self.domain))
            if wrong.size:
                raise InputError(
                    f"X: the loss {self.name!r} is for {DOMAINS[self.domain]}; the data hold"
                    f" {block[wrong[0]]:g}{_advice(self, float(block[wrong[0]]))}"
                )

    def __repr__(self) -> str:
        if self.name in ROWS:
            return f"<loss {self.name}: {self.expression}>"
        more = ", nonnegative=True" if self.nonnegative else ""
        more += f', domain="{self.domain}"' if self.domain != "real" else ""
        return f'Loss("{self.expression}"{more})'

    def _repr_html_(self) -> str:
        row = ROWS.get(self.name)
        pairs: list[tuple[object, object]] = [
            ("loss", html.word(self.expression)),
            ("its derivative by m", html.word(self.derivative)),
            ("the model", row.link if row else "m, not negative" if self.nonnegative else "m"),
            ("the data x", DOMAINS[self.domain]),
        ]
        return html.result(f"Loss of a cell: {self.name}", html.rows(pairs))


@lru_cache(maxsize=64)
def _described(name: str, text: str, mean: str, nonnegative: bool, domain: str) -> Loss:
    """One object for one description: what is compiled for it is compiled once a process."""
    made = Loss(text, nonnegative=nonnegative, domain=domain)
    made.name, made._mean = name, _read(mean, {})
    return made


def as_loss(loss: str | Expr | Loss, parameters: Mapping[str, float] | None = None) -> Loss:
    """A loss from its name, its formula, or itself."""
    if isinstance(loss, str) and (loss in ROWS or _is_word(loss)):
        return Loss.named(loss, **(parameters or {}))
    if parameters:
        raise InputError("parameters: only losses of the table have them; write them as numbers")
    if isinstance(loss, Loss):
        return loss
    return Loss(loss)


def _is_word(text: str) -> bool:
    """Whether a text can only be meant as a name."""
    return text not in ("x", "m") and all(p.isidentifier() for p in text.split("-")) and (
        len(text) > 3 or not text
    )  # fmt: skip


def _read(text: str | Expr, parameters: Mapping[str, float]) -> Expr:
    if isinstance(text, Expr):
        found = text
    elif isinstance(text, str):
        _check_names(text, parameters)
        found = parse(text, {"x": X, "m": M, **dict.fromkeys(parameters, "")})
        known = {name: Number(exact(value)) for name, value in parameters.items()}
        named: dict[Expr, Expr] = {Variable(n, ()): value for n, value in known.items()}
        found = substitute(found, named) if named else found
    else:
        raise TypeError(
            f"loss: a name, a formula in x and m, or a Loss is expected, not {type(text).__name__}"
        )
    if found.shape:
        raise InputError(f"loss: a scalar formula is expected; {found} has axes")
    others = [n for n, v in variables_of(found).items() if v not in (X, M)]
    if others:
        raise _other_names(others, str(found))
    return simplify(found)


def _check_names(text: str, parameters: Mapping[str, float]) -> None:
    """Refuse other names before they are read as vectors and matrices of some shape."""
    names = dict.fromkeys(_NAME.findall(text))
    others = [name for name in names if name not in ("x", "m", "pi", *parameters)]
    if others and "where" not in names:
        raise _other_names(others, text)


def _other_names(others: list[str], text: str) -> InputError:
    return InputError(
        f"loss: {', '.join(others)} in {text}: a formula in x (the data) and m (the model) is"
        " expected; write parameters as numbers"
    )


def _check_parameter(row: Row, key: str, value: Any) -> None:
    number = isinstance(value, int | float | np.number) and np.isfinite(value)
    if not number or value < 0 or (value == 0 and key != "eps"):
        raise InputError(f"loss: {key} of {row.name} is a positive number, not {value!r}")
    if key == "beta" and value == 1:
        raise InputError("loss: beta=1 is the loss 'poisson', without a quotient by beta-1")


def _inside(block: np.ndarray, domain: str) -> np.ndarray:
    if domain == "real":
        return np.ones(block.shape, bool)
    if domain == "binary":
        return (block == 0) | (block == 1)
    inside = block >= 0
    return inside & (block == np.floor(block)) if domain == "counts" else inside


def _advice(loss: Loss, value: float) -> str:
    if loss.domain == "binary" and value in (-1.0, 2.0):
        return "; code the two outcomes as 0 and 1"
    if loss.domain == "counts" and value >= 0:
        return "; 'gamma' and 'rayleigh' are for positive measurements"
    return ""
