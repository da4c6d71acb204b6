"""Components of a CP tensor that can be merged into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tensorcalculus.errors import InputError


def merged(factors: Sequence[np.ndarray], budget: float) -> list[np.ndarray]:
    """Factors ``[n_k, s]``, ``s <= r``, of a tensor that differs by at most `budget` in norm.

    Components are taken from the largest on.  One is written with the unit vectors u_k of another
    instead of its own v_k in all modes but m, where the two are added.  With v_k replaced by its
    projection on u_k, that changes it by at most its size times the sum of the sines of the angles
    over the modes but m; each component may use up ``budget/r``.
    """
    rank = factors[0].shape[1]
    lengths = np.stack([_lengths(u) for u in factors])  # [d, r]
    if not np.isfinite(lengths).all():
        raise InputError("round: the numbers of a tensor must be finite; NaN or inf was met")
    sizes = lengths.prod(axis=0)
    units = [u / np.where(x > 0, x, 1) for u, x in zip(factors, lengths, strict=True)]
    share = budget / rank
    kept = np.zeros(0)  # sizes, and their unit vectors as columns
    heads = [u[:, :0] for u in units]
    for j in np.argsort(-sizes, kind="stable"):
        if sizes[j] <= share:
            break
        vectors = [u[:, j] for u in units]
        if len(kept):
            along = np.stack([h.conj().T @ v for h, v in zip(heads, vectors, strict=True)])
            parts = zip(heads, vectors, along, strict=True)
            sines = np.stack([_lengths(v[:, None] - h * c) for h, v, c in parts])  # [d, kept]
            lost = sizes[j] * (sines.sum(axis=0) - sines.max(axis=0))
            i = int(lost.argmin())
            if lost[i] <= share:
                m = int(sines[:, i].argmax())
                scale = sizes[j] * np.prod(np.delete(along[:, i], m))
                vector = kept[i] * heads[m][:, i] + scale * vectors[m]
                kept[i] = np.linalg.norm(vector)
                if kept[i] > 0:
                    heads[m][:, i] = vector / kept[i]
                continue
        kept = np.append(kept, sizes[j])
        heads = [np.column_stack([h, v]) for h, v in zip(heads, vectors, strict=True)]
    alive = kept > share
    if not alive.any():
        return [np.zeros((u.shape[0], 1), u.dtype) for u in factors]
    first, *rest = (h[:, alive] for h in heads)
    return [first * kept[alive], *rest]


def _lengths(u: np.ndarray) -> np.ndarray:
    return np.linalg.norm(u, axis=0)
