from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

import clrun
from clrun.errors import ConfigError
from clrun.images.download import file_digest
from clrun.models.published import SHA256
from clrun.runner.prepare import notes, prepare, weights_note


def weights(prepared) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in prepared.model.parameters()])


def test_initial_weights_follow_from_the_seed_alone(config_of):
    one = weights(prepare(config_of()))
    torch.rand(7)

    again = weights(prepare(config_of("strategy=naive", "benchmark.class_order=shuffled")))
    other = weights(prepare(config_of("seed=1")))

    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_preparing_draws_nothing_from_the_global_generator(config_of):
    before = torch.get_rng_state()

    prepare(config_of())

    assert torch.equal(torch.get_rng_state(), before)


class Counted:
    """A benchmark that counts how often it is read."""

    def __init__(self, benchmark) -> None:
        self.benchmark, self.reads = benchmark, 0

    def shape(self):
        return self.benchmark.shape()

    def check(self) -> None:
        self.benchmark.check()

    def load(self, seed, on_progress=None):
        self.reads += 1
        time.sleep(0.02)
        return self.benchmark.load(seed, on_progress)


def test_data_are_read_once_and_only_when_asked_for(config_of):
    prepared = prepare(config_of())
    counted = Counted(prepared.benchmark)
    prepared = replace(prepared, benchmark=counted)
    before = counted.reads

    first, second = prepared.data, prepared.data

    assert (before, counted.reads) == (0, 1)
    assert first is second
    assert 0.02 <= prepared.load_seconds.wall < 10


def test_the_size_of_an_update_is_that_of_its_rows(config_of):
    prepared = prepare(config_of("strategy.train_mb_size=10"))

    macs = 64 * 32 + 32 * 10
    assert prepared.pattern_macs == 2 * macs + 32 * 10
    assert prepared.update_macs == 10 * prepared.pattern_macs


def test_a_layer_that_the_model_has_not_is_told_with_those_it_has(config_of):
    config = config_of("selection=herding", "selection.layer_name=features.linear7")

    with pytest.raises(ConfigError, match=r"selection.layer_name=features.linear7: MLP has no"):
        prepare(config)


def test_a_device_that_is_not_there_is_told_before_the_run(config_of):
    with pytest.raises(ConfigError, match=r"device.index=7: the highest cpu index is 0\."):
        prepare(config_of("device.index=7"))


@pytest.mark.parametrize("below", ["", "a/b"])
def test_an_output_root_that_is_a_file_is_told_before_the_run(below, tmp_path):
    (tmp_path / "outputs").write_text("")
    config = clrun.compose(["device=cpu", f"output_root={tmp_path / 'outputs' / below}"])

    with pytest.raises(ConfigError, match=r"outputs is a file\. Name a folder\."):
        prepare(config)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_output_root_that_cannot_be_written_is_told_before_the_run(tmp_path):
    (tmp_path / "outputs").mkdir(mode=0o555)
    config = clrun.compose(["device=cpu", f"output_root={tmp_path / 'outputs'}"])

    with pytest.raises(ConfigError, match=r"no folder can be made in .*Permission denied\."):
        prepare(config)


BY_CLASS = ("strategy.balance=class", "strategy.train_mb_size=9")
FIXED = ("storage_policy=class_balanced", "storage_policy.adaptive_size=false")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (BY_CLASS, r"strategy\.train_mb_size=9: fewer rows than the 10 classes that share"),
        (
            (*FIXED, "storage_policy.total_num_classes=9"),
            r"storage_policy\.total_num_classes=9: the benchmark has 10\. Use at least 10",
        ),
    ],
)
def test_too_little_room_for_all_classes_is_told_before_the_run(words, told, config_of):
    config = config_of(*words)

    with pytest.raises(ConfigError, match=told):
        prepare(config)


@pytest.mark.parametrize(
    "words",
    [
        ("strategy.balance=class", "strategy.train_mb_size=10"),
        (*BY_CLASS, "strategy.mix=add"),
        (*BY_CLASS, "strategy.memory_mb_size=4"),
        (*BY_CLASS, "strategy.memory_update=minibatch"),
        (*BY_CLASS, "benchmark.n_experiences=1"),
        (*FIXED, "storage_policy.total_num_classes=10"),
        (*FIXED, "storage_policy.total_num_classes=9", "strategy=naive"),
    ],
)
def test_what_has_room_for_all_classes_runs_to_its_end(words, config_of, tmp_path):
    config = config_of(*words, "benchmark.limit_per_class=12")

    results = clrun.run(config, tmp_path / "run")

    assert results.metrics["acc_final"] is not None


