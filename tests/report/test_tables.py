"""The headline table in three formats, and what was done in words."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import clrun
from clrun.records.alike import Method
from clrun.records.past_run import PastRun, read_run
from clrun.records.spread import spread
from clrun.report.protocol import protocol
from clrun.report.table_text import table_text
from clrun.report.tables import headline_table, latex, markdown

HOSTILE = "a|b `c` <i>d</i> \\x_{1} 50% & #1 ~^\x1b\n*e*"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> PastRun:
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = [
        "strategy=replay",
        "strategy.train_epochs=1",
        "strategy.mem_size=50",
        "model.hidden=[8]",
    ]
    clrun.run(clrun.compose(words), folder)
    return read_run(folder)


def method(run: PastRun, values: dict[str, str], *accuracies: float) -> Method:
    """A method with a run of this accuracy for each of the seeds 0, 1, ..."""
    config = run.record["config"]
    runs = [
        replace(
            run,
            metrics={"acc_final": accuracy, "bwt": -0.25},
            record={
                **run.record,
                "seeds": {"seed": seed},
                "config": {**config, "root": {**config["root"], "seed": seed}},
            },
        )
        for seed, accuracy in enumerate(accuracies)
    ]
    return Method(values=values, runs=tuple(runs))


@pytest.fixture
def methods(run: PastRun) -> list[Method]:
    return [
        method(run, {"strategy": "naive"}, 0.10, 0.12, 0.11),
        method(run, {"strategy": "replay"}, 0.80, 0.83, 0.81),
    ]


def test_markdown_has_means_intervals_and_n_and_the_best_is_bold(methods: list[Method]) -> None:
    lines = markdown(headline_table(methods)).splitlines()

    assert lines[0].startswith(
        "| strategy | n | final accuracy | backward transfer | memory (MB) |"
    )
    assert lines[1].startswith("| --- | ---: | ---: | ---: |")
    # SD 0.01, t(2) 4.3027: half = 4.3027 * 0.01 / sqrt(3)
    assert lines[2].startswith("| naive | 3 | 0.1100 ± 0.0248 | -0.2500 ± 0.0000 | 0.0044 |")
    half = spread([0.80, 0.83, 0.81]).half_width
    assert lines[3].startswith(f"| replay | 3 | **0.8133 ± {half:.4f}** | -0.2500 ± 0.0000 |")
    assert "Bold: may be the best" in lines[-1]


def test_one_run_of_each_tells_nothing_and_says_so(run: PastRun) -> None:
    table = headline_table([method(run, {"a": "1"}, 0.1), method(run, {"a": "2"}, 0.9)])

    assert table.caption == "One run each."
    assert "**" not in markdown(table)


def test_latex_is_a_table_with_rules_in_which_names_are_text(run: PastRun) -> None:
    text = latex(headline_table([method(run, {"k_1": HOSTILE}, 0.5, 0.6)]))

    assert text.startswith("% \\usepackage{booktabs}\n\\begin{table}\n")
    assert [rule for rule in ("top", "mid", "bottom") if f"\\{rule}rule" in text] == [
        *("top", "mid", "bottom")
    ]
    assert "k\\_1 & n & final accuracy" in text
    (row,) = re.findall(r"midrule\n    (.*) \\\\\n", text)
    assert row.startswith(
        "a\\textbar{}b `c` \\textless{}i\\textgreater{}d\\textless{}/i\\textgreater{} "
        "\\textbackslash{}x\\_\\{1\\} 50\\% \\& \\#1 \\textasciitilde{}\\textasciicircum{}"
    )
    assert "& 2 & 0.5500 $\\pm$ 0.6353 &" in row
    assert text.count("{") == text.count("}")


def test_csv_has_every_metric_and_no_formula(run: PastRun, methods: list[Method]) -> None:
    found = [*methods, method(run, {"strategy": "=1+1"}, 0.5)]

    rows = list(csv.DictReader(io.StringIO(table_text(found, "csv"))))

    assert [row["strategy"] for row in rows] == ["naive", "replay", "'=1+1"]
    assert [row["runs"] for row in rows] == ["3", "3", "1"]
    assert float(rows[0]["acc_final_mean"]) == pytest.approx(0.11)
    assert float(rows[0]["acc_final_sd"]) == pytest.approx(0.01)
    assert float(rows[0]["acc_final_half_interval_95"]) == pytest.approx(0.02484, abs=1e-5)
    assert (rows[2]["acc_final_sd"], rows[2]["acc_final_n"]) == ("", "1")
    assert rows[0]["memory_bytes"] == "4400.0"


def test_the_protocol_says_what_was_done(run: PastRun) -> None:
    said = " ".join(protocol([method(run, {}, 0.5, 0.6, 0.7)], ["acc_final"]))

    for part in (
        "The stream is digits, 5 experiences of 2 classes each, with 1,442 training and 355 test",
        "each brings new classes. Classes come in their own order.",
        "replay: Experience replay: a small memory mixed into every minibatch (Chaudhry et al.",
        "mem_size=50",
        "in 1 pass over its rows, in minibatches of 32 rows, by SGD with step size 0.1, on cross",
        "has 50 rows in the end, 4.4 kB, shared out by experience_balanced and chosen by random.",
        "The model is mlp (hidden=[8],",
        "ran 3 times, with seeds 0 to 2",
        "scored on the test images of all experiences, also those to come.",
        "1/T sum_j R[T, j] (Lopez-Paz & Ranzato 2017, arXiv 1706.08840)",
    ):
        assert part in said


def test_several_runs_of_a_seed_are_no_more_seeds(run: PastRun) -> None:
    one = method(run, {}, 0.5, 0.6)

    said = protocol([replace(one, runs=one.runs * 2)], [])

    assert any(text.startswith("Each method has 4 runs, with seeds 0 and 1,") for text in said)


def test_what_differs_between_methods_is_said_with_each_value(run: PastRun) -> None:
    def changed(option: str | None = None, **values: Any) -> Method:
        config = run.record["config"]
        node = config["nodes"]["strategy"]
        node = {"option": option or node["option"], "values": {**node["values"], **values}}
        nodes = {**config["nodes"], "strategy": node}
        record = {**run.record, "config": {**config, "nodes": nodes}}
        return Method(values={}, runs=(replace(run, record=record),))

    rates = " ".join(protocol([changed(lr=0.1), changed(lr=0.5)], []))
    assert "with step size 0.1 or 0.5" in rates
    several = protocol([changed(), changed("mine", lr=0.5)], [])
    assert any(s.startswith("replay: An experience") and "step size 0.1," in s for s in several)
    assert any(s.startswith("mine: An experience") and "step size 0.5," in s for s in several)
    assert any(s.startswith("mine: a strategy of another package.") for s in several)


def test_a_record_that_says_nothing_gives_no_error(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"status": "completed"}')
    (tmp_path / "metrics.jsonl").write_text("")

    assert protocol([Method(values={}, runs=(read_run(tmp_path),))], [])
