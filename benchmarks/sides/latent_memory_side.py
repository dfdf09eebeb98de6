"""AR1's peak memory with cheap latents of 512x8x8: latent_memory_side.py CASE.json OUT.json.

The lower part is one 1x1 convolution, so that nothing but latents takes room; they are not cached.
Two experiences: one fills the memory, one replaces half of it.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import torch
from clrun_side import Given
from measure import Meter, read_case, write_result
from torch import Tensor, nn

import clrun
from clrun.runner.prepare import prepare
from clrun.runner.run import run
from clrun.streams.experience import Benchmark, Experience, Patterns, StreamShape
from clrun.streams.transforms import Transform

LATENT = (512, 8, 8)
CAPACITY, FLOAT = 1500, 4


class Cheap(nn.Module):
    """Latents from single pixels, and a head on their means."""

    def __init__(self) -> None:
        super().__init__()
        self.lower = nn.Conv2d(1, LATENT[0], 1)
        self.upper = nn.ReLU()
        self.output = nn.Linear(LATENT[0], 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.upper(self.lower(x)).mean((2, 3)))


class Random(Given):
    """Two experiences of random images."""

    def __init__(self, rows: int) -> None:
        self._shape = StreamShape(channels=1, height=8, width=8, num_classes=10, num_experiences=2)
        rng = torch.Generator().manual_seed(0)
        made = []
        for index in range(2):
            x = torch.randint(0, 256, (rows, 1, 8, 8), dtype=torch.uint8, generator=rng)
            y = torch.randint(0, 10, (rows,), generator=rng)
            few = Patterns(x[:10], y[:10])
            made.append(
                Experience(
                    index=index,
                    classes=tuple(range(10)),
                    task_label=0,
                    train=Patterns(x, y),
                    test=few,
                )
            )
        self._benchmark = Benchmark(
            name="random",
            shape=self._shape,
            class_names=tuple("0123456789"),
            experiences=made,
            transform=Transform((0.5,), (0.5,), "none"),
        )


def main() -> None:
    case = read_case()
    with tempfile.TemporaryDirectory() as folder:
        words = ["strategy=ar1", "benchmark=digits", "model=cnn", f"strategy.rm_sz={CAPACITY}"]
        words += ["strategy.train_epochs=1", "strategy.latent_cache=off", "device=cpu"]
        words += [f"device.threads={case['threads']}", f"output_root={folder}"]
        ready = prepare(clrun.compose(words))
        config = ready.config.nodes["strategy"].config
        object.__setattr__(config, "latent_layer", "lower")
        ready = dataclasses.replace(ready, benchmark=Random(case["rows"]), model=Cheap())
        _ = ready.data, ready.pattern_macs
        meter = Meter()
        with meter.phase("train"):
            run(ready, Path(folder) / "run")
        told = meter.report()
    rows = min(CAPACITY, 2 * case["rows"])  # both experiences' where they fit
    buffer_mb = rows * torch.Size(LATENT).numel() * FLOAT / 1e6
    write_result(told | {"buffer_mb": buffer_mb, "above_buffer_mb": told["peak_mb"] - buffer_mb})


if __name__ == "__main__":
    main()
