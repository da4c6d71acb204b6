"""A network by the names of its cores and the labels on their legs; as an expression, derived."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from tensorcalculus.display.html import Html, code, result
from tensorcalculus.errors import InputError, ShapeError, UnknownNameError, nearest
from tensorcalculus.expr.arithmetic import Arithmetic
from tensorcalculus.expr.combination import add
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import Dim, DimLike, dim, show_shape, unify
from tensorcalculus.expr.node import Expr, Shape, Variable
from tensorcalculus.face import Face

if TYPE_CHECKING:
    from tensorcalculus.diagrams import Diagram, Graph

SHOWN = 12
"""Cores up to which ``repr`` names all of them."""
DRAWN = 60
"""Cores up to which notebooks show a drawing."""

Declared = Mapping[str, str | Sequence[str]] | Iterable[tuple[str, str | Sequence[str]]]


class Core(NamedTuple):
    """One place of the network: the name of its array and the labels of its axes."""

    name: str
    legs: tuple[str, ...]
    deleted: bool = False
    """Whether the core was taken out by a derivative, so that its legs are open."""

    def __str__(self) -> str:
        text = f"{self.name}({' '.join(self.legs)})"
        return f"[{text}]" if self.deleted else text


class _Printed(Face, Arithmetic):
    """What networks and sums of them share: methods and operators of their expression.

    An operator of two networks is that of their expressions, and its result is an expression.
    """

    @property
    def expression(self) -> Expr:
        raise NotImplementedError

    @property
    def _expr(self) -> Expr:
        return self.expression

    @property
    def shape(self) -> Shape:
        """The sizes of the open legs, in the order of the output."""
        return self.expression.shape

    @property
    def ndim(self) -> int:
        """The number of open legs."""
        return len(self.shape)

    def draw(self) -> Diagram:
        raise NotImplementedError

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        terms: tuple[Any, ...] = getattr(self, "terms", (self,))
        few = 0 < sum(len(t.cores) for t in terms) <= DRAWN
        return result("", Html(self.draw().svg if few else ""), code(repr(self)))


def _as_expression(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_as_expression, value))
    return value.expression if isinstance(value, _Printed) else value


def _of_expression(name: str) -> Any:
    def method(self: _Printed, *args: Any, **options: Any) -> Any:
        return getattr(self.expression, name)(*map(_as_expression, args), **options)

    method.__name__ = name
    return method


for _name, _member in list(vars(Arithmetic).items()):
    if callable(_member):
        setattr(_Printed, _name, _of_expression(_name))
_Printed.T = property(lambda self: self.expression.T)  # type: ignore[assignment,method-assign]


@dataclass(frozen=True, eq=True, repr=False)
class Network(_Printed):
    """A tensor network: cores joined along labels, made by :func:`tensorcalculus.network`.

    The value has an axis for each label in ``output``; all other labels are summed over.  A label
    on three cores is a hyperedge, a label twice on one core a diagonal.  The object is a thin face
    of :attr:`expression`, a contraction like any other: ``gradient``, ``jacobian``, ``hessian``,
    ``jvp``, ``to_latex``, Python operators and the rest are those of the expression.

    ``str`` shows cores as ``A(i r)``, those that a derivative took out in brackets, and the open
    legs behind the arrow, those of each derivative after a bar.
    """

    cores: tuple[Core, ...]
    output: tuple[str, ...]
    dims: Mapping[str, Dim] = field(hash=False)
    groups: tuple[int, ...] = ()
    """How many open legs, at the end of the output, each derivative has added."""

    @cached_property
    def present(self) -> tuple[Core, ...]:
        """The cores that are there, without those that derivatives took out."""
        return tuple(c for c in self.cores if not c.deleted)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the arrays, in order of first appearance."""
        return tuple(dict.fromkeys(c.name for c in self.present))

    @cached_property
    def symbols(self) -> dict[str, Variable]:
        """The variables of the expression by name, also of the cores taken out."""
        return {c.name: Variable(c.name, tuple(self.dims[i] for i in c.legs)) for c in self.cores}

    @cached_property
    def expression(self) -> Expr:
        """The network as an expression."""
        factors = [(self.symbols[c.name], c.legs) for c in self.present]
        return contract(factors, self.output, self.dims)

    @property
    def shape(self) -> Shape:
        """The sizes of the open legs, in the order of the output."""
        return tuple(self.dims[i] for i in self.output)

    def occurrences(self, name: str | Variable) -> list[int]:
        """The places of a core among ``cores``; UnknownNameError where there is none."""
        name = name.name if isinstance(name, Variable) else name
        places = [k for k, c in enumerate(self.cores) if c.name == name and not c.deleted]
        if not places and name not in self.symbols:
            known = ", ".join(self.names) or "none"
            raise UnknownNameError(
                f"the network has no core {name!r} (its cores: {known}).{nearest(name, self.names)}"
            )
        return places

    def derivative(self, core: str | Variable, order: int = 1) -> Network | NetworkSum:
        """The derivative by a core: the network without it, its legs open.

        .. math:: ∂T_{o} / ∂B_{l} = Σ_{copies\\ of\\ B} (\\text{network without the copy})_{o,l}

        Parameters
        ----------
        core
            The name of a core, or its variable.
        order
            How often to derive.

        Returns
        -------
        Network or NetworkSum
            Its axes are those of this network, then those of the core.  A core that stands ``k``
            times gives a sum of ``k`` networks.  A label both on the deleted core and in the output
            is a Kronecker delta: it stands twice in the output and is never stored.

        Raises
        ------
        UnknownNameError
            Where the network has no such core.

        Examples
        --------
        >>> import tensorcalculus as tc
        >>> net = tc.network({"A": "i r", "B": "j r", "C": "k r"}, output="i j k")
        >>> net.derivative("B")
        A(i r) [B(j r)] C(k r) -> i j k | j r
        """
        terms = [self._without(k) for k in self.occurrences(core)]
        if not terms:
            name = core.name if isinstance(core, Variable) else core
            legs = next(c.legs for c in self.cores if c.name == name)
            result: Network | NetworkSum = NetworkSum(
                (), self.shape + tuple(self.dims[i] for i in legs)
            )
        else:
            result = terms[0] if len(terms) == 1 else NetworkSum(tuple(terms), terms[0].shape)
        return result if order <= 1 else result.derivative(core, order - 1)

    def _without(self, place: int) -> Network:
        core = self.cores[place]
        cores = list(self.cores)
        cores[place] = core._replace(deleted=True)
        return replace(
            self,
            cores=tuple(cores),
            output=self.output + core.legs,
            groups=(*self.groups, len(core.legs)),
        )

    def renamed(
        self,
        cores: Callable[[str], str] | Mapping[str, str] | None = None,
        labels: Callable[[str], str] | Mapping[str, str] | None = None,
    ) -> Network:
        """The same network with other names of cores or labels, by functions or dictionaries.

        >>> import tensorcalculus as tc
        >>> tc.network({"A": "i r", "B": "r j"}, output="i j").renamed({"B": "C"}, str.upper)
        A(I R) C(R J) -> I J
        """
        core, label = _renaming(cores), _renaming(labels)
        made = {label(i): d for i, d in self.declared().items()}
        if len({label(i) for i in self.dims}) < len(self.dims):
            raise InputError("the new labels are not all different; give each label its own")
        moved = [Core(core(c.name), tuple(map(label, c.legs)), c.deleted) for c in self.cores]
        dims = same_axes(moved, made)
        return Network(tuple(moved), tuple(map(label, self.output)), dims, self.groups)

    def declared(self) -> dict[str, Dim]:
        """The sizes that are not just symbols named like their labels."""
        return {i: d for i, d in self.dims.items() if d is not dim(i)}

    def draw(self) -> Diagram:
        """The network as a picture: tensors as boxes, labels on lines, hyperedges as dots.

        Open legs end free, and a label of one core that is summed over ends in a dot.  Cores that
        derivatives have taken out are dashed, with rings where their legs are open.  Sizes stand
        behind labels where they are known.  Chains, rings, trees and grids are laid out as such.

        Returns
        -------
        Diagram
            With ``svg``, the text, and ``save(path)``; notebooks show it.

        Examples
        --------
        >>> import tensorcalculus as tc
        >>> net = tc.network({"A": "i r", "B": "j r", "C": "k r"}, output="i j k")
        >>> net.draw()
        <diagram of 3 tensors: star; .svg, .save(path)>
        >>> net.derivative("B").draw().graphs[0].open_ends
        5
        """
        return _drawn((self,), str(self))

    def _graph(self) -> Graph:
        from tensorcalculus.diagrams import graph_of

        own = len(self.output) - sum(self.groups)
        sizes = {i: str(d) for i, d in self.dims.items() if str(d) not in self.dims}
        return graph_of(self.cores, self.output[:own], sizes)

    def __call__(self, /, **values: Any) -> Any:
        """The value for arrays by name, of NumPy, PyTorch or JAX; a float for a scalar by NumPy.

        Raises InputError, naming the array and the shape expected, where an array does not fit.
        """
        from tensorcalculus.networks.environments import evaluate

        return evaluate(self, values)

    def __str__(self) -> str:
        return self._text(len(self.cores))

    def __repr__(self) -> str:
        return self._text(SHOWN)

    def _text(self, most: int) -> str:
        cores = [str(c) for c in self.cores]
        if len(cores) > most:
            cores = [*cores[: most - 3], f"... {len(cores) - most + 1} more ...", *cores[-2:]]
        return f"{' '.join(cores)} -> {self._open_legs(most)}".strip()

    def _open_legs(self, most: int) -> str:
        ends = [len(self.output)]
        for length in reversed(self.groups):
            ends.insert(0, ends[0] - length)
        parts, start = [], 0
        for end in ends:
            legs = self.output[start:end]
            if len(legs) > most:
                legs = (*legs[: most - 2], "...", legs[-1])
            parts.append(" ".join(legs) or "()")
            start = end
        return " | ".join(parts)


