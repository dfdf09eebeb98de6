"""What a run leaves to be used: model.safetensors gives the accuracies that the run reported."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn
from torch.nn import functional

import clrun
from clrun.device.device import Device
from clrun.errors import ConfigError
from clrun.images.transforms import Transform
from clrun.records.trained_model import PLACE, Component, Facts, read_model, write_model
from clrun.runner.evaluating import scores_on
from clrun.runner.prepare import ready
from clrun.runner.run import run as run_prepared
from clrun.runner.trained import saved_tensors

SHORT = (
    "device=cpu",
    "device.threads=1",
    "strategy.train_epochs=1",
    "benchmark.limit_per_class=12",
    "benchmark.n_experiences=2",
)
AR1 = ("strategy=ar1", "strategy.train_mb_size=32", "strategy.lr=0.05", "strategy.rm_sz=20")

LATENTS = ("model.hidden=[16,16]", "strategy.latent_layer=features.relu0")


def last_row(folder: Path) -> list[float]:
    return json.loads((folder / "results.json").read_text())["accuracy_matrix"][-1]


RUNS = {
    "mlp": ("strategy=replay",),
    "dropout": ("strategy=naive", "model.dropout=0.5", "model.hidden=[32]"),
    "images normalised by nothing": ("strategy=naive", "benchmark.normalize=false"),
    "tricks off": ("strategy=naive", "model=cnn", "device.tricks=off"),
    "channels last": ("strategy=naive", "model=cnn", "device.channels_last=true"),
    "contiguous": ("strategy=naive", "model=slim_resnet18", "device.channels_last=false"),
    "bf16": ("strategy=naive", "device.precision=bf16"),
    "fp16": ("strategy=naive", "device.precision=fp16"),
    "resized": ("strategy=naive", "benchmark.image_size=12"),
    "shuffled": ("strategy=naive", "benchmark.class_order=shuffled"),
    "joint": ("strategy=joint",),
    "lwf": ("strategy=lwf",),
    "der": ("strategy=der",),
    "icarl": ("strategy=icarl", "model=cnn", "model.norm=batch", "device.precision=bf16"),
    "icarl that has not met all classes": ("strategy=icarl", "first_experiences=1"),
    "scr": ("strategy=scr", "model=cnn", "model.norm=batch"),
    "icarl on latents": ("strategy=icarl", *LATENTS),
    "scr on latents": ("strategy=scr", "strategy.view=none", *LATENTS),
    "cumulative": ("strategy=cumulative",),
    "plugin": ("strategy=naive", "strategy.plugins=[{name: si, ewc_lambda: 1}]"),
    "ar1 on the mlp": (*AR1, "model=mlp", "strategy.latent_layer=features.relu0"),
    "ar1 on the cnn": (*AR1, "model=cnn"),
    "ar1 that freezes at once": (*AR1, "model=slim_resnet18", "strategy.freeze_from=0"),
    "ar1 with a plain head": (*AR1, "model=cnn", "strategy.head=plain", "strategy.norm=bn"),
    "ar1 on mobilenet": (*AR1, "benchmark.image_size=32", "strategy.latent_layer_num=25"),
}


@pytest.mark.parametrize("name", RUNS)
def test_the_loaded_model_has_the_accuracies_of_the_run(name: str, tmp_path: Path) -> None:
    prepared = ready(clrun.compose([*SHORT, *RUNS[name]]))
    run_prepared(prepared, tmp_path / "run")

    trained = clrun.load(tmp_path / "run")

    assert scores_on(trained, prepared.data, prepared.evaluation).experiences == last_row(
        tmp_path / "run"
    )
    assert trained.class_names == prepared.data.class_names
    assert trained.transform.mean == prepared.data.transform.mean
    assert not trained.model.training


def test_a_compiled_model_is_saved_under_the_names_of_its_layers(tmp_path: Path) -> None:
    config = clrun.compose([*SHORT, "strategy=naive", "model.hidden=[16]", "device.compile=true"])
    results = clrun.run(config, tmp_path)

    trained = clrun.load(tmp_path)

    assert set(trained.model.state_dict()) == {
        *("features.linear0.weight", "features.linear0.bias"),
        *("output.weight", "output.bias"),
    }
    prepared = ready(config)
    scores = scores_on(trained, prepared.data, prepared.evaluation)
    assert scores.experiences == results.accuracy_matrix[-1]
    assert scores.classes == results.class_accuracy[-1]


class Tied(nn.Module):
    """A hidden layer whose weights are used twice, and a view of a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.register_buffer("both", torch.tensor([0.5, 2.0]))
        self.register_buffer("scale", self.both[1:])
        self.output = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first(x.flatten(1)))
        return self.output(torch.relu(self.second(y)) * self.scale)


