from __future__ import annotations

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

import clrun
from clrun.device.compiling import compiled
from clrun.device.processor import missing_compiler
from clrun.models.dropout import SeededDropout, reseed

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{warning}")
    for warning in (
        "The .grad attribute of a Tensor",  # the compiler looks at all of what it is given
        "<class 'torch.autograd.function.Function'> should not",  # as does PyTorch 2.10's
        "`torch.jit.script_method` is deprecated",  # which imports what is deprecated in it
    )
]

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_compiled():
    """Whatever was compiled before does not count."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()


def counted(monkeypatch) -> CompileCounter:
    """Compiles as usual up to the graphs, which are counted and run as they are: no C++ needed."""
    counter, usual = CompileCounter(), torch.compile
    monkeypatch.setattr(torch, "compile", lambda model, **how: usual(model, backend=counter, **how))
    return counter


def dropping() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 64), SeededDropout(0.5), nn.Linear(64, 2))


def test_seeded_dropout_is_part_of_one_graph_that_serves_every_update(monkeypatch):
    model = dropping()
    counter = counted(monkeypatch)
    forward = compiled(model, CPU)

    for iteration in range(20):
        reseed(model, 0, 0, 0, iteration)
        forward(torch.ones(3, 4)).sum().backward()

    assert counter.frame_count == 1
    assert counter.op_count >= 4  # two linear layers, the mask, and the product with it


def test_a_compiled_model_drops_what_the_plain_one_drops(monkeypatch):
    model, x = dropping(), torch.ones(3, 4)
    counted(monkeypatch)
    reseed(model, 0, 0, 0, 7)
    expected = model(x)
    reseed(model, 0, 0, 0, 7)

    torch.testing.assert_close(compiled(model, CPU)(x), expected)


def test_a_short_last_minibatch_is_compiled_once_whatever_its_size(monkeypatch):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    counter = counted(monkeypatch)
    forward = compiled(model, CPU)

    for rows in (32, 19, 32, 7, 11, 32):
        assert forward(torch.ones(rows, 4)).shape == (rows, 2)

    assert counter.frame_count == 2


def test_ar1_compiles_once_for_each_kind_of_pass_and_scores_the_same(monkeypatch, tmp_path):
    words = [
        *("strategy=ar1", "benchmark=digits", "benchmark.limit_per_class=30", "device=cpu"),
        *("model=cnn", "model.channels=[4,8]", "model.norm=batch", "strategy.lr=0.05"),
        *("strategy.latent_layer=features.relu0", "strategy.train_mb_size=64"),
        *("strategy.train_epochs=2", "strategy.rm_sz=60"),
    ]
    plain = clrun.run(clrun.compose(words), tmp_path / "plain")
    counter = counted(monkeypatch)

    graphed = clrun.run(clrun.compose([*words, "device.compile=true"]), tmp_path / "compiled")

    difference = torch.tensor(plain.accuracy_matrix) - torch.tensor(graphed.accuracy_matrix)
    assert difference.abs().mean() < 0.02
    assert 3 <= counter.frame_count <= 16
    limits = torch._dynamo.utils.counters["unimplemented"]
    assert not [reason for reason in limits if "recompile limit" in reason]


@pytest.mark.slow
@pytest.mark.skipif(missing_compiler("cpu") is not None, reason="no C++ compiler")
def test_a_compiled_model_computes_and_learns_the_same():
    model = nn.Linear(4, 2)
    forward, x = compiled(model, CPU), torch.ones(3, 4)

    y = forward(x)
    y.sum().backward()

    assert forward is not model
    torch.testing.assert_close(y, model(x))
    torch.testing.assert_close(model.weight.grad, torch.full((2, 4), 3.0))
