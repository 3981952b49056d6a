"""fakesnow's seventy rewritings of a statement, without those that do not apply to it.

Each of them visits every node of the statement, and acts on those of a few classes, which its `isinstance` names.
Most statements have nodes of few of these classes, and rewriting them took longer than running them.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any

from fakesnow import transforms
from sqlglot import Expr

Rewrite = Callable[..., Expr]


class Rewriting:
    """A statement that is being rewritten; fakesnow calls its `transform` like a statement's own."""

    def __init__(self, statement: Expr) -> None:
        self.statement = statement
        self._classes = _classes_in(statement)

    def transform(self, rewrite: Rewrite, *arguments: Any, copy: bool = True, **options: Any) -> "Rewriting":
        """Rewrites the statement, unless it has no node that `rewrite` acts on."""
        wanted = _acts_on(rewrite.__code__)
        if wanted is None or not wanted.isdisjoint(self._classes):
            self.statement = self.statement.transform(rewrite, *arguments, copy=copy, **options)
            self._classes = _classes_in(self.statement)
        return self


def _classes_in(statement: Expr) -> set[type]:
    return {base for node_class in {type(node) for node in statement.walk()} for base in node_class.__mro__}


@cache
def _acts_on(code: CodeType) -> frozenset[type] | None:
    """The classes of nodes that a rewriting acts on; None if they are unknown."""
    found = [_guards_of(rewrite) for rewrite in _rewrites_in(code)]
    return frozenset[type]().union(*found) if found and all(found) else None


def _rewrites_in(code: CodeType) -> Iterator[FunctionType]:
    """Yields the rewriting with this code, or those of fakesnow that a lambda calls."""
    for name in (code.co_name, *code.co_names):
        rewrite = getattr(transforms, name, None)
        if isinstance(rewrite, FunctionType) and (code.co_name == "<lambda>" or rewrite.__code__ is code):
            yield rewrite


def _guards_of(rewrite: FunctionType) -> set[type]:
    """The classes that a function tests its first parameter for."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(rewrite))).body
    assert isinstance(definition, ast.FunctionDef)
    node = definition.args.args[0].arg
    guards = set[type]()
    for call in ast.walk(definition):
        match call:
            case ast.Call(func=ast.Name(id="isinstance"), args=[ast.Name(id=tested), classes]) if tested == node:
                named = eval(compile(ast.Expression(classes), rewrite.__name__, "eval"), rewrite.__globals__)
                guards |= set(named) if isinstance(named, tuple) else {named}
    return guards
