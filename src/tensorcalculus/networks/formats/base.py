"""What all formats are: immutable holders of cores, of one library and type, pytrees in JAX."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar, Self

from tensorcalculus.display.html import Html, code, result
from tensorcalculus.expr.node import Expr
from tensorcalculus.networks.arrays import Array, is_complex, namespace, same_type
from tensorcalculus.networks.formats import conversion, storage
from tensorcalculus.networks.network import Network
from tensorcalculus.networks.structure import Structure

_DRAWN = 14
"""Cores up to which notebooks show a drawing of lines; of more, the one of letters."""

_CLASSES: list[type[Format]] = []
_REGISTERED: set[type[Format]] = set()


def register_pytrees() -> None:
    """Tell JAX about the formats, where it is loaded; to import it for that would take a second."""
    if "jax" in sys.modules and len(_REGISTERED) < len(_CLASSES):
        from jax.tree_util import register_pytree_node

        for kind in _CLASSES:
            if kind not in _REGISTERED:
                register_pytree_node(kind, kind._flatten, kind._unflatten)
                _REGISTERED.add(kind)


class Format:
    """A tensor held as cores; objects do not change once made."""

    __slots__ = ("__weakref__", "cores")

    cores: tuple[Array, ...]
    # NumPy's scalars and arrays leave operators to us.
    __array_ufunc__: ClassVar[None] = None
    # Without it Python would try indices 0, 1, 2 … .
    __iter__: ClassVar[None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _CLASSES.append(cls)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Refused: NumPy would hold the object as one entry, and all its entries may not fit."""
        raise TypeError(
            f"a {type(self).__name__} is no array of NumPy; write .to_dense() for all its entries"
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{type(self).__name__} does not change: `{name}` cannot be set; make a new one"
        )

    def _fields(self) -> tuple[Any, ...]:
        """What the format holds besides cores, hashable."""
        return ()

    def _set(self, cores: Sequence[Array], *fields: Any) -> Self:
        object.__setattr__(self, "cores", tuple(cores))
        register_pytrees()
        return self

    @classmethod
    def _made(cls, cores: Sequence[Array], *fields: Any) -> Self:
        """An object of cores that are known to fit, or of what JAX puts in their place."""
        return object.__new__(cls)._set(cores, *fields)

    def _like(self, cores: Sequence[Array]) -> Self:
        """The same kind of object, with the same fields, of other cores."""
        return self._made(cores, *self._fields())

    @classmethod
    def _from_parts(cls, cores: Sequence[Array], fields: Sequence[Any]) -> Self:
        """An object of what a file holds, checked as by the constructor."""
        return cls(cores, *fields)  # type: ignore[call-arg]

    def _flatten(self) -> tuple[tuple[Array, ...], tuple[Any, ...]]:
        return self.cores, self._fields()

    @classmethod
    def _unflatten(cls, fields: tuple[Any, ...], cores: Sequence[Array]) -> Self:
        return cls._made(cores, *fields)

    def network(self, suffix: str = "") -> tuple[Network, dict[str, Array]]:
        """The format as an expression: its network, of numbers as sizes, and its cores by name.

        ``net(**cores)`` has the entries of ``to_dense()``, and derivatives by cores have the shapes
        of the cores.  The network of a matrix has an axis for each mode, rows first.

        Parameters
        ----------
        suffix
            What stands behind each name, so that cores of two formats differ: ``"_"``, ``"2"``.

        Examples
        --------
        >>> import tensorcalculus.networks as tn
        >>> t = tn.TT.random((2, 3, 4), 2)
        >>> (net, cores), (other, given) = t.network(), t.network("_")
        >>> net
        G1(r0 i1 r1) G2(r1 i2 r2) G3(r2 i3 r3) -> i1 i2 i3
        >>> value, slopes = tn.value_and_gradients(tn.inner(net, other), {**cores, **given})
        >>> slopes["G2"].shape, bool(abs(value - t.norm() ** 2) < 1e-12)
        ((2, 3, 2), True)
        """
        net = self._network()
        if suffix:
            net = net.renamed(lambda name: name + suffix)
        return net, dict(zip(net.names, self.cores, strict=True))

    def _network(self) -> Network:
        """The network of which ``cores`` are the arrays in order."""
        raise NotImplementedError

    @classmethod
    def from_network(cls, net: Network | Expr, cores: Mapping[str, Any], *fields: Any) -> Self:
        """The inverse of :meth:`network`, whatever the names of cores and the orders of axes.

        Raises InputError where the network is not of this format, with the reason; see
        :func:`tensorcalculus.networks.from_network`.
        """
        return cls._made(same_type(conversion.read(cls, net, cores, fields), cls.__name__), *fields)

    @classmethod
    def _places(cls, structure: Structure, *fields: Any) -> list[conversion.Place]:
        """For each core its operand and axes in a network, or NotThisFormat."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        title, _, letters = repr(self).partition("\n")
        net = self._network()
        drawn = len(net.cores) <= _DRAWN
        return result(title, Html(net.draw().svg) if drawn else code(dedent(letters)))

    @property
    def dtype(self) -> Any:
        """The type of the numbers, in words of the library that holds them."""
        return self.cores[0].dtype

    @property
    def size(self) -> int:
        """How many numbers are stored."""
        return sum(_count(core.shape) for core in self.cores)

    def astype(self, dtype: Any) -> Self:
        """The same with numbers of another type of its library, such as ``torch.float32``."""
        xp = namespace(self.cores[0])
        return self._like([xp.astype(core, dtype) for core in self.cores])

    @property
    def is_complex(self) -> bool:
        """Whether the numbers are of a complex type."""
        return is_complex(self.cores[0])

    def conj(self) -> Self:
        """The complex conjugate."""
        return self._like([core.conj() for core in self.cores])

    def save(self, path: str | Path) -> Path:
        """Write cores and all else that the format holds to a file; the path that was written.

        Files end in ``.safetensors``, which needs the package of that name, or ``.npz``, which is
        added to any other name.  Neither can hold code.

        Raises
        ------
        InputError
            The ending of a pickle or of one array (``.pt``, ``.pkl``, ``.npy`` …).
        ImportError
            ``safetensors`` is not installed.
        """
        return storage.write(path, type(self).__name__, self.cores, self._fields())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The object of a file that :meth:`save` wrote, in NumPy.

        Raises
        ------
        InputError
            The file is damaged, or holds another format; both are named.
        ShapeError
            Its cores do not fit.
        """
        return cls._from_parts(*storage.read(path, cls.__name__))


def _count(shape: Sequence[int]) -> int:
    total = 1
    for n in shape:
        total *= n
    return total
