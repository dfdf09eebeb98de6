"""The site is built without a warning, and its reference says what `clrun help` says."""

from __future__ import annotations

import ast
import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clrun.cli.explained import keys_of, keys_of_no_group, with_types
from clrun.cli.topics import TOPICS
from clrun.cli.verbs import VERBS
from clrun.config.option_file import read_option
from clrun.config.sources import GROUPS, LOGGERS, PLUGINS, RECIPES, options

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
OF_GROUPS = (*GROUPS, LOGGERS, PLUGINS, RECIPES)

LINKS = """\
---
orphan: true
---
# Links

One to [a module](../src/clrun/seeds.py), one to [src/clrun/errors.py](../src/clrun/errors.py), one
to [a folder](../conf/strategy), one to [the first page](../README.md#install), one to
[a method](methods/ar1.md).
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built from a copy: the build writes pages of the reference beside the others."""
    pytest.importorskip("furo", reason="the site needs the extra docs")
    pytest.importorskip("myst_nb", reason="the site needs the extra docs")
    checkout = tmp_path_factory.mktemp("checkout")
    for entry in ROOT.iterdir():
        if entry.name == "docs":
            shutil.copytree(entry, checkout / "docs")
        elif entry.is_file():
            shutil.copy(entry, checkout)
        else:
            (checkout / entry.name).symlink_to(entry)
    (checkout / "docs" / "links.md").write_text(LINKS, encoding="utf-8")
    target = checkout.parent / "site"
    words = ("-q", "-W", "--keep-going", "-b", "html", str(checkout / "docs"), str(target))
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *words],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def page(site: Path, name: str) -> str:
    return (site / f"{name}.html").read_text(encoding="utf-8")


def sections(site: Path, name: str) -> dict[str, str]:
    """What is below each heading of a page of the reference, as a person reads it."""
    parts = re.split(r"<h[12]>(.*?)<a class", page(site, f"reference/{name}"))
    return {text(title): text(body) for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def text(part: str) -> str:
    apart = re.sub(r"</?(?:dt|dd|p|li|div)\b", " <p", part)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", apart)).split())


@pytest.mark.parametrize("group", OF_GROUPS)
def test_every_key_of_every_option_is_on_the_group_s_page_as_clrun_help_shows_it(group, site):
    found = sections(site, group)

    for option in options(group):
        about = found[f"{group}={option.name}"]
        based_on = re.findall(r"\w+/\w+", about.partition("The other keys are those of")[2])
        shared = [found[f"Shared keys: {place}"] for place in based_on]
        for key in keys_of(group, option.name, read_option(group, option.name)):
            comment = text(html.escape(key.comment.replace("`", "")))
            said = [part for part in (about, *shared) if f"{key.typed} {comment}" in part]
            assert said, f"{option.name}: {key.typed}"
            assert key.kind in said[0].partition(key.typed)[2], f"{option.name}: {key.typed}"
            if said[0] is not about:  # which would be another value
                assert f" {key.path}=" not in about


def test_every_key_of_no_group_is_there(site):
    found = text(page(site, "reference/no_group"))

    for key in with_types(keys_of_no_group()):
        assert f"{key.typed} {key.comment.replace('`', '')} {key.kind}" in found


def test_where_a_key_acts_is_a_class_that_declares_it(site):
    acts = {
        (key.rpartition(".")[2], place)
        for name in (*GROUPS, PLUGINS, "no_group")
        for key, place in re.findall(
            r"<dt\b[^>]*><code[^>]*><span class=\"pre\">([\w.]+)=.*?"
            r"<span class=\"pre\">(clrun[\w.]*:[\w.]+)</span>",
            page(site, f"reference/{name}"),
            re.DOTALL,
        )
    }

    assert len(acts) > 100
    assert sorted(acts - declared()) == []


def declared() -> set[tuple[str, str]]:
    """(key, package.module:Class) of every field of a class, and of the classes in it."""
    found = set()
    for path in (ROOT / "src").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        queue = [("", node) for node in ast.parse(path.read_text(encoding="utf-8")).body]
        for name, node in queue:
            if isinstance(node, ast.ClassDef):
                queue += [(f"{name}.{node.name}".lstrip("."), inner) for inner in node.body]
            elif name and isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                found.add((node.target.id, f"{module}:{name}"))
    return found


def test_every_verb_is_there_with_its_options(site):
    found = sections(site, "verbs")

    for name, verb in VERBS.items():
        assert f"usage: clrun {name}" not in found[f"clrun {name}"]
        assert f"clrun {name}" in found[f"clrun {name}"]
        for option in verb.options:
            assert option in found[f"clrun {name}"], f"{name} {option}"


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic != "options"])
def test_every_topic_has_a_page_with_what_clrun_help_says(topic, site):
    found = text(page(site, f"reference/{topic}"))

    for table in TOPICS[topic].tables():
        for name, meaning in table.rows.items():
            assert f"{name} {meaning}" in found


def test_a_link_out_of_the_docs_says_the_path_and_one_to_the_readme_leads_to_the_first_page(site):
    found = page(site, "links")

    assert (
        "One to a module (src/clrun/seeds.py), one to src/clrun/errors.py, one to a folder "
        "(conf/strategy), one to the first page, one to a method."
    ) in text(found)
    body = found.partition("One to ")[2].partition("</section>")[0]
    assert re.findall(r'href="([^"]+)"', body) == ["index.html", "methods/ar1.html"]


def test_no_page_asks_a_network_for_anything(site):
    asked = re.compile(
        r"<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)=\"(?:https?:)?//[^\"]*"
        r"|url\([\"']?https?:[^)]*|@import [^;]*"
    )
    files = [path for path in site.rglob("*") if path.suffix in (".html", ".css")]

    assert len(files) > 40
    found = {path.name: asked.findall(path.read_text(encoding="utf-8")) for path in files}
    assert {name: links for name, links in found.items() if links} == {}


def test_what_is_searched_for_is_found_by_a_script_that_lies_beside_the_page(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")

    assert '"herd"' in index or "herd:" in index  # as its stem
    assert "methods/icarl" in index
    assert 'src="searchindex.js"' in page(site, "search")
    for name in ("mem_size", "max_jobs", "CLRUN_DATA", "clrun tune --trials N"):
        assert f'"{name}"' in index or f"{name}:" in index
    assert 'id="shared-keys-strategy-rehearsal-strategy-mem-size"' in page(
        site, "reference/strategy"
    )


def test_an_image_has_words_for_who_does_not_see_it(site):
    images = [
        (path.name, image)
        for path in site.rglob("*.html")
        for image in re.findall(r"<img\b[^>]*>", path.read_text(encoding="utf-8"))
    ]

    assert images
    assert [found for found in images if not re.search(r'alt="[^"]{10,}"', found[1])] == []