@dataclass(frozen=True, eq=True, repr=False)
class NetworkSum(_Printed):
    """A sum of networks of one shape, such as the derivative by a core that stands twice."""

    terms: tuple[Network, ...]
    sizes: Shape

    @cached_property
    def expression(self) -> Expr:
        """The sum as an expression."""
        from tensorcalculus.expr.combination import zeros

        return add([(1, t.expression) for t in self.terms]) if self.terms else zeros(self.sizes)

    @property
    def shape(self) -> Shape:
        """The sizes of the open legs."""
        return self.sizes

    def derivative(self, core: str | Variable, order: int = 1) -> Network | NetworkSum:
        """The sum of the derivatives of the terms; see :meth:`Network.derivative`."""
        if not self.terms:
            raise InputError("the sum has no terms: it is zero, and so are its derivatives")
        terms: list[Network] = []
        shape: Shape = ()
        for term in self.terms:
            found = term.derivative(core)
            terms += found.terms if isinstance(found, NetworkSum) else (found,)
            shape = found.shape
        result = terms[0] if len(terms) == 1 else NetworkSum(tuple(terms), shape)
        return result if order <= 1 else result.derivative(core, order - 1)

    def draw(self) -> Diagram:
        """The terms as pictures, one below the other; see :meth:`Network.draw`."""
        if not self.terms:
            raise InputError("the sum has no terms: it is zero, and there is nothing to draw")
        return _drawn(self.terms, str(self))

    def __call__(self, /, **values: Any) -> Any:
        """The value for arrays by name; see :meth:`Network.__call__`."""
        if not self.terms:
            return self.expression(**values)
        first, *others = (term(**values) for term in self.terms)
        for value in others:
            first = first + value
        return first

    def __str__(self) -> str:
        return "\n+ ".join(map(str, self.terms)) or f"zero of shape {show_shape(self.shape)}"

    def __repr__(self) -> str:
        return "\n+ ".join(map(repr, self.terms)) or str(self)