class Counting(nn.Module):
    """A buffer that each call counts, in evaluation too, and that the logits depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.output = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.output(x.flatten(1)) / (1 + self.calls / 100)


class Drawing(nn.Module):
    """Draws in evaluation, too."""

    def __init__(self) -> None:
        super().__init__()
        self.output = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(x.flatten(1) + 0.5 * torch.randn_like(x.flatten(1)))


@pytest.mark.parametrize("kind", [Tied, Counting, Drawing])
def test_a_module_of_ones_own_gets_its_weights_back(
    kind: Callable[[], nn.Module], tmp_path: Path
) -> None:
    config = clrun.compose([*SHORT, "strategy=naive"])
    model = kind()
    results = clrun.run(config, tmp_path, model=model)

    trained = clrun.load(tmp_path, model=kind())

    prepared = ready(config)
    scores = scores_on(trained, prepared.data, prepared.evaluation)
    assert scores.experiences == results.accuracy_matrix[-1]
    assert scores.classes == results.class_accuracy[-1]
    file = read_model(tmp_path / PLACE)
    assert file.facts.is_own_model
    assert file.facts.shared == ({"second.weight": "first.weight"} if kind is Tied else {})


def test_ones_own_module_is_cut_and_renormalised_by_ar1_again(tmp_path: Path) -> None:
    def net() -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()),
            *(nn.Linear(144, 16), nn.ReLU(), nn.Linear(16, 10)),
        )

    config = clrun.compose([*SHORT, *AR1])
    results = clrun.run(config, tmp_path, model=net())

    trained = clrun.load(tmp_path, model=net())

    prepared = ready(config)
    scores = scores_on(trained, prepared.data, prepared.evaluation)
    assert scores.experiences == results.accuracy_matrix[-1]
    assert scores.classes == results.class_accuracy[-1]


def test_a_module_of_ones_own_cannot_be_made_from_the_file(tmp_path: Path) -> None:
    clrun.run(clrun.compose([*SHORT, "strategy=naive"]), tmp_path, model=Counting())

    with pytest.raises(ConfigError, match=r"given from Python .*Counting.*load\(FOLDER, model="):
        clrun.load(tmp_path)


class FunctionalDropout(nn.Module):
    """Dropout between what AR1 freezes and the head, in the forward pass of training alone."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.ReLU())
        self.output = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(functional.dropout(self.features(x), 0.5, self.training))


@pytest.mark.parametrize("keys", [("strategy=naive",), AR1], ids=["whole", "cut"])
def test_dropout_in_the_forward_pass_is_off_in_evaluation(
    keys: tuple[str, ...], tmp_path: Path
) -> None:
    config = clrun.compose([*SHORT, *keys])
    results = clrun.run(config, tmp_path, model=FunctionalDropout())

    trained = clrun.load(tmp_path, model=FunctionalDropout())

    prepared = ready(config)
    scores = scores_on(trained, prepared.data, prepared.evaluation)
    assert scores.experiences == results.accuracy_matrix[-1]


