"""Initial weights from a file: what `pretrained: path` means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import torch
from torch import Tensor, nn

from clrun.errors import ConfigError
from clrun.models.features import head
from clrun.models.fitting import misfits
from clrun.models.state_files import KEY, StateFile, read_state
from clrun.models.trained_weights import (
    as_batch_norm,
    is_of_a_run,
    read_trained,
    statistics_of,
    with_own_head,
)

Renaming = Callable[[dict[str, Tensor]], dict[str, Tensor]]

_left_out: ContextVar[bool] = ContextVar("weights left out", default=False)


@contextmanager
def weights_left_out() -> Iterator[None]:
    """Models made inside the block read no pretrained weights: all of theirs come later."""
    token = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(token)


def are_weights_left_out() -> bool:
    """Whether a model that is made now is to read no weights."""
    return _left_out.get()


def load_pretrained(
    model: nn.Module, pretrained: bool | str, *, renamed: Renaming | None = None
) -> None:
    """Fill `model` with the state dict in the file `pretrained` (of torch.save or safetensors), or
    with that of the finished run whose folder it names; False leaves it be.

    Every parameter and buffer must be there with the model's shape and finite numbers of its kind,
    and nothing else. Of a run with another number of classes the head is not taken. `renamed` gives
    the tensors of a run the names that they have in this model.

    Raises:
        ConfigError: the file cannot be read, holds something else, or does not fit the model.
    """
    if not isinstance(pretrained, str) or are_weights_left_out():
        return
    place = Path(pretrained)
    file = _of_a_run(model, place, renamed) if is_of_a_run(place) else read_state(place)
    _check_head(model, file.state, pretrained)
    _check_fit(model, file.state, pretrained)
    check_values(model, file.state, f"{KEY}={pretrained}")
    model.load_state_dict(file.state)
    remember_origin(model, file.path, file.sha256)


def _of_a_run(model: nn.Module, place: Path, renamed: Renaming | None) -> StateFile:
    """What the model can take of a finished run's; it hears what images they are for."""
    file, facts = read_trained(place)
    state = as_batch_norm(model, file.state if renamed is None else renamed(file.state))
    state, note = with_own_head(model, state, facts)
    model.pixel_statistics = statistics_of(facts)  # type: ignore[assignment]
    model.weights_note = note  # type: ignore[assignment]
    return file._replace(state=state)


def remember_origin(model: nn.Module, path: Path, sha256: str) -> None:
    """Note where the weights of a model are from, for the run's record."""
    model.weights_from = {"file": str(path), "sha256": sha256}  # type: ignore[assignment]


def origin(model: nn.Module) -> dict[str, str] | None:
    """The file that a model's weights are from and its SHA-256; None where there is none."""
    found = getattr(model, "weights_from", None)
    return found if isinstance(found, dict) else None


def check_values(model: nn.Module, weights: dict[str, Tensor], place: str) -> None:
    """Refuse values that no such network can have, before anything is trained with them.

    Raises:
        ConfigError: numbers of another kind, NaN, infinite, or a negative variance.
    """
    for name, wanted in model.state_dict().items():
        if name in weights and (reason := _unusable(name, weights[name], wanted)):
            raise ConfigError(f"{place}: {name} {reason}. Use other weights, or false.")


def _unusable(name: str, found: Tensor, wanted: Tensor) -> str | None:
    kinds = [(t.is_floating_point(), t.is_complex()) for t in (found, wanted)]
    if kinds[0] != kinds[1]:
        return f"is {_dtype(found)} instead of {_dtype(wanted)}"
    values = found.to(wanted.dtype)
    if not torch.isfinite(values).all():
        return f"holds NaN or infinite values as {_dtype(wanted)}"
    if name.endswith("running_var") and (values < 0).any():
        return "holds a negative variance"
    return None


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _check_head(model: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    """Another number of classes is the likeliest misfit; say it in those words."""
    name, layer = head(model)
    saved = weights.get(f"{name}.weight")
    if saved is not None and saved.shape[:1] != layer.weight.shape[:1]:
        raise ConfigError(
            f"{KEY}={path}: {name}.weight is {_size(saved)}, but {layer.out_features} classes need "
            f"{_size(layer.weight)}. Use weights for {layer.out_features} classes, or false."
        )


def _check_fit(model: nn.Module, weights: dict[str, Tensor], path: str) -> None:
    problems = misfits(model.state_dict(), weights, _size)
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ConfigError(
            f"{KEY}={path}: does not fit {type(model).__name__}: "
            f"{'; '.join(problems[:3])}{more}. "
            "Use weights saved from the same model and image size."
        )


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
