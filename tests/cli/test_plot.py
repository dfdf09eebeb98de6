"""`clrun plot`, as it is typed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import clrun
from clrun.cli.main import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        words = ["strategy=naive", "strategy.train_epochs=1", f"seed={seed}"]
        clrun.run(clrun.compose(words), top / f"run{seed}")
    return top


@pytest.mark.parametrize("what", ["matrix", "curves", "pareto"])
def test_a_figure_of_a_run_goes_into_its_folder(
    what: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plot", str(runs / "run0"), "--what", what]) == 0

    path = runs / "run0" / "plots" / f"{what}.png"
    assert capsys.readouterr().out == f"{what}: {path}\n"
    with Image.open(path) as image:
        assert image.width == 990  # 3.3 inches with 300 dots each


def test_several_runs_are_one_method_in_a_file_that_is_named(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs / "both.svg"

    words = [str(runs / "run0"), str(runs / "run1"), "--what", "matrix", "--size", "page"]
    assert main(["plot", *words, "--output", str(path)]) == 0

    assert "naive on digits (2 runs)" in path.read_text()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--what", "pie"), "argument --what: invalid choice: 'pie'"),
        ((), "the following arguments are required: --what"),
        (("--what", "matrix", "--output", "a.gif"), "--output=a.gif: must end in .png, .svg, .pdf"),
        (("--what", "matrix", "--output", "no/a.png"), "--output=no/a.png: there is no folder"),
        (("--what", "matrix", "--metric", "aia"), "--metric=aia: belongs to --what=pareto"),
        (("--what", "pareto", "--metric", "acc_finl"), "Did you mean 'acc_final'?"),
        (("--what", "pareto", "--metric", "nll"), "--metric=nll: lower is better"),
        (("nowhere", "--what", "matrix"), "several folders were named"),
        (("nowhere", "--what", "matrix", "--output", "a.png"), "nowhere: there is no such folder"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(
    words: tuple[str, ...],
    reason: str,
    runs: Path,
    workplace: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["plot", str(runs / "run0"), *words]) == 2

    error = capsys.readouterr().err
    assert reason in error
    assert len(error.splitlines()) == 1
    assert not list(workplace.iterdir())


def test_neither_torch_nor_pyplot_is_imported(runs: Path, tmp_path: Path) -> None:
    words = ["plot", str(runs / "run0"), "--what", "pareto", "--output", str(tmp_path / "a.pdf")]
    program = (
        f"import sys; from clrun.cli.main import main; code = main({words!r}); "
        "print({'torch', 'matplotlib.pyplot'} & set(sys.modules), code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == "set() 0"
