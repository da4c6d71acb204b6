"""Large arrays used again: only when nobody holds them, and never with entries of before."""

from __future__ import annotations

import threading

import numpy as np

import tensorcalculus as tc
from tensorcalculus.compiler.store import LARGE, Store


def test_an_array_is_lent_again_when_it_is_free() -> None:
    store = Store()
    first = store.array((3,), float)
    second = store.array((3,), float)
    assert second is not first
    view = first[1:]
    del first
    assert store.array((3,), float) is not second  # a view still shows the first one
    del view, second


def test_what_was_let_go_comes_back() -> None:
    store = Store()
    first = store.array((3,), float)
    place = id(first)
    del first
    again = store.array((3,), float)
    assert id(again) == place
    assert store.array((4,), float).shape == (4,)
    assert store.array((3,), np.float32).dtype == np.float32


def test_threads_are_lent_different_arrays() -> None:
    store, held = Store(), []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        for _ in range(200):
            a = store.array((2,), float)
            a[:] = threading.get_ident()
            assert (a == threading.get_ident()).all()
        held.append(True)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(held) == 4


def test_large_results_of_a_compiled_function() -> None:
    n = int(LARGE**0.5) + 1
    run = tc.compile(tc.parse("x*y'", x="n", y="n"))
    x, y = np.arange(n, dtype=float), np.ones(n)
    first = run(x=x, y=y)
    second = run(x=2 * x, y=y)
    assert "store." in run.source
    np.testing.assert_array_equal(first[:, 0], x)
    np.testing.assert_array_equal(second[:, -1], 2 * x)
    place = first.ctypes.data
    del first
    assert run(x=3 * x, y=y).ctypes.data == place
    # Formulas that are called keep nothing behind.
    assert "store." not in tc.parse("x*y'", x="n", y="n").source
