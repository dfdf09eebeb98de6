"""The environment variables that the help lists are those that the sources read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from clrun.cli.variables import INNER, OF_CLRUN, OF_SCRIPTS

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {
    path: path.read_text(encoding="utf-8")
    for folder in ("src", "scripts")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix in ("", ".sh", ".py")
}
OF_THE_SYSTEM = {"PATH", "PWD", "BASH_SOURCE", "SLURM_ONE_NODE"}
READERS = ("environ.get", "environ.setdefault", "getenv", "chosen_or_cached")


def names_read(tree: ast.Module) -> Iterator[ast.expr]:
    """What stands in os.environ.get(...), .setdefault(...), [...], and in what wraps them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            if isinstance(node.func, ast.Name | ast.Attribute):
                called = ast.unparse(node.func)
                if called.endswith(READERS):
                    yield node.args[0]
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
            if ast.unparse(node.value) == "os.environ":
                yield node.slice
        elif isinstance(node, ast.Compare) and ast.unparse(node.comparators[-1]) == "os.environ":
            yield node.left


def read_in_python() -> set[str]:
    constants: dict[str, set[str]] = {}
    for text in TEXTS.values():
        for name, value in re.findall(r'^([A-Z_]+) = "([A-Z_]+)"$', text, re.MULTILINE):
            constants.setdefault(name, set()).add(value)
    found: set[str] = set()
    for path, text in TEXTS.items():
        if path.suffix == ".py" and any(reader in text for reader in ("environ", *READERS)):
            for name in names_read(ast.parse(text)):
                if isinstance(name, ast.Constant):
                    found.add(str(name.value))
                elif isinstance(name, ast.Name):
                    found |= constants.get(name.id, set())
    return found


def read_in_shell() -> set[str]:
    texts = [text for path, text in TEXTS.items() if path.suffix != ".py"]
    return {name for text in texts for name in re.findall(r"\$\{?([A-Z][A-Z_]+)", text)}


def test_every_variable_that_is_read_is_listed():
    listed = {*OF_CLRUN, *OF_SCRIPTS, *INNER}
    read = read_in_python() | (read_in_shell() - OF_THE_SYSTEM)

    assert {"CLRUN_DATA", "CXX", "CUDA_VISIBLE_DEVICES", "CLRUN_VENV"} <= read
    assert sorted(read - listed) == []


def test_a_variable_of_ours_is_listed_wherever_it_is_named_and_no_other_is():
    about = ROOT / "src" / "clrun" / "cli" / "variables.py"
    tests = (ROOT / "tests" / "strategies" / "conftest.py").read_text(encoding="utf-8")
    texts = [tests, *(text for path, text in TEXTS.items() if path != about)]
    named = {name for text in texts for name in re.findall(r"\bCLRUN_[A-Z_]+", text)}

    assert named == {name for name in (*OF_CLRUN, *OF_SCRIPTS, *INNER) if "CLRUN_" in name}
