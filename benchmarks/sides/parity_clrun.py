"""clrun's AR1 update by update, and the rows it used."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from clrun.memory.latent_memory import LatentMemory
from clrun.runner.run import run
from clrun.strategies import ar1 as module
from sides.clrun import prepared
from sides.watch import watch


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Note the plan of every epoch, the rows stored, the losses and the second logits."""
    plans: list[list[Any]] = []
    chosen: list[list[int]] = []
    losses: list[list[float]] = []
    logits: list[Any] = []
    plan_epoch, offer = module.plan_epoch, LatentMemory.offer

    def noted_plan(*args: Any) -> Any:
        plan = plan_epoch(*args)
        minibatches = [plan[k] for k in range(len(plan))]
        plans[-1].append([(m.current.tolist(), m.memory.tolist()) for m in minibatches])
        return plan

    def noted_offer(memory: LatentMemory, y: torch.Tensor, experience: int, *args: Any) -> None:
        offer(memory, y, experience, *args)
        stored = memory.rows["sample"][memory.rows.experience == experience]
        chosen.append(stored.sort().values.tolist())

    def noted_steps(steps: Iterator[Any]) -> Iterator[Any]:
        plans.append([])
        losses.append([])
        for step in steps:
            losses[-1].append(float(step.loss))
            yield step

    def noted_logits(head: torch.nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if head.training and len(logits) < 2:
            logits.append(output.detach().tolist())

    module.plan_epoch, LatentMemory.offer = noted_plan, noted_offer
    with tempfile.TemporaryDirectory() as folder:
        ready = prepared(case, folder)
        ready.model.output.register_forward_hook(noted_logits)
        watch(ready.config, noted_steps)
        run(ready, Path(folder) / "run")
    rows_file = str(Path(case["final_weights"]).with_suffix(".rows"))
    torch.save({"plans": plans, "chosen": chosen}, rows_file)
    return {"losses": losses, "logits": logits[1], "rows_file": rows_file}
