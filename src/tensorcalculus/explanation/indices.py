"""A derivative by indices: entries, sums and Kronecker deltas, part by part.

The derivative of an entry of ``X`` by another is a product of deltas; a delta takes a sum away.
Deltas are never held in an expression, so the line that shows them is made with a placeholder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tensorcalculus.calculus.sweep import forward, reverse
from tensorcalculus.explanation import rules
from tensorcalculus.explanation.blocks import Block, Line
from tensorcalculus.explanation.differentials import structured
from tensorcalculus.explanation.formulas import Formula, derivative_name, slope_name
from tensorcalculus.explanation.stages import Stage, Stages
from tensorcalculus.expr.combination import add
from tensorcalculus.expr.contraction import contract, symmetric
from tensorcalculus.expr.node import Expr, Variable, variables_of
from tensorcalculus.notation.index_latex import index_latex
from tensorcalculus.notation.indices import entry
from tensorcalculus.simplify.engine import simplify

MATRIX = rules.Rule("in matrix notation")
DELTA = rules.Rule(
    "entries are independent",
    "dX[i,j]/dX[k,l] = delta[i,k]*delta[j,l]",
    r"\partial X_{ij}/\partial X_{kl}=\delta_{ik}\delta_{jl}",
)
REMOVED = rules.Rule(
    "a delta takes a sum away",
    "sum(k: A[i,k]*delta[k,j]) = A[i,j]",
    r"\sum_k A_{ik}\delta_{kj}=A_{ij}",
)
CHAIN = "chain rule through"


def by_indices(stages: Stages, derivatives: Sequence[Expr]) -> tuple[Block, ...]:
    """The steps to the derivatives of the last stage by the variables of the stages."""
    return tuple(_blocks(stages, derivatives))


def _blocks(stages: Stages, derivatives: Sequence[Expr]) -> Iterator[Block]:
    for stage in stages:
        yield _equation(stage.letter.name, stage.value, stages)
    last = stages[-1].letter
    found: dict[Variable, Expr] = {}
    for stage in reversed(stages):
        g = found.get(stage.letter)
        if g is None and stage.letter is not last:
            continue
        for v in stage.inner:
            plain = simplify(reverse(stage.value, [v])[0])
            yield from _local(stages, stage, v, plain)
            if stage.letter is last:
                part = plain
            else:
                assert g is not None
                part = _chained(g, plain, stage.letter, v)
            found[v] = part if v not in found else simplify(add([(1, found[v]), (1, part)]))
            others = [s for s in stages if v in s.inner and found.get(s.letter) is not None]
            if stage.letter is not last and stage is _first_user(stages, v):
                names = ", ".join(s.letter.name for s in reversed(others) if s.letter is not last)
                rule = rules.Rule(f"{CHAIN} {names}")
                yield _equation(last.name, found[v], stages, v, (rule,))
    for v, d in zip(stages.targets, derivatives, strict=True):
        yield from _result(stages, v, found.get(v), d)


def _first_user(stages: Stages, v: Variable) -> Stage | None:
    """The part nearest the variables that holds ``v``, where all contributions have come."""
    return next((s for s in stages if v in s.inner), None)


def _chained(g: Expr, slope: Expr, letter: Variable, v: Variable) -> Expr:
    """``sum(i,j: dF/dZ[..,i,j]*dZ[i,j]/dX[..])``."""
    lead = g.ndim - letter.ndim
    names = tuple(range(lead + letter.ndim + v.ndim))
    head, middle, tail = names[:lead], names[lead : lead + letter.ndim], names[g.ndim :]
    return simplify(contract([(g, head + middle), (slope, middle + tail)], head + tail))


def _local(stages: Stages, stage: Stage, v: Variable, plain: Expr) -> Iterator[Block]:
    """The derivative of one part by one that stands in it, with deltas and without."""
    name = stage.letter.name
    how = tuple(r for r in rules.differentials(stage.value, [v]) if r not in rules.OBVIOUS)
    # In the function alone, what v does directly is all that it does.
    local = stage is not stages[-1] or any(v in s.inner for s in stages[:-1])
    shown = _equation(name, plain, stages, v, how, local=local)
    deltas = _with_deltas(stage.value, v, stages.delta)
    raw = _equation(name, deltas, stages, v, local=local)
    # Deltas inside of what an operation takes as a whole say little.
    plain_sum = f"{stages.delta}[" in raw.right.text and " where " not in raw.right.text
    if plain_sum and "sum(" not in raw.right.text:  # no sum for a delta to take away
        yield Line(shown.left, shown.right, (*shown.rules, DELTA))
    elif plain_sum and raw.right.text != shown.right.text:
        yield Line(raw.left, raw.right, (*shown.rules, DELTA))
        known = [x.name for x in variables_of(stage.value).values() if symmetric(x) and x.ndim > 1]
        also = tuple(rules.Rule(f"{name} is symmetric") for name in known)
        yield Line(shown.left, shown.right, (REMOVED, *also))
    else:
        yield shown


def _with_deltas(value: Expr, v: Variable, delta: str) -> Expr:
    """The derivative of a part with the deltas of ``dX/dX`` still standing."""
    if not v.ndim:
        return reverse(value, [v])[0]
    deltas = [(Variable(delta, (d, d)), (k, v.ndim + k)) for k, d in enumerate(v.shape)]
    seed = contract(deltas, (*range(v.ndim, 2 * v.ndim), *range(v.ndim)))
    pushed = forward(value, {v: seed})
    n = v.ndim
    return contract([(pushed, tuple(range(pushed.ndim)))], (*range(n, pushed.ndim), *range(n)))


def _equation(
    name: str,
    e: Expr,
    stages: Stages,
    v: Variable | None = None,
    how: tuple[rules.Rule, ...] = (),
    *,
    local: bool = False,
) -> Line:
    """An entry of a part, or of its derivative by ``v``, as a line."""
    at, text, latex = _pieces(e, stages)
    n = len(at) - (v.ndim if v is not None else 0)
    left = Formula(_text(name, at[:n]), _latex(name, at[:n]))
    if v is not None:
        below = Formula(_text(v.name, at[n:]), _latex(v.name, at[n:]))
        left = slope_name(left, below, local=local)
    return Line(left, Formula(text, latex), how)


def _pieces(e: Expr, stages: Stages) -> tuple[Sequence[str], str, str]:
    at, body, told = entry(e, stages.taken)
    text = f"{body} where {', '.join(told)}" if told else body
    if stages.delta == "delta":  # a placeholder is called so, and the other deltas another name
        text = text.replace("kronecker[", "delta[")
    return at, text, index_latex(text)


def _text(name: str, at: Sequence[str]) -> str:
    return f"{name}[{','.join(at)}]" if at else name


def _latex(name: str, at: Sequence[str]) -> str:
    return index_latex(_text(name, at))


def _result(stages: Stages, v: Variable, found: Expr | None, derivative: Expr) -> Iterator[Block]:
    """The names filled in, the part in the space of a structured variable, matrix notation."""
    last = stages[-1].letter
    left = derivative_name(last, v)
    if found is None:
        yield Line(left, stages.formula(derivative), (rules.Rule(f"{v.name} does not occur"),))
        return
    whole = stages.whole(found)
    if whole is not found:
        yield _equation(last.name, whole, stages, v, (rules.FILLED_IN,))
    shown = stages.formula(whole)
    if whole.ndim:
        yield Line(left, shown, (MATRIX,))
    yield from structured(stages, left, v, whole, derivative, shown)
