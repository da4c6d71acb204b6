"""Contractions in normal form: nested ones merged, copy tensors turned into index patterns.

Building is simplifying here: a network of networks is one network, an identity or a vector of ones
only joins or frees labels, a scalar part splits off, equal factors on equal labels become a power,
and operands and labels get a canonical order.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise
from typing import Any, TypeVar

from tensorcalculus.errors import ShapeError
from tensorcalculus.expr.combination import add, scale, split_scale, zeros
from tensorcalculus.expr.dims import Dim, show_shape, unify
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Scalar,
    Size,
    Variable,
    walk_new,
)

OPERAND_LIMIT = 12
"""Networks are merged up to this many operands; beyond it an inner network stays a unit, so that
repeated squaring and the like grow the expression linearly."""

_folding: ContextVar[bool] = ContextVar("folding", default=False)


@contextmanager
def folding_symmetry() -> Iterator[None]:
    """Within the block the axes of symmetric operands are put into one order.

    Outside, ``S'`` of a symmetric ``S`` stays as written, so that a derivative by all entries
    of ``S`` as if they were independent still knows which is the row.
    """
    token = _folding.set(True)
    try:
        yield
    finally:
        _folding.reset(token)


Factor = tuple[Expr, Sequence[Hashable]]
Labelled = TypeVar("Labelled", bound=tuple[Any, Sequence[int]])


def contract(
    factors: Sequence[Factor],
    out: Sequence[Hashable],
    sizes: Mapping[Any, Dim] | None = None,
) -> Expr:
    """The contraction of ``factors`` over all labels that ``out`` does not name.

    ``factors`` are pairs of an expression and its labels; ``sizes`` gives the dimensions of labels
    that stand on no factor.  A label repeated in ``out`` writes along a diagonal; one that is in
    ``out`` alone is broadcast.
    """
    return _Builder(factors, out, sizes or {}).build()


class _Builder:
    """The state of one construction: a union-find over labels, dimensions, and open factors."""

    def __init__(
        self, factors: Sequence[Factor], out: Sequence[Hashable], sizes: Mapping[Any, Dim]
    ) -> None:
        self.parent: list[int] = []
        self.dims: list[Dim] = []
        self.coefficient: Scalar = 1
        self.zero = False
        names: dict[Hashable, int] = {}
        for name, d in sizes.items():
            names[name] = self.label(d)
        self.open: list[tuple[Expr, tuple[int, ...]]] = []
        for e, legs in factors:
            if len(legs) != len(e.shape):
                raise ShapeError(
                    f"{len(legs)} indices are given for a tensor of shape {show_shape(e.shape)}"
                )
            ids = []
            for name, d in zip(legs, e.shape, strict=True):
                if name in names:
                    self.same_dim(names[name], d)
                else:
                    names[name] = self.label(d)
                ids.append(names[name])
            self.open.append((e, tuple(ids)))
        try:
            self.out = tuple(names[name] for name in out)
        except KeyError as error:
            raise ShapeError(f"the output index {error} stands on no operand") from None

    def label(self, d: Dim) -> int:
        self.parent.append(len(self.parent))
        self.dims.append(d)
        return len(self.parent) - 1

    def same_dim(self, i: int, d: Dim) -> None:
        if self.dims[i] is not d:
            unified = unify(self.dims[i], d)
            if unified is None:
                raise ShapeError(f"dimensions {self.dims[i]} and {d} are joined but differ")
            self.dims[i] = unified

    def find(self, i: int) -> int:
        parent = self.parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(self, i: int, j: int) -> None:
        i, j = self.find(i), self.find(j)
        if i != j:
            self.same_dim(i, self.dims[j])
            self.parent[j] = i

    def resolve(self, legs: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.find(i) for i in legs)

    def build(self) -> Expr:
        self.fold_repeated()
        while True:
            self.flatten()
            if self.zero:
                return zeros(tuple(self.dims[self.find(i)] for i in self.out))
            factors, again = self.collect_powers()
            if not again:
                break
            self.open = factors
        result = self.finish(factors)  # which finds lengths that multiply the coefficient
        return scale(self.coefficient, result)

    def fold_repeated(self) -> None:
        """A network that occurs twice on the same labels is squared, not merged twice."""
        counts: dict[tuple[Expr, tuple[int, ...]], int] = {}
        for factor in self.open:
            counts[factor] = counts.get(factor, 0) + 1
        if len(counts) != len(self.open):
            from tensorcalculus.expr.maps import power

            self.open = [(power(e, k) if k > 1 else e, legs) for (e, legs), k in counts.items()]

    def flatten(self) -> None:
        stack, done = self.open[::-1], []
        while stack:
            e, legs = stack.pop()
            if isinstance(e, Number):
                self.coefficient *= e.value
                self.zero |= e.value == 0
            elif isinstance(e, Combination) and len(e.terms) <= 1:
                if not e.terms:
                    self.zero = True
                    return
                self.coefficient *= e.coefficients[0]
                stack.append((e.terms[0], legs))
            elif isinstance(e, Contraction) and self.merges(e, len(stack) + len(done)):
                inner = [self.label(d) for d in e.dims]
                for mine, theirs in zip(e.out, legs, strict=True):
                    self.join(theirs, inner[mine])
                for operand, places in zip(reversed(e.operands), reversed(e.legs), strict=True):
                    stack.append((operand, tuple(inner[p] for p in places)))
            elif isinstance(e, Contraction) and len(set(e.out)) < len(e.out):
                # Too large to merge, but its diagonals are only labels that are one.
                first = [e.out.index(i) for i in e.out]
                for k, place in enumerate(first):
                    self.join(legs[place], legs[k])
                kept = sorted(set(first))
                done.append((without_ties(e, kept), tuple(legs[k] for k in kept)))
            else:
                done.append((e, legs))
        self.open = done

    def merges(self, e: Contraction, others: int) -> bool:
        if not e.shape:
            return not any(e.legs)  # a product of scalars; scalar networks stay units
        return others + len(e.operands) <= OPERAND_LIMIT

    def collect_powers(self) -> tuple[list[tuple[Expr, tuple[int, ...]]], bool]:
        """Merge equal bases on equal labels; say whether something new can be merged."""
        from tensorcalculus.expr.maps import as_power, power

        keys: dict[tuple[Expr, tuple[int, ...]], list] = {}
        for e, legs in self.open:
            legs = self.resolve(legs)
            base, exponent, guarded = as_power(e)
            keys.setdefault((base, legs), []).append((e, exponent, guarded))
        factors, again = [], False
        for (base, legs), found in keys.items():
            if len(found) == 1:
                factors.append((found[0][0], legs))
                continue
            exponents = [p for _, p, _ in found]
            if any(p.shape for p in exponents):
                from tensorcalculus.expr.maps import fill

                exponents = [p if p.shape else fill(p, base.shape) for p in exponents]
            exponent = add([(1, p) for p in exponents])
            merged = power(base, exponent, guarded=any(g for *_, g in found))
            again |= not (isinstance(merged, Map) and merged.function.name.startswith("pow"))
            factors.append((merged, legs))
        return factors, again

    def finish(self, factors: list[tuple[Expr, tuple[int, ...]]]) -> Expr:
        out = self.resolve(self.out)
        carried = {i for _, legs in factors for i in legs}
        free = {self.find(i) for i in range(len(self.parent))} - carried - set(out)
        scalars = [e for e, legs in factors if not legs]
        tensors = [(e, legs) for e, legs in factors if legs]
        split = False
        for i in sorted(free):
            value = self.dims[i].value
            if value is not None:
                self.coefficient *= value
            else:
                scalars.append(Size(self.dims[i]))
                split = True
        groups = connected(tensors)
        if len(groups) + len(scalars) > 1 or out:
            tensors = []
            for labels, group in groups:
                if labels.isdisjoint(out):
                    scalars.append(self.node(group, ()))
                    split = True
                else:
                    tensors.extend(group)
        if split:
            product = contract([(e, ()) for e in scalars], ())
            c, product = split_scale(product)
            self.coefficient *= c
            if isinstance(product, Contraction) and not any(product.legs):
                scalars = list(product.operands)
            else:
                scalars = [] if isinstance(product, Number) else [product]
        if self.coefficient == 0:
            return zeros(tuple(self.dims[i] for i in out))
        return self.node([*((e, ()) for e in scalars), *tensors], out)

    def node(self, factors: list[tuple[Expr, tuple[int, ...]]], out: tuple[int, ...]) -> Expr:
        if len(factors) == 1:
            e, legs = factors[0]
            if legs == out and len(set(out)) == len(out):
                return e
            turned = len(out) == 2 and legs == out[::-1] and out[0] != out[1]
            if turned and _folding.get() and symmetric(e):
                return e
        elif not factors and not out:
            return Number(1)
        operands, legs, out, labels = _canonical(factors, out)
        return Contraction(operands, legs, out, tuple(self.dims[i] for i in labels))


def without_ties(e: Contraction, axes: Sequence[int]) -> Expr:
    """The contraction with only these of its axes."""
    pairs = list(zip(e.operands, e.legs, strict=True))
    return contract(pairs, [e.out[k] for k in axes], dict(enumerate(e.dims)))


def connected(
    factors: Sequence[Labelled], apart: Collection[int] = ()
) -> list[tuple[set[int], list[Labelled]]]:
    """Factors grouped by the labels that they share, with these; labels ``apart`` do not join."""
    groups: list[tuple[set[int], list[Labelled]]] = []
    for factor in factors:
        labels, members, rest = {i for i in factor[1] if i not in apart}, [factor], []
        for other_labels, others in groups:
            if labels.isdisjoint(other_labels):
                rest.append((other_labels, others))
            else:
                labels |= other_labels
                members = others + members
        groups = [*rest, (labels, members)]
    return groups


def parts(e: Contraction) -> list[tuple[list[Factor], tuple[int, ...]]]:
    """Connected parts of a network without its scalars, and the places of ``out`` they fill."""
    groups = connected([(o, g) for o, g in zip(e.operands, e.legs, strict=True) if g])
    carried = {i for legs in e.legs for i in legs}
    alone = [({i}, []) for i in dict.fromkeys(e.out) if i not in carried]
    return [
        (list(members), tuple(p for p, i in enumerate(e.out) if i in labels))
        for labels, members in [*groups, *alone]
    ]


def _canonical(
    factors: list[tuple[Expr, tuple[int, ...]]], out: tuple[int, ...]
) -> tuple[tuple[Expr, ...], tuple[tuple[int, ...], ...], tuple[int, ...], list[int]]:
    """Operands sorted, labels numbered by ``out`` first and then by the sorted operands."""
    factors = sorted(factors, key=lambda f: f[0].order_key)
    folding = _folding.get()
    flexible = [folding and len(legs) > 1 and symmetric(e) for e, legs in factors]
    repeated = any(a[0] is b[0] for a, b in pairwise(factors))
    color: dict[int, int] = {}
    if repeated or any(flexible):
        factors, flexible, color = _refine(factors, flexible, out)
    for _ in range(2 if repeated or any(flexible) else 1):
        numbers: dict[int, int] = {}
        for i in out:
            numbers.setdefault(i, len(numbers))
        for (_, legs), free in zip(factors, flexible, strict=True):
            if free:
                unknown = len(numbers)
                ordered = sorted(legs, key=lambda i: (numbers.get(i, unknown), color[i]))
            else:
                ordered = legs
            for i in ordered:
                numbers.setdefault(i, len(numbers))
        if repeated:
            ranked = sorted(
                zip(factors, flexible, strict=True),
                key=lambda f: (
                    f[0][0].order_key,
                    sorted(numbers[i] for i in f[0][1]) if f[1] else [numbers[i] for i in f[0][1]],
                ),
            )
            factors, flexible = [f for f, _ in ranked], [free for _, free in ranked]
    legs = tuple(
        tuple(sorted(numbers[i] for i in legs)) if free else tuple(numbers[i] for i in legs)
        for (_, legs), free in zip(factors, flexible, strict=True)
    )
    return tuple(e for e, _ in factors), legs, tuple(numbers[i] for i in out), list(numbers)


def _refine(
    factors: list[tuple[Expr, tuple[int, ...]]], flexible: list[bool], out: tuple[int, ...]
) -> tuple[list[tuple[Expr, tuple[int, ...]]], list[bool], dict[int, int]]:
    """Order equal operands by their place in the network (colour refinement)."""
    labels = {i for _, legs in factors for i in legs} | set(out)
    color: dict[int, int] = {}
    seed = {i: tuple(p for p, j in enumerate(out) if j == i) for i in labels}
    ranks = {v: r for r, v in enumerate(sorted(set(seed.values())))}
    color = {i: ranks[seed[i]] for i in labels}
    keys: list[tuple] = []
    for _ in range(len(factors) + 2):
        keys = [
            (
                e.order_key,
                tuple(sorted(color[i] for i in legs) if free else [color[i] for i in legs]),
            )
            for (e, legs), free in zip(factors, flexible, strict=True)
        ]
        order = {k: r for r, k in enumerate(sorted(set(keys)))}
        views: dict[int, list] = {i: [] for i in labels}
        for ((_, legs), free), key in zip(zip(factors, flexible, strict=True), keys, strict=True):
            for place, i in enumerate(legs):
                views[i].append((order[key], 0 if free else place))
        seen = {i: (color[i], tuple(sorted(views[i]))) for i in labels}
        finer = {v: r for r, v in enumerate(sorted(set(seen.values())))}
        settled = len(finer) == len(set(color.values()))
        color = {i: finer[seen[i]] for i in labels}
        if settled:
            break
    ranked = sorted(range(len(factors)), key=lambda k: keys[k])
    return [factors[k] for k in ranked], [flexible[k] for k in ranked], color


def symmetric(e: Expr) -> bool:
    """Whether ``e`` is known to be unchanged by any permutation of its axes."""
    if len(e.shape) < 2:
        return len(e.shape) == 0
    if isinstance(e, Variable):
        return not e.properties.isdisjoint(("sym", "spd", "diag"))
    if "symmetric" not in e.memo:
        with folding_symmetry():
            for node in walk_new(e, "symmetric"):
                node.memo["symmetric"] = len(node.shape) >= 2 and _symmetric(node)
    return e.memo["symmetric"]


def _symmetric(e: Expr) -> bool:
    if isinstance(e, Variable):
        return symmetric(e)
    if isinstance(e, Map):
        return all(not a.shape or symmetric(a) for a in e.args)
    if len(e.shape) != 2 or e.shape[0] is not e.shape[1]:
        return False
    if isinstance(e, Contraction):
        if is_permutation(e) is not None:
            return symmetric(e.operands[0])
        pairs = list(zip(e.operands, e.legs, strict=True))
        first, second = _canonical(pairs, e.out), _canonical(pairs, e.out[::-1])
        dims = [[e.dims[i] for i in labels] for *_, labels in (first, second)]
        return first[:3] == second[:3] and dims[0] == dims[1]
    if isinstance(e, Combination):
        pairs = dict(zip(e.terms, e.coefficients, strict=True))
        return all(
            symmetric(t) or pairs.get(contract([(t, (0, 1))], (1, 0))) == c
            for t, c in pairs.items()
        )
    return bool(getattr(e, "row", None) and e.row.symmetric(e))  # type: ignore[attr-defined]


def is_permutation(e: Expr) -> tuple[int, ...] | None:
    """The axes of the operand in the order of the result, where ``e`` only permutes axes."""
    if isinstance(e, Contraction) and len(e.operands) == 1 and is_plain(e):
        legs = e.legs[0]
        if len(legs) == len(e.out) == len(set(legs)):
            return tuple(legs.index(i) for i in e.out)
    return None


def is_plain(e: Contraction) -> bool:
    """Whether no label of the output is repeated or broadcast."""
    carried = {i for legs in e.legs for i in legs}
    return len(set(e.out)) == len(e.out) and carried.issuperset(e.out)
