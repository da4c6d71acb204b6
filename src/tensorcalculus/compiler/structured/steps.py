"""How a term of a structured matrix is applied: one small product for each of its arrays.

The tensor that a term acts on has labelled axes.  Each array is multiplied in where its labels are,
by a matrix product on views of both; the order is planned once for the sizes at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tensorcalculus.compiler.structured.terms import Form

Array = NDArray[Any]
Labels = tuple[int, ...]
Step = Callable[[Array, Sequence[Array]], Array]

COLUMNS = -1
"""The label of the axis that counts vectors, where a term is applied to several of them."""


def diagonal_view(array: Array, axes: Sequence[int], distinct: Sequence[int]) -> Array:
    """A view of the entries whose indices agree on axes of one label."""
    return np.einsum(array, list(axes), list(distinct))


def schedule(form: Form, many: bool) -> tuple[list[Step], bool]:
    """Steps that apply a term, array after array, the one that leaves least data first."""
    steps: list[Step] = []
    new = False
    state = tuple(dict.fromkeys(form.cols))
    last = (COLUMNS,) if many else ()
    if state != form.cols:
        steps.append(_diagonal_of((*form.cols, *last), (*state, *last)))
    state += last
    carried = {i for labels in form.arrays for i in labels} | set(form.rows) | {COLUMNS}
    gone = tuple(k for k, i in enumerate(state) if i not in carried)
    if gone:
        steps.append(lambda v, arrays: v.sum(axis=gone))
        state, new = tuple(i for i in state if i in carried), True
    waiting = list(range(len(form.arrays)))
    while waiting:
        options = []
        for k in waiting:
            keep = {i for j in waiting if j != k for i in form.arrays[j]} | set(form.rows)
            after = {i for i in (*state, *form.arrays[k]) if i in keep}
            options.append((form.size(after - {COLUMNS}), len(options), k, keep))
        _, _, k, keep = min(options)
        waiting.remove(k)
        step, state = _contracted(form, k, state, keep)
        steps.append(step)
        new = True
    if form.coefficient != 1:
        factor = form.coefficient
        steps.append(lambda v, arrays: v * factor)
        new = True
    rows = tuple(dict.fromkeys(form.rows))
    have = tuple(i for i in (*rows, *last) if i in state)
    if have != state:
        order = tuple(state.index(i) for i in have)
        steps.append(lambda v, arrays: v.transpose(order))
    if len(have) < len(rows) + len(last) or len(rows) < len(form.rows):
        steps.append(_filled(form, rows, have, many))
        new = True
    return steps, new


def _diagonal_of(axes: Labels, distinct: Labels) -> Step:
    # einsum takes no negative labels
    axes, distinct = tuple(i + 1 for i in axes), tuple(i + 1 for i in distinct)
    return lambda v, arrays: diagonal_view(v, axes, distinct)


def _filled(form: Form, rows: Labels, have: Labels, many: bool) -> Step:
    """Values spread along labels that no array carries, and written on diagonals of the rows."""
    shape = form.shape(form.rows)
    last = (COLUMNS,) if many else ()
    axes, distinct = (*form.rows, *last), (*rows, *last)
    places = tuple(slice(None) if i in have else None for i in distinct)
    up, down = tuple(i + 1 for i in axes), tuple(i + 1 for i in distinct)

    def step(v: Array, arrays: Sequence[Array]) -> Array:
        out = np.zeros(shape + v.shape[v.ndim - len(last) :], v.dtype)
        view = diagonal_view(out, up, down) if up != down else out
        view[...] = v[places]
        return out

    return step


def _contracted(form: Form, k: int, state: Labels, keep: set[int]) -> tuple[Step, Labels]:
    """Multiply by one array and sum over the labels that nothing needs any more."""
    legs = form.arrays[k]
    keep = keep | {COLUMNS}
    batch = tuple(i for i in legs if i in state and i in keep)
    summed = tuple(i for i in state if i in legs and i not in keep)
    new = tuple(i for i in legs if i not in state)
    if not summed and not new:
        return _scaled(k, legs, state), state
    order = tuple(legs.index(i) for i in (*batch, *new, *summed))
    turned = order != tuple(range(len(order)))
    n, c = form.size(new), form.size(summed)
    shape = (form.size(batch), n, c) if batch else (n, c)
    flat = any(len(labels) != 1 for labels in ((new, summed, batch) if batch else (new, summed)))

    def matrix(arrays: Sequence[Array]) -> Array:
        a = arrays[k]
        if turned:
            a = a.transpose(order)
        return a.reshape(shape) if flat else a

    def shape_of(labels: Labels) -> tuple[int, ...]:
        return tuple(-1 if i == COLUMNS else form.sizes[i] for i in labels)

    def width(labels: Labels) -> int:
        return -1 if COLUMNS in labels else form.size(labels)

    if batch:
        rest = tuple(i for i in state if i not in batch and i not in summed)
        moved = tuple(state.index(i) for i in (*batch, *summed, *rest))
        packed, after = (shape[0], c, width(rest)), shape_of((*batch, *new, *rest))
        return (
            lambda v, arrays: np.matmul(matrix(arrays), v.transpose(moved).reshape(packed)).reshape(
                after
            ),
            (*batch, *new, *rest),
        )
    first = state.index(summed[0]) if summed else 0
    moved = None
    if state[first : first + len(summed)] != summed:
        rest = tuple(i for i in state if i not in summed)
        moved = tuple(state.index(i) for i in (*summed, *rest))
        state, first = (*summed, *rest), 0
    before, behind = state[:first], state[first + len(summed) :]
    labels = (*before, *new, *behind)
    after = shape_of(labels)
    at_end = bool(before) and not behind
    if at_end:
        packed = (width(before), c)
    elif before:
        packed = (width(before), c, width(behind))
    elif behind:
        packed = (c, width(behind))
    else:
        packed = (c,)

    def run(v: Array, arrays: Sequence[Array]) -> Array:
        if moved is not None:
            v = v.transpose(moved)
        v, a = v.reshape(packed), matrix(arrays)
        return (v @ a.T if at_end else a @ v).reshape(after)

    return run, labels


def _scaled(k: int, legs: Labels, state: Labels) -> Step:
    """An array that only scales: a diagonal, or a scalar."""
    order = tuple(legs.index(i) for i in state if i in legs)
    places = tuple(slice(None) if i in legs else None for i in state)
    return lambda v, arrays: v * np.asarray(arrays[k]).transpose(order)[places]
