"""Derivatives of truncations: against differences of dense truncated SVDs, at any spectrum."""

import warnings

import jax
import numpy as np
import pytest
from formats_data import LIBRARIES, close, drawn, entries, given_to, numbers

import tensorcalculus.networks as tn
from tensorcalculus.errors import GaugeWarning, InputError, ShapeError

if "torch" in LIBRARIES:
    import torch


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", GaugeWarning)
        yield


def truncated(a: np.ndarray, ranks) -> np.ndarray:
    """Unfoldings cut off by SVDs, from the last one to the first."""
    for k in range(a.ndim - 1, 0, -1):
        u, s, vh = np.linalg.svd(a.reshape(np.prod(a.shape[:k]), -1), full_matrices=False)
        r = ranks[k]
        a = ((u[:, :r] * s[:r]) @ vh[:r]).reshape(a.shape)
    return a


def truncated_modes(a: np.ndarray, ranks) -> np.ndarray:
    """The same for the unfoldings of single modes."""
    for k, r in enumerate(ranks):
        moved = np.moveaxis(a, k, 0)
        u = np.linalg.svd(moved.reshape(a.shape[k], -1))[0][:, :r]
        a = np.moveaxis(np.tensordot(u @ u.conj().T, moved, 1), 0, k)
    return a


def value_of(a):
    """A function of entries that is no polynomial of low degree, of any library."""
    weights = np.cos(np.arange(np.prod(a.shape))).reshape(tuple(a.shape))
    if hasattr(a, "detach"):
        weights, complex_numbers = given_to("torch", weights), a.is_complex()
    else:
        complex_numbers = np.iscomplexobj(a)
    linear = a.real + 2 * a.imag if complex_numbers else a
    return (weights * linear).sum() + ((a * a.conj()).real ** 2).sum() / 4


def slope(a: np.ndarray) -> np.ndarray:
    """Its derivative by the entries, ``df = Re <slope, da>``."""
    weights = np.cos(np.arange(a.size)).reshape(a.shape)
    return weights * ((1 + 2j) if np.iscomplexobj(a) else 1) + abs(a) ** 2 * a


def by_cores(cores, whole: np.ndarray) -> list[np.ndarray]:
    """Derivatives by the cores of a train, from that by its entries, by one einsum each."""
    d, made = len(cores), []
    for k in range(d):
        operands = [whole.conj()[None, ..., None], [20, *range(d), 20 + d]]
        for j, core in enumerate(cores):
            if j != k:
                operands += [core, [30 + j, j, 31 + j]]
        # The ends of the whole have a bond of length 1 of their own.
        ends = ([30] if k == 0 else []) + ([30 + d] if k == d - 1 else [])
        if 30 in ends:
            operands[1] = [30, *operands[1][1:]]
        if 30 + d in ends:
            operands[1] = [*operands[1][:-1], 30 + d]
        made.append(np.einsum(*operands, [30 + k, k, 31 + k]).conj())
    return made


def along(function, at: list[np.ndarray], move: list[np.ndarray], step: float = 1e-4) -> float:
    """The derivative in a direction, by differences of fourth order."""

    def f(s):
        return function([x + s * step * e for x, e in zip(at, move, strict=True)])

    return (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * step)


def paired(slopes, move) -> float:
    return float(sum(np.vdot(numbers(g), e).real for g, e in zip(slopes, move, strict=True)))


def random(shape, seed: int, kind: str) -> np.ndarray:
    rng = np.random.default_rng(seed)
    real = rng.standard_normal(shape)
    return real + 1j * rng.standard_normal(shape) if kind == "complex128" else real


def orthonormal(n: int, r: int, seed: int, kind: str) -> np.ndarray:
    return np.linalg.qr(random((n, r), seed, kind))[0]


def with_spectrum(weights, d: int, n: int, kind: str) -> list[np.ndarray]:
    """Cores of a train whose unfoldings all have these singular values."""
    r = len(weights)
    u = [orthonormal(n, r, k, kind) for k in range(d)]
    inner = []
    for k in range(1, d - 1):
        core = np.zeros((r, n, r), u[k].dtype)
        core[np.arange(r), :, np.arange(r)] = u[k].T
        inner.append(core)
    return [(u[0] * weights)[None], *inner, u[-1].T[:, :, None]]


