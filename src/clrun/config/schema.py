"""The `Config` dataclass of a component, found without running the component's module.

A component (a strategy, a model, ...) keeps its `Config` beside the code that reads it, and that
code imports torch, which takes seconds. Checking a configuration needs the dataclass alone. So the
module is parsed, not run: only the class, and the imports and definitions its fields name, are
executed. A component whose `Config` names something heavy still works; it is only slower to check.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast, get_type_hints

from clrun.config.foreign import in_a_line
from clrun.config.trust import require_trusted
from clrun.errors import ClrunError, ConfigError, cut


def config_class(target: str) -> type:
    """The `Config` of the component that "package.module:Class" names.

    Every class that a configuration names comes through here before it is imported.

    Raises:
        ConfigError: only a file names it (see `trust`), the module or class does not exist, or the
            class has no `Config` dataclass.
    """
    split_target(target)
    require_trusted(target)
    return _config_class(target)


@cache
def _config_class(target: str) -> type:
    module_name, class_name = split_target(target)
    path = source_of(module_name)
    with _readable(target):
        config = (
            _sliced(module_name, class_name, path) if path else _imported(module_name, class_name)
        )
    if config is None:
        raise ConfigError(
            f"target={target}: no class {class_name} with a Config in {module_name}. The fields of "
            "Config are the option's keys; a class without keys has an empty one."
        )
    if not is_dataclass(config):
        raise ConfigError(f"target={target}: {class_name}.Config is not a dataclass.")
    return config


def field_types(schema: type) -> dict[str, Any]:
    """The type of each field of a dataclass, with what is marked there.

    What else it annotates, such as class variables, may name what is imported for type checkers.
    """
    names = {field.name for field in fields(schema)}
    types: dict[str, Any] = {}
    for cls in reversed(schema.__mro__):
        written = {k: v for k, v in vars(cls).get("__annotations__", {}).items() if k in names}
        stand_in = SimpleNamespace(__annotations__=written)
        known = vars(sys.modules[cls.__module__])
        types |= get_type_hints(stand_in, known, include_extras=True)
    return types


def component_class(target: str) -> Any:
    """The component class itself; imports its module, and with it torch.

    Raises:
        ConfigError: there is no such class, or its module cannot be imported.
    """
    module_name, class_name = split_target(target)
    try:
        with _readable(target):
            return getattr(import_module(module_name), class_name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"target={target}: {error}.") from error


@contextmanager
def _readable(target: str) -> Iterator[None]:
    """Report as one line what a module of a user raises while it is read."""
    try:
        yield
    except (ClrunError, ImportError, AttributeError):
        raise
    except Exception as error:
        if target.startswith("clrun."):
            raise
        raise ConfigError(f"target={target}: {in_a_line(error)}") from error


def split_target(target: str) -> tuple[str, str]:
    """("package.module", "Class") of "package.module:Class"."""
    module_name, colon, class_name = str(target).partition(":")
    if not (colon and class_name.isidentifier() and module_name):
        raise ConfigError(f"target={cut(target)}: write package.module:Class.")
    return module_name, class_name


def source_of(module_name: str) -> Path | None:
    """The module's .py file, or None where it has none (a compiled module)."""
    try:
        spec = find_spec(module_name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise ConfigError(
            f"target={cut(module_name)}: there is no module of that name. Code of your own is "
            "found beside a --config-dir with --trust, or in a folder that PYTHONPATH names."
        )
    origin = Path(spec.origin) if spec.origin else None
    return origin if origin and origin.suffix == ".py" else None


def _imported(module_name: str, class_name: str) -> type | None:
    return getattr(getattr(import_module(module_name), class_name, None), "Config", None)


def _sliced(module_name: str, class_name: str, path: Path) -> type | None:
    """Run just the part of the module that the class's `Config` needs."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    config = _nested(tree, class_name)
    if config is None:
        return _inherited(module_name, class_name, tree)
    needed = _closure(config, _definitions(tree))
    body = [node for node in tree.body if _is_future(node) or node in needed]
    module = ModuleType(f"{module_name}.{class_name}#Config")
    module.__file__ = str(path)
    module.__package__ = module_name.rpartition(".")[0]
    sys.modules[module.__name__] = module  # pydantic resolves string annotations through it
    code = ast.Module([*body, config], type_ignores=[])
    exec(compile(code, str(path), "exec"), module.__dict__)
    return cast(type, module.__dict__["Config"])


def _nested(tree: ast.Module, class_name: str) -> ast.ClassDef | None:
    """`Config` inside the class, if the class defines one."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for inner in node.body:
                if isinstance(inner, ast.ClassDef) and inner.name == "Config":
                    return inner
    return None


def _inherited(module_name: str, class_name: str, tree: ast.Module) -> type | None:
    """The `Config` of a base class in the same module; else the class is imported and asked."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == class_name:
            for base in node.bases:
                if isinstance(base, ast.Name) and _nested(tree, base.id):
                    return _config_class(f"{module_name}:{base.id}")
            return _imported(module_name, class_name)
    return None


def _definitions(tree: ast.Module) -> Mapping[str, Sequence[ast.stmt]]:
    """The statements that bind or change each module-level name, in order; whole blocks of `if`,
    `try` and the like."""
    found: dict[str, list[ast.stmt]] = {}
    for node in tree.body:
        for name in _bound(node):
            found.setdefault(name, []).append(node)
    return found


def _bound(node: ast.stmt) -> set[str]:
    """The names that a statement of a module binds there."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    names = {
        inner.id
        for inner in ast.iter_child_nodes(node)
        for inner in ast.walk(inner)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    }
    below = (inner for inner in ast.walk(node) if isinstance(inner, ast.stmt) and inner is not node)
    return names.union(*map(_bound, below))


def _closure(start: ast.AST, definitions: Mapping[str, Sequence[ast.stmt]]) -> set[ast.stmt]:
    """Every module-level statement that `start` needs, directly or through another."""
    needed: set[ast.stmt] = set()
    queue = [start]
    while queue:
        for name in _names(queue.pop()):
            new = [node for node in definitions.get(name, ()) if node not in needed]
            needed.update(new)
            queue += new
    return needed


def _names(node: ast.AST) -> set[str]:
    """The names a piece of code reads; a field called like an import does not count."""
    walked = (inner for inner in ast.walk(node) if isinstance(inner, ast.Name))
    return {name.id for name in walked if isinstance(name.ctx, ast.Load)}


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"
