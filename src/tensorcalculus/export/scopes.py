"""Which names in a piece of Python belong to the module around it, told by the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_SCOPES = (*_FUNCTIONS, *_COMPREHENSIONS, ast.Lambda, ast.ClassDef)

Reference = tuple[ast.expr, tuple[str, ...]]
"""The node of a dotted name, and its parts: ``np.linalg.inv`` as ``("np", "linalg", "inv")``."""


def references(node: ast.AST) -> list[Reference]:
    """The dotted names of ``node`` whose first part no scope within it binds.

    Of ``shared.norm(x)`` within a function of ``x`` it is ``shared.norm``.
    """
    return list(_free(node, frozenset()))


def local_names(node: ast.AST) -> set[str]:
    """All names that some scope within ``node`` binds."""
    found: set[str] = set()
    for inner in ast.walk(node):
        if isinstance(inner, (*_FUNCTIONS, ast.Lambda)):
            found |= _arguments(inner.args)
        if isinstance(inner, _FUNCTIONS):
            found |= bound_in(inner.body)
        if isinstance(inner, ast.comprehension):
            found |= bound_in([inner.target])
    return found


def bound_in(nodes: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in their own scope."""
    found: set[str] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                found.add(name)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.alias():
                found.add((node.asname or node.name).split(".")[0])
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                found.add(name)
            case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
                found.add(name)
        if isinstance(node, _COMPREHENSIONS):
            # A walrus in a comprehension binds outside of it.
            pending += [n.target for n in ast.walk(node) if isinstance(n, ast.NamedExpr)]
        elif not isinstance(node, _SCOPES):
            pending += ast.iter_child_nodes(node)
    return found


def _free(node: ast.AST, bound: frozenset[str]) -> Iterator[Reference]:
    parts = _dotted(node)
    if parts:
        if parts[0] not in bound:
            assert isinstance(node, ast.expr)
            yield node, parts
    elif isinstance(node, (*_FUNCTIONS, ast.Lambda)):
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        yield from _all_free(_around(node), bound)
        yield from _all_free(body, bound | _arguments(node.args) | bound_in(body))
    elif isinstance(node, _COMPREHENSIONS):
        first, *_ = node.generators
        yield from _free(first.iter, bound)
        inner = bound | bound_in(g.target for g in node.generators)
        yield from _all_free((c for c in ast.iter_child_nodes(node) if c is not first), inner)
        yield from _all_free([first.target, *first.ifs], inner)
    elif isinstance(node, ast.ClassDef):
        yield from _all_free([*node.decorator_list, *node.bases, *node.keywords], bound)
        # Methods do not see the names of the class around them.
        names = bound | bound_in(node.body)
        for statement in node.body:
            yield from _free(statement, bound if isinstance(statement, _FUNCTIONS) else names)
    else:
        yield from _all_free(ast.iter_child_nodes(node), bound)


def _all_free(nodes: Iterable[ast.AST], bound: frozenset[str]) -> Iterator[Reference]:
    for node in nodes:
        yield from _free(node, bound)


def _dotted(node: ast.AST) -> tuple[str, ...]:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return ()
    return (node.id, *reversed(parts))


def _arguments(args: ast.arguments) -> set[str]:
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    return {a.arg for a in every if a is not None}


def _around(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> list[ast.AST]:
    """What stands in the head of a function and is evaluated outside of it."""
    args = node.args
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    found: list[ast.AST | None] = [*args.defaults, *args.kw_defaults]
    found += [a.annotation for a in every if a is not None]
    if not isinstance(node, ast.Lambda):
        found += [*node.decorator_list, node.returns]
    return [n for n in found if n is not None]
