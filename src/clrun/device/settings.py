"""Settings of the process that decide how it computes, for the time of a run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use that many CPU threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def determinism(wanted: bool) -> Iterator[None]:
    """Refuse operations that may differ from run to run; else let cuDNN try its algorithms out."""
    mode, benchmark = torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark
    new_tensors: Any = torch.utils.deterministic
    fills = new_tensors.fill_uninitialized_memory
    # it writes NaN to every new tensor, which is then overwritten: 3 % of AR1's time on a CPU
    new_tensors.fill_uninitialized_memory = False
    if wanted:
        # cuBLAS is deterministic only with this, read when its first handle is made
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = not wanted  # the quickest algorithm differs between runs
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.backends.cudnn.benchmark = benchmark
        new_tensors.fill_uninitialized_memory = fills


@contextmanager
def full_precision() -> Iterator[None]:
    """Let fp32 be fp32: a GPU must not shorten factors to TF32, as PyTorch lets cuDNN do."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32 = before
