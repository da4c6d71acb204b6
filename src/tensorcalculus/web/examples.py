"""Formulas that the page offers to begin with."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """A formula with the variable that it is derived by."""

    title: str
    formula: str
    wrt: str
    declarations: dict[str, str] = field(default_factory=dict)
    order: int = 1


EXAMPLES = (
    Example("Least squares", "norm2(X*w-y)^2", "w"),
    Example("Logistic regression", "sum(log(1+exp(-y.*(X*w))))", "w"),
    Example("its Hessian", "sum(log(1+exp(-y.*(X*w))))", "w", order=2),
    Example("Quadratic form, symmetric matrix", "x'*S*x", "S", {"S": "n n sym"}),
    Example("Gaussian likelihood", "logdet(S)+(x-u)'*inv(S)*(x-u)", "S", {"S": "n n spd"}),
    Example("Layer of a network", "tanh(A*x+b)", "x"),
    Example("Softmax and cross entropy", "-y'*log_softmax(W*x)", "W"),
    Example("Matrix factorisation", "norm2(T-U*V')^2", "U"),
    Example(
        "CP decomposition",
        "norm2(T-cp(A,B,C))^2",
        "A",
        {"T": "i j k", "A": "i r", "B": "j r", "C": "k r"},
    ),
    Example("Nuclear norm", "sum(svdvals(X))", "X"),
    Example("Determinant", "det(X)", "X", {"X": "n n"}),
    Example("Convolution", "norm2(conv(x,k)-y)^2", "k"),
    Example("Attention", "norm2(softmax(Q*K'/sqrt(d))*V)^2", "V", {"Q": "n d", "K": "m d"}),
    Example("Tensor network", 'einsum("ia,ajb,bk->ijk",A,B,C)', "B"),
)
