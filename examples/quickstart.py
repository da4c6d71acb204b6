"""The library in sixty seconds: a formula, its derivatives, a check, the code, numbers.

Run with ``python examples/quickstart.py``.
"""

import numpy as np

import tensorcalculus as tc


def show(what: str, value: object) -> None:
    """One step of the tour."""
    text = str(value)
    print(f">>> {what}")
    print(text if text.endswith("\n") else f"{text}\n")


def main() -> None:
    # A formula as one writes it: * is the matrix product, .* goes entry by entry, ' transposes.
    f = tc.parse("sum(log(1+exp(-y.*(X*w))))", X="m n", y="m", w="n")

    # Its derivatives are formulas again.
    show('f.gradient("w")', f.gradient("w"))
    show('f.hessian("w")', f.hessian("w"))

    # Do not take our word for it: compare with numerical differences on random data.
    show('f.check("w", order=2)', f.check("w", order=2))

    # The same function from Python operators and NumPy functions: equal formulas, equal objects.
    X, y, w = tc.variables(X="m n", y="m", w="n")
    g = np.log(1 + np.exp(-y * (X @ w))).sum()
    show("g is f", g is f)

    # Every expression is NumPy source, and a function of arrays.
    gradient = f.gradient("w")
    show('f.gradient("w").source', gradient.source)
    rng = np.random.default_rng(0)
    data = {"X": rng.standard_normal((5, 3)), "y": np.sign(rng.standard_normal(5))}
    show('f.gradient("w")(X=X, y=y, w=w)', gradient(w=np.zeros(3), **data))

    # A symmetric variable has a symmetric derivative.
    likelihood = tc.parse("logdet(S) + tr(inv(S)*C)", S="n n spd", C="n n sym")
    show('likelihood.gradient("S")', likelihood.gradient("S"))

    # Matrix notation, index notation, LaTeX, einsum: one expression.
    loss = tc.parse("norm2(T-U*V')^2", T="m n", U="m k", V="n k")
    d = loss.gradient("U")
    show('d = loss.gradient("U")', d)
    show("d.to_index()", d.to_index())
    show("d.to_latex()", d.to_latex())
    show("d.to_einsum()", d.to_einsum())


if __name__ == "__main__":
    main()
