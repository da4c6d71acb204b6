"""Work on an array block by block: one after the other from a disk, or where dask holds them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np

from tensorcalculus.fit.data.chunked import Block, Chunked

Prepare = Callable[[Any, Block, Any], Any]
"""From the numbers of a block, where it lies, and what is known of it, to an object that answers
questions."""


class Blocks(Protocol):
    """The blocks of an array, each as an object that answers questions."""

    places: list[Block]
    """Where the blocks lie, a slice for each mode."""

    def ask(
        self, question: Callable[..., Any], arguments: Sequence[Sequence[Any]]
    ) -> Iterable[Any]:
        """``question(object, *arguments of the block)`` for each block, in their order."""
        ...


def blocks_of(
    array: Chunked, prepare: Prepare, beside: Callable[[Block], Any] = lambda where: None
) -> Blocks:
    """The blocks of an array.

    Parameters
    ----------
    array
        Where the numbers come from.
    prepare
        Called for each block; a function that other processes can load.
    beside
        Called here, for what `prepare` is to know of a block, such as its part of a mask.
    """
    of_dask = type(array.source).__module__.startswith("dask")
    return _Kept(array, prepare, beside) if of_dask else _Read(array, prepare, beside)


class _Read:
    """Blocks that are read and prepared anew for each question: one is in memory at a time."""

    def __init__(self, array: Chunked, prepare: Prepare, beside: Callable[[Block], Any]) -> None:
        self._array, self._prepare, self._beside = array, prepare, beside
        self.places = array.grid()

    def ask(
        self, question: Callable[..., Any], arguments: Sequence[Sequence[Any]]
    ) -> Iterable[Any]:
        for (where, values), more in zip(self._array.blocks(), arguments, strict=True):
            yield question(self._prepare(values, where, self._beside(where)), *more)


class _Kept:
    """Chunks of dask, prepared once; the scheduler keeps them, and makes them again when a worker
    is lost.
    """

    def __init__(self, array: Chunked, prepare: Prepare, beside: Callable[[Block], Any]) -> None:
        from dask.base import compute, persist
        from dask.delayed import delayed

        self._compute = compute
        self._answer = delayed(_answer, pure=False)
        chunks = array.source.to_delayed()
        prepared = delayed(prepare, pure=False)
        self.places = [
            tuple(slice(e[i], e[i + 1]) for e, i in zip(array.edges, index, strict=True))
            for index in np.ndindex(chunks.shape)
        ]
        made = zip(np.ndindex(chunks.shape), self.places, strict=True)
        self._held = persist(
            *[prepared(chunks[index], where, beside(where)) for index, where in made]
        )

    def ask(
        self, question: Callable[..., Any], arguments: Sequence[Sequence[Any]]
    ) -> Iterable[Any]:
        tasks = zip(self._held, arguments, strict=True)
        return self._compute(*[self._answer(question, held, *more) for held, more in tasks])


def _answer(question: Callable[..., Any], held: Any, *more: Any) -> Any:
    return question(held, *more)


def rows_in(where: Block, factors: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The rows of factors that a block meets."""
    return [u[part] for u, part in zip(factors, where, strict=True)]
