"""Which GPU a job of a sweep has."""

from __future__ import annotations

import os

from clrun.config.run_config import Node

VISIBLE = "CUDA_VISIBLE_DEVICES"


def choose_gpu(device: Node, slot: int) -> None:
    """Let this process see one GPU: jobs in neighbouring slots have different ones.

    To be called before anything of CUDA is. A job that names a GPU (`device.index`) has that one.
    """
    values = device.values
    if values.get("kind") not in ("auto", "cuda") or values.get("index"):
        return
    gpus = count_gpus()
    if gpus > 1:
        given = os.environ.get(VISIBLE)
        names = given.split(",") if given else [str(index) for index in range(gpus)]
        os.environ[VISIBLE] = names[slot % gpus]


def count_gpus() -> int:
    """How many GPUs there are, found without a word to CUDA: the process may be forked still."""
    import torch  # no worker needs it

    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
