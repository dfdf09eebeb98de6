import sys
from types import ModuleType

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from clrun.errors import ConfigError
from clrun.models.batch_renorm import replace_bn_with_brn
from clrun.models.mobilenet_v1 import MobilenetV1, MobilenetV1Model, enlarged
from clrun.seeds import isolated
from clrun.streams.experience import StreamShape

# layer: channels, side at 128 px, parameters, as published for the network (pytorchcv, and Caffe)
LAYERS = [
    *((32, 64, 928), (32, 64, 352), (64, 64, 2176), (64, 32, 704), (128, 32, 8448)),
    *((128, 32, 1408), (128, 32, 16640), (128, 16, 1408), (256, 16, 33280), (256, 16, 2816)),
    *((256, 16, 66048), (256, 8, 2816), (512, 8, 132096)),
    *[(512, 8, 5632), (512, 8, 263168)] * 5,
    *((512, 4, 5632), (1024, 4, 526336), (1024, 4, 11264), (1024, 4, 1050624), (1024, 1, 0)),
]


def mobilenet(*, classes: int = 50, latent: int = 19, channels: int = 3) -> MobilenetV1:
    with isolated(0, "weights"):
        return MobilenetV1(classes, latent_layer_num=latent, in_channels=channels)


def images(rows: int, size: int, *, channels: int = 3, seed: int = 0) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(rows, channels, size, size, generator=rng)


def size_of(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_28_layers_have_the_published_shapes_and_parameters():
    model = mobilenet(latent=27).to("meta").eval()
    x = torch.empty(1, 3, 128, 128, device="meta")

    found = []
    for layer in model.lat_features:
        x = layer(x)
        assert x.shape[2] == x.shape[3]
        found.append((x.shape[1], x.shape[2], size_of(layer)))

    assert found == LAYERS
    assert len(found) == 28


@pytest.mark.parametrize(
    ("latent", "lower", "upper"),
    [
        *((0, 928, 3206048), (11, 137024, 3069952), (13, 274752, 2932224)),
        *((17, 812352, 2394624), (19, 1081152, 2125824), (25, 2156352, 1050624), (27, 3206976, 0)),
    ],
)
def test_the_latent_layer_divides_the_parameters(latent, lower, upper):
    model = mobilenet(latent=latent)

    assert size_of(model.lat_features) == lower
    assert size_of(model.end_features) == upper
    assert size_of(model) == 3258176
    assert len(list(model.parameters())) == 82


def test_layers_have_the_reference_s_names():
    model = mobilenet()

    names = [name for name, _ in model.named_parameters()]
    assert names[:3] == [f"lat_features.0.{n}" for n in ("conv.weight", "bn.weight", "bn.bias")]
    assert names[-4] == "end_features.6.conv.weight"
    assert names[-1] == "output.weight"
    assert [name for name, _ in model.lat_features[19].named_children()] == ["conv", "bn", "activ"]
    assert [name for name, _ in model.named_children()] == [
        *("lat_features", "end_features", "output")
    ]
    assert model.output.bias is None


def test_after_conversion_to_batch_renorm_names_are_still_the_reference_s():
    model = replace_bn_with_brn(mobilenet())

    names = [name for name, _ in model.named_parameters()]
    assert names[57:60] == [f"lat_features.19.{n}" for n in ("conv.weight", "bn.gamma", "bn.beta")]
    assert "lat_features.19.bn.running_avg_std" in model.state_dict()


@pytest.mark.parametrize("latent", [0, 11, 19, 27])
def test_the_two_parts_compute_what_the_model_computes_wherever_it_is_cut(latent):
    whole, x = mobilenet(latent=0).eval(), images(2, 40)
    model = mobilenet(latent=latent).eval()

    logits, latents = model(x, return_lat_acts=True)
    upper = model.output(model.end_features(latents).flatten(1))

    torch.testing.assert_close(latents, model.lat_features(x), rtol=0, atol=0)
    torch.testing.assert_close(upper, logits, rtol=0, atol=0)
    torch.testing.assert_close(logits, whole(x))


@pytest.mark.parametrize("index", [0, 11, 19, 20, 27])
def test_a_layer_s_name_follows_the_cut(index):
    model, whole = mobilenet(latent=19), mobilenet(latent=27)

    layer = model.get_submodule(model.layer_name(index))

    assert repr(layer) == repr(whole.lat_features[index])


def test_replayed_latents_join_behind_the_current_ones():
    model, x, replayed = mobilenet().eval(), images(2, 64), images(3, 64, seed=1)
    stored = model.lat_features(replayed).detach()

    logits, latents = model(x, latent_input=stored, return_lat_acts=True)

    torch.testing.assert_close(logits, model(torch.cat([x, replayed])))
    torch.testing.assert_close(latents, model.lat_features(x), rtol=0, atol=0)


def test_statistics_of_the_upper_part_see_current_and_replayed_rows_together():
    model, twin = mobilenet().train(), mobilenet().train()
    for m in (model, twin):
        m.lat_features.eval()
    x, replayed = images(2, 64), images(3, 64, seed=1)
    stored = model.lat_features(replayed).detach()

    model(x, latent_input=stored)
    twin(torch.cat([x, replayed]))

    torch.testing.assert_close(model.state_dict(), twin.state_dict())


def test_half_precision_latents_are_taken_in_the_model_s_precision():
    model, x = mobilenet().eval(), images(1, 64)
    stored = model.lat_features(images(1, 64, seed=1)).detach()

    logits = model(x, latent_input=stored.half())

    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, model(x, latent_input=stored), rtol=1e-2, atol=1e-2)


