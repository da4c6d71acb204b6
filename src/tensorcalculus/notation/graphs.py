"""What is drawn of an expression: networks, frames around functions, letters for parts.

- A contraction is a network.  ``e.^2`` in one stands there twice, so the square of a norm is a
  network joined with itself.
- A sum is its networks side by side, with signs and numbers.
- A function of entries is a frame around its argument, whose legs pass through the frame.  An
  operation such as ``inv`` or ``reshape`` is a frame that keeps the legs of its argument inside.
  With a variable alone in it, a frame is a node, ``exp(x)`` or ``inv(A)``.
- What occurs more than once, and what is large or deep, is a node with a letter, drawn below
  after ``where``; letters are those of the text where the text has one.

Lines are labelled by their sizes.  Where these do not tell axes apart, open legs have an index
letter in front (``i:n``), and the ends of lines at a tensor the numbers of its axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import chain, count, islice

from tensorcalculus.diagrams import (
    Diagram,
    Graph,
    Label,
    Node,
    Open,
    Picture,
    Row,
    Term,
    joined,
    sheet,
)
from tensorcalculus.errors import InputError, NotPrintableError
from tensorcalculus.expr.combination import scale
from tensorcalculus.expr.contraction import contract, symmetric
from tensorcalculus.expr.dims import show_shape
from tensorcalculus.expr.node import (
    Combination,
    Contraction,
    Expr,
    Map,
    Number,
    Operation,
    Shape,
    Size,
    Variable,
    dims_of,
    walk,
)
from tensorcalculus.expr.operations.matrix_functions import expanded_singular
from tensorcalculus.expr.rebuild import transform
from tensorcalculus.notation.factors import Factor, Factors, Labels, squares_in
from tensorcalculus.notation.forms import Call
from tensorcalculus.notation.indices import LETTERS, fresh_name, spelled_operation
from tensorcalculus.notation.matrix import Writer
from tensorcalculus.notation.naming import repeated
from tensorcalculus.notation.text import Texts, number, to_text
from tensorcalculus.simplify.engine import written_out

MOST = 200
"""How many tensors a diagram of an expression may have."""
MOST_LINES = 400
"""How many lines it may have; more cannot be followed."""
_MOST_PARTS = 3000
"""How many nodes an expression may have that is looked at."""
_LARGE, _DEEP = 8, 2
"""Tensors in a frame, and frames in one another, beyond which a part gets a letter."""
_SHORT = 16
"""Letters of a function of a variable that is written in a node."""
_TITLE = 200


def to_diagram(e: Expr, derivative_axes: int = 0) -> Diagram:
    """An expression as a diagram; the last ``derivative_axes`` legs are marked.

    See :meth:`tensorcalculus.face.Face.draw`.
    """
    if not isinstance(derivative_axes, int) or not 0 <= derivative_axes <= e.ndim:
        raise InputError(
            f"derivative_axes is {derivative_axes!r}; the expression has {e.ndim} axes, "
            f"so a number from 0 to {e.ndim} is expected"
        )
    e = drawn_form(within_limit(e))
    return sheet(rows_of(e, derivative_axes), heading(e))


def rows_of(e: Expr, derivative_axes: int = 0) -> list[Row]:
    """What is drawn: the expression, then what its letters stand for."""
    pictures = Pictures(e)
    whole = pictures.picture(e, pictures.opened(e.shape, derivative_axes))
    return [Row(whole), *pictures.definitions()]


def drawn_form(e: Expr) -> Expr:
    """``e`` as it is printed: matrix functions as the factors that they are printed as."""
    e = within_limit(written_out(e))
    if any(isinstance(n, Operation) and expanded_singular(n) is not None for n in walk(e)):
        (e,) = transform([e], _factors_of_singular)
    return e


def _factors_of_singular(node: Expr) -> Expr:
    product = expanded_singular(node) if isinstance(node, Operation) else None
    return node if product is None else product


def heading(e: Expr, longest: int = _TITLE) -> str:
    """The text of an expression, cut where it is long; a large network has none."""
    try:
        text = to_text(e)
    except NotPrintableError:
        return f"a network of shape {show_shape(e.shape)}"
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def within_limit(e: Expr) -> Expr:
    """``e`` itself, or InputError where it is too large to be drawn."""
    for parts, _ in enumerate(walk(e)):
        if parts >= _MOST_PARTS:
            raise InputError(
                f"the expression has more than {_MOST_PARTS} parts, too many to be drawn "
                f"(a diagram has at most {MOST} tensors); draw a part of it"
            )
    return e


class Pictures:
    """Pictures of expressions that share letters for their parts.

    Parameters
    ----------
    *roots
        What is drawn.
    chosen
        A variable whose occurrences are marked.
    beside
        An expression whose names no letter may have either.
    """

    def __init__(
        self, *roots: Expr, chosen: Variable | None = None, beside: Expr | None = None
    ) -> None:
        self.chosen = chosen
        self.nodes = list(walk(*roots))
        named = self.nodes if beside is None else list(walk(*roots, beside))
        self.taken = {n.name for n in named if isinstance(n, Variable)}
        self.taken |= {s for n in named for d in dims_of(n) for s in d.symbols()}
        self.row_letters: set[str] = set()
        """Index letters of the row that is being made."""
        self.letters = [c for c in LETTERS if c not in self.taken]
        self.names: dict[Expr, str] = {}
        self.families: dict[str, tuple[str, Expr]] = {}
        """For the name of a part of a decomposition: what is written before its argument."""
        self.waiting: list[Expr] = []
        self.told: set[str] = set()
        self.count = 0
        self.lines = 0
        for root in roots:
            self._name_as_text(root)
        self._name_parts(set(roots))

    # -- letters ---------------------------------------------------------------------------------

    def _name_as_text(self, root: Expr) -> None:
        """Letters that the text of an expression has."""
        writer = Writer(root)
        try:
            form = writer.form(root)
        except NotPrintableError:
            return
        clauses, names = repeated(form, set(self.taken), Texts().spell)
        family = {
            name: f"{told} = {made.name} of"
            for told, made in clauses
            if told.startswith("(") and isinstance(made, Call)
            for name in told[1:-1].split(",")
        }
        for node in walk(root):
            name = names.get(id(writer.done[node]))
            if name is None or node in self.names or node is root or name in self.names.values():
                continue
            if name in family and isinstance(node, Operation):
                self.families[name] = (family[name], node)
            if not self.is_leaf(node):
                self.names[node] = name
        self.taken |= set(self.names.values())

    def _name_parts(self, roots: set[Expr]) -> None:
        """Letters for what is drawn more than once, and what is too large or deep for a frame."""
        uses: dict[Expr, int] = {}
        for node in self.nodes:
            squares = squares_in(node)
            for k, child in enumerate(node.children):
                uses[child] = uses.get(child, 0) + 1
                if k in squares:
                    base = child.children[0]
                    uses[base] = uses.get(base, 0) + 1
        weight: dict[Expr, int] = {}
        depth: dict[Expr, int] = {}
        for node in self.nodes:
            if self.is_leaf(node):
                weight[node], depth[node] = int(bool(node.names)), 0
                continue
            squares = squares_in(node)
            inner = [c.children[0] if k in squares else c for k, c in enumerate(node.children)]
            for child in inner:
                if self._framed(node, child) and (weight[child] > _LARGE or depth[child] > _DEEP):
                    self._name(child, weight, depth)
            weight[node] = sum(weight[c] for c in inner)
            frame = isinstance(node, (Map, Operation)) or (
                isinstance(node, Contraction) and any(isinstance(c, Combination) for c in inner)
            )
            depth[node] = frame + max((depth[c] for c in inner), default=0)
            if node in self.names:
                weight[node], depth[node] = 1, 0
            elif node not in roots and uses.get(node, 0) > 1:
                several = isinstance(node, Combination) and len(node.terms) > 1
                if weight[node] + 2 * depth[node] + several > 2:
                    self._name(node, weight, depth)

    def _name(self, node: Expr, weight: dict[Expr, int], depth: dict[Expr, int]) -> None:
        if node not in self.names:
            self.names[node] = self.fresh_name(node)
        weight[node], depth[node] = 1, 0

    def fresh_name(self, node: Expr, wish: str = "") -> str:
        """A letter for a part that no other part, variable or size has."""
        name = wish if wish and wish not in self.taken else fresh_name(node, self.taken)
        self.taken.add(name)
        return name

    def _framed(self, parent: Expr, child: Expr) -> bool:
        if isinstance(child, Combination):
            return isinstance(parent, Contraction)
        return isinstance(child, (Map, Operation)) and not self.is_leaf(child)

    def is_leaf(self, e: Expr) -> bool:
        """Whether an expression is drawn as one node, with its text in it."""
        if isinstance(e, (Variable, Number, Size)) or not (e.names or e.ndim):
            return True
        if not isinstance(e, (Map, Operation)):
            return False
        plain = all(
            isinstance(a, (Variable, Number, Size))
            or (
                isinstance(a, Combination)
                and isinstance(a.terms[0], Variable)
                and len(a.terms) == 1
            )
            for a in e.args
        )
        return plain and (not e.args or len(_spelled(e)) <= _SHORT)

    def opened(self, shape: Shape, derivative_axes: int = 0) -> list[Open]:
        """Open legs for the axes of a shape; labels are the numbers of the axes."""
        texts = self.axis_texts(shape)
        first = len(shape) - derivative_axes
        return [Open(k, f"∂{t}" if k >= first else t, k >= first) for k, t in enumerate(texts)]

    def axis_texts(self, shape: Shape) -> list[str]:
        """Sizes, with an index letter in front where they do not tell the axes apart."""
        if len(set(shape)) == len(shape) and all(d.symbol for d in shape):
            return [str(d) for d in shape]
        return [f"{i}:{d}" for i, d in zip(self._fresh_letters(len(shape)), shape, strict=True)]

    def _fresh_letters(self, n: int) -> list[str]:
        """Index letters that the row does not have yet."""
        numbered = (f"i{k}" for k in count(1))
        free = (c for c in chain(self.letters, numbered) if c not in self.row_letters | self.taken)
        found = list(islice(free, n))
        self.row_letters.update(found)
        return found

    # -- pictures --------------------------------------------------------------------------------

    def definitions(self) -> list[Row]:
        """A row for each letter that was used in the pictures so far, and in these rows."""
        rows: list[Row] = []
        while self.waiting:
            e = self.waiting.pop(0)
            name = self.names[e]
            if name in self.told:
                continue
            self.told.add(name)
            self.row_letters = set()
            word = "and" if rows else "where"
            if name in self.families:
                heading, node = self.families[name]
                if heading in self.told:
                    continue
                self.told.add(heading)
                assert isinstance(node, Operation)
                arg = node.args[0]
                rows.append(Row(self.picture(arg, self.opened(arg.shape)), f"{word} {heading}"))
                continue
            rows.append(Row(self.picture(e, self.opened(e.shape), whole=True), f"{word} {name} ="))
        return rows

    def picture(self, e: Expr, output: Sequence[Open], *, whole: bool = False) -> Picture:
        """An expression as a sum of networks with these open legs.

        ``whole`` draws what a letter stands for rather than the letter.
        """
        if not isinstance(e, Combination) or (e in self.names and not whole):
            return (self.term(1, e, output, first=True, whole=whole),)
        if not e.terms:
            return (Term(Graph((), (), ()), "", "0"),)
        pairs = zip(e.coefficients, e.terms, strict=True)
        return tuple(
            self.term(c, t, output, first=not k, whole=False) for k, (c, t) in enumerate(pairs)
        )

    def term(self, c: object, e: Expr, output: Sequence[Open], *, first: bool, whole: bool) -> Term:
        """One term of a sum."""
        assert isinstance(c, (int, float, Fraction))
        network = Factors(self.names)
        factors = network.flattened(e, tuple(range(len(output))), whole)
        graph, constants = self.graph(factors, output, network, defined=e if whole else None)
        size = abs(c)
        sign = "−" if c < 0 else "" if first else "+"
        if constants:
            factor = to_text(scale(size, contract([(k, ()) for k in constants], ())))
        else:
            factor = number(size) if size != 1 or not graph.nodes else ""
        return Term(graph, sign, factor)

    def graph(
        self,
        factors: Sequence[Factor],
        output: Sequence[Open],
        network: Factors,
        extra: Sequence[tuple[Node, Labels]] = (),
        deleted: Mapping[int, Node] | None = None,
        defined: Expr | None = None,
    ) -> tuple[Graph, list[Expr]]:
        """The graph of factors and of further nodes, and the constant factors.

        ``deleted`` are nodes to be drawn in the place of some factors, ``defined`` is what is
        drawn in full although it has a letter.
        """
        find, dims = network.find, network.dims
        opens = [Open(find(leg.label), leg.text, leg.derivative) for leg in output]  # type: ignore[arg-type]
        letters = {leg.label: self._letter(leg.text) for leg in opens}
        shown = {i: str(d) for i, d in dims.items()}
        parts: list[tuple[Node, Sequence[Label]]] = []
        constants: list[Expr] = []
        for k, (e, labels) in enumerate(factors):
            at = tuple(map(find, labels))
            if deleted and k in deleted:
                parts.append((deleted[k], at))
            elif not e.ndim and not e.names:
                constants.append(e)
            else:
                parts.append((self.node(e, at, letters, shown, opens, whole=e is defined), at))
        for node, labels in extra:
            parts.append((node, tuple(map(find, labels))))
        graph = joined(parts, opens, shown)
        self.lines += len(graph.edges) + len(graph.legs)
        if self.lines > MOST_LINES:
            raise InputError(
                f"the diagram would have more than {MOST_LINES} lines, too many to be read; "
                "draw a part of the expression"
            )
        return graph, constants

    # -- nodes -----------------------------------------------------------------------------------

    def node(
        self,
        e: Expr,
        at: Labels,
        letters: dict[Label, str],
        shown: dict[int, str],
        opens: Sequence[Open],
        *,
        whole: bool = False,
    ) -> Node:
        """A factor of a network as a node; lines at a frame of several pictures get letters."""
        numbered = ambiguous(e)
        if e in self.names and not whole:
            self.waiting.append(e)
            return self.counted(Node(self.names[e], "tensor", numbered=numbered))
        chosen = self.chosen is not None and any(n is self.chosen for n in walk(e))
        if self.is_leaf(e):
            return self.counted(Node(_spelled(e), "tensor", numbered=numbered, chosen=chosen))
        if isinstance(e, Operation):
            inside = tuple(self.picture(a, self.opened(a.shape)) for a in e.args)
            return Node(_operation_title(e), "operation", inside, numbered)
        title, args = _title(e)
        first = next(iter(args))
        sums = isinstance(first, Combination) and len(first.terms) > 1 and first not in self.names
        several = sums or len(args) > 1
        texts = [shown[i] for i in at]
        if several:
            texts = self._letters_for(e.shape, at, letters, shown, opens)
        inside = tuple(
            self.picture(a, [Open(k, t) for k, t in enumerate(texts[: a.ndim])]) for a in args
        )
        return Node(title, "map", inside)

    def counted(self, node: Node) -> Node:
        """The node itself, as long as there are not too many."""
        self.count += 1
        if self.count > MOST:
            raise InputError(
                f"the diagram would have more than {MOST} tensors, too many to be read; "
                "draw a part of the expression"
            )
        return node

    def _letter(self, text: str) -> str:
        """The index letter in the text of a leg, if there is one."""
        first = text.removeprefix("∂").split(":")[0]
        return first if first in self.letters or first[1:].isdecimal() else ""

    def _letters_for(
        self,
        shape: Shape,
        at: Labels,
        letters: dict[Label, str],
        shown: dict[int, str],
        opens: Sequence[Open],
    ) -> list[str]:
        plain = len(set(shape)) == len(shape) and all(d.symbol for d in shape)
        known = {i: letters.get(i) for i in at}
        if plain and not any(known.values()):
            return [str(d) for d in shape]
        # An open leg keeps its text; no other line gets a letter for its sake.
        told = {leg.label: leg.text.removeprefix("∂").split(":")[0] for leg in opens}
        for i in at:
            if not told.get(i) and not letters.get(i):
                letters[i] = self._fresh_letters(1)[0]
                shown[i] = f"{letters[i]}:{shown[i]}"
        return [told.get(i) or letters[i] for i in at]


def ambiguous(e: Expr) -> bool:
    """Whether the sizes of axes do not tell which is which."""
    return len(set(e.shape)) < e.ndim and not symmetric(e)


def _spelled(e: Expr) -> str:
    """What is written in the node of a variable or of a function of variables."""
    return e.name if isinstance(e, Variable) else to_text(e)


def _title(e: Expr) -> tuple[str, tuple[Expr, ...]]:
    """The title of a frame, and what stands in it."""
    if not isinstance(e, Map):
        return "", (e,)
    name = e.function.name
    if name in ("pow", "pow0"):
        base, p = e.args
        if p.names or p.ndim:
            return "power", e.args
        if p is Number(-1):
            return "1/(·)", (base,)
        if p is Number(Fraction(1, 2)):
            return "sqrt", (base,)
        text = to_text(p)
        return f"(·)^{text}" if text.isalnum() else f"(·)^({text})", (base,)
    if name in ("maximum", "minimum"):
        name = name[:3]
    return name, e.args


def _operation_title(e: Operation) -> str:
    return spelled_operation(e, ["·"] * len(e.args))
