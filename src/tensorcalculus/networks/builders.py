"""Networks that people know by name: CP, Tucker, tensor trains, rings, trees, grids, graphs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Sequence
from typing import Any

from tensorcalculus.errors import InputError
from tensorcalculus.expr.dims import DimLike
from tensorcalculus.networks.formats import trees
from tensorcalculus.networks.network import Network, network

Sizes = DimLike | Sequence[DimLike] | None
"""One size for all, one each, or none: symbols named like the labels."""


def cp(order: int, *, n: Sizes = None, rank: DimLike | None = None, name: str = "A") -> Network:
    """The canonical polyadic format, a hyperedge through all factors.

    .. math:: T_{i_1 … i_d} = Σ_r A^1_{i_1 r} … A^d_{i_d r}

    Parameters
    ----------
    order
        How many axes, ``d >= 1``.
    n, rank
        The sizes of the axes (one for all, or one each) and the number of terms.
    name
        The factors are ``A1``, ``A2``, ... of shape ``(n_k, r)``.

    References
    ----------
    T. G. Kolda and B. W. Bader, SIAM Rev. 51 (2009), Sec. 3.

    Examples
    --------
    >>> from tensorcalculus.networks import cp
    >>> cp(3, n=10, rank=4)
    A1(i1 r) A2(i2 r) A3(i3 r) -> i1 i2 i3
    """
    axes = _axes(order)
    cores = {f"{name}{k}": (f"i{k}", "r") for k in axes}
    return network(cores, [f"i{k}" for k in axes], sizes=_sizes(("i", axes, n), ("r", None, rank)))


def tucker(order: int, *, n: Sizes = None, ranks: Sizes = None, name: str = "U") -> Network:
    """The Tucker format: a core ``G`` of shape ``(r_1, ..., r_d)`` and a factor an axis.

    .. math:: T_{i_1 … i_d} = Σ_{r} G_{r_1 … r_d} U^1_{i_1 r_1} … U^d_{i_d r_d}

    References
    ----------
    L. R. Tucker, Psychometrika 31 (1966).

    Examples
    --------
    >>> from tensorcalculus.networks import tucker
    >>> tucker(2)
    G(r1 r2) U1(i1 r1) U2(i2 r2) -> i1 i2
    """
    axes = _axes(order)
    cores = {"G": tuple(f"r{k}" for k in axes)}
    cores |= {f"{name}{k}": (f"i{k}", f"r{k}") for k in axes}
    return network(cores, [f"i{k}" for k in axes], sizes=_sizes(("i", axes, n), ("r", axes, ranks)))


def tt(
    order: int, *, n: Sizes = None, ranks: Sizes = None, name: str = "G", ends: bool = False
) -> Network:
    """A tensor train (matrix product state).

    .. math:: T_{i_1 … i_d} = Σ_r G^1_{i_1 r_1} G^2_{r_1 i_2 r_2} … G^d_{r_{d-1} i_d}

    Parameters
    ----------
    n, ranks
        Sizes of the ``d`` axes and of the ``d-1`` bonds (``d+1`` with ``ends``).
    ends
        Whether the end cores have three axes as well, ``(r_0, n_1, r_1)`` and
        ``(r_{d-1}, n_d, r_d)``, the outer ones of size 1.

    References
    ----------
    I. V. Oseledets, SIAM J. Sci. Comput. 33 (2011).

    Examples
    --------
    >>> from tensorcalculus.networks import tt
    >>> tt(3)
    G1(i1 r1) G2(r1 i2 r2) G3(r2 i3) -> i1 i2 i3
    """
    axes = _axes(order)
    cores = {f"{name}{k}": _bonds("r", k, order, ends, f"i{k}") for k in axes}
    return network(
        cores,
        [f"i{k}" for k in axes],
        sizes=_sizes(("i", axes, n), _chain("r", order, ends, ranks)),
    )


def tt_matrix(
    order: int,
    *,
    n: Sizes = None,
    m: Sizes = None,
    ranks: Sizes = None,
    name: str = "G",
    ends: bool = False,
) -> Network:
    """A matrix as a tensor train (matrix product operator): rows first, then columns.

    .. math:: T_{i_1 … i_d\\, j_1 … j_d} = Σ_r G^1_{i_1 j_1 r_1} G^2_{r_1 i_2 j_2 r_2} …

    Parameters
    ----------
    n, m
        Sizes of the row axes ``i`` and of the column axes ``j``.
    ranks, ends
        As in :func:`tt`.

    References
    ----------
    I. V. Oseledets, SIAM J. Matrix Anal. Appl. 31 (2010).
    """
    axes = _axes(order)
    cores = {f"{name}{k}": _bonds("r", k, order, ends, f"i{k}", f"j{k}") for k in axes}
    return network(
        cores,
        [f"{x}{k}" for x in "ij" for k in axes],
        sizes=_sizes(("i", axes, n), ("j", axes, m), _chain("r", order, ends, ranks)),
    )


def ring(order: int, *, n: Sizes = None, ranks: Sizes = None, name: str = "G") -> Network:
    """A tensor ring: a train whose ends are joined, cores of shape ``(r_{k-1}, n_k, r_k)``.

    .. math:: T_{i_1 … i_d} = \\mathrm{tr}(G^1_{i_1} G^2_{i_2} … G^d_{i_d}), \\quad r_0 = r_d

    References
    ----------
    Q. Zhao et al., Tensor ring decomposition, arXiv:1606.05535 (2016).

    Examples
    --------
    >>> from tensorcalculus.networks import ring
    >>> ring(3)
    G1(r3 i1 r1) G2(r1 i2 r2) G3(r2 i3 r3) -> i1 i2 i3
    """
    axes = _axes(order)
    cores = {f"{name}{k}": (f"r{(k - 2) % order + 1}", f"i{k}", f"r{k}") for k in axes}
    return network(cores, [f"i{k}" for k in axes], sizes=_sizes(("i", axes, n), ("r", axes, ranks)))


def htucker(
    order: int, *, n: Sizes = None, rank: Sizes = None, ends: bool = False, tree: Any = None
) -> Network:
    """The hierarchical Tucker format on a binary tree.

    Leaves ``U_k`` of shape ``(n_k, r)``; each inner node ``B_a_b``, for the axes ``a`` to ``b``, of
    shape ``(r_left, r_right, r)``, the root without the last axis.  Where the axes of a node are
    not in sequence, all stand in its name.

    Parameters
    ----------
    n, rank
        Sizes of the axes, and of the bonds above all nodes but the root, in the order of the cores.
    ends
        Whether the root has a last axis as well, of size 1.
    tree
        Pairs of pairs of axes from 0 on, such as ``((0, 2), 1)``; balanced where nothing is said.

    References
    ----------
    W. Hackbusch and S. Kuehn, J. Fourier Anal. Appl. 15 (2009).  L. Grasedyck, SIAM J. Matrix
    Anal. Appl. 31 (2010).

    Examples
    --------
    >>> from tensorcalculus.networks import htucker
    >>> htucker(3)
    B1_3(r1 r2_3) U1(i1 r1) B2_3(r2 r3 r2_3) U2(i2 r2) U3(i3 r3) -> i1 i2 i3
    """
    axes = _axes(order)
    cores: dict[str, tuple[str, ...]] = {}

    def told(node: trees.Node) -> str:
        listed = [k + 1 for k in node.modes]
        if len(listed) > 1 and listed == [*range(listed[0], listed[-1] + 1)]:
            listed = [listed[0], listed[-1]]
        return "_".join(map(str, listed))

    bonds: list[str] = []
    nodes = trees.nodes(trees.balanced(order) if tree is None else trees.checked(tree, order))
    for node in nodes:
        up = (f"r{told(node)}",) if cores or ends else ()
        bonds += up
        if node.children is None:
            cores[f"U{told(node)}"] = (f"i{told(node)}", *up)
        else:
            sides = (f"r{told(nodes[child])}" for child in node.children)
            cores[f"B{told(node)}"] = (*sides, *up)
    sizes = _sizes(("i", axes, n), ("", bonds[ends:], rank))
    if ends:
        sizes[bonds[0]] = 1
    return network(cores, [f"i{k}" for k in axes], sizes=sizes)


def mps_mpo_sandwich(
    length: int, *, n: Sizes = None, bond: Sizes = None, operator_bond: Sizes = None
) -> Network:
    """The number ``<x|M|y>`` of two trains ``A``, ``B`` and a train matrix ``W`` between them.

    .. math:: Σ \\; Π_k A^k_{a_{k-1} p_k a_k} W^k_{w_{k-1} p_k q_k w_k} B^k_{b_{k-1} q_k b_k}

    Nothing is conjugated.  End cores lack the outer bonds.

    References
    ----------
    U. Schollwoeck, Ann. Phys. 326 (2011), Sec. 5 and 6.
    """
    axes = _axes(length)
    cores: dict[str, tuple[str, ...]] = {}
    for k in axes:
        cores[f"A{k}"] = _bonds("a", k, length, False, f"p{k}")
        cores[f"W{k}"] = _bonds("w", k, length, False, f"p{k}", f"q{k}")
        cores[f"B{k}"] = _bonds("b", k, length, False, f"q{k}")
    sizes = _sizes(
        ("p", axes, n),
        ("q", axes, n),
        _chain("a", length, False, bond),
        _chain("b", length, False, bond),
        _chain("w", length, False, operator_bond),
    )
    return network(cores, sizes=sizes)


def peps(
    rows: int,
    columns: int,
    *,
    n: DimLike | None = None,
    bond: DimLike | None = None,
    name: str = "T",
) -> Network:
    """A projected entangled pair state on a grid with open boundary.

    The core ``T_x_y`` has the legs up, left, physical, down, right, as far as there is a
    neighbour; the output has the physical legs row by row.  Its norm is ``inner`` of two.

    References
    ----------
    F. Verstraete and J. I. Cirac, arXiv:cond-mat/0407066 (2004).

    Examples
    --------
    >>> from tensorcalculus.networks import peps
    >>> peps(1, 2)
    T1_1(p1_1 h1_1) T1_2(h1_1 p1_2) -> p1_1 p1_2
    """
    cores, output = {}, []
    for x in _axes(rows):
        for y in _axes(columns):
            legs = [f"v{x - 1}_{y}"] * (x > 1) + [f"h{x}_{y - 1}"] * (y > 1) + [f"p{x}_{y}"]
            legs += [f"v{x}_{y}"] * (x < rows) + [f"h{x}_{y}"] * (y < columns)
            cores[f"{name}{x}_{y}"] = tuple(legs)
            output.append(f"p{x}_{y}")
    given = {"p": n, "v": bond, "h": bond}
    used = dict.fromkeys(i for legs in cores.values() for i in legs)
    sizes = {i: s for i in used if (s := given[i[0]]) is not None}
    return network(cores, output, sizes=sizes)


def from_networkx(
    graph: Any,
    *,
    open_legs: Collection[Hashable] = (),
    n: DimLike | None = None,
    bond: DimLike | None = None,
    name: Callable[[Any], str] | str = "T",
) -> Network:
    """A network with a core for each node of a graph and a bond for each edge.

    Parameters
    ----------
    graph
        A ``networkx`` graph, also with parallel edges.  An edge from a node to itself is a trace.
        An edge may say its size: ``graph.add_edge(0, 1, size=3)``.
    open_legs
        Nodes that have an open leg as well, of size ``n``, in the order of the output.
    bond
        The size of edges that say none.
    name
        A function from node to name, or a letter before the number of the node in the graph.

    Raises
    ------
    InputError
        If a node of ``open_legs`` is not in the graph, or the graph is directed.

    Examples
    --------
    >>> import networkx
    >>> from tensorcalculus.networks import from_networkx
    >>> from_networkx(networkx.cycle_graph(3), bond=2)
    T0(b0 b1) T1(b0 b2) T2(b1 b2) -> ()
    """
    if graph.is_directed():
        raise InputError("the graph is directed; expected one without directions: "
                         "graph.to_undirected()")  # fmt: skip
    legs: dict[Any, list[str]] = {node: [] for node in graph.nodes}
    sizes: dict[str, DimLike] = {}
    for k, (u, v, data) in enumerate(graph.edges(data=True)):
        legs[u].append(f"b{k}")
        legs[v].append(f"b{k}")
        size = data.get("size", bond)
        if size is not None:
            sizes[f"b{k}"] = size
    output = []
    for k, node in enumerate(open_legs):
        if node not in legs:
            raise InputError(f"open_legs names {node!r}, which is no node of the graph")
        legs[node].append(f"p{k}")
        output.append(f"p{k}")
        if n is not None:
            sizes[f"p{k}"] = n
    numbers = {node: k for k, node in enumerate(legs)}
    named = (lambda node: f"{name}{numbers[node]}") if isinstance(name, str) else name
    return network([(named(v), i) for v, i in legs.items()], output, sizes=sizes)


def _axes(order: int) -> range:
    if isinstance(order, bool) or not hasattr(order, "__index__") or order < 1:
        raise InputError(f"the number of axes is {order!r}; expected an integer of at least 1")
    return range(1, order.__index__() + 1)


def _bonds(letter: str, k: int, order: int, ends: bool, *middle: str) -> tuple[str, ...]:
    left = (f"{letter}{k - 1}",) if k > 1 or ends else ()
    right = (f"{letter}{k}",) if k < order or ends else ()
    return (*left, *middle, *right)


def _chain(letter: str, order: int, ends: bool, given: Sizes) -> tuple[str, range, Sizes]:
    """The bonds of a train; one size for all leaves the outer ones at 1."""
    places = range(order + 1) if ends else range(1, order)
    if ends and given is None:
        return letter, places, [1, *(f"{letter}{k}" for k in range(1, order)), 1]
    if ends and given is not None and (isinstance(given, str) or not isinstance(given, Sequence)):
        return letter, places, [1, *[given] * (order - 1), 1]
    return letter, places, given


def _sizes(*families: tuple[str, Sequence[int | str] | None, Sizes]) -> dict[str, DimLike]:
    """Sizes by label; a family is a letter, the numbers behind it, and what was given."""
    sizes: dict[str, DimLike] = {}
    for letter, places, given in families:
        if given is None:
            continue
        if places is None:
            sizes[letter] = given  # type: ignore[assignment]
            continue
        if isinstance(given, str) or not isinstance(given, Sequence):
            sizes |= dict.fromkeys((f"{letter}{k}" for k in places), given)
            continue
        if len(given) != len(places):
            raise InputError(
                f"{len(given)} sizes are given for the labels {letter}{places[0]} to "
                f"{letter}{places[-1]}; expected {len(places)}, or one for all"
            )
        sizes |= {f"{letter}{k}": size for k, size in zip(places, given, strict=True)}
    return sizes
