"""clrun's AR1 update by update, and the rows it used: parity_clrun_side.py CASE.json OUT.json."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from clrun_side import prepared
from measure import read_case, weights_file, write_result
from torch import nn

from clrun.config.schema import component_class
from clrun.memory.latent_memory import LatentMemory
from clrun.runner.run import run
from clrun.strategies import ar1 as module


class Watched:
    """Notes the plan of every epoch, the rows stored, the losses and the second logits."""

    def __init__(self, head: nn.Module) -> None:
        self.plans: list[list[list[tuple[list[int], list[int]]]]] = []
        self.chosen: list[list[int]] = []
        self.losses: list[list[float]] = []
        self.logits: list[Any] = []
        head.register_forward_hook(self._after_head)

    def _after_head(self, head: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if head.training and len(self.logits) < 2:
            self.logits.append(output.detach().tolist())


def main() -> None:
    case = read_case()
    torch.set_num_threads(case["threads"])
    with tempfile.TemporaryDirectory() as folder:
        ready = prepared(case, folder)
        watched = Watched(ready.model.output)
        _watch_plans(watched)
        strategy = component_class(ready.config.nodes["strategy"].target)
        learn, offer = strategy.learn, LatentMemory.offer

        def watching(self: Any, experience: Any) -> Iterator[Any]:
            watched.plans.append([])
            watched.losses.append([])
            for step in learn(self, experience):
                watched.losses[-1].append(float(step.loss))
                yield step

        def noted(self: LatentMemory, y: torch.Tensor, experience: int, *args: Any) -> None:
            offer(self, y, experience, *args)
            stored = self.rows["sample"][self.rows.experience == experience]
            watched.chosen.append(stored.sort().values.tolist())

        strategy.learn, LatentMemory.offer = watching, noted
        run(ready, Path(folder) / "run")
    rows_file = weights_file().with_suffix(".rows")
    torch.save({"plans": watched.plans, "chosen": watched.chosen}, rows_file)
    write_result(
        {"losses": watched.losses, "logits": watched.logits[1], "rows_file": str(rows_file)}
    )


def _watch_plans(watched: Watched) -> None:
    plan_epoch = module.plan_epoch

    def noted(*args: Any) -> Any:
        plan = plan_epoch(*args)
        minibatches = [plan[k] for k in range(len(plan))]
        watched.plans[-1].append([(m.current.tolist(), m.memory.tolist()) for m in minibatches])
        return plan

    module.plan_epoch = noted


if __name__ == "__main__":
    main()
