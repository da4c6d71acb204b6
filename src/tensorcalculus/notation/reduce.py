"""Networks of vectors and matrices folded into matrix products, step by step as by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tensorcalculus.expr.dims import Dim
from tensorcalculus.notation.forms import Chain, Form, Forms, Pointwise, Sum, Transposed


@dataclass(slots=True)
class Piece:
    """A form of order 1 or 2 with the labels of its axes."""

    form: Form
    legs: tuple[int, ...]


class Reduction:
    """One network being folded; ``result`` is None where matrix notation has no word for it."""

    def __init__(
        self,
        forms: Forms,
        pieces: list[Piece],
        out: tuple[int, ...],
        size: Callable[[int], Dim],
    ) -> None:
        self.forms = forms
        self.pieces = pieces
        self.out = out
        self.size = size
        self.scalars: list[Form] = []

    def run(self) -> tuple[Form | None, list[Form], bool]:
        """The core form (None for a scalar), the scalar factors, and whether it worked."""
        steps = (
            self.close_loops,
            self.merge_vectors,
            self.matrix_times_vector,
            self.merge_matrices,
            self.sum_single,
            self.matrix_times_matrix,
            self.scale_rows,
        )
        while True:
            for step in steps:
                if step():
                    break
            else:
                break
        core, worked = self.assemble()
        return core, self.scalars, worked

    def holders(self, i: int) -> list[Piece]:
        return [p for p in self.pieces if i in p.legs]

    def replace(self, old: list[Piece], new: Piece | None) -> bool:
        position = min(self.pieces.index(p) for p in old)
        self.pieces = [p for p in self.pieces if not any(p is o for o in old)]
        if new is not None:
            self.pieces.insert(min(position, len(self.pieces)), new)
        return True

    def close_loops(self) -> bool:
        """A matrix with both axes on one label: a trace, or the diagonal as a vector."""
        for p in self.pieces:
            if len(p.legs) == 2 and p.legs[0] == p.legs[1]:
                i = p.legs[0]
                if i not in self.out and len(self.holders(i)) == 1:
                    self.scalars.append(self.trace(p.form))
                    return self.replace([p], None)
                vector = self.forms.call("diag", p.form, order=1)
                return self.replace([p], Piece(vector, (i,)))
        return False

    def trace(self, m: Form) -> Form:
        """``tr(m)``, turned to the cyclic form with fewest transposes."""
        forms = self.forms
        if isinstance(m, Chain) and len(m.factors) == 2 and isinstance(m.factors[0], Transposed):
            pass  # tr(A'*B) as it is known
        elif isinstance(m, Chain):
            best = None
            for turned in (m, forms.transposed(m)):
                factors = turned.factors if isinstance(turned, Chain) else (turned,)
                for k in range(len(factors)):
                    rotated = factors[k:] + factors[:k]
                    primes = sum(isinstance(f, Transposed) for f in rotated)
                    start = isinstance(rotated[0], Transposed)
                    key = (primes, start, turned is not m, k)
                    if best is None or key < best[0]:
                        best = (key, rotated)
            assert best is not None
            m = forms.chain(*best[1])
        elif isinstance(m, Transposed):
            m = m.arg
        return forms.call("tr", m, order=0, flat=True)

    def merge_vectors(self) -> bool:
        """Vectors on one label: multiplied entry by entry, or an inner product."""
        for k, p in enumerate(self.pieces):
            if len(p.legs) != 1:
                continue
            for q in self.pieces[k + 1 :]:
                if q.legs == p.legs:
                    i = p.legs[0]
                    if i not in self.out and len(self.holders(i)) == 2:
                        self.scalars.append(self.inner(p.form, q.form))
                        return self.replace([p, q], None)
                    merged = self.forms.pointwise([p.form, q.form], [])
                    return self.replace([p, q], Piece(merged, p.legs))
        return False

    def inner(self, a: Form, b: Form) -> Form:
        """``a'*b`` in the direction with fewer transposes."""
        forms = self.forms

        def weight(f: Form) -> tuple:
            factors = f.factors if isinstance(f, Chain) else (f,)
            return (sum(isinstance(g, Transposed) for g in factors), len(factors))

        first, second = forms.chain(forms.transposed(a), b), forms.chain(forms.transposed(b), a)
        return second if weight(second) < weight(first) else first

    def matrix_times_vector(self) -> bool:
        for v in self.pieces:
            if len(v.legs) != 1 or v.legs[0] in self.out:
                continue
            holders = self.holders(v.legs[0])
            if len(holders) == 2:
                m = holders[0] if holders[1] is v else holders[1]
                first = m.legs[1] == v.legs[0]
                matrix = m.form if first else self.forms.transposed(m.form)
                rest = m.legs[0] if first else m.legs[1]
                product = self.forms.chain(matrix, v.form)
                return self.replace([m, v], Piece(product, (rest,)))
        return False

    def merge_matrices(self) -> bool:
        """Two matrices on the same two labels."""
        forms = self.forms
        for k, p in enumerate(self.pieces):
            if len(p.legs) != 2:
                continue
            for q in self.pieces[k + 1 :]:
                if len(q.legs) != 2 or set(q.legs) != set(p.legs):
                    continue
                alone = [i for i in p.legs if i not in self.out and len(self.holders(i)) == 2]
                same = q.legs == p.legs
                if len(alone) == 2:
                    self.scalars.append(self.frobenius(p.form, q.form, same))
                    return self.replace([p, q], None)
                product = any(isinstance(f.form, Pointwise) for f in (p, q))
                if len(alone) == 1 and not (product and same):
                    (j,) = alone
                    i = p.legs[0] if p.legs[1] == j else p.legs[1]
                    left = p.form if p.legs[1] == j else forms.transposed(p.form)
                    right = q.form if q.legs[0] == j else forms.transposed(q.form)
                    vector = forms.call("diag", forms.chain(left, right), order=1)
                    return self.replace([p, q], Piece(vector, (i,)))
                other = q.form if same else forms.transposed(q.form)
                return self.replace([p, q], Piece(forms.pointwise([p.form, other], []), p.legs))
        return False

    def frobenius(self, a: Form, b: Form, same: bool) -> Form:
        forms = self.forms
        if same and any(isinstance(f, (Sum, Pointwise)) for f in (a, b)):
            return forms.call("frobenius", a, b, order=0, flat=True)
        product = forms.chain(forms.transposed(a), b) if same else forms.chain(a, b)
        return self.trace(product)

    def sum_single(self) -> bool:
        """A summed label on one piece only: a sum of entries, or a product with ones."""
        for p in self.pieces:
            for place, i in enumerate(p.legs):
                if i in self.out or len(self.holders(i)) > 1:
                    continue
                if len(p.legs) == 1:
                    self.scalars.append(self.forms.call("sum", p.form, order=0, flat=True))
                    return self.replace([p], None)
                other = p.legs[1 - place]
                if other not in self.out and len(self.holders(other)) == 1:
                    self.scalars.append(self.forms.call("sum", p.form, order=0, flat=True))
                    return self.replace([p], None)
                matrix = p.form
                if place == 0 and isinstance(matrix, Pointwise):
                    matrix = self.forms.make(Transposed, matrix, order=2)  # one prime, not many
                elif place == 0:
                    matrix = self.forms.transposed(matrix)
                product = self.forms.chain(matrix, self.ones(i))
                return self.replace([p], Piece(product, (other,)))
        return False

    def ones(self, i: int) -> Form:
        return self.forms.call("ones", order=1, literals=(str(self.size(i)),))

    def matrix_times_matrix(self) -> bool:
        for p in self.pieces:
            if len(p.legs) != 2:
                continue
            for i in p.legs:
                holders = self.holders(i)
                if i in self.out or len(holders) != 2:
                    continue
                q = holders[0] if holders[1] is p else holders[1]
                if len(q.legs) != 2:
                    continue
                left = p.form if p.legs[1] == i else self.forms.transposed(p.form)
                right = q.form if q.legs[0] == i else self.forms.transposed(q.form)
                a = p.legs[0] if p.legs[1] == i else p.legs[1]
                b = q.legs[1] if q.legs[0] == i else q.legs[0]
                return self.replace([p, q], Piece(self.forms.chain(left, right), (a, b)))
        return False

    def scale_rows(self) -> bool:
        """A vector beside a matrix on a label that stays open: ``diag(v)*M``."""
        for v in self.pieces:
            if len(v.legs) != 1:
                continue
            i = v.legs[0]
            matrices = [p for p in self.holders(i) if len(p.legs) == 2]
            if not matrices:
                continue
            m = matrices[0]
            d = self.forms.call("diag", v.form, order=2, flat=True)
            pair = (d, m.form) if m.legs[0] == i else (m.form, d)
            return self.replace([v, m], Piece(self.forms.chain(*pair), m.legs))
        return False

    def assemble(self) -> tuple[Form | None, bool]:
        """The remaining pieces as one form over ``out``."""
        forms, out = self.forms, self.out
        if any(i not in out for p in self.pieces for i in p.legs):
            return None, False
        if not out:
            return None, not self.pieces
        if len(out) == 1:
            if not self.pieces:
                return self.ones(out[0]), True
            return self.pieces[0].form, len(self.pieces) == 1
        if len(out) != 2:
            return None, False
        i, j = out
        if i == j:
            if not self.pieces:
                size = str(self.size(i))
                return forms.call("eye", order=2, literals=(size,), flat=True), True
            if len(self.pieces) == 1 and len(self.pieces[0].legs) == 1:
                return forms.call("diag", self.pieces[0].form, order=2, flat=True), True
            return None, False
        if not self.pieces:
            sizes = (str(self.size(i)), str(self.size(j)))
            return forms.call("ones", order=2, literals=sizes), True
        if len(self.pieces) == 1 and len(self.pieces[0].legs) == 2:
            p = self.pieces[0]
            return (p.form if p.legs == out else forms.transposed(p.form)), True
        vectors = {p.legs: p.form for p in self.pieces}
        if len(vectors) == len(self.pieces) and all(len(p.legs) == 1 for p in self.pieces):
            column = vectors.get((i,)) or self.ones(i)
            row = vectors.get((j,)) or self.ones(j)
            return forms.chain(column, forms.transposed(row)), True
        return None, False