def doubled(cores) -> list[np.ndarray]:
    return list((tn.TT(cores) + tn.TT(cores)).cores)


CASES = {
    "cut": lambda kind: (drawn((3, 4, 2, 3), 4, kind, 1), {"tol": 0.0, "max_rank": 2}),
    "nothing to cut": lambda kind: (drawn((3, 4, 2, 3), 3, kind, 2), {"tol": 0.0}),
    "bonds too large": lambda kind: (drawn((2, 3, 2, 2), 9, kind, 3), {"tol": 0.0}),
    "redundant bonds": lambda kind: (doubled(drawn((3, 4, 3, 3), 2, kind, 4)), {"tol": 1e-10}),
    "redundant and cut": lambda kind: (doubled(drawn((3, 4, 3), 3, kind, 5)), {"max_rank": 2}),
    "equal values": lambda kind: (
        with_spectrum(np.array([2.0, 2, 2, 1, 1, 1]), 4, 6, kind),
        {"max_rank": 3},
    ),
    "equal and zero": lambda kind: (
        with_spectrum(np.array([2.0, 2, 1, 1, 0, 0]), 3, 6, kind),
        {"tol": 1e-9},
    ),
    "matrix": lambda kind: (drawn((4, 5), 4, kind, 6), {"max_rank": 2}),
    "vector": lambda kind: (drawn((4,), 1, kind, 7), {}),
    "lengths of 1": lambda kind: (drawn((1, 4, 1, 3, 1), 3, kind, 8), {"max_rank": 2}),
}


def differences(cores, ranks, seed=0):
    """A direction, and the derivative of the dense truncation in it."""
    kind = str(cores[0].dtype)
    move = [random(core.shape, seed + k, kind) for k, core in enumerate(cores)]
    return move, along(lambda c: value_of(truncated(entries(c), ranks)), cores, move)


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("case", CASES)
def test_rounding(case, kind):
    cores, options = CASES[case](kind)
    rounded, pull = tn.round_vjp(tn.TT(cores), **options)
    close(rounded, truncated(entries(cores), rounded.ranks), scale=10 * rounded.norm())
    slopes = pull(by_cores(rounded.cores, slope(rounded.to_dense())))
    for seed in (0, 50):
        move, expected = differences(cores, rounded.ranks, seed)
        assert paired(slopes, move) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("case", ["cut", "redundant bonds", "equal values", "vector"])
@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_frameworks(library, case, kind):
    cores, options = CASES[case](kind)
    ranks = tn.TT(cores).round(**options).ranks
    move, expected = differences(cores, ranks)

    def f(given):
        return value_of(tn.TT(given).round(**options).to_dense())

    given = [given_to(library, core) for core in cores]
    if library == "torch":
        given = [x.requires_grad_() for x in given]
        slopes = torch.autograd.grad(f(given), given)
        again = torch.func.grad(f)([x.detach() for x in given])
        assert paired(again, move) == pytest.approx(expected, rel=1e-7)
    else:
        # JAX's gradients by complex numbers are conjugate to PyTorch's.
        slopes = [g.conj() for g in jax.grad(f)(given)]
    assert paired(slopes, move) == pytest.approx(expected, rel=1e-7)


def test_traced_by_jax():
    # A redundant train: of the 4 columns that `max_rank` gives each bond, the tolerance keeps 2.
    cores = doubled(drawn((3, 4, 3, 3), 2, "float64", 4))
    move, expected = differences(cores, (1, 2, 2, 2, 1))

    def f(t):
        return value_of(t.round(1e-10, max_rank=4).to_dense())

    given = tn.TT([jax.numpy.asarray(c) for c in cores])
    value, slopes = jax.jit(jax.value_and_grad(f))(given)
    assert float(value) == pytest.approx(value_of(entries(cores)))
    assert paired(slopes.cores, move) == pytest.approx(expected, rel=1e-7)
    many = jax.vmap(lambda s: f(tn.TT([s * given.cores[0], *given.cores[1:]])))
    np.testing.assert_allclose(many(jax.numpy.ones(2)), [float(value)] * 2)


