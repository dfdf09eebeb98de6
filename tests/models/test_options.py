"""What holds of every option in conf/model."""

import json
import subprocess
import sys
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic import TypeAdapter

from clrun.config.schema import config_class
from clrun.models.features import head
from clrun.seeds import isolated
from clrun.streams.experience import StreamShape

FOLDER = Path(__file__).parents[2] / "conf" / "model"
OURS = ["mlp", "cnn", "slim_resnet18", "mobilenet_v1"]
ALL = [*OURS, "torchvision"]


def option(name):
    values = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    target = values.pop("target")
    return target, values


def build(name, shape, **changes):
    target, values = option(name)
    config = TypeAdapter(config_class(target)).validate_json(
        json.dumps({**values, **changes}), strict=True
    )
    module, _, class_name = target.partition(":")
    with isolated(0, "weights"):
        return getattr(import_module(module), class_name)(config, shape)


def test_every_option_is_held_to_what_follows():
    assert {path.stem for path in FOLDER.glob("*.yaml")} == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_an_option_s_keys_are_the_fields_of_its_config_and_each_has_a_comment(name):
    target, values = option(name)

    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert list(values) == [field.name for field in fields(config_class(target))]
    assert lines[0].startswith("# ")
    assert all("  # " in line for line in lines[2:])


@pytest.mark.parametrize("name", OURS)
@given(
    channels=st.sampled_from([1, 2, 3]),
    height=st.integers(8, 20),
    width=st.integers(8, 20),
    num_classes=st.integers(1, 12),
    rows=st.integers(1, 3),
)
@settings(deadline=None, max_examples=10)
def test_any_image_size_and_number_of_classes_gives_logits(
    name, channels, height, width, num_classes, rows
):
    shape = StreamShape(
        channels=channels, height=height, width=width, num_classes=num_classes, num_experiences=1
    )
    model = build(name, shape).train()

    logits = model(torch.zeros(rows, channels, height, width))

    assert logits.shape == (rows, num_classes)
    assert logits.isfinite().all()
    assert head(model)[0] == "output"


@pytest.mark.parametrize("name", OURS)
def test_one_update_lowers_the_loss_on_its_minibatch_and_reaches_every_parameter(name):
    shape = StreamShape(channels=1, height=8, width=8, num_classes=4, num_experiences=1)
    model = build(name, shape).train()
    rng = torch.Generator().manual_seed(0)
    x, y = torch.randn(16, 1, 8, 8, generator=rng), torch.arange(16) % 4
    loss = torch.nn.functional.cross_entropy(model(x), y)

    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter -= 0.01 * parameter.grad

    assert torch.nn.functional.cross_entropy(model(x), y) < loss
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *(("mlp", {"hidden": [0]}), ("mlp", {"dropout": 1.0}), ("mlp", {"init": "he"})),
        *(("mobilenet_v1", {"latent_layer_num": number}) for number in (-1, 28)),
        ("torchvision", {"arch": 18}),
    ],
)
def test_values_out_of_bounds_are_refused(name, changes):
    shape = StreamShape(channels=1, height=8, width=8, num_classes=4, num_experiences=1)

    with pytest.raises(ValueError, match=next(iter(changes))):
        build(name, shape, **changes)


def test_configs_are_read_without_importing_torch():
    targets = [option(name)[0] for name in ALL]
    program = (
        "import sys; from clrun.config.schema import config_class; "
        f"[config_class(target) for target in {targets}]; sys.exit('torch' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
