"""Loop-invariant parts of expressions, taken out to be computed once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import prod

from tensorcalculus.compiler.stable import stabilize
from tensorcalculus.expr.combination import add, split_scale
from tensorcalculus.expr.context import remembered
from tensorcalculus.expr.contraction import contract, symmetric
from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Number,
    Operation,
    Size,
    Variable,
    variables_of,
    walk,
)
from tensorcalculus.expr.rebuild import with_children
from tensorcalculus.simplify.engine import simplify

REPETITIONS = 100
"""How often what is left is expected to be evaluated for one evaluation of what is taken out."""

TYPICAL_SIZE = 100
"""Size assumed for a symbol that no size is given for."""

_MOST_OPERANDS = 10
_MOST_ORDERED = 6

Factor = tuple[Expr, tuple[int, ...]]


def hoist(
    roots: Sequence[Expr],
    names: Iterable[str],
    sizes: Mapping[str, int] | None = None,
    *,
    prefix: str = "h",
    repetitions: float = REPETITIONS,
    inverses: bool = False,
) -> tuple[list[Expr], dict[Variable, Expr]]:
    """Replace the parts of ``roots`` that do not depend on the variables ``names``.

    Parameters
    ----------
    names
        The variables that change from one evaluation to the next.
    sizes
        Sizes of the symbols, by which products are weighed: in ``X'*X*w`` the matrix ``X'*X`` is
        taken out where it is not larger than what it is made of and pays within ``repetitions``.
    prefix
        New variables are named ``h0``, ``h1``, ... with numbers that are not in use.
    repetitions
        How many evaluations are expected.
    inverses
        Take out ``inv(A)`` as a matrix where it multiplies something that changes.  That costs
        about a digit of a solve's forward error, and more of its residual where ``A`` is ill
        conditioned; by default it stays and is factorised in each evaluation.  A product
        ``inv(A)*b`` of which nothing changes is taken out in either case, as a solve.

    Returns
    -------
    new_roots, parts
        The roots, simplified, in terms of new variables, and the expression of each new variable.
        Nothing structured (an identity, a diagonal, a broadcast) is taken out as a dense array
        unless it is a whole root.

    Examples
    --------
    >>> import tensorcalculus as tc
    >>> f = tc.parse("norm2(exp(X)*w-y)^2", X="m n", w="n", y="m")
    >>> (g,), parts = hoist([f], ["w"])
    >>> g, list(parts.values())
    (norm2(h0*w-y)^2, [exp(X)])
    """
    return _Hoist(roots, set(names), sizes or {}, prefix, repetitions, inverses).run()


class _Hoist:
    def __init__(
        self,
        roots: Sequence[Expr],
        names: set[str],
        sizes: Mapping[str, int],
        prefix: str,
        repetitions: float,
        inverses: bool,
    ) -> None:
        self.sources = list(roots)
        self.roots = stabilize([simplify(root) for root in roots])
        self.sizes = sizes
        self.prefix = prefix
        self.repetitions = repetitions
        self.inverses = inverses
        self.parts: dict[Expr, Variable] = {}
        self.taken = set(variables_of(*self.roots)) | names
        for root in (*self.sources, *self.roots):
            self.taken.update(remembered(root))
        self.changing: set[Expr] = set()
        for node in walk(*self.roots):
            if isinstance(node, Variable):
                if node.name in names:
                    self.changing.add(node)
            elif any(c in self.changing for c in node.children):
                self.changing.add(node)

    def run(self) -> tuple[list[Expr], dict[Variable, Expr]]:
        done: dict[Expr, Expr] = {}
        for node in walk(*self.roots):
            if node not in self.changing or isinstance(node, Variable):
                continue
            if isinstance(node, Contraction):
                done[node] = self.contraction(node, done)
            elif isinstance(node, Combination):
                done[node] = self.combination(node, done)
            else:
                done[node] = self.rebuilt(node, tuple(self.child(c, done) for c in node.children))
        roots = [
            done.get(r, r) if r in self.changing else self.taken_out(r, whole=True)
            for r in self.roots
        ]
        return roots, {variable: e for e, variable in self.parts.items()}

    def rebuilt(self, node: Expr, children: tuple[Expr, ...]) -> Expr:
        same = all(a is b for a, b in zip(children, node.children, strict=True))
        return node if same else with_children(node, children)

    def child(self, c: Expr, done: Mapping[Expr, Expr]) -> Expr:
        return done.get(c, c) if c in self.changing else self.taken_out(c)

    # -- what is taken out -----------------------------------------------------------------------

    def taken_out(self, e: Expr, whole: bool = False) -> Expr:
        """A new variable for an expression that does not change, or ``e`` where none is worth it.

        ``whole``: an array is needed in any case, so that structure is no reason to leave it.
        """
        if e in self.parts:
            return self.parts[e]
        if isinstance(e, (Variable, Number, Size)) or not variables_of(e):
            return e
        _, inner = split_scale(e)
        if not whole and not isinstance(e, Contraction) and _is_structured(e):
            return self.rebuilt(e, tuple(self.taken_out(c) for c in e.children))
        if isinstance(inner, Contraction) and not whole:
            if len(inner.operands) == 1 and isinstance(inner.operands[0], Variable):
                legs = inner.legs[0]
                if len(set(legs)) == len(legs) == len(inner.out):
                    return e  # a transpose is a view
            if _is_structured(inner):
                return self.core(inner) if inner is e else e
        variable = self.fresh(e)
        self.parts[e] = variable
        return variable

    def core(self, e: Contraction) -> Expr:
        """A diagonal or a broadcast with its entries taken out: ``diag(A*y)`` as ``diag(h)``."""
        carried = {i for legs in e.legs for i in legs}
        kept = tuple(dict.fromkeys(i for i in e.out if i in carried))
        inside = contract(list(zip(e.operands, e.legs, strict=True)), kept)
        sizes = {i: e.dims[i] for i in e.out if i not in carried}
        return contract([(self.taken_out(inside), kept)], e.out, sizes)

    def fresh(self, e: Expr) -> Variable:
        k = len(self.parts)
        while f"{self.prefix}{k}" in self.taken:
            k += 1
        name = f"{self.prefix}{k}"
        self.taken.add(name)
        known = frozenset({"sym"}) if e.ndim == 2 and symmetric(e) else frozenset()
        if e.ndim == 2 and e.shape[0] is not e.shape[1]:
            known = frozenset()
        return Variable(name, e.shape, known)

    # -- sums ------------------------------------------------------------------------------------

    def combination(self, node: Combination, done: Mapping[Expr, Expr]) -> Expr:
        """Terms that do not change become one."""
        terms: list[tuple] = []
        fixed: list[tuple] = []
        for c, t in zip(node.coefficients, node.terms, strict=True):
            if t in self.changing:
                terms.append((c, done.get(t, t)))
            elif _is_structured(t):
                terms.append((c, self.taken_out(t)))
            else:
                fixed.append((c, t))
        if len(fixed) == 1:
            terms.append((fixed[0][0], self.taken_out(fixed[0][1])))
        elif fixed:
            terms.append((1, self.taken_out(add(fixed))))
        return add(terms)

    # -- products --------------------------------------------------------------------------------

    def contraction(self, node: Contraction, done: Mapping[Expr, Expr]) -> Expr:
        """Operands that do not change are merged where that pays, then taken out."""
        moving: list[Factor] = []
        fixed: list[Factor] = []
        for e, legs in zip(node.operands, node.legs, strict=True):
            if e in self.changing:
                moving.append((done.get(e, e), legs))
            else:
                fixed.append((e, legs))
        lengths = {i: max(self.size(d), 1) for i, d in enumerate(node.dims)}
        while len(fixed) > 1 and len(fixed) + len(moving) <= _MOST_OPERANDS:
            found = self.best_group(fixed, moving, node.out, lengths)
            if found is None:
                break
            group, kept = found
            merged = contract([fixed[k] for k in group], kept)
            fixed = [f for k, f in enumerate(fixed) if k not in group] + [(merged, kept)]
        factors = list(moving)
        for k, (e, legs) in enumerate(fixed):
            others = [g for _, g in (*moving, *fixed[:k], *fixed[k + 1 :])]
            factors.append((self.operand(e, legs, others, node.out), legs))
        carried = {i for _, legs in factors for i in legs}
        sizes = {i: node.dims[i] for i in node.out if i not in carried}
        return contract(factors, node.out, sizes)

    def operand(
        self, e: Expr, legs: tuple[int, ...], others: list[tuple[int, ...]], out: tuple[int, ...]
    ) -> Expr:
        solves = any(i in g and i not in out for i in legs for g in others)
        if _is_inverse(e) and solves and not self.inverses:
            # It multiplies something that changes: a solve, which needs the matrix.
            return self.rebuilt(e, tuple(self.taken_out(c) for c in e.children))
        return self.taken_out(e)

    def best_group(
        self,
        fixed: list[Factor],
        moving: list[Factor],
        out: tuple[int, ...],
        lengths: Mapping[int, int],
    ) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        """Two or three operands to merge and the labels left, where that saves most."""
        now = _cost([legs for _, legs in (*moving, *fixed) if legs], out, lengths)
        best, most = None, 0.0
        places = [k for k, (_, legs) in enumerate(fixed) if legs]
        for group in (*combinations(places, 2), *combinations(places, 3)):
            inside = [fixed[k] for k in group]
            if not self.may_merge(inside):
                continue
            rest = [g for k, (_, g) in enumerate(fixed) if k not in group]
            rest += [g for _, g in moving]
            elsewhere = {x for g in rest for x in g} | set(out)
            labels = dict.fromkeys(x for _, g in inside for x in g)
            kept = tuple(x for x in labels if x in elsewhere)
            if any(set(g).issubset(kept) and set(g) != set(labels) for _, g in inside):
                continue  # it takes no part in a sum: the result would be a second copy of it
            if _entries(kept, lengths) > sum(_entries(g, lengths) for _, g in inside):
                continue
            after = _cost([g for g in (*rest, kept) if g], out, lengths)
            once = _cost([g for _, g in inside], kept, lengths)
            gain = self.repetitions * (now - after) - once
            if gain > most:
                best, most = (group, kept), gain
        return best

    def may_merge(self, group: list[Factor]) -> bool:
        """Whether the operands are connected, and none is an inverse that should stay a solve."""
        for k, (_, legs) in enumerate(group):
            others = {x for j, (_, g) in enumerate(group) if j != k for x in g}
            if others.isdisjoint(legs):
                return False
        inverse = [_is_inverse(e) for e, _ in group]
        return self.inverses or not any(inverse) or (len(group) == 2 and not all(inverse))

    def size(self, d: Dim) -> int:
        known = {s: self.sizes.get(s, TYPICAL_SIZE) for s in d.symbols()}
        return d.evaluate(known)


def _cost(legs: list[tuple[int, ...]], out: tuple[int, ...], lengths: Mapping[int, int]) -> float:
    """Multiplications of a contraction in the best order (in a good one for many operands)."""
    pieces = [frozenset(g) for g in legs]
    if len(pieces) < 2:
        return float(sum(_entries(g, lengths) for g in legs))
    total = 0.0
    while len(pieces) > _MOST_ORDERED:
        # The pair of least cost first, until every order can be tried.
        costs = {
            (a, b): _entries(pieces[a] | pieces[b], lengths)
            for a, b in combinations(range(len(pieces)), 2)
        }
        a, b = min(costs, key=costs.__getitem__)
        total += costs[a, b]
        rest = [p for k, p in enumerate(pieces) if k not in (a, b)]
        pieces = [*rest, (pieces[a] | pieces[b]) & frozenset(out).union(*rest)]
    # Dynamic programming over subsets, as bits.
    everything = (1 << len(pieces)) - 1
    kept: dict[int, frozenset[int]] = {}
    best: dict[int, float] = {}
    for subset in range(1, everything + 1):
        inside = [p for k, p in enumerate(pieces) if subset >> k & 1]
        outside = [p for k, p in enumerate(pieces) if not subset >> k & 1]
        kept[subset] = frozenset().union(*inside) & frozenset(out).union(*outside)
        if len(inside) == 1:
            best[subset] = 0.0
            continue
        best[subset] = float("inf")
        part = (subset - 1) & subset
        while part:
            other = subset ^ part
            if part < other:
                joined = _entries(kept[part] | kept[other], lengths)
                best[subset] = min(best[subset], best[part] + best[other] + joined)
            part = (part - 1) & subset
    return total + best[everything]


def _entries(legs: Iterable[int], lengths: Mapping[int, int]) -> int:
    return prod(lengths[i] for i in set(legs))


def _is_inverse(e: Expr) -> bool:
    return isinstance(e, Operation) and e.row.name == "inv" and e.ndim == 2


def _is_structured(e: Expr) -> bool:
    """Whether all of ``e`` is a diagonal, a broadcast, or a sum of such."""
    if isinstance(e, Contraction):
        carried = {i for legs in e.legs for i in legs}
        return len(set(e.out)) < len(e.out) or not carried.issuperset(e.out)
    if isinstance(e, Combination):
        return bool(e.terms) and all(_is_structured(t) for t in e.terms)
    return False
