"""A trained model from its file, ready to predict. Only code that is known is imported for it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import safetensors.torch
import torch
from torch import Tensor, nn

from clrun.config.nodes import read_node
from clrun.config.run_config import Node
from clrun.config.trust import Trust, trust_now, trusting
from clrun.device.device import Device
from clrun.device.rows import Rows, rows_at_once
from clrun.errors import ConfigError
from clrun.images.arrays import images_of_arrays
from clrun.images.transforms import Transform
from clrun.models.macs import training_macs
from clrun.models.probe import require_module
from clrun.records.trained_model import (
    Component,
    Facts,
    TrainedFile,
    model_file,
    read_model,
    require_known,
)
from clrun.runner.building import build, look_at_model
from clrun.runner.predictor import fill, untrained
from clrun.runner.proof import agree, as_tensor, proof_of
from clrun.strategies.answers import Answers
from clrun.streams.experience import StreamShape


class Predictions(NamedTuple):
    """What a model says of images."""

    classes: list[str]
    """the most probable class of each image, by name"""
    probabilities: Tensor
    """[N, number of classes] float64 on the CPU, each row with sum 1"""


class TrainedModel:
    """The model of a finished run, with all that it needs to be used.

    `model` gives logits [N, classes] of what `transform.evaluation` makes of uint8 images
    [N, channels, height, width]; it is in evaluation mode and on `device`.
    """

    def __init__(self, file: TrainedFile, model: nn.Module, device: Device) -> None:
        self.path, self.facts, self.device = file.path, file.facts, device
        self.model, self.transform = model, transform_of(file.facts)
        self.class_names = tuple(file.facts.class_names)
        self.image_shape = file.facts.image_shape
        seed = file.facts.seed
        self.answers = Answers(model, self.transform, device, seed, quick=device.tricks)

    def __repr__(self) -> str:
        shape = "x".join(map(str, self.image_shape))
        return f"TrainedModel({self.facts.label}: {len(self.class_names)} classes, {shape} images)"

    def logits(self, x: Rows) -> Tensor:
        """Logits of uint8 rows, as the strategy gave them. [B, C, H, W] -> [B, classes]"""
        return self.answers.predict(x)

    def predict(self, images: Any) -> Predictions:
        """Classes and probabilities of uint8 images [N, C, H, W], or grey ones [N, H, W].

        NumPy arrays and tensors are taken; they must have the size that the model was trained on.

        Raises:
            ConfigError: they are something else.
        """
        x = images_of_arrays(images, "images")
        if tuple(x.shape[1:]) != self.image_shape:
            raise ConfigError(
                f"images: are {list(x.shape)}, and the model of {self.facts.label} takes "
                f"[N, {', '.join(map(str, self.image_shape))}]. Give images of that shape."
            )
        size = rows_at_once(self.facts.eval_mb_size, x, self.device.torch)
        with self.device.applied(self.update_macs):
            parts = [self.logits(rows).cpu().double() for rows in x.split(size)]
        probabilities = torch.cat(parts).softmax(1)
        if not probabilities.isfinite().all():
            raise ConfigError(f"{self.path}: gives NaN for some images: its weights diverged.")
        names = [self.class_names[k] for k in probabilities.argmax(1).tolist()]
        return Predictions(names, probabilities)

    @cached_property
    def update_macs(self) -> int:
        """What decides the number of threads where the file does not."""
        return training_macs(self.model, self.image_shape)


def load(
    folder: str | Path,
    model: nn.Module | None = None,
    *,
    device: Mapping[str, Any] | str | None = None,
    trust: bool = False,
) -> TrainedModel:
    """The trained model of a run's folder, or of a model.safetensors.

    `model` is a module of one's own, of the class and sizes that the run was given; it gets the
    weights. `device` is a kind (cpu, cuda, mps) or keys of the group, by default those of the run.
    A model whose code is neither clrun's nor an installed option's is made only with `trust`.

    Raises:
        ConfigError: there is no such model, it is damaged, or it cannot be made here.
    """
    file = read_model(model_file(Path(folder)))
    facts, place = file.facts, str(file.path)
    shape = shape_of(facts)
    strategy = None if facts.strategy is None else _node("strategy", facts.strategy, place, trust)
    given = _given(model, facts, place, trust)
    predictor = untrained(given, strategy, shape, facts.seed)
    fill(predictor, _tensors(file), place)
    look_at_model(predictor, _stand_in(facts), shape, place, facts.seed)
    chosen = chosen_device(facts, device, predictor)
    placed = chosen.place(predictor).eval()
    _require_proof(placed, facts, chosen, place, is_own=model is not None)
    return TrainedModel(file, placed, chosen)


def _require_proof(
    predictor: nn.Module, facts: Facts, device: Device, place: str, *, is_own: bool
) -> None:
    """Refuse code that makes something else of the weights than the run's did.

    Raises:
        ConfigError: it does.
    """
    found = proof_of(predictor, transform_of(facts), device, facts.seed, facts.image_shape)
    precisions = {facts.device.get("precision"), device.config.precision}
    precision = "fp32" if precisions == {"fp32"} else "16 bits"
    if agree(as_tensor(found), as_tensor(facts.proof), precision):
        return
    if is_own:
        way_out = (
            "is of another code, or keeps something that is no part of its state_dict. Give the "
            "module that the run was given."
        )
        raise ConfigError(
            f"{place}: with these weights the module gives other logits: it {way_out}"
        )
    raise ConfigError(
        f"{place}: its weights give other logits than they did. Use the versions that wrote it: "
        f"{', '.join(f'{name} {facts.versions.get(name)}' for name in ('clrun', 'torch'))}."
    )


def transform_of(facts: Facts) -> Transform:
    """What the model was evaluated with."""
    return Transform(tuple(facts.mean), tuple(facts.std), "none")


def shape_of(facts: Facts) -> StreamShape:
    """The sizes that the model was made for."""
    channels, height, width = facts.image_shape
    return StreamShape(
        channels=channels,
        height=height,
        width=width,
        num_classes=len(facts.class_names),
        num_experiences=1,
    )


def node_of(group: str, part: Component, place: str, *, trust: bool) -> Node:
    """The checked node of a component that a file names.

    Raises:
        ConfigError: its code is not known and not trusted, or its keys are not what they must be.
    """
    require_known(part.target, place, trust=trust)
    with trusting(Trust(everything=trust or trust_now().everything)):
        node, problems = read_node(group, part.option, part.target, part.values)
    if node is None:
        raise ConfigError(f"{place}: {problems[0]}")
    return node


def chosen_device(
    facts: Facts, given: Mapping[str, Any] | str | None, predictor: nn.Module
) -> Device:
    """The run's device as far as there is one here, with what is `given` in its place.

    Raises:
        ConfigError: what is given cannot be had.
    """
    keys = {"kind": given} if isinstance(given, str) else dict(given or {})
    # compiling gives the same numbers to rounding, and needs a compiler wherever the file goes
    any_threads = {**facts.device, "compile": False, "threads": None}
    _device_node({**any_threads, **keys})  # what is wrong on any machine
    saved = {**any_threads, "threads": facts.device.get("threads")}
    anywhere = {**any_threads, "kind": "cpu", "precision": "fp32"}
    problems: ConfigError | None = None
    for usual in (saved, any_threads, anywhere):
        try:
            device: Device = build(_device_node({**usual, **keys}))
            device.settle(predictor)
            return device
        except ConfigError as error:
            problems = problems or error
            if keys:
                break
    assert problems is not None, "plain numbers on the CPU are always to be had"
    raise problems


def _device_node(values: Mapping[str, Any]) -> Node:
    kind = str(values.get("kind"))
    node, problems = read_node("device", kind, "clrun.device.device:Device", values)
    if node is None:
        raise ConfigError(problems[0])
    return node


def _node(group: str, part: Component, place: str, trust: bool) -> Node:
    return node_of(group, part, place, trust=trust)


def _given(model: nn.Module | None, facts: Facts, place: str, trust: bool) -> nn.Module | Node:
    """The module of one's own, or the node of the one that the file describes."""
    if model is not None:
        return require_module(model, "model")
    if facts.is_own_model:
        raise ConfigError(
            f"{place}: the model was given from Python ({facts.model.target}). "
            "Use clrun.load(FOLDER, model=MODULE) there."
        )
    return _node("model", facts.model, place, trust)


def _stand_in(facts: Facts) -> Node:
    """A node to name the model by in an error."""
    return Node("model", facts.model.option, facts.model.target, {}, None)


def _tensors(file: TrainedFile) -> dict[str, Tensor]:
    """All tensors by all their names.

    Raises:
        ConfigError: the file's header is no safetensors file's, or a name leads nowhere.
    """
    try:
        held = safetensors.torch.load(file.content)
        shared = {name: held[first] for name, first in file.facts.shared.items()}
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{file.path}: is damaged ({str(error).splitlines()[0]}). Restore it from a copy, or "
            "run again."
        ) from error
    return {**held, **shared}
