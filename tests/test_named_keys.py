"""Keys and options that pages name in running text and tables are there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
import yaml

from clrun.config.option_file import read_option
from clrun.config.sources import options

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.parent.name != "reference"),
]
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
GROUPS = sorted({path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} - {"hydra"})
KEY = re.compile(rf"(?<![\w./-])({'|'.join(GROUPS)}|checkpoint|sweep)\.([a-z]\w*)(?![\w(/]|\.py)")
OPTION = re.compile(rf"(?<![\w./-])({'|'.join(GROUPS)})=([a-z]\w*(?:/\w+)*)(?![\w/])")
FILES = frozenset({"csv", "json", "jsonl", "onnx", "pt", "safetensors", "yaml"})
MINE = frozenset({"mine"})
"""Options of a reader's own, in examples."""


@cache
def keys(group: str) -> frozenset[str]:
    """Every key that some option of a group has."""
    if group in ("checkpoint", "sweep"):
        root = yaml.safe_load((ROOT / "conf" / "config.yaml").read_text(encoding="utf-8"))
        return frozenset(root[group])
    found = {key for option in options(group) for key in read_option(group, option.name).keys}
    return frozenset(found | {option.name for option in options(group)} | {"target"})


def is_key(group: str, key: str) -> bool:
    """Whether `group.key` reads as a key: not as a file, nor as a module of clrun's."""
    return key not in FILES and not (ROOT / "src" / "clrun" / group / f"{key}.py").exists()


def said(page: Path) -> list[str]:
    """What stands in code type in text and tables; of what others call things, nothing."""
    lines = FENCE.sub("", page.read_text(encoding="utf-8")).splitlines()
    if page.parent.name == "moving":  # the last column is ours
        lines = [line.rstrip(" |").rpartition(" | ")[2] for line in lines if line.startswith("|")]
    return CODE.findall("\n".join(lines))


def unknown(page: Path) -> list[str]:
    """Keys and options that it names and that are not there."""
    code = said(page)
    named = {found for words in code for found in KEY.findall(words) if is_key(*found)}
    chosen = {found for words in code for found in OPTION.findall(words)}
    return [
        *(f"{group}.{key}" for group, key in sorted(named) if key not in keys(group)),
        *(f"{group}={name}" for group, name in sorted(chosen) if name not in keys(group) | MINE),
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_keys_and_options_that_a_page_names_are_there(page):
    assert unknown(page) == []


def test_what_is_not_there_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`strategy=replay strategy.mem_sizes=3`, `model=mpl`, `checkpoint.every`, `a.b`"
    )

    assert unknown(page) == ["checkpoint.every", "strategy.mem_sizes", "model=mpl"]
