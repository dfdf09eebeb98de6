from __future__ import annotations

import torch

from clrun.device.settings import determinism, full_precision


def test_fp32_is_never_shortened_to_tf32_during_a_run():
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    cudnn.allow_tf32 = True

    with full_precision():
        inside = matmul.allow_tf32, cudnn.allow_tf32
    after = cudnn.allow_tf32
    matmul.allow_tf32, cudnn.allow_tf32 = before

    assert inside == (False, False)
    assert after is True


def test_cudnn_tries_its_algorithms_out_only_where_runs_may_differ():
    before = torch.backends.cudnn.benchmark

    with determinism(False):
        free = torch.backends.cudnn.benchmark
        with determinism(True):
            bound = torch.backends.cudnn.benchmark
        again = torch.backends.cudnn.benchmark

    assert (free, bound, again, torch.backends.cudnn.benchmark) == (True, False, True, before)


def test_new_tensors_are_not_filled_before_they_are_written_to():
    with determinism(True):
        inside = torch.utils.deterministic.fill_uninitialized_memory
    after = torch.utils.deterministic.fill_uninitialized_memory

    assert (inside, after) == (False, True)
