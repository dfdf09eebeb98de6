"""What a command imports decides how long it takes to begin."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SHOW_IMPORTS = """
import sys
from clrun.cli.main import main
code = main(sys.argv[1:])
print("imported:", *sorted(name for name in sys.modules if name in {heavy}))
sys.exit(code)
"""


def imported(folder: Path, heavy: set[str], *words: str) -> list[str]:
    """Which of the heavy modules are imported when a command ends well."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW_IMPORTS.replace("{heavy}", repr(heavy)), *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


def test_the_default_experiment_imports_no_compiler_and_no_other_library(tmp_path):
    heavy = {"torch._dynamo", "torch._inductor", "sympy", "torchvision", "sklearn", "scipy"}

    found = imported(tmp_path, {"torch", *heavy}, "strategy.train_epochs=1")

    assert found == ["torch"]


@pytest.mark.parametrize("word", ["strategy=ar1", "experiment=ar1_digits", "benchmark=digits"])
def test_explaining_an_option_imports_neither_torch_nor_hydra(word, tmp_path):
    heavy = {"torch", "numpy", "rich", "hydra", "omegaconf", "clrun.config.check"}

    assert imported(tmp_path, heavy, "help", word) == []


@pytest.mark.parametrize("words", [["help"], ["help", "strategy"]], ids=" ".join)
def test_what_there_is_to_explain_is_listed_without_pydantic(words, tmp_path):
    assert imported(tmp_path, {"torch", "hydra", "pydantic", "rich", "numpy"}, *words) == []


def test_help_imports_neither_torch_nor_rich_nor_the_components(tmp_path):
    heavy = {"torch", "numpy", "rich", "pydantic", "clrun.runner.prepare", "clrun.config.check"}

    assert imported(tmp_path, heavy, "--help") == []
