"""The page of a comparison says what the terminal says, and shows what it rests on."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from done_sweeps import done_sweep

from clrun.cli.main import main
from clrun.compare.compared import Compared, compared_groups
from clrun.report.compare_page import compare_page
from clrun.report.intervals_chart import Bracket, Brackets
from clrun.report.numbers import signed
from clrun.report.page import render

POINTS = tuple(
    (f"strategy.lr={rate}", f"seed={seed}") for rate in ("0.01", "0.1") for seed in range(3)
)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return done_sweep(tmp_path_factory.mktemp("runs") / "a <b>sweep", POINTS)


@pytest.fixture(scope="module")
def found(sweep: Path) -> Compared:
    return compared_groups([str(sweep)])


def test_it_has_the_verdict_and_the_numbers_of_the_comparison(found: Compared) -> None:
    html = render(compare_page(found))

    (duel,) = found.duels
    assert f'<p class="verdict">{found.verdict}</p>' in html
    mean = signed(duel.comparison.mean, 4)
    assert f'<td class="number">{mean}</td>' in html
    for method in found.methods:
        spread = method.spread("acc_final")
        assert spread is not None
        assert f"<b>{spread.mean:.4f}</b> ±{spread.half_width:.4f}" in html


def test_methods_stand_side_by_side_within_what_all_have_spent(found: Compared) -> None:
    html = render(compare_page(found))

    table = html[html.index('id="equal-cost"') :]
    table = table[: table.index("</table>")]
    costs = {each["cost"]: each for each in found.plain()["equal_cost"]}
    macs = costs["multiply-accumulates of training"]
    assert macs["n"] == 3
    for method in found.methods:
        assert f'<td class="number">{macs["accuracy"][method.name]:.3f}</td>' in table


def test_every_pair_and_the_difference_of_the_matrices_are_shown(found: Compared) -> None:
    html = render(compare_page(found))

    pairs = html[html.index("<summary>Every pair</summary>") :]
    rows = re.findall(r'<tr><th scope="row">seed (\d)', pairs[: pairs.index("</table>")])
    assert rows == ["0", "1", "2"]
    means = [
        np.mean([run.past.results["accuracy_matrix"] for run in m.completed if run.past], axis=0)
        for m in found.methods
    ]
    change = signed(means[0][0, 0] - means[1][0, 0])
    maps = html[html.index('id="difference-0-1"') :]
    assert change in maps[: maps.index("</table>")]


def test_what_differs_is_the_key_and_nothing_else(found: Compared) -> None:
    html = render(compare_page(found))

    table = html[html.index('id="configuration"') :]
    keys = re.findall(r'<th scope="row" class="key">(.*?)</th>', table[: table.index("</table>")])
    assert keys == ["strategy.lr"]


def test_what_is_not_alike_or_missing_is_said_before_any_number(found: Compared) -> None:
    page = compare_page(
        replace(found, unlike=("a and b differ.", "and again."), missing=("x: failed (1): <i>",))
    )

    assert [banner.kind for banner in page.banners] == ["bad", "note"]
    assert "a and b differ. (1 more under Missing)" in page.banners[0].text
    html = render(page)
    assert "x: failed (1): &lt;i&gt;" in html
    assert "<li>and again.</li>" in html


def test_names_are_text(found: Compared) -> None:
    name = "<script>alert(1)</script>"
    other = replace(found.methods[0], name=name)
    duels = tuple(replace(duel, a=name) for duel in found.duels)
    judged = replace(found.judged, duels=duels, verdict=name)
    hostile = replace(found, methods=(other, *found.methods[1:]), judged=judged)

    html = render(compare_page(hostile))

    assert name not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") > 3


def test_intervals_stand_on_one_scale_with_0() -> None:
    chart = Brackets(
        id="d",
        caption="",
        brackets=[Bracket("a", 0.2, 0.1, 0.3, True), Bracket("b", -0.1, None, None, False)],
    )

    assert chart.span() == pytest.approx((-0.124, 0.324))  # 6 % of 0.4 on either side
    assert chart.right(0) == pytest.approx(27.68, abs=0.01)  # 0.124 of 0.448


def test_several_folders_give_one_page(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = sorted(sweep.glob("*-s0-*"))
    path = tmp_path / "both.html"
    assert main(["report", str(one), str(two), "--output", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    first = path.read_text()
    assert main(["compare", str(one), str(two), "--html", str(path)]) == 0
    assert path.read_text() == first
    assert "comparison" in first

    assert main(["compare", str(one), str(two), "--html", str(tmp_path / "no" / "a.html")]) == 2
    assert "a.html: is no file in a folder that is there." in capsys.readouterr().err
