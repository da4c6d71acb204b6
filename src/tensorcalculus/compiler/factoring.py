"""Factors that terms of a sum share, taken out where that runs faster.

The differential of a chain of products is a sum of as many chains.  ``A*dB*C*D + A*B*dC*D`` costs
that many chains unless ``A`` and ``D`` are taken out, as back-propagation does.  What readers see
is decided elsewhere (the rule "common factor").  Whether it pays depends on what else the program
shares: both programs are planned, and the one of less estimated time is taken.
"""

from __future__ import annotations

from collections.abc import Mapping

from tensorcalculus.compiler.cost import Cost
from tensorcalculus.compiler.expansion import uses_of
from tensorcalculus.compiler.source import Emitter
from tensorcalculus.compiler.targets import Target
from tensorcalculus.expr.node import Combination, Contraction, Expr, Variable, walk
from tensorcalculus.expr.rebuild import substitute, with_children
from tensorcalculus.simplify.sums import TERM_LIMIT, factored, remainder_order, signatures


def written(
    roots: list[Expr],
    variables: Mapping[str, Variable],
    symbols: list[str],
    sizes: Mapping[str, int],
    target: Target,
    reuse: bool = False,
) -> tuple[str, Cost]:
    """The source for these sizes that runs quickest by the estimates, and what it costs."""
    best: tuple[str, Cost] | None = None
    taken = factors_out(roots)
    ways = [roots] if all(a is b for a, b in zip(roots, taken, strict=True)) else [roots, taken]
    for way in ways:
        emitter = Emitter(way, variables, symbols, sizes, target, reuse)
        text = emitter.source()
        if best is None or emitter.cost.nanoseconds < best[1].nanoseconds:
            best = text, emitter.cost
    assert best is not None
    return best


def factors_out(roots: list[Expr]) -> list[Expr]:
    """The same functions, sums with the factors taken out that stand at the ends of their terms.

    What others need as well is left whole; so is everything where no matrix product would be saved,
    as factors that multiply entry by entry are not worth a second plan.
    """
    uses = uses_of(roots)
    products: list[bool] = []
    done: dict[Expr, Expr] = {}
    for node in list(walk(*roots)):
        children = tuple(done[c] for c in node.children)
        same = all(a is b for a, b in zip(children, node.children, strict=True))
        new = node if same else with_children(node, children)
        if isinstance(node, Combination) and isinstance(new, Combination):
            shared = {done[t] for t in node.terms if uses[t] > 1}
            new = _factors_out(new, shared, products)
        done[node] = new
    return [done[root] for root in roots] if any(products) else roots


def _factors_out(total: Combination, shared: set[Expr], products: list[bool]) -> Expr:
    """One sum, with the factor taken out that most terms share, and so on inside and beside it.

    ``products`` learns of each factor whether it is summed over.
    """
    if not 1 < len(total.terms) <= TERM_LIMIT:
        return total
    groups: dict[tuple, list[tuple[int, int]]] = {}
    for t, term in enumerate(total.terms):
        if isinstance(term, Contraction) and len(term.operands) > 1 and term not in shared:
            for k, signature in signatures(term):
                places = groups.setdefault(signature, [])
                if not places or places[-1][0] != t:
                    places.append((t, k))
    # A factor from the middle of a chain would leave larger arrays.
    ends = {s: at for s, at in groups.items() if remainder_order(total, s[1]) <= total.ndim}
    signature = max(ends, key=lambda s: len(ends[s]), default=None)
    if signature is None or len(ends[signature]) < 2:
        return total
    places = ends[signature]
    products.append(any(place < 0 for place, _ in signature[1]))
    whole, inner = factored(total, places)
    if isinstance(inner, Combination):
        opened = _factors_out(inner, shared, products)
        if opened is not inner:
            whole = substitute(whole, {inner: opened})
    return _factors_out(whole, shared, products) if isinstance(whole, Combination) else whole
