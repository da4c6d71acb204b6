"""Orders of axes over a contraction tree: the best of all combinations, and right in any case."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracle import arrays

import tensorcalculus as tc
from tensorcalculus.networks import inner, peps, prepare, value_and_gradients
from tensorcalculus.networks.orders import Orders, choose
from tensorcalculus.networks.structure import Structure
from tensorcalculus.networks.timing import PACKED
from tensorcalculus.networks.tree import search


def grid() -> Structure:
    net = peps(3, 3, n=2, bond=3)
    net = inner(net, net.renamed(lambda name: f"S{name}"))
    return prepare(net, arrays(net)).reduced


@pytest.mark.parametrize("both", [False, True])
def test_combinations_equal_those_tried_one_by_one(both: bool):
    tree = search(grid())[0]
    orders = Orders(tree, both)
    largest = sorted(orders.inner, key=lambda k: -len(orders.layouts[k]))[:5]
    options = [[legs] for legs in orders.layouts]
    for k in largest:
        options[k] = [orders.layouts[k], orders.layouts[k][::-1], orders.layouts[k][1:]
                      + orders.layouts[k][:1]]  # fmt: skip
    least = np.inf
    for chosen in product(*options):
        orders.layouts = list(chosen)
        least = min(least, orders.total())
    orders.combine(options)
    assert_allclose(orders.total(), least, rtol=1e-12)


def test_settling_never_takes_longer_than_it_did():
    trees = search(grid())
    for tree in trees:
        orders = Orders(tree, True)
        before = orders.total()
        orders.descend()
        between = orders.total()
        orders.settle()
        assert orders.total() <= between <= before
        for legs, labels in zip(orders.layouts, tree.labels, strict=True):
            assert frozenset(legs) == labels
    tree, layouts = choose(trees, True)
    chosen = Orders(tree, True)
    chosen.layouts = layouts
    assert chosen.total() < before  # of the last tree, where nothing was chosen


@pytest.mark.parametrize(("m", "n"), [(40, 30), (30, 40)])
def test_stacks_that_both_end_in_what_is_summed(m: int, n: int):
    """The smaller stack is copied with its matrices transposed, which counts as memory."""
    layers, k = 20, 50
    assert m * n * k < PACKED
    net = tc.network({"X": "a m k", "Y": "a n k", "Z": "m n"})
    values = arrays(net, {"a": layers, "m": m, "n": n, "k": k})
    value, slopes = value_and_gradients(net, values)
    x, y, z = values.values()
    assert_allclose(value, np.einsum("amk,ank,mn->", x, y, z))
    for name, spec, parts in (
        ("X", "ank,mn->amk", (y, z)), ("Y", "amk,mn->ank", (x, z)), ("Z", "amk,ank->mn", (x, y))
    ):  # fmt: skip
        assert_allclose(slopes[name], np.einsum(spec, *parts), atol=1e-11)
    product = net.derivative("Z")
    given = {name: values[name] for name in "XY"}
    assert_allclose(product(**given), np.einsum("amk,ank->mn", x, y), atol=1e-11)