def test_static_ranks():
    a, b = (tn.TT(drawn((3, 4, 5), 3, "float64", k)) for k in range(2))
    s, t = (tn.TT([jax.numpy.asarray(c) for c in x.cores]) for x in (a, b))
    made = jax.jit(lambda t: t.round(max_rank=2))(s)
    assert made.ranks == (1, 2, 2, 1)
    close(made, truncated(numbers(a), made.ranks))
    padded = jax.jit(lambda t: (t + t).round(max_rank=5))(s)
    assert padded.ranks == (1, 3, 5, 1)
    close(padded, 2 * numbers(a))
    # The tolerance acts as it does elsewhere: what it cuts off is 0.
    loose = jax.jit(lambda t: t.round(0.4, max_rank=3))(s)
    close(loose, numbers(a.round(0.4)))
    dot, norm = jax.jit(lambda s, t: (s.dot(t), s.norm()))(s, t)
    assert float(dot) == pytest.approx((numbers(a) * numbers(b)).sum())
    assert float(norm) == pytest.approx(np.linalg.norm(numbers(a)))
    _, change = jax.jvp(lambda t: (t + t).norm(), (s,), (t,))
    moved = along(lambda c: 2 * np.linalg.norm(entries(c)), list(a.cores), list(b.cores))
    assert float(change) == pytest.approx(moved)
    product = jax.jit(lambda s, t: s.multiply(t, max_rank=9))(s, t)
    close(product, numbers(a) * numbers(b))
    dense = jax.jit(lambda a: tn.TT.from_dense(a, max_rank=2))(s.to_dense())
    close(dense, truncated(numbers(a), (1, 2, 2, 1)))
    tucker = jax.jit(lambda a: tn.Tucker.from_dense(a, ranks=(2, 2, 2)))(s.to_dense())
    close(tucker, truncated_modes(numbers(a), (2, 2, 2)))
    for work in (lambda t: t.round(), lambda t: tn.TT.from_dense(t.to_dense())):
        with pytest.raises(InputError, match="max_rank"):
            jax.jit(work)(s)
    with pytest.raises(InputError, match="ranks"):
        jax.jit(lambda t: tn.Tucker.from_dense(t.to_dense()))(s)


DENSE = {
    "train": (lambda a: tn.TT.from_dense(a, max_rank=3), lambda a: truncated(a, (1, 3, 3, 1))),
    "all": (lambda a: tn.TT.from_dense(a, 0.0), lambda a: a),
    "tucker": (
        lambda a: tn.Tucker.from_dense(a, ranks=(3, 2, 3)),
        lambda a: truncated_modes(a, (3, 2, 3)),
    ),
}


@pytest.mark.parametrize("spectrum", ["simple", "equal"])
@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_dense_arrays(library, name, kind, spectrum):
    work, oracle = DENSE[name]
    if spectrum == "simple":
        a = entries(drawn((4, 5, 4), 4, kind, 3))
    else:
        a = entries(with_spectrum(np.array([2.0, 2, 2, 1, 1]), 3, 5, kind))
        if name == "tucker":
            work, oracle = DENSE["train"]
    move = entries(drawn(a.shape, 3, kind, 9))
    expected = along(lambda x: value_of(oracle(x[0])), [a], [move])
    given = given_to(library, a)
    if library == "torch":
        given.requires_grad_()
        (found,) = torch.autograd.grad(value_of(work(given).to_dense()), [given])
    else:
        found = jax.grad(lambda x: value_of(work(x).to_dense()))(given).conj()
    assert paired([found], [move]) == pytest.approx(expected, rel=1e-7)


