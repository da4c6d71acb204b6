"""Products of a dense array with factors, against einsum."""

import numpy as np
import pytest
from fit_data import LIBRARIES, dense, drawn, given_to, product
from hypothesis import given
from hypothesis import strategies as st

from tensorcalculus.fit.mttkrp import DenseData, gram_product

SHAPES = [(4, 5), (4, 5, 6), (1, 3, 2), (3, 4, 5, 2), (2, 3, 2, 4, 3), (2,) * 6]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("library", "kind"),
    [(x, k) for x in LIBRARIES for k in ("float64", "float32", "complex128")],
)
def test_products_while_factors_change(shape, library, kind):
    # Any order of modes, some factors renewed in between: nothing stale may be used.
    rng = np.random.default_rng(0)
    x = dense(drawn(shape, 4, 7, kind)).astype(kind)
    exact = 1e-5 if kind == "float32" else 1e-12
    wide = "complex128" if kind == "complex128" else "float64"
    data = DenseData(given_to(library, x))
    data.put_all(drawn(shape, 3, 1, wide))
    for turn in range(3):
        for k in rng.permutation(len(shape)):
            expected = product(x, data.numpy, k)
            found = data.mttkrp(int(k))
            assert isinstance(found, np.ndarray) and found.dtype == wide
            assert np.linalg.norm(found - expected) <= exact * np.linalg.norm(expected)
            if rng.random() < 0.6:
                data.put(int(k), drawn(shape, 3, 10 + turn, wide)[k])


@given(
    shape=st.lists(st.integers(1, 5), min_size=2, max_size=6).map(tuple),
    rank=st.integers(1, 4),
    seed=st.integers(0, 99),
)
def test_products_losses_and_residuals(shape, rank, seed):
    x = np.random.default_rng(seed).standard_normal(shape)
    factors = drawn(shape, rank, seed + 1)
    data = DenseData(x)
    data.put_all(factors)
    model = dense(factors)
    for k in range(len(shape)):
        np.testing.assert_allclose(data.mttkrp(k), product(x, factors, k), atol=1e-10)
    inner = float(np.sum(data.mttkrp(0) * factors[0]))
    model2 = float(gram_product(factors).sum())
    expected = np.linalg.norm(x - model) ** 2
    scale = float(np.linalg.norm(x) ** 2 + np.linalg.norm(model) ** 2)
    loss, cancelled = data.loss(inner, model2)
    assert abs(loss - expected) <= 1e-12 * scale
    assert cancelled == (expected < data.cancels * data.norm2)
    assert data.residual(factors) == pytest.approx(expected, rel=1e-10, abs=1e-26 * scale)


def test_residual_in_many_blocks(monkeypatch: pytest.MonkeyPatch):
    from tensorcalculus.fit import mttkrp

    monkeypatch.setattr(mttkrp, "_BLOCK", 50)
    for shape in [(7, 3, 4), (7, 9), (5, 2, 3, 4)]:
        factors = drawn(shape, 2)
        x = dense(factors) + 1e-9 * np.random.default_rng(0).standard_normal(shape)
        expected = np.linalg.norm(x - dense(factors)) ** 2
        assert DenseData(x).residual(factors) == pytest.approx(expected, rel=1e-6)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch):
    """The groups that are taken out of the whole array, in order."""
    made: list[tuple[int, ...]] = []
    plain = DenseData._without

    def counted(self, group):
        made.append(group)
        return plain(self, group)

    monkeypatch.setattr(DenseData, "_without", counted)
    return made


def swept(shape, sweeps: int) -> None:
    data = DenseData(np.ones(shape))
    data.put_all(drawn(shape, 2))
    for turn in range(sweeps):
        for k in range(len(shape)):
            data.mttkrp(k)
            data.put(k, drawn(shape, 2, turn)[k])


def test_a_sweep_takes_one_and_a_half_products_with_the_array(passes):
    swept((3, 4, 5), 4)
    assert len(passes) == 6


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 5, 6), (2, 3, 4, 5, 2), (2,) * 7])
def test_a_sweep_of_other_orders_takes_two(passes, shape):
    swept(shape, 4)
    assert len(passes) == 8


@pytest.mark.parametrize(
    "shape", [(3, 4), (3, 4, 5), (2, 65, 64), (3, 4, 5, 6), (2,) * 7, (2, 50, 3, 4)]
)
@pytest.mark.parametrize("begun", [False, True])
def test_all_products_at_one_point_take_two(passes, shape, begun):
    x = np.random.default_rng(0).standard_normal(shape)
    data = DenseData(x)
    data.put_all(drawn(shape, 2, 1))
    if begun:
        data.mttkrp(0)
    for _ in range(2):
        for k, found in enumerate(data.mttkrps()):
            np.testing.assert_allclose(found, product(x, data.numpy, k), atol=1e-9)
            np.testing.assert_array_equal(found, data.mttkrp(k))
    assert len(passes) == 2
    # The Khatri-Rao product of all modes but one is never made.
    assert all(len(g) < max(2, len(shape) - 1) for g in data.groups)


def test_layouts_of_memory():
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    factors = drawn(x.shape, 3)
    for given_x in (
        np.asfortranarray(x),
        x[:, ::-1][:, ::-1],
        np.moveaxis(x, 0, 2).transpose(2, 0, 1),
    ):
        data = DenseData(given_x)
        data.put_all(factors)
        np.testing.assert_allclose(data.mttkrp(1), product(x, factors, 1), atol=1e-12)
