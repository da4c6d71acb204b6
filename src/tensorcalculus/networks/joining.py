"""Networks joined along their open legs."""

from __future__ import annotations

from itertools import count

from tensorcalculus.errors import InputError, ShapeError
from tensorcalculus.expr.dims import unify
from tensorcalculus.networks.network import Core, Network, same_axes


def inner(first: Network, second: Network) -> Network:
    """The scalar product of two networks with outputs of one length: a network without output.

    Axes of the outputs are joined in order, all other labels of the second are renamed.  Cores of
    one name are the same array: ``inner(a, a)`` is the squared norm with every core twice.

    >>> import tensorcalculus as tc
    >>> from tensorcalculus.networks import inner, tt
    >>> inner(tt(2), tt(2, name="H"))
    G1(i1 r1) G2(r1 i2) H1(i1 r1_) H2(r1_ i2) -> ()
    """
    if len(first.output) != len(second.output):
        raise ShapeError(
            f"the networks have {len(first.output)} and {len(second.output)} open legs "
            f"({' '.join(first.output)}; {' '.join(second.output)}); expected as many"
        )
    for net in (first, second):
        if len(set(net.output)) < len(net.output):
            raise InputError("a label stands twice in the output; give networks without diagonals")
    names = dict(zip(second.output, first.output, strict=True))
    taken = set(first.dims)
    for label in second.dims:
        if label not in names:
            fresh = (label + "_" * k for k in count())
            names[label] = next(i for i in fresh if i not in taken)
            taken.add(names[label])
    moved = [Core(c.name, tuple(names[i] for i in c.legs), c.deleted) for c in second.cores]
    dims = first.declared()
    for old, d in second.declared().items():
        new = names[old]
        joined = unify(dims[new], d) if new in dims else d
        if joined is None:
            raise ShapeError(
                f"the open legs {new} and {old} have sizes {dims[new]} and {d}; expected equal ones"
            )
        dims[new] = joined
    cores = (*first.cores, *moved)
    return Network(cores, (), same_axes(cores, dims))