def test_gradients_reach_the_lower_part_only_without_replay():
    x = images(2, 32)
    model, other = mobilenet(), mobilenet()
    stored = other.lat_features(x).detach()

    model(x).sum().backward()
    other(x, latent_input=stored).sum().backward()

    assert all(p.grad is not None for p in model.parameters())
    assert all(p.grad is None for p in other.lat_features.parameters())
    assert all(p.grad is not None for p in other.end_features.parameters())


@pytest.mark.parametrize(
    ("size", "seen"),
    [((8, 8), (32, 32)), ((28, 28), (32, 32)), ((16, 40), (32, 80)), ((32, 32), (32, 32))],
)
def test_small_images_are_enlarged_to_32_px_in_their_own_proportions(size, seen):
    x = torch.linspace(0, 1, size[1]).expand(1, 3, *size)

    y = enlarged(x)

    assert y.shape == (1, 3, *seen)
    assert (y.diff(dim=3) >= 0).all()
    assert (y[..., 0] == 0).all()
    assert (y[..., -1] == 1).all()


@pytest.mark.parametrize("size", [1, 8, 32, 33, 96, 250])
def test_every_image_size_gives_logits(size):
    model = mobilenet(classes=7, channels=1).eval()

    assert model(images(1, size, channels=1)).shape == (1, 7)


def test_at_224_px_the_whole_map_is_averaged():
    model = mobilenet(latent=26).eval()

    logits, latents = model(images(1, 224), return_lat_acts=True)

    assert latents.shape == (1, 1024, 7, 7)
    torch.testing.assert_close(logits, model.output(latents.mean((2, 3))))


def test_a_pattern_of_128_px_costs_185_427_968_multiply_accumulates():
    model = mobilenet().to("meta").eval()

    with FlopCounterMode(display=False) as counter:
        model(torch.empty(1, 3, 128, 128, device="meta"))

    assert counter.get_total_flops() // 2 == 185_427_968


def build(pretrained: bool | str, *, channels: int = 3, latent: int = 19) -> MobilenetV1Model:
    shape = StreamShape(channels=channels, height=32, width=32, num_classes=5, num_experiences=2)
    config = MobilenetV1Model.Config(latent_layer_num=latent, pretrained=pretrained)
    with isolated(0, "weights"):
        return MobilenetV1Model(config, shape)


def test_a_file_of_weights_comes_back_and_one_for_other_classes_is_refused(tmp_path):
    path = tmp_path / "weights.pt"
    model = build(False)
    torch.save(model.state_dict(), path)

    loaded = build(str(path))

    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)
    torch.save(mobilenet(classes=9).state_dict(), path)
    with pytest.raises(ConfigError, match="9x1024, but 5 classes need 5x1024"):
        build(str(path))


class Published(nn.Module):
    """A network with pytorchcv's names: stages of units of a depthwise and a pointwise part."""

    def __init__(self) -> None:
        super().__init__()
        source = mobilenet(classes=1000, latent=27)
        layers = iter(source.lat_features)
        self.features = nn.Sequential()
        self.features.add_module("init_block", next(layers))
        for stage, units in enumerate([1, 2, 2, 6, 2], start=1):
            self.features.add_module(f"stage{stage}", nn.Sequential())
            for unit in range(1, units + 1):
                block = nn.ModuleDict({"dw_conv": next(layers), "pw_conv": next(layers)})
                self.features[stage].add_module(f"unit{unit}", block)
        self.output = nn.Linear(1024, 1000)
        self.source = [source]


@pytest.fixture
def published(monkeypatch) -> Published:
    """What pytorchcv's function gives, without installing or downloading anything."""
    network = Published()
    module = ModuleType("pytorchcv.models.mobilenet")
    module.mobilenet_w1 = lambda **_: network
    for name in ("pytorchcv", "pytorchcv.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "pytorchcv.models.mobilenet", module)
    return network


@pytest.mark.parametrize("latent", [0, 19, 27])
def test_published_weights_fill_every_layer_but_the_head(published, latent):
    model = build(True, latent=latent).eval()

    x = images(1, 64)
    expected = published.source[0].eval().lat_features(x)
    features = model.end_features(model.lat_features(x))
    torch.testing.assert_close(features, expected)
    torch.testing.assert_close(model.output.weight, build(False).output.weight, rtol=0, atol=0)


def test_a_grey_image_is_seen_as_three_equal_colours(published):
    grey, colour = build(True, channels=1).eval(), build(True).eval()
    x = images(2, 32, channels=1)

    torch.testing.assert_close(
        grey.lat_features[0](x), colour.lat_features[0](x.expand(-1, 3, -1, -1))
    )


def test_published_weights_for_other_channels_are_refused():
    with pytest.raises(ConfigError, match="images here have 4"):
        build(True, channels=4)
