"""The folder that is named for a run: used as given, wherever it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from making_sweeps import written_sweep

from clrun.cli.main import main
from clrun.cli.named_folder import named_folder
from clrun.config.compose import compose_tree
from clrun.records.run_folder import UNNAMED


def folder_of(*words: str, **where: object) -> Path | None:
    return named_folder(compose_tree(list(words), **where), "hydra.run.dir")


def test_without_a_name_it_is_a_fresh_one():
    tree = compose_tree([])

    assert tree.hydra.run._get_node("dir")._value() in UNNAMED
    assert named_folder(tree, "hydra.run.dir") is None


@pytest.mark.parametrize(
    ("typed", "folder"),
    [
        ("a/b", "a/b"),
        ("runs/${seed}", "runs/3"),
        ("runs/${hydra:job.override_dirname}", "runs/seed=3"),
        ("'~/runs'", "/tmp/runs"),
        ("${oc.env:RUNS}", "/tmp/runs"),
    ],
)
def test_a_name_is_used_as_given(typed, folder, workplace, monkeypatch):
    monkeypatch.setenv("HOME", "/tmp")
    monkeypatch.setenv("RUNS", "~/runs")

    assert folder_of("seed=3", f"hydra.run.dir={typed}") == Path(folder)


def test_the_folder_of_a_sweep_is_not_that_of_a_run(workplace, capsys):
    written_sweep(workplace / "sweep", [["seed=0"]])
    before = sorted(path.name for path in (workplace / "sweep").iterdir())

    assert main(["strategy=naive", "hydra.run.dir=sweep"]) == 3
    assert "sweep: is the folder of a sweep. Name another" in capsys.readouterr().err
    assert sorted(path.name for path in (workplace / "sweep").iterdir()) == before


def test_a_recipe_may_name_it(workplace):
    recipe = workplace / "mine" / "experiment" / "tidy.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\nhydra:\n  run:\n    dir: tidy/${seed}\n")

    folder = folder_of("experiment=tidy", "seed=2", config_dirs=[workplace / "mine"])

    assert folder == Path("tidy/2")


@pytest.mark.parametrize(
    ("typed", "line"),
    [
        ("", "names no folder"),
        ("' '", "names no folder"),
        ("${oc.env:EMPTY}", "names no folder"),
        ("/proc/x/y", "no folder can be made in /proc"),
        ("a_file/x", "is a file. Name a folder."),
    ],
)
def test_what_cannot_be_a_folder_is_refused_before_anything_starts(
    typed, line, workplace, monkeypatch, capsys
):
    monkeypatch.setenv("EMPTY", "")
    (workplace / "a_file").touch()

    assert main([f"hydra.run.dir={typed}"]) == 2

    assert line in capsys.readouterr().err
    assert [path.name for path in workplace.iterdir()] == ["a_file"]


def test_an_output_root_that_cannot_be_made_is_named(workplace, capsys):
    assert main(["output_root=/proc/x"]) == 2
    assert "output_root=/proc/x: no folder can be made in /proc" in capsys.readouterr().err