def _drawn(terms: Sequence[Network], title: str) -> Diagram:
    from tensorcalculus.diagrams import diagram

    return diagram([term._graph() for term in terms], title)


def network(
    cores: Declared,
    output: str | Sequence[str] = "",
    *,
    sizes: Mapping[str, DimLike] | None = None,
) -> Network:
    """A tensor network as an expression that remembers its cores.

    .. math:: T_{o} = Σ_{\\text{labels not in } o} Π_c \\text{core}_c[\\text{labels of } c]

    Parameters
    ----------
    cores
        Labels by the name of the core, ``{"A": "i r", "B": "j r"}``; or pairs, where a core that
        stands several times is named several times: ``[("A", "i r"), ("A", "j r")]``.
    output
        The labels of the axes of the result, in order; by default none, a scalar.
    sizes
        Sizes of labels, numbers or symbols (``{"i": 3, "r": "k"}``).  A label without is a symbol
        of its own name.  Labels on one axis of a repeated core have one size.

    Raises
    ------
    InputError
        For names that are no identifiers, an output label or a size whose label is on no core, or
        a core declared with different numbers of labels.
    ShapeError
        Where labels of one size are given two.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc
    >>> net = tc.network({"A": "i r", "B": "j r", "C": "k r"}, output="i j k")
    >>> net.shape, net.expression
    ((i, j, k), cp(A,B,C))
    >>> net(A=np.ones((2, 5)), B=np.ones((3, 5)), C=np.ones((1, 5)))[0, 0]
    array([5.])
    """
    pairs = list(cores.items()) if isinstance(cores, Mapping) else list(cores)
    made = []
    for pair in pairs:
        if not (isinstance(pair, (tuple, list)) and len(pair) == 2 and isinstance(pair[0], str)):
            raise InputError(
                f"core {pair!r} is not a pair of a name and labels; expected ('A', 'i r')"
            )
        if not pair[0].isidentifier():
            raise InputError(
                f"the name of a core is {pair[0]!r}; expected an identifier such as 'A' or 'G1'"
            )
        made.append(Core(pair[0], _labels(pair[1], f"core {pair[0]}")))
    if not made:
        raise InputError("a network has at least one core; give {'A': 'i r', ...}")
    arity: dict[str, int] = {}
    for c in made:
        if arity.setdefault(c.name, len(c.legs)) != len(c.legs):
            raise InputError(
                f"core {c.name} stands with {arity[c.name]} labels and with {len(c.legs)} "
                f"({' '.join(c.legs)}); expected the same number in all places, or another name"
            )
    legs = _labels(output, "output")
    known = dict.fromkeys(i for c in made for i in c.legs)
    dims = {i: dim(n) for i, n in (sizes or {}).items()}
    for i, d in dims.items():
        if d.value is not None and d.value < 0:
            raise InputError(f"sizes has {i}={d}; expected a length that is not negative")
    for what, used in (("output", legs), ("sizes", dims)):
        for i in used:
            if i not in known:
                raise InputError(
                    f"{what} has the label {i!r}, which is on no core (labels: "
                    f"{', '.join(known) or 'none'}).{nearest(i, known)}"
                )
    return Network(tuple(made), legs, same_axes(made, dims))


