"""Operations along the last axis: softmax, logsumexp, product, maximum."""

from __future__ import annotations

from tensorcalculus.errors import ShapeError
from tensorcalculus.expr.contraction import contract
from tensorcalculus.expr.dims import show_shape
from tensorcalculus.expr.node import Expr, Operation, Shape
from tensorcalculus.expr.operations.row import OperationRow, batched, operation, register


def _needs_axis(name: str, keep: int):
    def rule(args: tuple[Expr, ...], params: tuple) -> Shape:
        shape = args[0].shape
        if not shape:
            raise ShapeError(f"{name} takes a vector or a tensor, not a scalar")
        return shape if keep else shape[:-1]

    return rule


def _softmax_differential(node: Operation, tangents) -> Expr:
    # ds = s.*dx - s*(s'dx)
    (dx,) = tangents.values()
    return batched("i,i->i", node, dx) - batched("i,j,j->i", node, node, dx)


def _logsumexp_differential(node: Operation, tangents) -> Expr:
    (dx,) = tangents.values()
    return batched("i,i->", operation("softmax", node.args[0]), dx)


register(
    OperationRow(
        "softmax",
        _needs_axis("softmax", 1),
        "kernels.softmax({0})",
        "any tensor, along the last axis",
        "exp(x)/sum(exp(x)), shifted by the maximum",
        r"\operatorname{{softmax}}({})",
        differential=_softmax_differential,
        nonnegative=True,
        analytic=True,
    )
)
register(
    OperationRow(
        "logsumexp",
        _needs_axis("logsumexp", 0),
        "kernels.logsumexp({0})",
        "any tensor, along the last axis",
        "log(sum(exp(x))), shifted by the maximum",
        r"\operatorname{{logsumexp}}({})",
        differential=_logsumexp_differential,
        analytic=True,
    )
)


def _max_differential(node: Operation, tangents) -> Expr:
    (dx,) = tangents.values()
    return batched("i,i->", operation("argmax_share", node.args[0]), dx)


register(
    OperationRow(
        "max",
        _needs_axis("max", 0),
        "np.max({0}, axis=-1)",
        "any tensor, along the last axis; ties share the derivative",
        "subgradient of least norm: the mean over the maximal entries",
        r"\max({})",
        differential=_max_differential,
    )
)
register(
    OperationRow(
        "argmax_share",
        _needs_axis("argmax_share", 1),
        "kernels.share_max({0}, (-1,))",
        "1/k on the k maximal entries, else 0; derivative 0",
        "piecewise constant",
        r"\operatorname{{argmax}}({})",
        constant=True,
        nonnegative=True,
    )
)


def _prod_except_shape(args: tuple[Expr, ...], params: tuple) -> Shape:
    shape = args[0].shape
    if not shape:
        raise ShapeError("prod takes a vector or a tensor, not a scalar")
    return (*shape[:-1], *[shape[-1]] * params[0])


def _prod_differential(node: Operation, tangents) -> Expr:
    # The product without entry i is the partial derivative by x_i; no division, so zeros are fine.
    (dx,) = tangents.values()
    x, order = node.args[0], node.params[0]
    old = "abcdefgh"[:order]
    wider = operation("prod", x, params=(order + 1,))
    return batched(f"{old}z,z->{old}", wider, dx)


register(
    OperationRow(
        "prod",
        _prod_except_shape,
        "kernels.product_except({0}, {p0})",
        "any tensor, along the last axis, zeros included",
        "prod(x, k): products over all entries but k distinct ones",
        r"\operatorname{{prod}}({})",
        differential=_prod_differential,
        spell=lambda name, args, params: (
            f"prod({args[0]})" if not params[0] else f"prod_except({args[0]},{params[0]})"
        ),
        analytic=True,
    )
)


def over_last_axis(name: str, x: Expr, axis: int | None, params: tuple = ()) -> Expr:
    """Apply a last-axis reduction over ``axis``, or over all entries where it is None."""
    from tensorcalculus.expr.operations.structural import reshape

    if axis is None:
        if x.ndim > 1:
            total = x.shape[0]
            for d in x.shape[1:]:
                total = total * d
            x = reshape(x, (total,))
        return operation(name, x, params=params)
    order = list(range(x.ndim))
    if not -x.ndim <= axis < x.ndim:
        raise ShapeError(f"axis {axis} does not exist in a {show_shape(x.shape)} tensor")
    axis = axis % x.ndim
    moved = contract([(x, order)], [i for i in order if i != axis] + [axis])
    return operation(name, moved, params=params)
