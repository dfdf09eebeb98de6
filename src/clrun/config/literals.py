"""What a class declares as a plain value (`uses_selection: ClassVar[bool] = False`), unimported.

Components import torch, which takes seconds; a rule of the configuration may need to know a flag
of theirs. So their modules are parsed, as for their `Config`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from clrun.config.schema import component_class, source_of, split_target

MISSING: Final = object()


@cache
def literal(target: str, member: str) -> Any:
    """The value of a member of the class "package.module:Class", or MISSING.

    Ancestors are asked in turn. A module without source is imported, and so is a class whose member
    or ancestor is computed.

    Raises:
        ConfigError: there is no such module or class.
    """
    module_name, class_name = split_target(target)
    path = source_of(module_name)
    tree = ast.parse(path.read_text(encoding="utf-8")) if path else ast.Module([], [])
    cls = next((node for node in _classes(tree) if node.name == class_name), None)
    if cls is None:
        return _imported(target, member)
    given = dict(_assigned(cls)).get(member)
    if given is not None:
        return given.value if isinstance(given, ast.Constant) else _imported(target, member)
    bases = [_target(base, module_name, tree) for base in cls.bases]
    if None in bases:
        return _imported(target, member)
    inherited = (literal(base, member) for base in bases if base is not None)
    return next((value for value in inherited if value is not MISSING), MISSING)


def _imported(target: str, member: str) -> Any:
    ancestors = map(vars, component_class(target).__mro__)
    return next((names[member] for names in ancestors if member in names), MISSING)


def _target(base: ast.expr, module_name: str, tree: ast.Module) -> str | None:
    """The "package.module:Class" of an ancestor that is written in the same module or imported from
    another; None for any other, such as `package.Class` or one that is computed."""
    if not isinstance(base, ast.Name):
        return None
    if any(cls.name == base.id for cls in _classes(tree)):
        return f"{module_name}:{base.id}"
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                if (alias.asname or alias.name) == base.id:
                    return f"{node.module}:{alias.name}"
    return None


def _classes(tree: ast.Module) -> Iterator[ast.ClassDef]:
    return (node for node in tree.body if isinstance(node, ast.ClassDef))


def _assigned(cls: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    """The names that the body of a class gives a value, with that."""
    for node in cls.body:
        if isinstance(node, ast.AnnAssign) and node.value and isinstance(node.target, ast.Name):
            yield node.target.id, node.value
        elif isinstance(node, ast.Assign):
            yield from ((t.id, node.value) for t in node.targets if isinstance(t, ast.Name))