def tucker_cores(case: str, kind: str) -> tuple[list[np.ndarray], dict]:
    core = random((2, 3, 2), 1, kind)
    factors = [random(shape, 2 + k, kind) for k, shape in enumerate(((6, 2), (5, 3), (2, 2)))]
    if case == "cut":
        return [core, *factors], {"ranks": (1, 2, 2)}
    # Another tensor in the same spaces, so that factors side by side depend on each other.
    mixed = [u @ random((u.shape[1], 2), 7, kind) for u in factors]
    total = tn.Tucker(core, factors) + tn.Tucker(random((2, 2, 2), 8, kind), mixed)
    return list(total.cores), {"tol": 1e-9} if case == "redundant" else {"ranks": (1, 2, 1)}


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("case", ["cut", "redundant", "redundant and cut"])
@pytest.mark.parametrize("library", LIBRARIES[1:])
def test_tucker(library, case, kind):
    cores, options = tucker_cores(case, kind)
    rounded = tn.Tucker(cores[0], cores[1:]).round(**options)
    move = [random(c.shape, 20 + k, kind) for k, c in enumerate(cores)]

    def whole(given):
        return np.einsum("abc,ia,jb,kc->ijk", *given)

    def f(given):
        return value_of(tn.Tucker(given[0], given[1:]).round(**options).to_dense())

    expected = along(lambda x: value_of(truncated_modes(whole(x), rounded.ranks)), cores, move)
    given = [given_to(library, c) for c in cores]
    if library == "torch":
        given = [x.requires_grad_() for x in given]
        slopes = torch.autograd.grad(f(given), given)
        by_norm = torch.autograd.grad(tn.Tucker(given[0], given[1:]).norm(), given)
        change = along(lambda x: np.linalg.norm(whole(x)), cores, move)
        assert paired(by_norm, move) == pytest.approx(change)
    else:
        slopes = [g.conj() for g in jax.grad(f)(given)]
    assert paired(slopes, move) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("kind", ["float64", "complex128"])
@pytest.mark.parametrize("library", [*LIBRARIES[1:-1], pytest.param("jax", marks=pytest.mark.slow)])
def test_other_operations(library, kind):
    # Nothing is cut off, so that the entries are the oracle.
    first, second = drawn((4, 3, 2), 2, kind, 1), drawn((4, 3, 2), 2, kind, 2)
    move = drawn((4, 3, 2), 2, kind, 4)
    second_entries = entries(second)
    s = tn.TT([given_to(library, c) for c in second])
    squares = [random((r, 2, n, t), 3 + n, kind) for r, n, t in [(1, 3, 2), (2, 4, 2), (2, 2, 1)]]
    operator = tn.TTMatrix([given_to(library, c) for c in squares])
    dense_operator = np.asarray(tn.TTMatrix(squares).to_dense())

    for work, oracle, start, direction in [
        (lambda t: t.multiply(s, 1e-12), lambda a: a * second_entries, first, move),
        (lambda t: t.reshape((2, 2, 3, 2)), lambda a: a.reshape(2, 2, 3, 2), first, move),
        (lambda t: t.reshape((12, 2)), lambda a: a.reshape(12, 2), first, move),
        (
            lambda t: operator.apply(t, 1e-12),
            lambda a: (dense_operator @ a.reshape(-1)).reshape(2, 2, 2),
            drawn((3, 4, 2), 2, kind, 5),
            drawn((3, 4, 2), 2, kind, 6),
        ),
        (lambda t: (t + t).norm(), lambda a: 2 * np.linalg.norm(a), first, move),
    ]:

        def f(given, work=work):
            made = work(tn.TT(given))
            return (
                made if hasattr(made, "shape") and made.shape == () else value_of(made.to_dense())
            )

        def exact(cores, oracle=oracle):
            made = oracle(entries(cores))
            return made if np.ndim(made) == 0 else value_of(made)

        given = [given_to(library, core) for core in start]
        if library == "torch":
            given = [x.requires_grad_() for x in given]
            slopes = torch.autograd.grad(f(given), given)
        else:
            slopes = [g.conj() for g in jax.grad(f)(given)]
        expected = along(exact, start, direction)
        assert paired(slopes, direction) == pytest.approx(expected, rel=1e-7)