class Listing(Counting):
    """Reads a list, which is no part of its state."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scales = [scale]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * self.scales[0]


def test_a_module_with_the_same_weights_that_computes_something_else_is_refused(
    tmp_path: Path,
) -> None:
    clrun.run(clrun.compose([*SHORT, "strategy=naive"]), tmp_path, model=Listing(2.0))

    assert clrun.load(tmp_path, model=Listing(2.0)).class_names
    with pytest.raises(ConfigError, match="with these weights the module gives other logits"):
        clrun.load(tmp_path, model=Listing())


class Upside(Transform):
    def evaluation(self, x: Tensor) -> Tensor:
        return super().evaluation(x).flip(2)


def test_a_transform_that_the_file_cannot_say_is_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared = ready(clrun.compose([*SHORT, "strategy=naive"]))
    data = replace(prepared.data, transform=Upside((0.0,), (1.0,), "none"))

    with caplog.at_level(logging.WARNING, "clrun.note"):
        clrun.run(prepared.config, tmp_path, benchmark=data)

    assert "predicts with more than its model and the transform" in caplog.text
    assert not (tmp_path / PLACE).exists()


class Pair(Counting):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


class Wider(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.output = nn.Linear(64, 12)


@pytest.mark.parametrize(
    ("model", "line"),
    [
        (Pair(), r"gives a tuple \(\[2, 10\], \[2, 1, 8, 8\]\) for two images"),
        (Drawing(), "tensors are not those of Drawing: calls is unknown"),
        (Wider(), "output.weight is 10x64 float32 instead of 12x64 float32"),
        (Tied(), "both is missing; scale is missing; first.weight is missing and 4 more"),
        ("a text", "model: is a str. It must be a torch.nn.Module."),
    ],
)
def test_a_module_that_it_does_not_fit_is_one_line(model: Any, line: str, tmp_path: Path) -> None:
    clrun.run(clrun.compose([*SHORT, "strategy=naive"]), tmp_path, model=Counting())

    with pytest.raises(ConfigError, match=line) as raised:
        clrun.load(tmp_path, model=model)

    assert len(str(raised.value).splitlines()) == 1


class Extra(Counting):
    def get_extra_state(self) -> Any:
        return {"seen": 3}

    def set_extra_state(self, state: Any) -> None:
        """Takes it back."""


def test_what_no_file_can_hold_is_a_note_and_the_run_is_completed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "clrun.note"):
        results = clrun.run(
            clrun.compose([*SHORT, "strategy=naive"]), tmp_path / "run", model=Extra()
        )

    assert results.metrics["acc_final"] is not None
    assert "no checkpoints/model.safetensors: _extra_state of its state is no plain" in caplog.text
    with pytest.raises(ConfigError, match="though the run is completed"):
        clrun.load(tmp_path / "run", model=Extra())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("interrupted", "was interrupted"),
        ("failed", "has failed (storage is full)"),
        ("running", "has died"),
    ],
)
def test_a_run_that_did_not_end_says_so_and_how_to_go_on(
    status: str, said: str, tmp_path: Path
) -> None:
    record = {"status": status, "error": "storage is full.\nmore"}
    (tmp_path / "run.json").write_text(json.dumps(record))

    with pytest.raises(ConfigError) as raised:
        clrun.load(tmp_path)

    assert str(raised.value) == (
        f"{tmp_path}: has no trained model: the run {said}. "
        f"clrun resume {tmp_path} goes on with it."
    )


def test_the_frozen_and_the_shared_are_copied_as_they_are() -> None:
    model = Tied().requires_grad_(False)

    tensors, shared = saved_tensors(model)

    assert shared == {"second.weight": "first.weight"}
    assert all(torch.equal(tensors[name], value) for name, value in model.state_dict().items())
    assert tensors["first.weight"].data_ptr() != model.first.weight.data_ptr()
    assert tensors["scale"].untyped_storage().nbytes() == 4


def test_a_tensor_that_is_another_one_transposed_is_copied_too() -> None:
    model = nn.Linear(3, 3)
    model.register_buffer("turned", model.weight.detach().t())

    tensors, shared = saved_tensors(model)

    assert shared == {}
    assert torch.equal(tensors["turned"], model.weight.t())


def test_predict_names_classes_and_gives_probabilities(tmp_path: Path) -> None:
    config = clrun.compose([*SHORT, "strategy=naive"])
    clrun.run(config, tmp_path)
    x = ready(config).data.experiences[1].test.x.to("cpu")[:5]

    trained = clrun.load(tmp_path)
    classes, probabilities = trained.predict(x.numpy()[:, 0])

    assert classes == [trained.class_names[k] for k in probabilities.argmax(1).tolist()]
    torch.testing.assert_close(probabilities, trained.logits(x).double().softmax(1))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(5, dtype=torch.float64))


@pytest.mark.parametrize(
    ("images", "line"),
    [
        (torch.zeros(2, 1, 8, 8), "images: images are float32. Give uint8, 0 to 255."),
        (torch.zeros(2, 8, dtype=torch.uint8), r"images are \[2, 8\]"),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), r"\[2, 3, 8, 8\], and the model of .* 1, 8"),
    ],
)
def test_images_of_another_kind_are_refused(images: Tensor, line: str, tmp_path: Path) -> None:
    clrun.run(clrun.compose([*SHORT, "strategy=naive"]), tmp_path)

    with pytest.raises(ConfigError, match=line):
        clrun.load(tmp_path).predict(images)


def test_a_model_trained_where_there_is_a_gpu_is_used_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = clrun.compose([*SHORT, "strategy=naive"])
    clrun.run(config, tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    file = read_model(tmp_path / PLACE)
    file.facts.device.update(kind="cuda", precision="fp16", threads=10_000)
    from clrun.runner.loading import chosen_device  # what `load` asks

    device = chosen_device(file.facts, None, nn.Linear(2, 2))

    assert isinstance(device, Device)
    assert (device.torch.type, device.config.precision) == ("cpu", "fp32")
    with pytest.raises(ConfigError, match="device"):
        chosen_device(file.facts, "cuda", nn.Linear(2, 2))


@pytest.fixture(scope="module")
def ar1_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of AR1 on the cnn, not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    clrun.run(clrun.compose([*SHORT, *AR1, "model=cnn", "model.norm=batch"]), folder)
    return folder


def test_a_trained_model_says_what_it_is(ar1_run: Path) -> None:
    said = repr(clrun.load(ar1_run))

    assert said == "TrainedModel(ar1-digits-s0: 10 classes, 1x8x8 images)"


def rewritten(place: Path, tensors: dict[str, Tensor], facts: Facts) -> Path:
    """A file with a right sum, and these contents."""
    write_model(place / PLACE, facts, tensors)
    return place / PLACE


def names_of(path: Path) -> dict[str, Tensor]:
    return load_tensors(read_model(path).content)


@pytest.mark.parametrize("change", ["missing", "shape", "dtype", "another", "values"])
def test_each_tensor_that_is_wrong_is_one_line(change: str, ar1_run: Path, tmp_path: Path) -> None:
    facts = read_model(ar1_run / PLACE).facts
    names = [*names_of(ar1_run / PLACE)]
    assert len(names) > 10

    for name in names:
        tensors = names_of(ar1_run / PLACE)
        value = tensors.pop(name)
        if change == "shape":
            tensors[name] = torch.zeros(*value.shape, 2)
        elif change == "dtype":
            tensors[name] = value.to(torch.float64)
        elif change == "another":
            tensors |= {name: value, f"{name}2": value.clone()}
        elif change == "values":
            tensors[name] = value + 7
        path = rewritten(tmp_path, tensors, facts)
        if change == "values" and name.endswith(("_max", "momentum", "inc_step")):
            continue  # evaluation does not read them
        with pytest.raises(ConfigError) as raised:
            clrun.load(path)
        assert str(raised.value).startswith(f"{path}: "), name
        assert len(str(raised.value).splitlines()) == 1, name


def changed(part: Component, **values: Any) -> Component:
    return replace(part, values={**part.values, **values})


FACTS: dict[str, tuple[Callable[[Facts], Facts], str]] = {
    "code of somebody": (
        lambda f: replace(f, model=replace(f.model, target="os:system")),
        "trust",
    ),
    "a strategy of somebody": (
        lambda f: replace(f, strategy=replace(f.strategy, target="canary:Canary")),
        "trust",
    ),
    "no such class": (
        lambda f: replace(f, model=replace(f.model, target="clrun.models.cnn:Nothing")),
        "Nothing",
    ),
    "no such module": (
        lambda f: replace(f, model=replace(f.model, target="clrun.nothing:CNN")),
        "clrun.nothing",
    ),
    "no target": (lambda f: replace(f, model=replace(f.model, target="")), ""),
    "an unknown key": (lambda f: replace(f, model=changed(f.model, width=3)), "width"),
    "a wrong value": (lambda f: replace(f, model=changed(f.model, dropout=2)), "dropout"),
    "another width": (lambda f: replace(f, model=changed(f.model, channels=[3, 4])), "tensors"),
    "no strategy": (lambda f: replace(f, strategy=None), "tensors are not those"),
    "more classes": (lambda f: replace(f, class_names=[*f.class_names, "x"]), "10x"),
    "another size": (lambda f: replace(f, image_shape=(2, 8, 8), mean=[0, 0], std=[1, 1]), ""),
    "another mean": (lambda f: replace(f, mean=[f.mean[0] + 1]), "give other logits"),
    "another device": (lambda f: replace(f, device={**f.device, "kind": "tpu"}), "tpu"),
    "a key of no device": (lambda f: replace(f, device={"kind": "cpu", "x": 1}), "x"),
    "a name that leads nowhere": (lambda f: replace(f, shared={"x": "y"}), "is damaged"),
    "another proof": (lambda f: replace(f, proof=[[0.0] * 10] * 2), "give other logits"),
    "no proof": (lambda f: replace(f, proof=[]), "give other logits"),
}


@pytest.mark.parametrize("name", FACTS)
def test_each_fact_that_is_wrong_is_one_line_and_runs_nothing(
    name: str, ar1_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "canary.py").write_text("import pathlib\npathlib.Path('sung').touch()\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    change, line = FACTS[name]
    file = read_model(ar1_run / PLACE)
    path = rewritten(tmp_path, names_of(ar1_run / PLACE), change(file.facts))

    with pytest.raises(ConfigError) as raised:
        clrun.load(path)

    assert line in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert not (tmp_path / "sung").exists()


def test_the_file_says_what_the_machine_chose_so_that_a_resumed_run_writes_the_same(
    ar1_run: Path,
) -> None:
    device = read_model(ar1_run / PLACE).facts.device

    assert device == {
        **{"kind": "cpu", "index": 0, "threads": 1, "channels_last": True},
        **{"precision": "fp32", "compile": False, "deterministic": True, "tricks": True},
    }


MINE = """
from dataclasses import dataclass
from torch import nn

