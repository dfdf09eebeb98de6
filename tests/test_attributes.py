"""What a forward pass may read besides its input."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clrun.attributes import TooMany, are_same, is_inside, readable, versions
from clrun.models.batch_renorm import BatchRenorm2D


class Options:
    def __init__(self) -> None:
        self.scale = 1.0


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        self.register_buffer("calls", torch.zeros(()))
        self.number, self.names, self.table = 1, ["a"], {"k": [1, 2]}
        self.tensor, self.options, self.kinds = torch.ones(2), Options(), {3}
        self.nan = float("nan")
        self.loop = [self.names]
        self.loop.append(self.loop)


CHANGES = {
    "number": lambda layer: setattr(layer, "number", 2),
    "number of another type": lambda layer: setattr(layer, "number", True),
    "list": lambda layer: layer.names.append("b"),
    "dict in depth": lambda layer: layer.table["k"].append(3),
    "key": lambda layer: layer.table.update(m=1),
    "set": lambda layer: layer.kinds.add(4),
    "object": lambda layer: setattr(layer.options, "scale", 2.0),
    "new attribute": lambda layer: setattr(layer, "more", 0),
    "other tensor": lambda layer: setattr(layer, "tensor", torch.ones(2)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_is_seen_in_both_readings(change):
    layer = Layer()
    before, written = readable(layer), versions(layer)
    assert are_same(before, readable(layer))
    assert are_same(written, versions(layer))

    change(layer)

    assert not are_same(before, readable(layer))
    assert not are_same(written, versions(layer))


@pytest.mark.parametrize("name", ["weight", "calls", "tensor"])
def test_writing_into_a_tensor_changes_its_version_alone(name):
    layer = Layer()
    before, written = readable(layer), versions(layer)

    with torch.no_grad():
        getattr(layer, name).add_(1)

    assert are_same(before, readable(layer))  # a trace reads it anew
    assert not are_same(written, versions(layer))


def test_what_a_forward_pass_leaves_for_others_is_not_read():
    layer = BatchRenorm2D(2)
    before, written = readable(layer), versions(layer.eval())

    layer.train()(torch.randn(4, 2, 3, 3))

    assert layer.corrected is not None
    assert are_same(before, readable(layer))
    assert not are_same(written, versions(layer))  # its statistics have moved


def test_modes_and_hooks_are_read_too():
    layer = Layer()
    before = readable(layer)

    layer.eval()
    assert not are_same(before, readable(layer))
    layer.train().register_forward_hook(print)
    assert not are_same(before, readable(layer))


def test_what_holds_too_much_is_named():
    layer = Layer()
    layer.names = [str(n) for n in range(10_000)]

    with pytest.raises(TooMany, match=r"Layer\.names"):
        readable(layer)


def test_a_layer_is_inside_itself_and_what_holds_it():
    assert is_inside("a.b", ["a"])
    assert is_inside("a", ["a"])
    assert not is_inside("ab", ["a"])
