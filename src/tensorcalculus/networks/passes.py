"""The functions that run a contraction tree up and down, made once for a structure and sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

from tensorcalculus.compiler.cost import short
from tensorcalculus.compiler.targets import TARGETS, Target
from tensorcalculus.display.html import Html, code, folded
from tensorcalculus.display.rows import Rows
from tensorcalculus.display.source_text import SourceText
from tensorcalculus.errors import InputError
from tensorcalculus.networks.orders import choose
from tensorcalculus.networks.structure import Legs, Structure, placed, taken
from tensorcalculus.networks.sweeps import Array, Writer
from tensorcalculus.networks.tree import Tree, search, sliced

_BYTES = 8


@dataclass(frozen=True, repr=False)
class EnvironmentCost(Rows):
    """What value and gradients cost; a multiplication and an addition count one each.

    ``peak_bytes`` is the most that intermediate arrays and results hold at one time, float64
    entries, arguments not counted; ``moved`` the entries copied into another order of axes.
    """

    flops_forward: float
    flops: float
    peak_bytes: float
    moved: float
    slices: int
    cores: int

    @property
    def ratio(self) -> float:
        """Value and gradients by the value alone."""
        return self.flops / self.flops_forward if self.flops_forward else 1.0

    def __repr__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        slices = f", {self.slices} slices" if self.slices > 1 else ""
        return (
            f"forward {short(self.flops_forward)}flop, with gradients by {cores} "
            f"{short(self.flops)}flop ({self.ratio:.3g} times), {short(self.peak_bytes)}B at most"
            f"{slices}"
        )

    __str__ = __repr__

    def _rows(self) -> list[tuple[str, str]]:
        gradients = f"{short(self.flops)}flop, {self.ratio:.3g} times the value"
        slices = [("slices", str(self.slices))] if self.slices > 1 else []
        return [
            ("value", f"{short(self.flops_forward)}flop"),
            (f"with gradients by {self.cores} cores", gradients),
            ("memory", f"{short(self.peak_bytes)}B at most"),
            *slices,
        ]

    def _title(self) -> str:
        return "Cost of value and gradients"


@dataclass(frozen=True)
class Pass:
    """A function of arrays, its source, and its costs for one slice."""

    function: Callable[..., tuple]
    source: str
    multiplications: int
    moved: int
    peak: int


class Environments(Rows):
    """The passes over one tree: ``cost``, ``source``, ``tree``; made by ``prepare``.

    Its methods take arrays in the order of the cores, checked before.
    """

    def __init__(
        self,
        structure: Structure,
        target: Target,
        wanted: tuple[int, ...],
        memory_limit: float | None,
        effort: int,
    ) -> None:
        self.structure, self.target, self.wanted = structure, target, wanted
        self.reduced = structure.reduced()
        self._passes: dict[tuple, Pass] = {}
        asked = frozenset(wanted)
        self._places = [k for k, a in enumerate(structure.arrays) if a in asked]
        """The operands for which derivatives are computed."""
        found = [structure.arrays[k] for k in self._places]
        self._once = [found.index(a) for a in wanted] if len(found) == len(asked) else None
        """Where the derivative by each core stands among these, if no core has several."""
        self._whole = self.reduced.legs == structure.legs
        """Whether no core has a diagonal, or a label of its own."""
        self.tree, self.layouts = choose(search(self.reduced, effort), bool(wanted))
        if memory_limit is not None:
            self._slice(memory_limit, effort)

    @staticmethod
    def of(
        structure: Structure,
        target: Target,
        wanted: tuple[int, ...],
        memory_limit: float | None,
        effort: int,
    ) -> Environments:
        """The same object for the same arguments."""
        return _environments(structure, target.name, wanted, memory_limit, effort)

    def _slice(self, limit: float, effort: int) -> None:
        whole = self.tree
        largest = max((whole.structure.count(tuple(g)) for g in whole.labels), default=1)
        peak = self._backward.peak
        least = peak
        while peak * _BYTES > limit and largest > 1:
            largest = (largest + 1) // 2
            tree = sliced(self.reduced, effort, largest)
            if tree == self.tree:
                continue
            self.tree, self.layouts = choose([tree], bool(self.wanted))
            self._passes.clear()
            peak = self._backward.peak + self._whole_results()
            least = min(peak, least)
        if peak * _BYTES > limit:
            raise InputError(
                f"memory_limit is {short(limit)}B, and no slicing of this network was found that "
                f"needs less than {short(least * _BYTES)}B; give that much"
            )

    def _whole_results(self) -> int:
        return sum(self.structure.count(g) for g in self.structure.legs)

    @property
    def _backward(self) -> Pass:
        """The pass that gives all derivatives: the gradients of a scalar; of a network with open
        legs, those of its product with an array of its own shape.
        """
        return self._pass("pull" if self.reduced.out and self.wanted else "gradients")

    # -- what users read -------------------------------------------------------------------------

    @property
    def cost(self) -> EnvironmentCost:
        """Operations of the value, and of value and gradients; memory; slices.

        With open legs the gradients are those of a product with an array of the value's shape.
        """
        both, alone, slices = self._backward, self._pass("value"), self.tree.slices
        peak = both.peak + (self._whole_results() if slices > 1 else 0)
        return EnvironmentCost(
            2.0 * alone.multiplications * slices,
            2.0 * both.multiplications * slices,
            float(_BYTES * peak),
            float(both.moved * slices),
            slices,
            len(self.wanted),
        )

    def flops(self, what: str) -> float:
        """Operations of ``"value"``, ``"gradients"``, ``"hvp"`` or ``"gauss_newton"``."""
        moving = tuple(True for _ in self.structure.legs)
        names = {"gauss_newton": "curvature"}
        chosen = moving if what in ("hvp", "gauss_newton") else ()
        found = self._pass(names.get(what, what), chosen)
        return 2.0 * found.multiplications * self.tree.slices

    @property
    def source(self) -> str:
        """The function of the cores, without diagonals, that gives value and gradients."""
        return SourceText(self._backward.source)

    def __repr__(self) -> str:
        return f"<environments of {len(self.structure.legs)} cores: {self.cost}>"

    def _rows(self) -> list[tuple[str, str]]:
        return [("cores", str(len(self.structure.legs))), *self.cost._rows()]

    def _pictures(self) -> list[tuple[str, Html]]:
        return [("source", folded("of value and gradients", code(self.source)))]

    # -- what is run -----------------------------------------------------------------------------

    def value(self, arrays: Sequence[Any]) -> Any:
        """The value, with an axis for each label of the reduced output."""
        (value,), _ = self._run("value", arrays)
        return value

    def value_and_gradients(self, arrays: Sequence[Any]) -> tuple[Any, list[Any]]:
        (value,), gradients = self._run("gradients", arrays, 1)
        return value, gradients

    def hvp(self, arrays: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
        _, products = self._run("hvp", arrays, 0, directions)
        return products

    def gauss_newton(self, arrays: Sequence[Any], directions: Sequence[Any]) -> list[Any]:
        plain = self.reduced.out == self.structure.out
        if plain and self.tree.slices == 1:
            return self._run("curvature", arrays, 0, directions)[1]
        (push,), _ = self._run("tangent", arrays, 1, directions)
        out, whole = self.reduced.out, self.structure.out
        if not plain:
            spread = placed(push, out, whole, self.structure.sizes, self.target)
            push = taken(spread, whole, out, self.target)
        return self._run("pull", arrays, 0, (), (push,))[1]

    def _run(
        self,
        kind: str,
        arrays: Sequence[Any],
        lead: int = 1,
        directions: Sequence[Any] = (),
        seeds: tuple = (),
    ) -> tuple[list[Any], list[Any]]:
        """The first ``lead`` results as they are, the others summed over places of each core."""
        places = self.structure.arrays
        given = [arrays[a] for a in places]
        if not self._whole:
            given = [self._taken(k, a) for k, a in enumerate(given)]
        moving: tuple[bool, ...] = ()
        if directions:
            moving = tuple(directions[a] is not None for a in places)
            given += [self._taken(k, directions[a]) for k, a in enumerate(places) if moving[k]]
        function = self._pass(kind, moving).function
        whole = self.reduced.legs
        sources = [*whole, *(whole[k] for k, there in enumerate(moving) if there)]
        wanted = [] if kind in ("tangent", "value") else self._places
        if self.tree.slices == 1:
            results = function(*given, *seeds)
            first, parts = list(results[:lead]), list(results[lead:])
        else:
            first, parts = [], []
            for index in self._indices():
                cut = [a[_at(g, index)] for a, g in zip(given, sources, strict=True)]
                results = function(*cut, *seeds)
                first = _added(first, results[:lead])
                if not parts:
                    parts = [self._zeros(whole[k], results[lead]) for k in wanted]
                for j, k in enumerate(wanted):
                    parts[j] = _put(parts[j], _at(whole[k], index), results[lead + j])
        return first, self._gathered(wanted, parts)

    def _gathered(self, wanted: Sequence[int], parts: Sequence[Any]) -> list[Any]:
        structure, found = self.structure, {}
        if self._whole and self._once is not None:
            return [parts[k] for k in self._once] if wanted else []
        for k, part in zip(wanted, parts, strict=True):
            legs, pattern = self.reduced.legs[k], structure.legs[k]
            part = placed(part, legs, pattern, structure.sizes, self.target)
            a = structure.arrays[k]
            found[a] = found[a] + part if a in found else part
        return [found[a] for a in self.wanted] if wanted else []

    def _taken(self, k: int, array: Any) -> Any:
        return taken(array, self.structure.legs[k], self.reduced.legs[k], self.target)

    def _zeros(self, legs: Legs, like: Any) -> Any:
        options = {"dtype": like.dtype}
        if self.target.name == "torch":
            options["device"] = like.device
        xp = self.target.namespace()[self.target.module]
        return xp.zeros(tuple(self.structure.sizes[i] for i in legs), **options)

    def _indices(self) -> Iterator[dict[int, int]]:
        labels = self.tree.sliced
        for values in product(*(range(self.structure.sizes[i]) for i in labels)):
            yield dict(zip(labels, values, strict=True))

    # -- what is made ----------------------------------------------------------------------------

    def _pass(self, kind: str, moving: tuple[bool, ...] = ()) -> Pass:
        key = kind, moving
        if key not in self._passes:
            self._passes[key] = self._written(kind, moving)
        return self._passes[key]

    def _written(self, kind: str, moving: tuple[bool, ...]) -> Pass:
        tree = self.tree
        writer = Writer(tree, self.layouts, self.target)
        leaves = writer.given("x")
        legs = tree.structure.legs
        wanted = [a in self.wanted for a in tree.structure.arrays]
        arguments = [a.name for a in leaves]
        results: list[tuple[Array, Legs]] = []
        nodes = writer.up(leaves)
        out = tree.structure.out
        root = len(nodes) - 1
        if kind in ("value", "gradients"):
            results.append((nodes[root], out))
        tangents: list[Array | None] = []
        if moving:
            given = [a if m else None for a, m in zip(writer.given("v"), moving, strict=True)]
            arguments += [a.name for a in given if a is not None]
            tangents = writer.up_tangent(nodes, given)
        seed: Array | None = None
        if kind in ("tangent", "curvature"):
            seed = tangents[root]
            assert seed is not None  # at least one direction is given
            if kind == "tangent":
                results.append((seed, out))
        if kind == "pull":
            seed = Array("s", out, writer.full(out))
            arguments.append("s")
        if kind in ("gradients", "curvature", "pull"):
            found = writer.down(nodes, wanted, seed)
        elif kind == "hvp":
            environments = writer.down(nodes, [True] * len(leaves), None)
            found = writer.down_tangent(nodes, tangents, environments, wanted)
        else:
            found = {}
        for k, asked in enumerate(wanted):
            if asked and found:
                results.append((self._filled(writer, found[k], leaves[k], kind), legs[k]))
        text = writer.source(arguments, results)
        return Pass(
            self._loaded(text),
            text,
            writer.multiplications,
            writer.moved_entries,
            writer.peak(results),
        )

    def _filled(self, writer: Writer, found: Array | None, leaf: Array, kind: str) -> Array:
        """The derivative by an operand alone, which is 1, or one that is zero everywhere."""
        if found is not None:
            return found
        power = "** 0" if kind == "gradients" else "* 0"
        return writer.assigned(f"{leaf.name} {power}", leaf.legs, leaf.shape)

    def _loaded(self, text: str) -> Callable[..., tuple]:
        function = self.target.load(text)
        if self.target.name == "jax":
            import jax

            return jax.jit(function)
        return function


@lru_cache(maxsize=256)
def _environments(
    structure: Structure,
    backend: str,
    wanted: tuple[int, ...],
    memory_limit: float | None,
    effort: int,
) -> Environments:
    return Environments(structure, TARGETS[backend], wanted, memory_limit, effort)


def _at(legs: Legs, index: dict[int, int]) -> tuple:
    return tuple(index.get(i, slice(None)) for i in legs)


def _added(total: list[Any], results: Sequence[Any]) -> list[Any]:
    if not total:
        return list(results)
    return [a + b for a, b in zip(total, results, strict=True)]


def _put(array: Any, at: tuple, part: Any) -> Any:
    """``array[at] += part``, of an array that nobody else has."""
    if hasattr(array, "at"):
        return array.at[at].add(part)  # JAX
    array[at] += part
    return array


__all__ = ["EnvironmentCost", "Environments", "Pass", "Tree"]
