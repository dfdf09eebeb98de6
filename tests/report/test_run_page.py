"""The page of a run: what it says, and that it says it safely and alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import clrun
from clrun.cli.main import main
from clrun.records.past_run import read_run
from clrun.report.beside import Beside
from clrun.report.page import render
from clrun.report.run_page import run_page

VOID = {"meta", "link", "img", "input", "br", "path"}


class Parsed(HTMLParser):
    """The tags of a page with their attributes, its text, and whether all tags are closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another"

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


@pytest.fixture(scope="module")
def text(folder) -> str:
    return render(run_page(read_run(folder)))


def test_a_page_says_what_the_run_found(folder, text):
    results = json.loads((folder / "results.json").read_text())

    page = Parsed(text)

    assert page.open == []
    final = results["metrics"]["acc_final"]
    assert f"its mean test accuracy is {final:.3f} (95 % interval" in page.text
    titles = [attributes.get("title") or "" for _, attributes in page.tags]
    accuracy = results["accuracy_matrix"][2][1]
    assert any(title.startswith(f"after 3, on 2: {accuracy:.4f}, ") for title in titles)
    assert results["experiences"][0]["test_rows"] > 0
    for part in ("Stability gap", "Memory", "Cost", "Configuration", "Provenance"):
        assert part in page.text


def test_every_metric_has_its_definition_on_the_page(text):
    page = Parsed(text)
    ids = page.ids()

    links = [a["href"] for tag, a in page.tags if tag == "a" and str(a["href"]).startswith("#")]

    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links} <= set(ids)
    assert {f"def-{key}" for key in clrun.metrics.plain_metrics()} <= set(ids)


def test_nothing_outside_the_folder_is_asked_for(text):
    page = Parsed(text)

    addresses = [
        value
        for _, attributes in page.tags
        for name, value in attributes.items()
        if name in ("href", "src", "srcset", "action", "poster", "data")
    ]

    assert all(
        re.match(r"#|data:|accuracy_matrix\.csv$|results\.json$", address) for address in addresses
    )
    assert not re.search(r"url\(|@import|fetch\(|XMLHttp|sendBeacon|WebSocket", text)


def test_the_same_folder_gives_the_same_bytes_and_few_of_them(folder, text):
    assert render(run_page(read_run(folder))) == text
    assert len(text.encode()) < 400_000


def test_names_and_values_are_text_whatever_they_hold(folder, tmp_path):
    evil = (
        "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\x1b[31m{{ 7*7 }}"
    )
    copy = tmp_path / "run"
    copy.mkdir()
    for name in ("run.json", "results.json", "metrics.jsonl"):
        (copy / name).write_text((folder / name).read_text())
    record = json.loads((copy / "run.json").read_text())
    record["run_name"] = record["label"] = record["command"] = record["error"] = evil
    record["data"]["class_names"] = [evil] * 10
    record["config"]["nodes"]["benchmark"]["values"]["class_order"] = evil
    record["config"]["nodes"]["strategy"]["option"] = evil
    record["status"] = "failed"
    (copy / "run.json").write_text(json.dumps(record))

    text = render(run_page(read_run(copy), Beside(against=read_run(copy))))

    page = Parsed(text)
    assert "img" not in [tag for tag, _ in page.tags]
    assert sum(tag == "script" and "type" not in attributes for tag, attributes in page.tags) == 1
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert "\u202e" not in text
    assert "\x1b" not in text
    assert "49" not in page.texts[:20]
    assert "</script><script>alert(1)</script>" in page.text
    assert "\\u202e\\x1b[31m{{ 7*7 }}" in page.text


def test_a_page_is_made_without_torch(folder):
    code = (
        "import sys; from clrun.cli.main import main\n"
        f"assert main(['report', {str(folder)!r}]) == 0\n"
        "assert 'torch' not in sys.modules and 'hydra' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)

    assert (folder / "report.html").is_file()


def test_a_folder_that_is_no_run_is_named(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no run" in capsys.readouterr().err