class MyNet(nn.Module):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        width: int

    def __init__(self, config, shape):
        super().__init__()
        pixels = shape.channels * shape.height * shape.width
        self.hidden = nn.Linear(pixels, config.width)
        self.output = nn.Linear(config.width, shape.num_classes)

    def forward(self, x):
        return self.output(self.hidden(x.flatten(1)).relu())
"""


def test_code_of_ones_own_is_imported_only_where_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "net_of_mine.py").write_text(MINE)
    option = tmp_path / "conf" / "model" / "mine.yaml"
    option.write_text("# mine\ntarget: net_of_mine:MyNet\nwidth: 8\n")
    monkeypatch.syspath_prepend(tmp_path)
    words = [*SHORT, "strategy=naive", "model=mine"]
    config = clrun.compose(words, config_dirs=[tmp_path / "conf"], trust=True)
    results = clrun.run(config, tmp_path / "run")
    prepared = ready(config)
    monkeypatch.delitem(sys.modules, "net_of_mine")

    with pytest.raises(ConfigError, match=r"names code that is not clrun's .* add --trust"):
        clrun.load(tmp_path / "run")
    assert "net_of_mine" not in sys.modules
    trained = clrun.load(tmp_path / "run", trust=True)

    scores = scores_on(trained, prepared.data, prepared.evaluation)
    assert scores.experiences == results.accuracy_matrix[-1]