def _labels(given: str | Sequence[str], what: str) -> tuple[str, ...]:
    if not isinstance(given, Iterable):
        raise InputError(f"{what} has the labels {given!r}; expected a text such as 'i r'")
    labels = given.replace(",", " ").split() if isinstance(given, str) else tuple(given)
    for i in labels:
        if not (isinstance(i, str) and i.isidentifier()):
            raise InputError(
                f"{what} has the label {i!r}; expected identifiers with blanks between, as 'i r'"
            )
    return tuple(labels)


def _renaming(given: Callable[[str], str] | Mapping[str, str] | None) -> Callable[[str], str]:
    if given is None:
        return lambda name: name
    if isinstance(given, Mapping):
        return lambda name: given.get(name, name)
    return given


def same_axes(cores: Sequence[Core], dims: Mapping[str, Dim]) -> dict[str, Dim]:
    """A size for each label, one for all labels that stand on the same axis of a core."""
    parent = {i: i for c in cores for i in c.legs}

    def find(i: str) -> str:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, tuple[str, ...]] = {}
    for c in cores:
        for i, j in zip(first.setdefault(c.name, c.legs), c.legs, strict=True):
            if find(i) != find(j):
                parent[find(j)] = find(i)
    found: dict[str, Dim] = {}
    for i, d in dims.items():
        root = find(i)
        known = found.setdefault(root, d)
        joined = unify(known, d)
        if joined is None:
            raise ShapeError(
                f"label {i} has size {d}, and {known} on another axis that it shares with a core "
                "that stands twice; expected one size"
            )
        found[root] = joined
    return {i: found.get(find(i)) or dim(find(i)) for i in parent}
