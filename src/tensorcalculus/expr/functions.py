"""The table of scalar functions: one row each, from names and derivative to domain and sampler.

Derivatives are written in the expression language itself.  Where a function has a kink the table
takes the subgradient of least norm and says so under ``domain``.  Adding a function is adding a
row; tests, documentation and ``tcalc functions`` read this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tensorcalculus.expr.node import Expr

Derivative = Callable[..., "Expr | int"]


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """One row: everything the library knows of a scalar function.

    ``derivatives[k]`` maps the arguments and the value to the partial derivative by argument
    ``k``; None where it does not exist.  ``numpy`` and ``latex`` are templates over the arguments;
    ``sample`` is the interval (one per argument) where tests draw; ``analytic`` allows complex
    steps; ``exact`` lists values known in closed form; ``parity`` is 1 where ``f(-x) = f(x)``, -1
    where ``f(-x) = -f(x)``; ``nonnegative`` says that no value is below 0.
    """

    name: str
    derivatives: tuple[Derivative | None, ...]
    numpy: str
    latex: str
    domain: str
    sample: tuple[tuple[float, float], ...]
    aliases: tuple[str, ...] = ()
    analytic: bool = True
    exact: dict[int, int] = field(default_factory=dict)
    parity: int = 0
    nonnegative: bool = False
    spoken: bool = True
    """Whether people can type it; rows that only derivatives need are printed as another."""

    @property
    def arity(self) -> int:
        return len(self.derivatives)


FUNCTIONS: dict[str, ScalarFunction] = {}


def register(row: ScalarFunction) -> None:
    """Add a row to the table; a second row of the same name or an incomplete one is an error."""
    for name in (row.name, *row.aliases):
        if name in FUNCTIONS:
            raise ValueError(f"the scalar function {name!r} is in the table twice")
        FUNCTIONS[name] = row
    if not (row.numpy and row.latex and row.domain and len(row.sample) == row.arity > 0):
        raise ValueError(f"the row of {row.name!r} leaves a field out")


def f(name: str, *args: Expr | int) -> Expr:
    """Apply a table row by name; short, because the rows below are made of it."""
    from tensorcalculus.expr.maps import apply

    return apply(name, *args)


def _pi() -> Expr:
    from tensorcalculus.expr.operations import operation

    return operation("pi")


_ALL = "all real numbers"
_ANY = (-2.0, 2.0)
_POSITIVE = (0.3, 3.0)
_UNIT = (-0.8, 0.8)

_ROWS = [
    ("exp", lambda x, y: y, "np.exp({})", r"\exp({})", _ALL, _ANY,
     {"exact": {0: 1}, "nonnegative": True}),
    ("expm1", lambda x, y: y + 1, "np.expm1({})", r"\operatorname{{expm1}}({})", _ALL, _ANY,
     {"exact": {0: 0}}),
    ("log", lambda x, y: x**-1, "np.log({})", r"\log({})", "x > 0", _POSITIVE,
     {"exact": {1: 0}, "aliases": ("ln",)}),
    ("log1p", lambda x, y: (1 + x) ** -1, "np.log1p({})", r"\log(1+{})", "x > -1", (-0.7, 2.0),
     {"exact": {0: 0}}),
    ("sin", lambda x, y: f("cos", x), "np.sin({})", r"\sin({})", _ALL, _ANY,
     {"exact": {0: 0}, "parity": -1}),
    ("cos", lambda x, y: -f("sin", x), "np.cos({})", r"\cos({})", _ALL, _ANY,
     {"exact": {0: 1}, "parity": 1}),
    ("tan", lambda x, y: 1 + y**2, "np.tan({})", r"\tan({})", "x not an odd multiple of pi/2",
     (-1.2, 1.2), {"exact": {0: 0}, "parity": -1}),
    ("arcsin", lambda x, y: (1 - x**2) ** -0.5, "np.arcsin({})", r"\arcsin({})", "|x| < 1", _UNIT,
     {"aliases": ("asin",), "exact": {0: 0}, "parity": -1}),
    ("arccos", lambda x, y: -((1 - x**2) ** -0.5), "np.arccos({})", r"\arccos({})", "|x| < 1",
     _UNIT, {"aliases": ("acos",), "nonnegative": True}),
    ("arctan", lambda x, y: (1 + x**2) ** -1, "np.arctan({})", r"\arctan({})", _ALL, _ANY,
     {"aliases": ("atan",), "exact": {0: 0}, "parity": -1}),
    ("sinh", lambda x, y: f("cosh", x), "np.sinh({})", r"\sinh({})", _ALL, _ANY,
     {"exact": {0: 0}, "parity": -1}),
    ("cosh", lambda x, y: f("sinh", x), "np.cosh({})", r"\cosh({})", _ALL, _ANY,
     {"exact": {0: 1}, "parity": 1, "nonnegative": True}),
    ("tanh", lambda x, y: 1 - y**2, "np.tanh({})", r"\tanh({})", _ALL, _ANY,
     {"exact": {0: 0}, "parity": -1}),
    ("arcsinh", lambda x, y: (1 + x**2) ** -0.5, "np.arcsinh({})", r"\operatorname{{arsinh}}({})",
     _ALL, _ANY, {"aliases": ("asinh",), "exact": {0: 0}, "parity": -1}),
    ("arccosh", lambda x, y: (x**2 - 1) ** -0.5, "np.arccosh({})",
     r"\operatorname{{arcosh}}({})", "x > 1", (1.3, 4.0),
     {"aliases": ("acosh",), "nonnegative": True}),
    ("arctanh", lambda x, y: (1 - x**2) ** -1, "np.arctanh({})", r"\operatorname{{artanh}}({})",
     "|x| < 1", _UNIT, {"aliases": ("atanh",), "exact": {0: 0}, "parity": -1}),
    ("erf", lambda x, y: 2 * f("exp", -(x**2)) * _pi() ** -0.5, "kernels.erf({})",
     r"\operatorname{{erf}}({})", _ALL, _ANY, {"exact": {0: 0}, "parity": -1}),
    ("erfc", lambda x, y: -2 * f("exp", -(x**2)) * _pi() ** -0.5, "kernels.erfc({})",
     r"\operatorname{{erfc}}({})", _ALL, _ANY, {"exact": {0: 1}, "nonnegative": True}),
    ("lgamma", lambda x, y: f("digamma", x), "kernels.lgamma({})", r"\log\Gamma({})",
     "x > 0", _POSITIVE, {"aliases": ("gammaln",), "analytic": False}),
    ("gamma", lambda x, y: y * f("digamma", x), "kernels.gamma({})", r"\Gamma({})", "x > 0",
     _POSITIVE, {"analytic": False}),
    ("digamma", lambda x, y: f("polygamma", 1, x), "kernels.digamma({})", r"\psi({})", "x > 0",
     _POSITIVE, {"aliases": ("psi",), "analytic": False}),
    ("sigmoid", lambda x, y: y * (1 - y), "kernels.sigmoid({})", r"\sigma({})", _ALL, _ANY,
     {"aliases": ("expit",), "nonnegative": True}),
    ("softplus", lambda x, y: f("sigmoid", x), "kernels.softplus({})",
     r"\operatorname{{softplus}}({})", _ALL, _ANY, {"nonnegative": True}),
    ("logcosh", lambda x, y: f("tanh", x), "kernels.logcosh({})", r"\log\cosh({})", _ALL, _ANY,
     {"exact": {0: 0}, "parity": 1, "nonnegative": True}),
    ("relu", lambda x, y: f("step", x), "kernels.relu({})", r"\operatorname{{relu}}({})",
     "all real numbers; at 0 the derivative is 0 (subgradient of least norm)", (0.2, 2.0),
     {"analytic": False, "exact": {0: 0}, "nonnegative": True}),
    ("step", lambda x, y: 0, "kernels.step({})", r"\operatorname{{step}}({})",
     "1 for x > 0, else 0; derivative 0, also at the jump", (0.2, 2.0),
     {"analytic": False, "exact": {0: 0, 1: 1}, "nonnegative": True}),
    ("abs", lambda x, y: f("sign", x), "np.abs({})", r"\left|{}\right|",
     "all real numbers; at 0 the derivative is 0 (subgradient of least norm)", (-2.0, -0.2),
     {"analytic": False, "exact": {0: 0}, "parity": 1, "nonnegative": True}),
    ("sign", lambda x, y: 0, "np.sign({})", r"\operatorname{{sign}}({})",
     "all real numbers; derivative 0, also at the jump", (-2.0, -0.2),
     {"analytic": False, "exact": {0: 0, 1: 1}, "parity": -1}),
    ("floor", None, "np.floor({})", r"\lfloor{}\rfloor", "all real numbers; not differentiable",
     (0.1, 0.9), {"analytic": False}),
    ("ceil", None, "np.ceil({})", r"\lceil{}\rceil", "all real numbers; not differentiable",
     (0.1, 0.9), {"analytic": False}),
    ("round", None, "np.round({})", r"\operatorname{{round}}({})",
     "all real numbers; not differentiable", (0.6, 0.9), {"analytic": False, "parity": -1}),
]  # fmt: skip

for _name, _derivative, _numpy, _latex, _domain, _sample, _more in _ROWS:
    register(
        ScalarFunction(_name, (_derivative,), _numpy, _latex, _domain, (_sample,), **_more)  # type: ignore[arg-type]
    )

for _row in (
    ScalarFunction(
        "pow",
        (
            lambda x, p, y: p * x ** (p - 1),
            lambda x, p, y: y * f("log", x),
        ),
        "kernels.power({}, {})",
        "{}^{{{}}}",
        "x > 0, or any x for an integer exponent",
        (_POSITIVE, (0.5, 2.0)),
        aliases=("power",),
    ),
    ScalarFunction(
        # The power that a derivative of a norm leaves: 0 at 0, where the factor beside it vanishes.
        "pow0",
        (
            lambda x, p, y: p * f("pow0", x, p - 1),
            lambda x, p, y: y * f("log", x),
        ),
        "kernels.guarded_power({}, {})",
        "{}^{{{}}}",
        "x >= 0; taken as 0 at x = 0",
        (_POSITIVE, (0.5, 2.0)),
        spoken=False,
    ),
    ScalarFunction(
        "xlogy",
        (lambda x, y, v: f("log", y), lambda x, y, v: x * y**-1),
        "kernels.xlogy({}, {})",
        r"{}\log({})",
        "y > 0; 0 at x = 0",
        (_POSITIVE, _POSITIVE),
    ),
    ScalarFunction(
        "polygamma",
        (None, lambda n, x, y: f("polygamma", n + 1, x)),
        "kernels.polygamma({}, {})",
        r"\psi^{{({})}}({})",
        "x > 0, integer n >= 0; not differentiable in n",
        ((1.0, 1.0), _POSITIVE),
        analytic=False,
    ),
    ScalarFunction(
        "maximum",
        (lambda a, b, y: (1 + f("sign", a - b)) / 2, lambda a, b, y: (1 + f("sign", b - a)) / 2),
        "np.maximum({}, {})",
        r"\max({}, {})",
        "all real numbers; a tie shares the derivative, 1/2 each",
        ((0.5, 2.0), (-1.0, 0.4)),
        analytic=False,
    ),
    ScalarFunction(
        "minimum",
        (lambda a, b, y: (1 + f("sign", b - a)) / 2, lambda a, b, y: (1 + f("sign", a - b)) / 2),
        "np.minimum({}, {})",
        r"\min({}, {})",
        "all real numbers; a tie shares the derivative, 1/2 each",
        ((0.5, 2.0), (-1.0, 0.4)),
        analytic=False,
    ),
    ScalarFunction(
        "arctan2",
        (
            lambda y, x, v: x / (x**2 + y**2),
            lambda y, x, v: -y / (x**2 + y**2),
        ),
        "np.arctan2({}, {})",
        r"\operatorname{{atan2}}({}, {})",
        "(x, y) not the origin",
        ((0.5, 2.0), (0.5, 2.0)),
        aliases=("atan2",),
        analytic=False,
    ),
):
    register(_row)
