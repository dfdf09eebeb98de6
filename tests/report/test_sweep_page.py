"""A sweep's page has the terminal's numbers, counts what is missing, and shows names as text."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from synthetic_sweep import complete, fail, grid, interrupt, make_sweep

from clrun.console.sweep_table import best_lines
from clrun.records.points import best, points
from clrun.report.page import Page, render
from clrun.report.sweep_page import sweep_page
from clrun.report.sweep_view import SweepView
from clrun.report.tables import headline_table, markdown
from clrun.sweep.manifest import write_manifest
from clrun.sweep.methods import methods_in
from clrun.sweep.record import read_record, write_record
from clrun.sweep.summary import rows

HOSTILE = "<script>alert(1)</script>\x1b[2J\u202e"


class Words(HTMLParser):
    """The text of a page, and the tags in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def words(page: Page) -> Words:
    return Words(render(page))


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    """Two points of two seeds, one of one, and one that failed."""
    path = tmp_path / "sweep"
    made = make_sweep(path, grid(rates=4, seeds=2))
    for job, accuracy in zip(made, (0.5, 0.7, 0.80, 0.82, 0.75), strict=False):
        complete(path, job, accuracy)
    fail(path, made[5], "the loss is nan in experience 2.")
    fail(path, made[6], "the loss is nan in experience 1.")
    interrupt(path, made[7])
    return path


def test_its_points_are_those_of_the_terminal(sweep: Path) -> None:
    view = SweepView(path=sweep, rows=tuple(rows(sweep)))
    found = best(points([row.outcome for row in rows(sweep)]))

    assert view.best == found
    assert [p.values["strategy.lr"] for p in view.points] == ["0.2", "0.3", "0.1", "0.4"]
    assert [p.is_best for p in view.points] == [True, False, False, False]
    assert found is not None
    assert {p.name for p in view.points if p.may_be_best} == {"lr=0.2", "lr=0.3", "lr=0.1"}
    text = words(sweep_page(sweep)).text
    for line in best_lines(found)[1:]:
        assert f"{line[0].upper()}{line[1:]}." in text


def test_a_mean_has_its_interval_and_its_runs(sweep: Path) -> None:
    text = words(sweep_page(sweep)).text

    # 0.80 and 0.82: sd 0.0141, half t(1) sd / sqrt(2) = 12.706 * 0.01
    assert re.search(r"0\.8100 ±0\.12710\.0141", text)
    assert "1 of 2" in text


def test_what_is_missing_is_counted_with_its_reason(sweep: Path) -> None:
    page = sweep_page(sweep)
    text = words(page).text

    assert [banner.kind for banner in page.banners] == ["bad", "note"]
    assert "2 of 8 jobs failed" in page.banners[0].text
    assert "1 interrupted of 8 jobs" in page.banners[1].text
    assert (
        "2 failed: the loss is nan in experience 2 (the first of them; the numbers differ)" in text
    )
    assert "lr=0.3 seed=1" in text
    assert "1 interrupted" in text
    assert "clrun resume" in text


