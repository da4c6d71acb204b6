"""From expressions to matrix notation: which form a person would write for each node."""

from __future__ import annotations

from fractions import Fraction

from tensorcalculus.errors import NotPrintableError
from tensorcalculus.expr.combination import split_scale
from tensorcalculus.expr.contraction import contract, is_permutation, symmetric
from tensorcalculus.expr.contraction import parts as parts_of
from tensorcalculus.expr.dims import Dim
from tensorcalculus.expr.maps import is_filled
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Scalar,
    Size,
    Variable,
    is_map,
    walk,
)
from tensorcalculus.expr.operations import matrix_functions
from tensorcalculus.notation import formats
from tensorcalculus.notation.forms import Form, Forms, Name, Num
from tensorcalculus.notation.reduce import Piece, Reduction

LETTERS = "ijklmnpqrstuvwxyzabcdefghoABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Writer:
    """Turns expressions into forms, equal parts into one; every node is written once."""

    def __init__(self, *roots: Expr, einsum_only: bool = False) -> None:
        self.forms = Forms()
        self.einsum_only = einsum_only
        self.done: dict[Expr, Form] = {}
        self.variables = {n.name for n in walk(*roots) if isinstance(n, Variable)}
        # Symbols that the text shows as sizes elsewhere, so that a bare name is understood.
        self.sizes = {s for n in walk(*roots) for d in n.shape for s in d.symbols()}

    def form(self, root: Expr) -> Form:
        """The form of ``root``; written from the leaves up, so depth is no limit."""
        if root in self.done:
            return self.done[root]
        for node in walk(root):
            if node not in self.done:
                self.done[node] = self.write(node)
        return self.done[root]

    def write(self, node: Expr) -> Form:
        forms = self.forms
        if isinstance(node, Variable):
            name = node.name
            return forms.name(name, order=node.ndim, flat=node.ndim == 0 or symmetric(node))
        if isinstance(node, Number):
            return forms.num(node.value)
        if isinstance(node, Size):
            return self.size(node.dim)
        if isinstance(node, Combination):
            return self.combination(node)
        if isinstance(node, Map):
            return self.map(node)
        if isinstance(node, Operation):
            return self.operation(node)
        assert isinstance(node, Contraction)
        return self.contraction(node)

    def size(self, d: Dim) -> Form:
        if d.symbol in self.sizes and d.symbol not in self.variables:
            return self.forms.name(d.text, flat=True)
        return self.forms.call("size", order=0, literals=(str(d),), flat=True)

    # -- maps and sums ---------------------------------------------------------------------------

    def map(self, node: Map) -> Form:
        forms = self.forms
        name = node.function.name
        if name in ("pow", "pow0"):
            return self.power(node.args[0], node.args[1])
        if name in ("maximum", "minimum"):
            name = name[:3]
        args = [self.form(a) for a in node.args]
        flat = node.ndim == 0 or symmetric(node)
        return forms.call(name, *args, order=node.ndim, latex=node.function.latex, flat=flat)

    def power(self, base: Expr, exponent: Expr) -> Form:
        """``base^exponent``; a quotient for a negative exponent, a norm for a root of squares."""
        forms = self.forms
        if isinstance(exponent, Number):
            below, rest = self.divisor(base, exponent.value)
            if rest is None:
                if base.ndim:
                    return forms.pointwise([forms.num(1)], [below])
                return forms.product(1, [], None, [below])
            return rest
        return forms.power(self.form(base), self.form(exponent))

    def divisor(self, base: Expr, p: Scalar) -> tuple[Form, Form | None]:
        """What ``base^p`` is under a fraction bar (p < 0), or above it (second part)."""
        forms = self.forms
        magnitude = abs(p)
        squares = self.sum_of_squares(base)
        if squares is not None and Fraction(magnitude).denominator == 2:
            norm = forms.call("norm2", squares, order=0, flat=True)
            result = forms.power(norm, int(2 * magnitude))
        else:
            result = forms.power(self.form(base), magnitude)
        return result, (None if p < 0 else result)

    def sum_of_squares(self, e: Expr) -> Form | None:
        """The form of x, where ``e`` is the sum of all squares of x."""
        if isinstance(e, Contraction) and not e.out and len(e.operands) == 1:
            (inner,) = e.operands
            square = is_map(inner, "pow")
            plain = len(set(e.legs[0])) == len(e.legs[0])
            if plain and square and inner.args[1] is Number(2):  # type: ignore[attr-defined]
                return self.form(inner.args[0])  # type: ignore[attr-defined]
        return None

    def combination(self, node: Combination) -> Form:
        forms = self.forms
        if not node.terms:
            sizes = tuple(str(d) for d in node.shape)
            flat = node.ndim == 2 and node.shape[0] is node.shape[1]
            return forms.call("zeros", order=node.ndim, literals=sizes, flat=flat)
        if len(node.terms) == 1:
            return self.scaled(node.coefficients[0], self.form(node.terms[0]))
        folded = self.log_softmax(node)
        pairs = (
            folded
            if folded is not None
            else [(c, t, None) for c, t in zip(node.coefficients, node.terms, strict=True)]
        )
        if len(pairs) == 1 and pairs[0][0] == 1 and pairs[0][2] is not None:
            return pairs[0][2]
        whole = any(f is not None or not is_filled(t) for _, t, f in pairs)
        coefficients, terms = [], []
        for c, t, f in pairs:
            if f is None and whole and node.ndim and is_filled(t):
                inner_c, inner = split_scale(t)
                assert isinstance(inner, Contraction)
                f = self.scalar_factors(list(inner.operands))
                c *= inner_c
            if f is None:
                f = self.form(t)
            scale, f = _unscale(forms, f)
            coefficients.append(c * scale)
            terms.append(f)
        last = len(terms) - 1
        number = isinstance(terms[last], Num) and coefficients[last] > 0
        if number and not any(isinstance(t, Name) for t in terms):
            # 1+exp(x), but x+1.
            coefficients.insert(0, coefficients.pop())
            terms.insert(0, terms.pop())
        flat = node.ndim == 0 or symmetric(node)
        return forms.make(_sum(), tuple(coefficients), tuple(terms), order=node.ndim, flat=flat)

    def log_softmax(self, node: Combination) -> list | None:
        """``x - logsumexp(x)`` along the last axis, written as one function."""
        for c, t in zip(node.coefficients, node.terms, strict=True):
            if not (isinstance(t, Contraction) and len(t.operands) == 1):
                continue
            (inner,) = t.operands
            n = node.ndim
            if not (isinstance(inner, Operation) and inner.row.name == "logsumexp"):
                continue
            if n == 0 or t.legs[0] != t.out[: n - 1] or len(set(t.out)) != n:
                continue
            x = inner.args[0]
            terms = x.terms if isinstance(x, Combination) and len(x.terms) > 1 else (x,)
            weights = x.coefficients if len(terms) > 1 else (1,)  # type: ignore[attr-defined]
            single_c, single = split_scale(x)
            if len(terms) == 1:
                terms, weights = (single,), (single_c,)
            have = dict(zip(node.terms, node.coefficients, strict=True))
            if all(have.get(u) == -c * w for u, w in zip(terms, weights, strict=True)):
                call = self.forms.call("log_softmax", self.form(x), order=n)
                rest = [
                    (d, u, None)
                    for d, u in zip(node.coefficients, node.terms, strict=True)
                    if u is not t and u not in terms
                ]
                return [(-c, t, call), *rest]
        return None

    def scaled(self, c: Scalar, f: Form) -> Form:
        return self.forms.product(c, [], f, []) if f.order else self.scalar_product(c, [f])

    def scalar_product(self, c: Scalar, factors: list[Form]) -> Form:
        """A product of scalar forms, quotients collected under one bar."""
        from tensorcalculus.notation.forms import Product

        scalars: list[Form] = []
        divisors: list[Form] = []
        for f in factors:
            if isinstance(f, Product) and f.core is None:
                c *= f.coefficient
                scalars += f.scalars
                divisors += f.divisors
            elif isinstance(f, Num):
                c *= f.value
            else:
                scalars.append(f)
        return self.forms.product(c, scalars, None, divisors)

    def scalar_factors(self, operands: list[Expr]) -> Form:
        return self.scalar_product(1, self.mean(operands))

    # -- operations ------------------------------------------------------------------------------

    def operation(self, node: Operation) -> Form:
        forms = self.forms
        if node.row.name == "reshape":
            return self.reshaped(node)
        product = matrix_functions.expanded_singular(node)
        if product is not None:
            return self.form(product)
        args = tuple(self.form(a) for a in node.args)
        flat = node.ndim == 0 or symmetric(node)
        name = node.row.name
        params = node.params
        if name in ("slice", "embed"):
            # Leading axes are kept whole; the text spells all of them.
            lead = (
                len(node.shape) - len(params[1])
                if name == "embed"
                else (node.args[0].ndim - len(params[0]))
            )
            params = (((0, None, 1),) * lead + params[0], *params[1:])
            if name == "embed":
                params = (params[0], node.shape)
        if name == "slice" and any(
            not isinstance(i, int) and any(isinstance(b, Dim) and b.value is None for b in i[:2])
            for i in params[0]
        ):
            from tensorcalculus.expr.operations.structural import spell_items

            spec = f'"{spell_items(params[0])}"'
            return forms.call("slice", *args, order=node.ndim, literals=(spec,))
        if name in ("max", "logsumexp") and node.args[0].ndim > 1:
            return forms.call(name, *args, order=node.ndim, literals=("axis=-1",))
        if name == "prod" and not node.params[0] and node.args[0].ndim > 1:
            return forms.call(name, *args, order=node.ndim, literals=("axis=-1",))
        from tensorcalculus.notation.forms import Applied

        return forms.make(Applied, node.row, args, params, order=node.ndim, flat=flat)

    def reshaped(self, node: Operation) -> Form:
        """A reshape by its own name where it has one: vec, kron, khatrirao, unfold."""
        forms = self.forms
        (x,) = node.args
        whole = node.params[0] == x.ndim
        axes = is_permutation(x)
        if whole and axes is not None and isinstance(x, Contraction):
            inner = x.operands[0]
            if node.ndim == 1 and axes == tuple(range(x.ndim))[::-1]:
                return forms.call("vec", self.form(inner), order=1)
            rest = [k for k in range(x.ndim) if k != axes[0]][::-1]
            if node.ndim == 2 and list(axes[1:]) == rest and node.shape[0] is x.shape[0]:
                mode = str(axes[0] + 1)
                return forms.call("unfold", self.form(inner), order=2, literals=(mode,))
        if whole and isinstance(x, Contraction):
            found = formats.kronecker(self, node, x)
            if found is not None:
                return found
        literals = tuple(str(d) for d in node.shape)
        return forms.call("reshape", self.form(x), order=node.ndim, literals=literals)

    # -- contractions ----------------------------------------------------------------------------

    def contraction(self, node: Contraction) -> Form:
        forms = self.forms
        scalars = [e for e, legs in zip(node.operands, node.legs, strict=True) if not legs]
        tensors = [(e, legs) for e, legs in zip(node.operands, node.legs, strict=True) if legs]
        if not tensors and not node.out:
            return self.scalar_product(1, self.mean(scalars))
        above, below = self.split_scalars(scalars)
        squares = self.sum_of_squares(node)
        if squares is not None and not self.einsum_only:
            inner = node.operands[0].args[0]  # type: ignore[attr-defined]
            if isinstance(inner, Variable) and inner.ndim == 1:
                return forms.chain(forms.transposed(squares), squares)
            return forms.power(forms.call("norm2", squares, order=0, flat=True), 2)
        core, extra, coefficient = self.network(node, tensors)
        above = [*above, *extra]
        if core is None:
            return self.scalar_product(coefficient, [*above, forms.product(1, [], None, below)])
        if isinstance(core, Num):
            return self.scalar_product(coefficient * core.value, above)
        if core.order == 0:
            above.append(core)
            return self.scalar_product(coefficient, [*above, forms.product(1, [], None, below)])
        return forms.product(coefficient, above, core, below)

    def split_scalars(self, scalars: list[Expr]) -> tuple[list[Form], list[Form]]:
        above: list[Form] = []
        below: list[Form] = []
        for e in scalars:
            if isinstance(e, Map) and e.function.name in ("pow", "pow0"):
                base, p = e.args
                if isinstance(p, Number) and p.value < 0:
                    below.append(self.divisor(base, p.value)[0])
                    continue
            above.append(self.form(e))
        return above, below

    def mean(self, scalars: list[Expr]) -> list[Form]:
        """Scalar factors as forms; a sum over the sizes of all its axes is a mean."""
        reciprocals = {
            e.args[0]: e
            for e in scalars
            if isinstance(e, Map) and isinstance(e.args[0], Size) and e.args[1:] == (Number(-1),)
        }
        gone: list[Expr] = []
        result: list[Form] = []
        for e in scalars:
            summed = isinstance(e, Contraction) and len(e.operands) == 1 and not e.out
            if summed and len(set(e.legs[0])) == len(e.legs[0]):  # type: ignore[attr-defined]
                sizes = [Size(d) for d in e.operands[0].shape]  # type: ignore[attr-defined]
                if len(set(sizes)) == len(sizes) and all(n in reciprocals for n in sizes):
                    gone += [e, *(reciprocals.pop(n) for n in sizes)]
                    inner = self.form(e.operands[0])  # type: ignore[attr-defined]
                    result.append(self.forms.call("mean", inner, order=0, flat=True))
        rest = [e for e in scalars if not any(e is g for g in gone)]
        above, below = self.split_scalars(rest)
        if below:
            above.append(self.forms.product(1, [], None, below))
        return [*result, *above]

    def network(self, node: Contraction, tensors: list) -> tuple[Form | None, list[Form], Scalar]:
        """The tensor part of a contraction: a core form, scalar forms, a number."""
        forms = self.forms
        if len(tensors) == 1 and tensors[0][1] == node.out == tuple(range(len(node.out))):
            return self.form(tensors[0][0]), [], 1
        if not self.einsum_only:
            legs = tensors[0][1] if tensors else ()
            plain = len(set(legs)) == len(legs)
            if len(node.out) > 2 and plain and legs and all(g == node.out for _, g in tensors):
                return self.entry_by_entry(tensors), [], 1
            tensors = _merged(tensors)
            found = formats.known(self, node, tensors)
            if found is not None:
                return found, [], 1
            parts = parts_of(node)
            if len(node.out) <= 2 and all(e.ndim <= 2 for e, _ in tensors):
                core, scalars, worked = self.reduce(node, tensors, node.out)
                if worked:
                    return core, scalars, 1
            legs = tensors[0][1] if tensors else ()
            plain = len(set(legs)) == len(legs)
            if not node.out and len(tensors) == 2 and tensors[1][1] == legs and plain:
                first, second = (self.form(e) for e, _ in tensors)
                return forms.call("frobenius", first, second, order=0, flat=True), [], 1
            if len(node.out) > 2 and len(parts) > 1:
                found = self.tensor_product(node, parts)
                if found is not None:
                    return found, [], 1
        return self.einsum(node, tensors), [], 1

    def reduce(
        self, node: Contraction, tensors: list, out: tuple[int, ...]
    ) -> tuple[Form | None, list[Form], bool]:
        pieces = []
        divisors: dict[tuple[int, ...], list[Form]] = {}
        for e, legs in tensors:
            if isinstance(e, Map) and e.function.name in ("pow", "pow0"):
                base, p = e.args
                if isinstance(p, Number) and p.value < 0 and base.ndim == e.ndim:
                    divisors.setdefault(legs, []).append(self.divisor(base, p.value)[0])
                    continue
            pieces.append(Piece(self.form(e), legs))
        for legs, under in divisors.items():
            # A quotient entry by entry: put under a factor that stands on the same labels.
            same = [p for p in pieces if p.legs == legs]
            over = same[0] if same else Piece(self.forms.num(1), legs)
            if not same:
                pieces.append(over)
            over.form = self.forms.pointwise([over.form], under)
        reduction = Reduction(self.forms, pieces, out, lambda i: node.dims[i])
        core, scalars, worked = reduction.run()
        return core, scalars, worked

    def entry_by_entry(self, tensors: list) -> Form:
        """Tensors on the same axes, multiplied and divided entry by entry."""
        over, under = [], []
        for e, _ in tensors:
            if isinstance(e, Map) and e.function.name in ("pow", "pow0"):
                base, p = e.args
                if isinstance(p, Number) and p.value < 0 and base.ndim == e.ndim:
                    under.append(self.divisor(base, p.value)[0])
                    continue
            over.append(self.form(e))
        return self.forms.pointwise(over or [self.forms.num(1)], under)

    def tensor_product(self, node: Contraction, parts: list) -> Form | None:
        """Independent parts of a higher-order network: outer, Kronecker, or einsum of the parts."""
        forms = self.forms
        written: list[tuple[Form, tuple[int, ...]]] = []
        for tensors, places in parts:
            labels = tuple(node.out[p] for p in places)
            if len(places) > 2 or any(e.ndim > 2 for e, _ in tensors):
                return None
            core, scalars, worked = self.reduce(node, tensors, labels)
            if not worked or core is None:
                return None
            written.append((forms.product(1, scalars, core, []), places))
        written.sort(key=lambda w: w[1])
        order = [p for _, places in written for p in places]
        n = len(node.out)
        if order == list(range(n)):
            return forms.call("outer", *(f for f, _ in written), order=n)
        if [places for _, places in written] == [(0, 2), (1, 3)]:
            product = forms.call("kron", *(f for f, _ in written), order=2)
            sizes = tuple(str(d) for d in node.shape)
            return forms.call("reshape", product, order=4, literals=sizes)
        names = "".join(LETTERS[:n])
        spec = ",".join("".join(names[p] for p in places) for _, places in written)
        return forms.call("einsum", *(f for f, _ in written), order=n, leading=f"{spec}->{names}")

    def einsum(self, node: Contraction, tensors: list) -> Form:
        """The network spelled with subscripts; copy tensors as eye and ones."""
        forms = self.forms
        labels = {i for _, legs in tensors for i in legs}
        legs_list = [legs for _, legs in tensors]
        args = [self.form(e) for e, _ in tensors]
        # A label on no operand: the identity where it repeats, ones where it does not.
        partner: dict[int, int] = {}
        for i in dict.fromkeys(node.out):
            if i in labels:
                continue
            size = (str(node.dims[i]),)
            if node.out.count(i) > 1:
                partner[i] = len(node.dims) + len(partner)
                args.append(forms.call("eye", order=2, literals=size, flat=True))
                legs_list.append((i, partner[i]))
            else:
                args.append(forms.call("ones", order=1, literals=size))
                legs_list.append((i,))
        out: list[int] = []
        for i in node.out:
            out.append(partner[i] if i in partner and i in out else i)
        if not args:
            raise NotPrintableError("an empty network has no einsum form")
        names: dict[int, str] = {}
        for i in (*out, *(j for legs in legs_list for j in legs)):
            if i not in names:
                if len(names) >= len(LETTERS):
                    raise NotPrintableError(
                        "a network with more than 52 indices has no einsum form"
                    )
                names[i] = LETTERS[len(names)]
        inputs = ",".join("".join(names[i] for i in legs) for legs in legs_list)
        spec = f"{inputs}->{''.join(names[i] for i in out)}"
        return forms.call("einsum", *args, order=node.ndim, leading=spec)


def _merged(tensors: list) -> list:
    """Tensors of three axes and more that hang on the same labels as one, their product."""
    groups: dict[tuple[int, ...], list[Expr]] = {}
    for k, (e, legs) in enumerate(tensors):
        plain = e.ndim > 2 and len(set(legs)) == len(legs)
        groups.setdefault(legs if plain else (*legs, -1 - k), []).append(e)
    if not 1 < len(groups) < len(tensors):
        return tensors
    result = []
    for key, members in groups.items():
        legs = key[: members[0].ndim]
        whole = members[0]
        if len(members) > 1:
            whole = contract([(e, legs) for e in members], legs)
        result.append((whole, legs))
    return result


def _sum() -> type:
    from tensorcalculus.notation.forms import Sum

    return Sum


def _unscale(forms: Forms, f: Form) -> tuple[Scalar, Form]:
    """A form as a number times a form without one."""
    from tensorcalculus.notation.forms import Product

    if isinstance(f, Num):
        return f.value, forms.num(1)
    if isinstance(f, Product) and f.coefficient != 1:
        rest = forms.product(1, list(f.scalars), f.core, list(f.divisors))
        if not (isinstance(rest, Product) and not rest.scalars and rest.core is None):
            return f.coefficient, rest
    return 1, f
