"""What pages about the code say of it is there: modules and members, files, purposes, pictures."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

import clrun

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ROOT / "src" / "clrun"
PAGES = [
    *(ROOT / "docs" / name for name in ("architecture.md", "reliability.md", "glossary.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
    ROOT / "CONTRIBUTING.md",
]
CODE = re.compile(r"`([^`\n]+)`")
NAME = re.compile(r"[a-z_]\w*(\.\w+)+")
FOLDERS = ("src/", "tests/", "scripts/", "docs/", "conf/", "benchmarks/")
PARTS = {path.stem for path in SOURCES.iterdir() if path.suffix in ("", ".py")}
GROUPS = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()}

FILES = (
    ".csv",
    ".html",
    ".json",
    ".jsonl",
    ".md",
    ".npz",
    ".safetensors",
    ".svg",
    ".toml",
    ".yaml",
)
DRAWS = re.compile(r"\b(derive|generator|isolated)\(")
UNNAMED = {"proving_cuda", "__pycache__"}
"""Folders of scripts, which are no scripts."""
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def said(page: Path) -> list[str]:
    """What stands in code type in the running text of a page."""
    return CODE.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def members(body: list[ast.stmt]) -> dict[str, list[ast.stmt]]:
    """The names that a module or class defines, with what is inside of each."""
    found: dict[str, list[ast.stmt]] = {}
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found[node.name] = node.body
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = []
        elif isinstance(node, ast.Assign):
            found |= {t.id: [] for t in node.targets if isinstance(t, ast.Name)}
    return found


def is_there(name: str) -> bool:
    """Whether src/clrun has a module of this dotted name, or one that defines the rest of it."""
    parts = name.removeprefix("clrun.").split(".")
    for count in range(len(parts), 0, -1):
        base = SOURCES.joinpath(*parts[:count])
        module = base.with_suffix(".py") if not base.is_dir() else base / "__init__.py"
        if module.exists():
            body = tree(module).body
            for part in parts[count:]:
                inside = members(body).get(part)
                if inside is None:
                    return False
                body = inside
            return True
    return False


def is_of_code(name: str) -> bool:
    """Whether a dotted name is one of clrun's code; `device.threads` is a key."""
    first, second = name.removeprefix("clrun.").split(".")[:2]
    if first not in PARTS or name.endswith(FILES):
        return False
    return first not in GROUPS | {"sweep"} or (SOURCES / first / f"{second}.py").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_name_and_file_that_a_page_says_is_there(page):
    names = [name for name in said(page) if NAME.fullmatch(name) and "/" not in name]
    files = [words.split()[0] for words in said(page) if words.startswith(FOLDERS)]
    files = [file for file in files if "*" not in file and "NAME" not in file]

    assert [name for name in names if is_of_code(name) and not is_there(name)] == []
    assert [file for file in files if not (ROOT / file).exists()] == []


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("runner.run.run", True),
        ("strategies.learner.Learner.update", True),
        ("strategies.learner.Learner.upgrade", False),
        ("strategies.learners", False),
        ("seeds.derive", True),
        ("fast", True),
    ],
)
def test_names_are_looked_up(name, there):
    assert is_there(name) is there


def calls_that_draw() -> Iterator[ast.Call]:
    for path in SOURCES.rglob("*.py"):
        if not DRAWS.search(path.read_text(encoding="utf-8")):
            continue  # to parse all of them takes two seconds
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and DRAWS.search(f"{ast.unparse(node.func)}("):
                yield node


def purposes() -> Iterator[str]:
    """What randomness is drawn for, wherever that is written out in the sources."""
    for call in calls_that_draw():
        for given in call.args:
            first = given.values[0] if isinstance(given, ast.JoinedStr) else given
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def test_every_purpose_of_randomness_is_in_the_table():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in page.splitlines() if line.startswith("| `"))

    found = {purpose.partition(":")[0].strip() for purpose in purposes()}

    assert len(found) > 20
    assert [purpose for purpose in sorted(found) if f"`{purpose}" not in table] == []


def test_picture_and_table_of_the_architecture_are_those_that_are_made_now():
    made = runpy.run_path(str(ROOT / "scripts" / "architecture_picture"))

    for path, content in (("PICTURE", made["picture"]()), ("PAGE", made["page"]())):
        assert made[path].read_text(encoding="utf-8") == content, "scripts/architecture_picture"


def test_each_script_that_people_run_is_on_the_page_of_scripts():
    page = (ROOT / "docs" / "scripts.md").read_text(encoding="utf-8")
    scripts = [path.name for path in (ROOT / "scripts").iterdir() if not path.suffix]

    named = [name for name in scripts if re.search(rf"`scripts/{name}\b", page)]

    assert [name for name in scripts if name not in named and name not in UNNAMED] == []


def test_the_citation_is_one_and_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))

    required = {"cff-version", "message", "title", "authors"}
    assert required <= citation.keys()
    assert all(isinstance(citation[key], str) for key in required - {"authors"})
    assert citation["cff-version"] == "1.2.0"
    assert citation["version"] == clrun.__version__
    assert citation["license"] == "MIT"
    assert all(author.keys() == {"name"} for author in citation["authors"])


def test_the_changelog_names_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    heads = re.findall(r"^## \[(.+?)\]", changelog, re.MULTILINE)

    assert heads[0] == "Unreleased" or heads[0] == clrun.__version__
    assert clrun.__version__ in changelog
