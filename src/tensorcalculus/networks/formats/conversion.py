"""Formats as networks, and networks with arrays as formats.

Each reader of a structure (:func:`train`, :func:`star`, ...) says for every core of its format
which operand it is and which axes of it are the axes of the core, or what is against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tensorcalculus.errors import InputError
from tensorcalculus.expr.node import Expr
from tensorcalculus.networks.arrays import Array, namespace
from tensorcalculus.networks.environments import bind, network_of
from tensorcalculus.networks.formats.trees import Node
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure

Axes = tuple[int | None, ...]
"""Axes of an operand in the order of a core's; None is an axis of length 1 that it lacks."""
Place = tuple[int, Axes]
"""An operand by its number, and its axes; those left out are summed over."""


class NotThisFormat(InputError):
    """The structure of a network is not that of a format; the text says why."""


def from_network(net: Network | Expr, cores: Mapping[str, Any]) -> Any:
    """The format that a network is, with its arrays: the inverse of ``network()`` of a format.

    Only how cores are joined counts, not their names, their order, or the order of their axes.
    A network can be of several formats; the first that fits is taken of CP, TT, TTMatrix, Ring,
    Tucker, HTucker on the balanced tree.  ``TT.from_network`` and its like take one format only,
    ``HTucker.from_network(net, cores, tree)`` also another tree.

    Parameters
    ----------
    net
        A network, or an expression that is one.
    cores
        Arrays by name, of NumPy, PyTorch or JAX.

    Returns
    -------
    CP, TT, TTMatrix, Ring, Tucker or HTucker
        ``made.to_dense()`` is ``net(**cores)``.

    Raises
    ------
    InputError
        For arrays that do not fit, and where the network is of no format, with the reason for each.

    Examples
    --------
    >>> import numpy as np, tensorcalculus as tc, tensorcalculus.networks as tn
    >>> net = tc.network({"A": "i r", "B": "s j r", "C": "k s"}, output="i j k")
    >>> tn.from_network(net, {"A": np.ones((2, 3)), "B": np.ones((4, 5, 3)), "C": np.ones((6, 4))})
    TT of shape (2, 5, 6), ranks 3, 4: 90 of 60 numbers, float64
      ●─3─●─4─●
      2   5   6
    """
    from tensorcalculus.networks.formats.cp import CP
    from tensorcalculus.networks.formats.htucker import HTucker
    from tensorcalculus.networks.formats.ring import Ring
    from tensorcalculus.networks.formats.tt import TT
    from tensorcalculus.networks.formats.tt_matrix import TTMatrix
    from tensorcalculus.networks.formats.tucker import Tucker

    reasons = []
    for kind in (CP, TT, TTMatrix, Ring, Tucker, HTucker):
        try:
            return kind.from_network(net, cores)
        except NotThisFormat as error:
            reasons.append(str(error))
    raise InputError("the network is none of the formats.\n" + "\n".join(reasons))


def read(
    kind: Any, net: Network | Expr, cores: Mapping[str, Any], fields: Sequence[Any] = ()
) -> list[Array]:
    """The cores of a format, checked and in its order; what ``from_network`` of a class calls."""
    coefficient: Any = 1
    if isinstance(net, Expr):
        coefficient, found = network_of(net)
        if found is None:
            raise NotThisFormat(f"{kind.__name__}: the expression is not a network of variables")
        net = found
    prepared, arrays, _ = bind(net, cores)
    structure = prepared.structure
    names = [c.name for c in net.present]
    try:
        for label in dict.fromkeys(structure.out):
            holders = [k for k, legs in enumerate(structure.legs) for i in legs if i == label]
            if len(holders) != 1 or structure.out.count(label) > 1:
                name = list(net.dims)[label]
                raise NotThisFormat(f"the open leg {name} is not on one axis of one core alone")
        places = kind._places(structure, *fields)
    except NotThisFormat as error:
        told = str(error).format(*names)
        raise NotThisFormat(f"{kind.__name__}: {told}") from None
    made = [_core(arrays[structure.arrays[k]], axes) for k, axes in places]
    if coefficient != 1:
        made[0] = made[0] * float(coefficient)
    return made


def _core(array: Array, axes: Axes) -> Array:
    if axes == tuple(range(array.ndim)):
        return array
    xp = namespace(array)
    kept = [k for k in axes if k is not None]
    rest = [k for k in range(array.ndim) if k not in kept]
    moved = xp.permute_dims(array, (*kept, *rest))
    if rest:
        moved = xp.sum(moved, axis=tuple(range(len(kept), array.ndim)))
    return moved.reshape([1 if k is None else array.shape[k] for k in axes])


# -- structures; `{0}` in a text stands for the name of operand 0 ---------------------------------


