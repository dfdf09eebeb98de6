"""`model.pretrained=RUN`: a run that starts from what another one has learnt."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import clrun
from clrun.errors import ConfigError
from clrun.models.features import head
from clrun.records.trained_model import PLACE
from clrun.runner.prepare import prepare, ready, weights_note
from clrun.strategies.answers import Answers

SHORT = (
    *("device=cpu", "device.threads=1", "strategy.train_epochs=1"),
    *("benchmark.limit_per_class=12", "benchmark.n_experiences=2"),
)
AR1 = ("strategy=ar1", "strategy.train_mb_size=32", "strategy.lr=0.05", "strategy.rm_sz=20")
MLP = ("strategy=naive", "model.hidden=[16]")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Overrides -> the folder of a short run, made once; not to be changed."""

    @cache
    def make(*overrides: str) -> Path:
        folder = tmp_path_factory.mktemp("runs") / "run"
        clrun.run(clrun.compose([*SHORT, *overrides]), folder)
        return folder

    return make


@pytest.mark.parametrize("path", ["", str(PLACE)])
def test_all_weights_are_taken_for_the_same_classes(path, run):
    folder = run(*MLP)

    model = prepare(clrun.compose([*SHORT, *MLP, f"model.pretrained={folder / path}"])).model

    expected = clrun.load(folder).model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert model.training


def test_the_record_says_which_file_the_weights_are_from(run, tmp_path):
    clrun.run(clrun.compose([*SHORT, *MLP, f"model.pretrained={run(*MLP)}"]), tmp_path)

    record = json.loads((tmp_path / "run.json").read_text())
    assert record["weights"]["file"] == str(run(*MLP) / PLACE)
    assert len(record["weights"]["sha256"]) == 64
    assert clrun.load(tmp_path).class_names == tuple("0123456789")  # without the other run's file


def own_data(place: Path, classes: int) -> tuple[str, ...]:
    import numpy

    y = numpy.arange(30) % classes
    x = (y[:, None, None] * 20 + numpy.arange(64).reshape(8, 8)).astype("uint8")
    numpy.savez(place / "own.npz", x=x, y=y)
    return ("benchmark=npz", f"benchmark.data_root={place / 'own.npz'}")


def test_of_other_classes_all_but_the_head_is_taken_and_said(run, tmp_path):
    data = own_data(tmp_path, classes=3)
    words = ["device=cpu", *MLP, *data, f"model.pretrained={run(*MLP)}"]

    prepared = ready(clrun.compose(words))

    theirs, ours = clrun.load(run(*MLP)).model.state_dict(), prepared.model.state_dict()
    fresh = prepare(clrun.compose(["device=cpu", *MLP, *data])).model.state_dict()
    assert torch.equal(ours["features.linear0.weight"], theirs["features.linear0.weight"])
    assert torch.equal(ours["output.weight"], fresh["output.weight"])
    assert weights_note(prepared)[0] == (
        "model.pretrained: the model of naive-digits-s0 knows 10 classes and this one 3: all "
        "weights are taken but those of output, which begins anew."
    )


def test_images_can_be_normalised_as_the_runs_were(run, tmp_path):
    words = ["device=cpu", *MLP, *own_data(tmp_path, classes=3)]
    words += [f"model.pretrained={run(*MLP)}"]

    as_data = ready(clrun.compose(words))
    as_model = ready(clrun.compose([*words, "benchmark.normalize=model"]))

    assert any("benchmark.normalize=model takes those" in line for line in weights_note(as_data))
    transform = clrun.load(run(*MLP)).transform
    assert (as_model.data.transform.mean, as_model.data.transform.std) == (
        transform.mean,
        transform.std,
    )
    assert not any("normalize" in line for line in weights_note(as_model))


@pytest.mark.parametrize(
    "keys",
    [
        ("model=slim_resnet18",),
        ("benchmark.image_size=32", "strategy.latent_layer_num=25"),
    ],
    ids=["brn as bn", "another cut"],
)
def test_what_ar1_has_renormalised_and_cut_evaluates_as_before(keys, run):
    folder = run(*AR1, *keys)
    kept = [key for key in keys if key.startswith(("model", "benchmark"))]
    words = [*SHORT, "strategy=naive", "model=mobilenet_v1", *kept, f"model.pretrained={folder}"]

    prepared = prepare(clrun.compose(words))

    x = prepared.data.experiences[0].test.x.to("cpu")[:16]
    trained = clrun.load(folder)
    started = Answers(
        prepared.device.place(prepared.model),
        trained.transform,
        prepared.device,
        seed=0,
        quick=False,
    )
    torch.testing.assert_close(started.predict(x), trained.logits(x), rtol=1e-3, atol=1e-4)


REFUSED = {
    "another width": ("model.hidden=[8]", "features.linear0.weight is 16x64 instead of 8x64"),
    "another model": ("model=cnn", "does not fit CNN"),
    "another size": ("benchmark.image_size=9", "16x64 instead of 16x81"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_run_of_another_model_is_one_line(name, run):
    word, line = REFUSED[name]
    words = [*SHORT, *MLP] if word != "model=cnn" else [*SHORT, "strategy=naive"]

    with pytest.raises(ConfigError) as raised:
        prepare(clrun.compose([*words, word, f"model.pretrained={run(*MLP)}"]))

    assert line in str(raised.value)
    assert str(raised.value).startswith("model.pretrained=")
    assert len(str(raised.value).splitlines()) == 1


def test_a_damaged_file_and_an_unfinished_run_are_one_line(run, tmp_path):
    damaged = bytearray((run(*MLP) / PLACE).read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(damaged)
    (tmp_path / "run.json").write_text('{"status": "interrupted"}')

    for place, line in (
        (tmp_path / "model.safetensors", "is damaged (its SHA-256 differs)"),
        (tmp_path, f"the run was interrupted. clrun resume {tmp_path} goes on with it."),
    ):
        with pytest.raises(ConfigError) as raised:
            prepare(clrun.compose([*SHORT, *MLP, f"model.pretrained={place}"]))
        assert str(raised.value).startswith(f"model.pretrained={place}: ")
        assert line in str(raised.value)


def test_a_safetensors_file_of_somebody_else_is_read_as_any_file_of_weights(tmp_path):
    model = prepare(clrun.compose([*SHORT, *MLP])).model
    state = {name: torch.ones_like(value) for name, value in model.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")

    words = [*SHORT, *MLP, f"model.pretrained={tmp_path / 'w.safetensors'}"]
    loaded = prepare(clrun.compose(words)).model

    assert bool((head(loaded)[1].weight == 1).all())
