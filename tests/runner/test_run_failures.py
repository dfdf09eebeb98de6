"""Runs that end badly: what is raised, and what is left in the folder."""

from __future__ import annotations

import json
import resource
import shutil

import pytest
import torch

import clrun
from clrun.errors import FolderError, NonFiniteLoss, StorageError
from clrun.records.raw_log import read_raw_log
from clrun.runner.prepare import prepare
from clrun.runner.run import run
from clrun.runner.state import RunState


def test_a_loss_that_is_no_number_ends_the_run_and_is_told(config_of, tmp_path):
    folder = tmp_path / "run"

    with pytest.raises(NonFiniteLoss, match=r"the loss is nan in experience 1, epoch 1") as failed:
        clrun.run(config_of("strategy.lr=1e30"), folder)

    record = json.loads((folder / "run.json").read_text())
    assert failed.value.exit_code == 6
    assert record["status"] == "failed"
    assert record["error"].startswith("NonFiniteLoss: the loss is nan")
    assert record["ended"] is not None
    assert record["seconds"] > 0
    assert not (folder / "results.json").exists()
    assert (folder / ".hydra" / "config.yaml").exists()
    assert read_raw_log(folder / "metrics.jsonl")[-1]["kind"] == "eval"


DIVERGING = {
    "naive": ("strategy=naive",),
    "replay": ("strategy.optimizer=adam",),
    "ar1": ("strategy=ar1", "model=mlp", "strategy.latent_layer=features.relu0"),
    "joint": ("strategy=joint", "log_every=1000"),
}


@pytest.mark.parametrize("name", DIVERGING)
def test_weights_after_a_bad_loss_are_those_before_it(name, config_of, tmp_path):
    prepared = prepare(config_of(*DIVERGING[name], "strategy.lr=1e20", "strategy.train_mb_size=16"))
    weights: list[dict[str, torch.Tensor]] = []
    places: list[tuple[int, int, int]] = []

    def keep(state: RunState) -> None:
        places.append((state.experience, *state.start))
        weights.append({k: v.clone() for k, v in prepared.model.named_parameters()})

    with pytest.raises(NonFiniteLoss) as failed:
        run(prepared, tmp_path / "run", at_pause=keep)

    after = dict(prepared.model.named_parameters())
    assert all(torch.equal(after[k], value) for k, value in weights[-1].items())
    assert not all(torch.equal(weights[0][k], value) for k, value in weights[-1].items())
    experience, epoch, iteration = (number + 1 for number in places[-1])
    bad = f"experience {experience}, epoch {epoch}, iteration {iteration}."
    assert bad in str(failed.value)


def test_a_disk_that_fills_up_ends_the_run_and_is_told(config_of, tmp_path):
    folder, before = tmp_path / "run", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, before[1]))

    try:
        with pytest.raises(StorageError, match=r"/run/\S+: File too large\.") as failed:
            clrun.run(config_of("log_every=1"), folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    record = json.loads((folder / "run.json").read_text())
    assert failed.value.exit_code == 5
    assert record["status"] == "failed"
    assert len(read_raw_log(folder / "metrics.jsonl")) > 20


def test_a_folder_with_a_run_is_refused_and_left_as_it_is(config_of, finished):
    folder = finished().folder
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    with pytest.raises(FolderError, match=r"holds a run already \(status completed\)"):
        clrun.run(config_of("seed=1"), folder)

    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("way", ["removed", "renamed", "log removed"])
def test_a_folder_that_goes_while_training_is_noticed_with_the_next_evaluation(
    way, config_of, tmp_path
):
    folder, places = tmp_path / "run", []

    def go(state: RunState) -> None:
        places.append(state.experience)
        if len(places) == 3:
            if way == "renamed":
                folder.rename(tmp_path / "elsewhere")
            elif way == "removed":
                shutil.rmtree(folder)
            else:
                (folder / "metrics.jsonl").unlink()

    with pytest.raises(StorageError, match=r"metrics\.jsonl: was removed or renamed"):
        run(prepare(config_of("strategy.eval_every=1")), folder, at_pause=go)

    assert set(places) == {0}
    assert folder.exists() == (way == "log removed")


def test_a_folder_put_in_the_place_of_the_run_s_is_left_alone(config_of, tmp_path):
    folder = tmp_path / "run"

    def replace(state: RunState) -> None:
        if state.experience == 1 and not (tmp_path / "elsewhere").exists():
            folder.rename(tmp_path / "elsewhere")
            folder.mkdir()

    with pytest.raises(StorageError):
        run(prepare(config_of()), folder, at_pause=replace)

    assert list(folder.iterdir()) == []