def train(s: Structure, modes: int = 1, closed: bool = False) -> list[Place]:
    """A train, or a ring, with ``modes`` open legs a core: labels join neighbours only."""
    holders = _holders(s, modes)
    d = len(holders)
    if d < len(s.legs):
        raise NotThisFormat("there are cores without open legs")
    # The axis of each core on either side.  Of two bonds in a ring of two, the first core has the
    # one that it names last on its right.
    sides: list[list[int | None]] = [[None, None] for _ in range(d)]
    for label, on in reversed(_bonds(s).items()):
        if len(on) == 1:
            continue
        told = " and ".join(f"{{{k}}}" for k in dict.fromkeys(on))
        first, *_, last = sorted(holders.index(k) for k in on)
        neighbours = [(first, last)] * (last == first + 1)
        neighbours += [(last, first)] * (closed and (first, last) == (0, d - 1))
        if not neighbours or len(on) > 2:
            raise NotThisFormat(f"{told} share a label, but are not two neighbours")
        for p, q in neighbours:
            if sides[p][1] is None and sides[q][0] is None:
                axes = [n for k in (p, q) for n, i in enumerate(s.legs[holders[k]]) if i == label]
                sides[p][1], sides[q][0] = axes[-1 if p == q else 0], axes[0 if p == q else 1]
                break
        else:
            raise NotThisFormat(f"{told} share several labels")
    return [
        (holder, (left, *(s.legs[holder].index(i) for i in s.out[k::d]), right))
        for k, (holder, (left, right)) in enumerate(zip(holders, sides, strict=True))
    ]


def hyperedge(s: Structure) -> list[Place]:
    """CP: one label that all factors share."""
    factors = _factors(s)
    labels = {s.legs[k][axes[1]] for k, axes in factors}
    if len(factors) < len(s.legs) or len(labels) > 1:
        raise NotThisFormat("the cores do not all share one label")
    return [*factors]


def star(s: Structure) -> list[Place]:
    """Tucker: a core without open legs, joined with each factor."""
    factors = _factors(s)
    _pairwise(s)
    labels = [s.legs[k][axes[1]] for k, axes in factors]
    centre = [k for k in range(len(s.legs)) if k not in dict(factors)]
    if len(centre) != 1 or sorted(s.legs[centre[0]]) != sorted(labels):
        raise NotThisFormat("there is no core that one label joins with each of the others")
    return [(centre[0], tuple(map(s.legs[centre[0]].index, labels))), *factors]


def tree(s: Structure, nodes: Sequence[Node]) -> list[Place]:
    """Hierarchical Tucker on a tree, whose nodes are given from the root on."""
    factors = _factors(s)
    bonds = _pairwise(s)
    found: dict[int, Place] = {}
    up: dict[int, int] = {}
    axes: tuple[int, ...]
    for number in reversed(range(len(nodes))):
        node = nodes[number]
        if node.children is None:
            k, axes = factors[node.modes[0]]
        else:
            below = [up[child] for child in node.children]
            joined = [k for k, legs in enumerate(s.legs) if set(below) <= set(legs)]
            legs = s.legs[joined[0]] if len(joined) == 1 else ()
            if len(legs) != 3 and (len(legs) != 2 or number):
                told = " and ".join(f"{{{found[child][0]}}}" for child in node.children)
                raise NotThisFormat(f"no core joins {told}, as the tree does")
            (k,) = joined
            above = [i for i in legs if i not in below]
            axes = tuple(map(legs.index, (*below, *above)))
        found[number] = k, axes
        up[number] = s.legs[k][axes[-1]]
    # The root's last axis has length 1: what else is there is summed.
    root, kept = found[0]
    found[0] = root, (*kept[: 1 if len(nodes) == 1 else 2], None)
    if len(found) != len(s.legs) or (len(kept) > 2 and len(bonds[up[0]]) > 1):
        raise NotThisFormat("there are more cores than the tree has nodes")
    return [found[number] for number in range(len(nodes))]


def _bonds(s: Structure) -> dict[int, list[int]]:
    """For each label that is not open the operands that it is on, one for each axis."""
    found: dict[int, list[int]] = {}
    for k, legs in enumerate(s.legs):
        for i in legs:
            if i not in s.out:
                found.setdefault(i, []).append(k)
    return found


def _pairwise(s: Structure) -> dict[int, list[int]]:
    """The same, where no label is on more than two cores, or twice on one."""
    bonds = _bonds(s)
    for on in bonds.values():
        if len(on) > 2 or len(set(on)) < len(on):
            raise NotThisFormat(f"a label of {{{on[0]}}} does not join it with one other core")
    return bonds


def _holders(s: Structure, modes: int) -> list[int]:
    """The operand of each mode ``k``, which has the open legs ``k, k+d, ...``."""
    d, rest = divmod(len(s.out), modes)
    if rest or not d:
        raise NotThisFormat(f"it has {len(s.out)} open legs; a multiple of {modes} is expected")
    holders = []
    for k in range(d):
        found = [j for j, legs in enumerate(s.legs) if set(legs) & set(s.out[k::d])]
        if len(found) > 1 or found[0] in holders:
            raise NotThisFormat(f"the core {{{found[0]}}} does not have the open legs of one mode")
        holders += found
    return holders


def _factors(s: Structure) -> list[tuple[int, tuple[int, int]]]:
    """For each mode the operand, of two axes: the open leg, and another."""
    holders = _holders(s, 1)
    places: list[tuple[int, tuple[int, int]]] = []
    for i, k in zip(s.out, holders, strict=True):
        if len(s.legs[k]) != 2:
            raise NotThisFormat(f"{{{k}}} has {len(s.legs[k])} axes; 2 are expected")
        axis = s.legs[k].index(i)
        places.append((k, (axis, 1 - axis)))
    return places