def test_norm_of_zero_and_of_a_small_difference():
    if "torch" not in LIBRARIES:
        pytest.skip("PyTorch is not installed")
    zero = [torch.zeros(1, 3, 2, dtype=torch.float64), torch.ones(2, 3, 1, dtype=torch.float64)]
    zero = [x.requires_grad_() for x in zero]
    slopes = torch.autograd.grad(tn.TT(zero).norm(), zero)
    assert all(not g.any() for g in slopes)
    cores = drawn((3, 4, 3), 2, "float64", 1)
    small = tn.TT(drawn((3, 4, 3), 1, "float64", 2)) * 1e-6
    near = list((tn.TT(cores) + small).cores)
    given = [torch.from_numpy(c).requires_grad_() for c in near]
    fixed = tn.TT([torch.from_numpy(c) for c in cores])
    slopes = torch.autograd.grad((tn.TT(given) - fixed).norm(), given)
    exact = by_cores(near, numbers(small) / np.linalg.norm(numbers(small)))
    for g, e in zip(slopes, exact, strict=True):
        np.testing.assert_allclose(g.numpy(), e, atol=1e-8 * np.abs(e).max())


def test_small_singular_values_are_kept():
    # Condition 1e10: the derivative of a function of the smallest part alone.
    weights = np.logspace(0, -10, 6)
    cores = with_spectrum(weights, 3, 8, "float64")
    rounded, pull = tn.round_vjp(tn.TT(cores), 1e-12)
    assert rounded.ranks == (1, 6, 6, 1)
    u = [orthonormal(8, 6, k, "float64")[:, -1] for k in range(3)]
    whole = np.einsum("i,j,k->ijk", *u)
    slopes = pull(by_cores(rounded.cores, whole))
    for found, exact in zip(slopes, by_cores(cores, whole), strict=True):
        np.testing.assert_allclose(found, exact, atol=1e-6 * np.abs(exact).max())


# Where there is no derivative


def test_gap_that_closes_at_the_cut():
    cores = with_spectrum(np.array([2.0, 1, 1, 0.5]), 3, 5, "float64")
    rounded, pull = tn.round_vjp(tn.TT(cores), max_rank=2)
    with pytest.warns(GaugeWarning, match="one that is cut off"):
        slopes = pull(by_cores(rounded.cores, slope(rounded.to_dense())))
    assert all(np.isfinite(g).all() for g in slopes)
    # The norm of what is kept has derivatives by the first value, which is not part of the pair.
    top = np.einsum("i,j,k->ijk", *(orthonormal(5, 4, k, "float64")[:, 0] for k in range(3)))
    pull(by_cores(rounded.cores, top))
    if "torch" in LIBRARIES:
        given = [torch.from_numpy(c).requires_grad_() for c in cores]
        value = value_of(tn.TT(given).round(max_rank=2).to_dense())
        with pytest.warns(GaugeWarning, match="one that is cut off"):
            torch.autograd.grad(value, given)
    with pytest.warns(GaugeWarning, match="one that is cut off"):
        jax.grad(lambda c: value_of(tn.TT(c).round(max_rank=2).to_dense()))(
            [jax.numpy.asarray(c) for c in cores]
        )


def test_functions_of_the_basis():
    rounded, pull = tn.round_vjp(tn.TT(drawn((4, 5, 4), 3, "float64", 1)), max_rank=2)
    with pytest.warns(GaugeWarning, match="basis of a bond"):
        pull([np.ones_like(core) for core in rounded.cores])


def test_errors():
    rounded, pull = tn.round_vjp(tn.TT.random((3, 3), 2))
    with pytest.raises(ShapeError, match="cotangents"):
        pull([np.ones((1, 3, 2))])
    with pytest.raises(InputError, match="tol"):
        tn.round_vjp(rounded, -1)
    if "torch" in LIBRARIES:
        a = torch.rand(3, 3, 3, requires_grad=True)
        t = tn.TT([core.requires_grad_() for core in tn.TT.from_dense(a.detach()).cores])
        for work in (
            lambda: t.permute((2, 0, 1)),
            lambda: tn.HTucker.from_dense(a),
            lambda: tn.Ring.from_dense(a),
        ):
            with pytest.raises(InputError, match="no derivative"):
                work()
        with pytest.raises(InputError, match="st-hosvd"):
            tn.Tucker.from_dense(a, method="hooi")
