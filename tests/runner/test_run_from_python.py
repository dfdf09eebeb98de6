from __future__ import annotations

import os

import pytest
import yaml

import clrun
from clrun.errors import ConfigError


def test_a_run_without_a_folder_gets_a_fresh_one_that_latest_leads_to(config_of, tmp_path):
    root = tmp_path / "outputs"
    config = config_of("strategy=naive", f"output_root={root}")

    clrun.run(config)
    first = (root / "latest").resolve()
    clrun.run(config)
    second = (root / "latest").resolve()

    assert first != second
    assert len(second.relative_to(root).parts) == 2  # date and time
    assert all((folder / "results.json").exists() for folder in (first, second))


def test_what_is_returned_is_what_was_written(config_of, tmp_path, finished):
    results = clrun.run(config_of("strategy=naive"), tmp_path / "run")

    assert results.accuracy_matrix == finished("strategy=naive").results["accuracy_matrix"]
    assert results.metrics == finished("strategy=naive").results["metrics"]


def test_the_configuration_is_saved_so_that_the_run_can_be_repeated(config_of, finished):
    words = ("strategy=naive", "seed=4", "strategy.plugins=[{name: si, ewc_lambda: 0.5}]")
    saved = finished(*words).folder / ".hydra"

    overrides = yaml.safe_load((saved / "overrides.yaml").read_text())
    tree = yaml.safe_load((saved / "config.yaml").read_text())

    assert clrun.compose(overrides).hash() == config_of(*words).hash()
    names = {group: node.option for group, node in config_of(*words).nodes.items()}
    assert {group: tree[group].pop("option") for group in names} == names
    assert tree == config_of(*words).as_dict()
    assert (tree["seed"], tree["strategy"]["train_epochs"]) == (4, 2)


def test_a_folder_can_be_named_relative_to_where_one_is(config_of, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    clrun.run(config_of("strategy=naive"), "here/run")

    assert (tmp_path / "here" / "run" / ".hydra" / "config.yaml").exists()
    assert (tmp_path / "here" / "run" / "results.json").exists()


def test_missing_data_are_told_before_there_is_a_folder(tmp_path):
    config = clrun.compose(
        [
            *("benchmark=split_mnist", "benchmark.download=false", "device=cpu"),
            f"benchmark.data_root={tmp_path / 'data'}",
        ]
    )

    with pytest.raises(ConfigError, match=r"benchmark\.data_root"):
        clrun.run(config, tmp_path / "run")

    assert os.listdir(tmp_path) == []
