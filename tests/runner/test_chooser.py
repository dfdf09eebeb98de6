"""selection.model: which network gives the features that choose exemplars."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch

import clrun
from clrun.config.trust import Trust, trusting
from clrun.errors import ConfigError, FolderError
from clrun.runner.prepare import prepare

SMALL = ("device=cpu", "model.hidden=[16]", "strategy.train_epochs=1")
HERDING = ("selection=herding", "storage_policy=class_balanced")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of naive on two classes."""
    folder = tmp_path_factory.mktemp("finished")
    words = ["strategy=naive", *SMALL, "benchmark.limit_per_class=20", "seed=3"]
    clrun.run(clrun.compose(words), folder / "run")
    return folder / "run"


def interrupt(folder: Path) -> None:
    """Let a run that is over be one that was interrupted at its very end."""
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**record, "status": "interrupted"}))


def chooser_of(*words: str):
    return prepare(clrun.compose([*SMALL, *HERDING, *words])).chooser


@pytest.mark.parametrize("words", [("selection=herding",), ("selection=random",)])
def test_it_is_the_model_in_training_unless_said_otherwise(words):
    assert chooser_of(*words) is None


def test_initial_is_a_copy_that_keeps_the_weights_of_the_start():
    prepared = prepare(clrun.compose([*SMALL, *HERDING, "selection.model=initial"]))
    before = [parameter.clone() for parameter in prepared.model.parameters()]

    with torch.no_grad():
        for parameter in prepared.model.parameters():
            parameter.zero_()

    kept = list(prepared.chooser.model.parameters())
    assert all(map(torch.equal, kept, before))
    assert not any(parameter.requires_grad for parameter in kept)


def test_a_folder_is_the_model_of_its_run_with_the_transform_of_that(finished):
    trained = clrun.load(finished, device="cpu")

    chooser = chooser_of(f"selection.model={finished}", "benchmark.normalize=false")

    ours, theirs = chooser.model.state_dict(), trained.model.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert chooser.transform == trained.transform
    assert not any(parameter.requires_grad for parameter in chooser.model.parameters())


def test_a_run_whose_memory_another_run_s_model_chooses(finished, tmp_path):
    by_itself = clrun.compose([*SMALL, *HERDING])
    by_another = clrun.compose([*SMALL, *HERDING, f"selection.model={finished}"])

    first = clrun.run(by_itself, tmp_path / "one")
    second, again = (clrun.run(by_another, tmp_path / name) for name in ("two", "three"))

    assert first.memory["rows"] == second.memory["rows"] == 200
    assert first.accuracy_matrix != second.accuracy_matrix
    assert second.accuracy_matrix == again.accuracy_matrix


def test_a_run_goes_on_only_with_the_network_that_chose_before(finished, tmp_path):
    """It is in no state, but is read again."""
    other = shutil.copytree(finished, tmp_path / "other")
    config = clrun.compose([*SMALL, *HERDING, f"selection.model={other}"])
    clrun.run(config, tmp_path / "run")
    interrupt(tmp_path / "run")
    clrun.run(clrun.compose(["strategy=naive", *SMALL, "seed=4"]), tmp_path / "fresh")
    shutil.copytree(tmp_path / "fresh" / "checkpoints", other / "checkpoints", dirs_exist_ok=True)

    with pytest.raises(FolderError, match=r"chooser\.sha256: \w{64} before, \w{64} now"):
        clrun.resume(tmp_path / "run")


@pytest.mark.parametrize(
    ("model", "words", "line"),
    [
        ("nosuch", (), r"^selection\.model=.*nosuch: there is no such folder"),
        ("", (), r"^selection\.model=.*: holds several runs"),
        ("run", ("benchmark.image_size=16",), r"takes images \[1, 8, 8\], and the benchmark has"),
        ("run", ("selection.layer_name=x",), r"^selection\.layer_name=x: MLP has no such layer"),
    ],
)
def test_what_gives_no_features_is_one_line_before_anything_starts(model, words, line, finished):
    with pytest.raises(ConfigError, match=line) as refused:
        chooser_of(f"selection.model={finished.parent / model}", *words)

    assert len(str(refused.value).splitlines()) == 1


def test_a_model_of_a_user_s_code_chooses_where_that_is_trusted(tmp_path, monkeypatch):
    (tmp_path / "chooser_of_mine.py").write_text(
        "from clrun.models.mlp import MLP\n\nclass Mine(MLP):\n    pass\n"
    )
    (tmp_path / "conf" / "model").mkdir(parents=True)
    option = "# Mine.\ndefaults: [mlp, _self_]\ntarget: chooser_of_mine:Mine\n"
    (tmp_path / "conf" / "model" / "mine.yaml").write_text(option)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    words = ["strategy=naive", *SMALL, "benchmark.limit_per_class=20", "model=mine"]
    config = clrun.compose(words, config_dirs=[tmp_path / "conf"], trust=True)
    clrun.run(config, tmp_path / "run")

    with pytest.raises(ConfigError, match="add --trust"):
        chooser_of(f"selection.model={tmp_path / 'run'}")
    with trusting(Trust(everything=True)):
        chooser = chooser_of(f"selection.model={tmp_path / 'run'}")

    assert type(chooser.model).__name__ == "Mine"

    config = clrun.compose([*SMALL, *HERDING, f"selection.model={tmp_path / 'run'}"])
    with pytest.raises(ConfigError, match="trust=True"):
        clrun.run(config, tmp_path / "one")
    first = clrun.run(config, tmp_path / "one", trust=True)
    interrupt(tmp_path / "one")
    with pytest.raises(ConfigError, match="trust=True"):
        clrun.resume(tmp_path / "one")
    again = clrun.resume(tmp_path / "one", trust=True)

    assert again.accuracy_matrix == first.accuracy_matrix
