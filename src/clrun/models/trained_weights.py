"""Weights of a finished run as initial ones: `model.pretrained=RUN`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from clrun.errors import ConfigError
from clrun.images.transforms import PixelStatistics
from clrun.models.batch_renorm import SCHEDULE
from clrun.models.features import head
from clrun.models.state_files import KEY, StateFile
from clrun.records.trained_model import Facts, is_model_file, model_file, read_model

AS_BATCH_NORM = {"gamma": "weight", "beta": "bias", "running_avg_mean": "running_mean"}
STD = "running_avg_std"


def is_of_a_run(place: Path) -> bool:
    """Whether a path means a run's folder, or the model.safetensors of one."""
    return place.is_dir() or is_model_file(place)


def read_trained(place: Path) -> tuple[StateFile, Facts]:
    """The tensors of a finished run's model, and what is known of it.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    try:
        file = read_model(model_file(place))
        held = safetensors.torch.load(file.content)
        state = {**held, **{name: held[first] for name, first in file.facts.shared.items()}}
    except ConfigError as error:
        raise ConfigError(f"{KEY}={error}") from None
    except (SafetensorError, KeyError) as error:
        raise ConfigError(f"{KEY}={place}: is damaged ({error}). Use another run.") from error
    return StateFile(state, file.path, hashlib.sha256(file.content).hexdigest()), file.facts


def statistics_of(facts: Facts) -> PixelStatistics:
    """Mean and deviation of the images that the run's model saw."""
    return tuple(facts.mean), tuple(facts.std)


def as_batch_norm(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with the tensors of BatchNorm2d where the model has one and a run of AR1 made it a
    BatchRenorm2D; both evaluate alike."""
    state = dict(state)
    for path, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d) and f"{path}.{STD}" in state:
            names = (*AS_BATCH_NORM, STD, *SCHEDULE)
            theirs = {name: state.pop(f"{path}.{name}", None) for name in names}
            ours = {our: theirs[their] for their, our in AS_BATCH_NORM.items()}
            std = theirs[STD]
            assert std is not None, "it was looked for"
            ours["running_var"] = (std.square() - layer.eps).clamp(min=0)
            ours["num_batches_tracked"] = layer.num_batches_tracked
            kept = ((name, ours[name]) for name in layer.state_dict())
            state |= {f"{path}.{name}": value for name, value in kept if value is not None}
    return state


def with_own_head(
    model: nn.Module, state: dict[str, Tensor], facts: Facts
) -> tuple[dict[str, Tensor], str | None]:
    """The state with the model's own head where that is for another number of classes, and a note
    that says so."""
    name, layer = head(model)
    saved = state.get(f"{name}.weight")
    if saved is None or saved.shape == layer.weight.shape:
        return state, None
    if saved.shape[1:] != layer.weight.shape[1:] or len(saved) != len(facts.class_names):
        return state, None
    own = {f"{name}.{key}": value for key, value in layer.state_dict().items()}
    note = (
        f"the model of {facts.label} knows {len(saved)} classes and this one {layer.out_features}: "
        f"all weights are taken but those of {name}, which begins anew."
    )
    return {**state, **own}, note