@pytest.fixture
def forty_tasks(tmp_path) -> str:
    """Arrays that say of each row to which of 40 experiences it belongs."""
    rng, tasks = np.random.default_rng(0), np.arange(40).repeat(4)
    x = rng.integers(256, size=(160, 4, 4)).astype(np.uint8)
    told = {"x": x, "y": tasks % 2, "task": tasks}
    np.savez(tmp_path / "data.npz", **told, **{f"{name}_test": a for name, a in told.items()})
    return str(tmp_path / "data.npz")


EXPERIENCES = ("storage_policy.adaptive_size=false", "strategy.mem_size=50")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), r"strategy\.train_mb_size=32: fewer rows than the 40 experiences that share"),
        (
            (*EXPERIENCES, "storage_policy.num_experiences=39", "strategy.mix=add"),
            r"storage_policy\.num_experiences=39: the benchmark has 40\. Use at least 40",
        ),
    ],
)
def test_too_little_room_for_experiences_that_the_data_count_is_told_before_the_run(
    words, told, config_of, forty_tasks
):
    config = config_of("benchmark=npz", f"benchmark.data_root={forty_tasks}", *words)

    with pytest.raises(ConfigError, match=told):
        prepare(config)


def test_too_little_room_for_online_experiences_is_told_when_they_are_counted(config_of):
    online = ("benchmark.scenario=online", "benchmark.rows_per_experience=100")
    policy = (*EXPERIENCES, "storage_policy.num_experiences=14", "strategy.balance=none")
    prepared = prepare(config_of(*online, *policy))

    with pytest.raises(ConfigError, match=r"num_experiences=14: the benchmark has 15\."):
        _ = prepared.data


def test_preparing_writes_nothing(tmp_path):
    prepare(clrun.compose(["device=cpu", f"output_root={tmp_path / 'outputs'}"]))

    assert os.listdir(tmp_path) == []


def test_memory_options_of_a_strategy_without_memory_are_worth_a_note(config_of):
    words = ("storage_policy=reservoir", "selection=random")

    assert notes(config_of("strategy=naive", *words)) == [
        "strategy=naive keeps no memory: storage_policy has no effect.",
        "strategy=naive keeps no memory: selection has no effect.",
    ]
    assert notes(config_of("strategy=naive")) == []
    assert notes(config_of("strategy=replay", *words)) == []


def test_a_precision_that_ruins_the_model_s_speed_is_told_before_the_run():
    config = clrun.compose(["model=cnn", "device=cpu", "device.precision=fp16"])

    with pytest.raises(ConfigError, match=r"device.precision=fp16: on the CPU a convolution"):
        prepare(config)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file of weights where torchvision looks for those of MobileNetV2."""
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    file = folder / "mobilenet_v2-b0353104.pth"
    torch.save(models.mobilenet_v2().state_dict(), file)
    monkeypatch.setitem(SHA256, file.name, file_digest(file, "sha256"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))


PRETRAINED = ("strategy=naive", "model=torchvision", "model.pretrained=true")


@pytest.mark.usefixtures("published")
def test_images_are_normalised_as_the_weights_want_them_where_that_is_asked_for():
    usual = clrun.compose([*PRETRAINED, "benchmark.image_size=32"])
    asked = clrun.compose([*PRETRAINED, "benchmark.image_size=32", "benchmark.normalize=model"])

    own, weights = prepare(usual), prepare(asked)

    grey = (0.485 + 0.456 + 0.406) / 3, (0.229 + 0.224 + 0.225) / 3
    transform = weights.data.transform
    assert (transform.mean, transform.std) == (pytest.approx(grey[:1]), pytest.approx(grey[1:]))
    assert transform.augment == own.data.transform.augment
    assert own.data.transform.mean != transform.mean
    assert weights_note(weights) == []
    assert weights_note(own) == [
        "benchmark.normalize=true: images have their own mean and deviation, and the pretrained "
        "weights were trained with others. benchmark.normalize=model takes those."
    ]


@pytest.mark.parametrize("normalize", ["true", "data", "false"])
def test_without_published_weights_there_is_nothing_to_note(normalize):
    config = clrun.compose(["strategy=naive", f"benchmark.normalize={normalize}"])

    assert weights_note(prepare(config)) == []


def test_data_is_another_word_for_true():
    by_word, by_switch = (
        prepare(clrun.compose(["strategy=naive", f"benchmark.normalize={value}"])).data.transform
        for value in ("data", "true")
    )

    assert (by_word.mean, by_word.std) == (by_switch.mean, by_switch.std)


def test_a_file_of_weights_does_not_say_what_images_it_wants(tmp_path):
    mlp = ["strategy=naive", "model.hidden=[4]"]
    torch.save(prepare(clrun.compose(mlp)).model.state_dict(), tmp_path / "w.pt")
    given = [*mlp, f"model.pretrained={tmp_path}/w.pt", "benchmark.normalize=model"]

    with pytest.raises(ConfigError, match=r"benchmark\.normalize=model: .*w\.pt want is not known"):
        prepare(clrun.compose(given))
