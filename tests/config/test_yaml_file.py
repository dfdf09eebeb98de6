"""A configuration file is small, flat and plain, or refused by file and line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clrun.config.budget import bounded
from clrun.config.sources import conf_root
from clrun.config.yaml_file import DEEPEST, MOST_BYTES, MOST_NODES, yaml_text
from clrun.errors import ConfigError

ALIASES = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
CHAIN = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{y: *a{i - 1}}}\n" for i in range(1, 60))


def nested(depth: int) -> str:
    """A mapping with lists in one another, so deep in all."""
    return f"a: {'[' * (depth - 1)}{']' * (depth - 1)}\n"


REFUSED = {
    "aliases": (ALIASES, "stands for more than 100,000 values"),
    "aliases as keys": ("a: &a [1]\nb: {*a : 1}\nc: *d\n", "*d names nothing"),
    "alias of itself": ("a: &a [*a]\n", "*a names nothing, or what it is in"),
    "a chain of aliases": (CHAIN, f"more than {DEEPEST} lists"),
    "many keys": ("".join(f"k{i}: 1\n" for i in range(MOST_NODES)), "stands for more than"),
    "a long list": (f"a: [{'1,' * MOST_NODES}]\n", "stands for more than"),
    "many plugins": ("a:\n" + "- {name: si}\n" * (MOST_NODES // 2), "stands for more than"),
    "deep": (nested(DEEPEST + 1), f"more than {DEEPEST} lists"),
    "deeper": (nested(4000), f"more than {DEEPEST} lists"),
    "deep blocks": ("".join(f"{'  ' * i}a:\n" for i in range(50)), f"more than {DEEPEST} lists"),
    "large": ("a: " + "x" * MOST_BYTES, "has 1,048,579 bytes"),
    "a list": ("- a\n- b\n", "line 1: is a list"),
    "a flow list": ("[a, b]", "line 1: is a list"),
    "a text": ("hello\n", "is a single value"),
    "a number": ("3\n", "is a single value"),
    "an object": ("a: !!python/object/apply:os.system [id]\n", "line 1: the tag !!python/obj"),
    "a name": ("a: 1\nb: !!python/name:os.system ''\n", "line 2: the tag !!python/name"),
    "a module": ("a: !!python/module:os\n", "the tag !!python/module:os"),
    "a tuple": ("a: !!python/tuple [1]\n", "the tag !!python/tuple"),
    "bytes": ("a: !!binary aGVsbG8=\n", "the tag !!binary"),
    "a set": ("a: !!set {b, c}\n", "the tag !!set"),
    "a tag of one's own": ("a: !mine 3\n", "the tag !mine"),
    "a tag by address": ("a: !<tag:example.org,2020:x> 3\n", "the tag tag:example.org"),
    "a tab": ("a:\n\tb: 1\n", "line 2: "),
    "an open bracket": ("a: [1, 2\n", "line "),
    "an open quote": ("a: 'x\n", "line "),
    "a bare colon": ("a: b: c\n", "line 1: "),
    "wrong indentation": ("a: 1\n  b: 2\n", "line 2: "),
    "an unknown directive": ("%YAML 9.9\n---\na: 1\n", "line 1: "),
    "long texts to interpolate": (f"a: {'${b}' * 20_000}\n", "have more than 50,000 characters"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_by_file_and_reason(name: str, tmp_path: Path) -> None:
    content, reason = REFUSED[name]
    path = tmp_path / "a.yaml"
    path.write_text(content)

    with pytest.raises(ConfigError) as refused:
        yaml_text(path)

    assert str(refused.value).startswith(str(path))
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"a: \xff\xfe", "line 1: is not UTF-8 text"),
        (b"a: 1\nb: \xc3(\n", "line 2: is not UTF-8 text"),
        (b"\x89PNG\r\n\x1a\n\x00", "is not UTF-8 text"),
        (b"a: \x00\n", "control characters are not allowed"),
        (b"a: \x1b[31m\n", "control characters are not allowed"),
    ],
    ids=ascii,
)
def test_bytes_are_no_configuration(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=reason):
        yaml_text(path)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")

    for path in (tmp_path / "fifo.yaml", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="is no regular file"):
            yaml_text(path)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# only a comment\n",
        "---\n",
        "null\n",
        "{}\n",
        "a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}\n",
        "a: !!str 3\nb: !!float 3\nc: !!int '3'\n",
        nested(DEEPEST),
        f"a: [{','.join(['1'] * 20_000)}]\n",
    ],
)
def test_what_is_modest_is_read_as_it_is(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(content)

    assert yaml_text(path) == content


def test_what_files_say_together_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(f"a: {'${b}' * 5_000}\n")

    with bounded():
        yaml_text(path)
        yaml_text(path)
        with pytest.raises(ConfigError, match="more than 50,000"):
            yaml_text(path)


def test_our_own_files_are_far_from_every_limit() -> None:
    with bounded():
        for path in conf_root().rglob("*.yaml"):
            assert len(yaml_text(path)) < MOST_BYTES / 50
