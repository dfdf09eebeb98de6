import pytest
import torch
from torch import nn

from clrun.errors import ConfigError
from clrun.images.transforms import Transform
from clrun.models.features import (
    evaluating,
    extract_features,
    head,
    head_inputs,
    layer_names,
    require_layer,
)
from clrun.models.layers import GlobalAveragePool

PLAIN = Transform(mean=(0.0,), std=(1.0,), augment="crop_flip")


class Small(nn.Module):
    """A convolution, a batch normalisation, dropout and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), GlobalAveragePool()
        )
        self.output = nn.Linear(3, 2)
        self.unused = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.body(x))


def small() -> Small:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small()


def images(n: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(0)
    return torch.randint(256, (n, 1, 6, 6), dtype=torch.uint8, generator=rng)


def extract(model, x, layer_name=None, batch_size=4):
    return extract_features(
        model, x, PLAIN, layer_name=layer_name, batch_size=batch_size, device="cpu"
    )


def test_every_layer_has_its_own_mode_back_after_evaluating():
    model = small().train()
    model.body[1].eval()

    with evaluating(model):
        inside = [m.training for m in model.modules()]

    assert not any(inside)
    assert [m.training for m in model.modules()].count(False) == 1
    assert not model.body[1].training


def test_modes_come_back_after_an_error_too():
    model = small().train()

    with pytest.raises(RuntimeError), evaluating(model):
        model(torch.zeros(1, 2, 6, 6))

    assert all(m.training for m in model.modules())


def test_layer_names_leave_out_the_model_itself():
    assert layer_names(small()) == [
        *("body", "body.0", "body.1", "body.2", "body.3", "body.4"),
        "output",
        "unused",
    ]


def test_a_layer_is_found_by_its_name():
    model = small()

    assert require_layer(model, "body.2", key="selection.layer_name") is model.body[2]


def test_an_unknown_layer_is_refused_with_the_nearest_name_and_all_names():
    with pytest.raises(ConfigError) as refused:
        require_layer(small(), "outptu", key="selection.layer_name")

    assert str(refused.value) == (
        "selection.layer_name=outptu: Small has no such layer. Did you mean 'output'? "
        "Layers: body, body.0, body.1, body.2, body.3, body.4, output, unused."
    )


def test_a_deep_model_s_layers_are_cut_to_a_readable_list():
    model = nn.Sequential(*(nn.Identity() for _ in range(100)))

    with pytest.raises(ConfigError, match=r"38, 39, and 60 more\.$"):
        require_layer(model, "x", key="selection.layer_name")


def test_the_head_is_the_last_linear_layer():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 4), nn.ReLU())

    assert head(model) == ("2", model[2])


def test_a_model_without_a_linear_layer_has_no_head():
    with pytest.raises(ConfigError, match="model=Sequential: has no linear layer"):
        head(nn.Sequential(nn.Conv2d(1, 2, 1)))


@pytest.mark.parametrize(
    ("layer_name", "width"), [(None, 3), ("body", 3), ("output", 2), ("body.0", 3 * 4 * 4)]
)
def test_features_are_the_layer_s_output_in_evaluation_mode_flattened(layer_name, width):
    model, x = small(), images(10)

    features = extract(model, x, layer_name)

    model.eval()
    layers = {None: model.body, "body": model.body, "output": model, "body.0": model.body[0]}
    expected = layers[layer_name](x / 255).flatten(1)
    assert features.shape == (10, width)
    assert (features.dtype, features.device.type) == (torch.float32, "cpu")
    assert not features.requires_grad
    torch.testing.assert_close(features, expected.detach())


class Twice(nn.Module):
    """Calls one activation twice, and its head on its own output."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.relu, self.output = nn.Linear(36, 3), nn.ReLU(), nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.hidden(x.flatten(1)))
        return self.output(self.relu(self.output(y)))


def test_of_a_layer_that_is_called_twice_the_last_call_counts():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model, x = Twice(), images(10)
    last = model.relu(model.output(model.relu(model.hidden(x.flatten(1) / 255)))).detach()

    by_name, of_head = extract(model, x, "relu"), extract(model, x)

    torch.testing.assert_close(by_name, last)
    torch.testing.assert_close(of_head, last)
    torch.testing.assert_close(head_inputs(model, x / 255), last)


@pytest.mark.parametrize("batch_size", [1, 3, 10, 64])
def test_features_do_not_depend_on_the_batch_size(batch_size):
    model, x = small(), images(10)

    torch.testing.assert_close(extract(model, x, batch_size=batch_size), extract(model, x))


def test_features_keep_the_order_of_the_rows():
    model, x = small(), images(10)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))

    torch.testing.assert_close(extract(model, x[order]), extract(model, x)[order])


def test_no_rows_have_features_of_the_right_width():
    assert extract(small(), images(0)).shape == (0, 3)


def test_extraction_leaves_the_model_as_it_was():
    model = small().train()
    model.body[1].eval()
    modes = [m.training for m in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    rng = torch.get_rng_state()

    extract(model, images(10))

    assert [m.training for m in model.modules()] == modes
    torch.testing.assert_close(dict(model.state_dict()), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), rng)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("layer_name", ["unused", "nowhere"])
def test_a_failed_extraction_leaves_no_hook_and_the_modes_as_they_were(layer_name):
    model = small().train()

    with pytest.raises(ConfigError, match=f"selection.layer_name={layer_name}"):
        extract(model, images(3), layer_name)

    assert all(m.training for m in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_layer_that_mixes_rows_gives_no_features():
    class Mixing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.total = nn.Flatten(0)
            self.output = nn.Linear(1, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.output(self.total(x).sum().view(1, 1))

    with pytest.raises(ConfigError, match="no tensor with a row for each image"):
        extract(Mixing(), images(3), "total")
