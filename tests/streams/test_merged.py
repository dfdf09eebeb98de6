from __future__ import annotations

import torch

import clrun
from clrun.runner.prepare import build
from clrun.streams.experience import Benchmark, merged


def digits(*overrides: str) -> Benchmark:
    return build(clrun.compose(list(overrides)).nodes["benchmark"]).load(0)


def test_the_whole_stream_is_one_experience_with_all_rows_and_classes():
    benchmark = digits("benchmark.class_order=shuffled")

    whole = merged(benchmark)

    assert (whole.index, whole.task_label) == (0, 0)
    assert whole.classes == tuple(range(10))
    assert torch.equal(whole.train.x, torch.cat([e.train.x for e in benchmark]))
    assert torch.equal(whole.train.y, torch.cat([e.train.y for e in benchmark]))
    assert torch.equal(whole.test.y, torch.cat([e.test.y for e in benchmark]))


def test_rows_held_out_for_validation_stay_out():
    benchmark = digits("benchmark.validation_fraction=0.5")

    whole = merged(benchmark)

    held_out = sum(len(e.validation.y) for e in benchmark)
    assert held_out > 600
    assert len(whole.train.y) == 1442 - held_out