def test_a_key_has_its_response_and_two_keys_a_map(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    made = make_sweep(path, [{"a.x": x, "a.y": y} for x in ("10", "9") for y in ("u", "v", "w")])
    for job, accuracy in zip(made, (0.1, 0.2, 0.3, 0.4, 0.5, 0.9), strict=True):
        complete(path, job, accuracy)
    view = SweepView(path=path, rows=tuple(rows(path)))
    assert view.values("a.x") == ["9", "10"]  # as numbers
    assert view.values("a.y") == ["w", "v", "u"]  # as they come, the best point first

    html = render(sweep_page(path))

    table = Words(html).text
    assert re.search(r"90\.60000\.90003", table)  # x=9: mean 0.6, best 0.9, of 3 points
    assert re.search(r"100\.20000\.30003", table)
    assert html.count('class="thread') == 6
    assert "final accuracy by x and y" in table
    assert len(re.findall(r'<td class="h\d+[^"]*"', html)) == 6


def test_a_front_leaves_out_what_is_beaten_in_both(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    made = make_sweep(path, [{"a.x": x} for x in ("1", "2", "3")])
    for job, accuracy, size in zip(made, (0.5, 0.4, 0.9), (100, 200, 300), strict=True):
        complete(path, job, accuracy)
        file = path / job.folder / "results.json"
        content = json.loads(file.read_text())
        content["cost"]["memory_bytes"] = size
        file.write_text(json.dumps(content))

    html = render(sweep_page(path))

    front = html[html.index('aria-label="The front: memory of past data"') :]
    cells = re.findall(
        r'<tr><th scope="row">(\d)</th><td>(\d)</td>', front[: front.index("</table>")]
    )
    assert cells == [("1", "1"), ("2", "3")]
    assert "No front of multiply-accumulates of training: no run says it." in html


@pytest.mark.parametrize("key", ["strategy.lr", HOSTILE])
def test_names_are_text(tmp_path: Path, key: str) -> None:
    path = tmp_path / "<b>sweep"
    made = make_sweep(path, [{key: f"{HOSTILE}{k}", "a.b": k, "seed": "0"} for k in "123"])
    complete(path, made[0], 0.5)
    complete(path, made[1], 0.6)
    fail(path, made[2], HOSTILE)

    page = words(sweep_page(path))

    assert page.tags.count("script") == 1  # ours
    assert "<script>alert(1)</script>\\x1b[2J\\u202e1" in page.text
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


@pytest.mark.parametrize("done", [0, 1])
def test_one_that_has_just_begun_has_a_page(tmp_path: Path, done: int) -> None:
    path = tmp_path / "sweep"
    made = make_sweep(path, grid(rates=2, seeds=1))
    if done:
        complete(path, made[0], 0.5)

    page = sweep_page(path)

    assert page.verdict.startswith("One point alone has" if done else "No job has come")
    assert f"{2 - done} queued of 2 jobs" in page.banners[0].text
    assert render(page) == render(sweep_page(path))


def test_the_terminal_and_the_page_read_the_same_rows(sweep: Path) -> None:
    from clrun.sweep.summary import print_end

    console = Console(width=200, record=True)
    print_end(console, sweep)

    shown = console.export_text()
    assert "0.8100 ±0.1271" in shown
    assert "0.6000 ±1.2706" in shown


def test_a_key_that_was_swept_later_tells_the_methods_apart_too(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    made = make_sweep(path, [{"seed": "0"}, {"seed": "0", "strategy.lr": "0.5"}])
    for job, accuracy in zip(made, (0.5, 0.6), strict=True):
        complete(path, job, accuracy)
    write_record(path, replace(read_record(path), swept=("seed", "strategy.lr")))

    view = SweepView(path=path, rows=tuple(rows(path)))
    shown = methods_in([str(path)], "report").shown

    assert [dict(point.values) for point in view.points] == [
        {"strategy.lr": "0.5"},
        {"strategy.lr": "0.1"},  # the default, which nobody typed
    ]
    assert [dict(method.values) for method in shown] == [
        {"strategy.lr": "0.1"},
        {"strategy.lr": "0.5"},
    ]


def test_references_are_shown_but_are_neither_best_nor_on_a_front(tmp_path: Path) -> None:
    path = tmp_path / "sweep"
    points = [{"strategy": name, "seed": seed} for name in ("naive", "mine") for seed in "01"]
    made = make_sweep(path, points)
    write_manifest(path, [replace(job, is_reference=job.number < 2) for job in made])
    for job in made:
        complete(path, job, 0.9 if job.number < 2 else 0.4 + job.number / 10)

    page = sweep_page(path)
    shown = methods_in([str(path)], "report").shown

    assert page.verdict == (
        "One point alone has a number: accuracy 0.6500 ±0.6353 (2 runs); "
        "references: strategy=naive 0.9000."
    )
    html = render(page)
    assert re.search(r"naive</td><td[^>]*>2</td>.*?<td>reference</td>", html)
    assert "Response to" not in html  # one value alone is no response
    assert [method.name for method in shown] == ["naive (reference)", "mine"]
    table = markdown(headline_table(shown))
    assert "| naive (reference) | 2 |" in table
    assert "**" not in table
