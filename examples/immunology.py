"""Hidden cells of two tensors of immunology, and how many components they support.

Signals of 8 types of cells after 13 variants of interleukin-2, at 4 times and 12 doses; 4 % of the
cells are missing.  Antibodies in 438 samples of COVID-19 patients against 6 antigens, by 11
receptors.  TensorLy's gallery fits three non-negative components to the first and two to the second
(Z. C. Tan, M. C. Murphy, H. S. Alpay, S. D. Taylor, A. S. Meyer, Mol. Syst. Biol. 17 (2021) e10243:
an acute response by IgM, IgA and IgG3, and a lasting one by IgG1).

Found: three components explain 93.8 % of the first, 93.3 % of hidden cells; in two of them bivalent
ligands stand beside regulatory T cells, as the gallery says.  Two components explain 74.4 % of the
second at a core consistency of 100; three are degenerate: there may be no best model, though they
predict hidden cells a little better.

Run with ``python examples/immunology.py``; needs the package tensorly (for data).
"""

from __future__ import annotations

import warnings

import numpy as np
import real_data

import tensorcalculus as tc


def imputed(
    x: np.ndarray, rank: int, splits: int, nonnegative: bool, share: float = 0.1
) -> tuple[float, float]:
    """Explained variation of hidden cells in percent, its mean and standard error over splits."""
    values = []
    for seed in range(splits):
        fitted, hidden = real_data.split(np.isfinite(x), share, seed)
        result = tc.gcp(x, rank, mask=fitted, nonnegative=nonnegative, starts=2, progress=False)
        rest = x[hidden] - result.predict(np.argwhere(hidden))
        values.append(100 * (1 - np.sum(rest**2) / np.sum(x[hidden] ** 2)))
    return real_data.mean_error(values)


def interleukin(splits: int) -> dict[int, float]:
    """Explained variation of hidden cells by the number of components."""
    data = real_data.interleukin()
    known = data.seen
    print(f"interleukin-2: {data.values.shape}, {1 - known.mean():.1%} of the cells are missing")
    found = {}
    for rank in (1, 2, 3, 4):
        result = tc.gcp(data.values, rank, mask=known, nonnegative=True, starts=3, progress=False)
        share = 100 * (1 - result.value / np.sum(data.values[known] ** 2))
        found[rank], error = imputed(data.values, rank, splits, True)
        print(
            f"  {rank} components explain {share:.1f} %; of hidden cells"
            f" {found[rank]:.1f} ± {error:.1f} %"
        )
        if rank == 3:
            ligands, cells = np.asarray(result.factors[0]), np.asarray(result.factors[3])
    # In each mode relative to its largest entry, as weights of components are arbitrary.
    ligands, cells = ligands / ligands.max(axis=0), cells / cells.max(axis=0)
    bivalent = np.char.find(data.labels[0], "(Biv)") >= 0
    regulatory = np.char.startswith(data.labels[3], "Treg")
    for r in range(3):
        print(
            f"  component {r} of 3: bivalent {ligands[bivalent, r].mean():.2f}, monovalent"
            f" {ligands[~bivalent, r].mean():.2f}; regulatory T cells"
            f" {cells[regulatory, r].mean():.2f}, others {cells[~regulatory, r].mean():.2f}"
        )
    return found


def serology(splits: int) -> dict[int, float]:
    """Explained variation of hidden cells by the number of components."""
    data = real_data.serology()
    print(f"COVID-19 serology: {data.values.shape}")
    found = {}
    for rank in (1, 2, 3):
        with warnings.catch_warnings():
            # Told below: three components diverge.
            warnings.simplefilter("ignore", tc.DegeneracyWarning)
            result = tc.cp_opt(data.values, rank, progress=False)
        found[rank], error = imputed(data.values, rank, splits, False)
        about = result.diagnosis
        state = (
            "degenerate" if about.degenerate else f"core consistency {about.core_consistency:.0f}"
        )
        print(
            f"  {rank} components explain {100 * result.explained:.1f} %, {state};"
            f" of hidden cells {found[rank]:.1f} ± {error:.1f} %"
        )
        if rank == 2:
            receptors = np.asarray(result.factors[2])
    # Isotypes only: receptors bind several of them.
    isotypes = receptors[:6] / np.abs(receptors[:6]).max(axis=0)
    for r in range(2):
        told = [f"{data.labels[2][i]} {isotypes[i, r]:.2f}" for i in np.argsort(-isotypes[:, r])]
        print(f"  component {r} of 2: {', '.join(told)}")
    return found


def main(splits: int = 3) -> tuple[dict[int, float], dict[int, float]]:
    """Fit both, print, and give back what is explained of hidden cells."""
    return interleukin(splits), serology(splits)


if __name__ == "__main__":
    main()
