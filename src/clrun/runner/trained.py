"""What a run leaves to be used: checkpoints/model.safetensors, once it was shown to be right."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from clrun.config.foreign import in_a_line
from clrun.config.run_config import Node
from clrun.errors import StorageError
from clrun.fast.pointwise import set_products
from clrun.models.copies import copy_of
from clrun.profiling.spans import phase
from clrun.records.run_record import versions
from clrun.records.trained_model import PLACE, Component, Facts, write_model
from clrun.runner.interrupt import Interrupted
from clrun.runner.loading import transform_of
from clrun.runner.own import is_own
from clrun.runner.predictor import declares_predictor, fill, untrained
from clrun.runner.prepare import Prepared
from clrun.runner.proof import Proof, agree, proof_of
from clrun.strategies.answers import Answers
from clrun.strategies.strategy import Strategy

COMPARED = 8
"""Images whose logits are compared. A compiled model has its usual minibatch: it would be compiled
again for another number."""

log = logging.getLogger("clrun.note")


class NotSaved(Exception):
    """Why no file would give what the strategy predicts."""


def save_trained(prepared: Prepared, strategy: Strategy, folder: Path) -> None:
    """Write what the strategy predicts with now, or a note on why it is not written.

    Raises:
        StorageError: the disk is full, read-only or broken.
    """
    with phase("write"):
        try:
            _save(prepared, strategy, folder / PLACE)
        except (StorageError, Interrupted):
            raise
        except Exception as error:  # a model of somebody's own may fail in any way
            reason = str(error) if isinstance(error, NotSaved) else in_a_line(error)
            log.warning("no %s: %s", PLACE, reason.rstrip(".") + ".")


def _save(prepared: Prepared, strategy: Strategy, path: Path) -> None:
    predictor = strategy.trained_predictor() or prepared.model
    tensors, shared = saved_tensors(predictor)  # a copy: predicting may change a buffer
    facts = _facts(prepared, shared)
    proof = _proof(prepared, strategy, _rebuilt(prepared, predictor, tensors, facts), facts)
    held = {name: tensor for name, tensor in tensors.items() if name not in shared}
    try:
        write_model(path, replace(facts, proof=proof), held)
    except (SafetensorError, KeyError, ValueError) as error:
        raise NotSaved(f"safetensors cannot hold its tensors: {in_a_line(error)}") from error


def saved_tensors(predictor: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Copies of all tensors of a module on the CPU, and which of them are others' second names.

    Raises:
        NotSaved: its state holds something else.
    """
    tensors: dict[str, Tensor] = {}
    shared: dict[str, str] = {}
    first: dict[Any, str] = {}
    for name, value in predictor.state_dict().items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            raise NotSaved(f"{name} of its state is no plain tensor")
        key = (value.device, value.data_ptr(), value.shape, value.stride(), value.dtype)
        if value.numel() and key in first:
            shared[name] = first[key]
        first.setdefault(key, name)
        copy = torch.empty(value.shape, dtype=value.dtype)
        tensors[name] = copy.copy_(value.detach())
    return tensors, shared


def _rebuilt(
    prepared: Prepared, predictor: nn.Module, tensors: Mapping[str, Tensor], facts: Facts
) -> nn.Module:
    """The predictor as whoever reads the file will have it."""
    if facts.is_own_model:
        made = copy_of(predictor)
    else:
        nodes, shape = prepared.config.nodes, prepared.data.shape
        strategy = nodes["strategy"] if facts.strategy is not None else None
        made = untrained(nodes["model"], strategy, shape, facts.seed)
    fill(made, tensors, "the trained model")
    set_products(made, tricks=prepared.device.tricks)
    return prepared.device.place(made)


def _proof(prepared: Prepared, strategy: Strategy, rebuilt: nn.Module, facts: Facts) -> Proof:
    """The rebuilt predictor's logits for the file, once they are known to be the strategy's."""
    _require_same_answers(prepared, strategy, rebuilt, facts)
    transform = transform_of(facts)
    return proof_of(rebuilt, transform, prepared.device, facts.seed, facts.image_shape)


def _require_same_answers(
    prepared: Prepared, strategy: Strategy, rebuilt: nn.Module, facts: Facts
) -> None:
    """Raise NotSaved unless the rebuilt predictor gives the logits that the strategy gives."""
    device, keys = prepared.device, prepared.keys
    scored = map(prepared.evaluation.rows, prepared.data.experiences)
    rows = next((rows.x for rows in scored if len(rows.y)), None)
    if rows is None:
        return
    count = keys.eval_mb_size if device.config.compile else COMPARED
    x = rows.index_select(0, torch.arange(min(count, len(rows))))
    answers = Answers(copy_of(rebuilt), transform_of(facts), device, facts.seed, quick=False)
    if not agree(answers.predict(x), strategy.predict(x), device.config.precision):
        name = prepared.config.nodes["strategy"].option
        raise NotSaved(
            f"strategy={name} predicts with more than its model and the transform, and has no "
            "`predictor` that says with what (clrun.strategies.strategy)"
        )


def _facts(prepared: Prepared, shared: dict[str, str]) -> Facts:
    config, benchmark, device = prepared.config, prepared.data, prepared.device
    nodes, shape = config.nodes, benchmark.shape
    strategy = nodes["strategy"]
    names = [field.name for field in fields(device.config)]
    return Facts(
        label=config.label(),
        config_hash=config.hash(),
        class_names=list(benchmark.class_names),
        image_shape=(shape.channels, shape.height, shape.width),
        mean=list(map(float, benchmark.transform.mean)),
        std=list(map(float, benchmark.transform.std)),
        seed=config.seed,
        model=_component(nodes["model"]),
        is_own_model=is_own(nodes["model"]),
        strategy=_component(strategy) if declares_predictor(strategy) else None,
        benchmark=_component(nodes["benchmark"]),
        is_own_benchmark=is_own(nodes["benchmark"]),
        evaluation=dict(nodes["eval"].values),
        first_experiences=config.root.first_experiences,
        eval_mb_size=prepared.keys.eval_mb_size,
        device={name: getattr(device.config, name) for name in names}
        | {
            "kind": device.torch.type,
            "index": device.torch.index or 0,
            "threads": prepared.machine["threads"],
            "channels_last": prepared.machine["channels_last"],
        },
        proof=[],
        shared=shared,
        versions=versions(),
    )


def _component(node: Node) -> Component:
    return Component(option=node.option, target=node.target, values=dict(node.values))
