import pytest
import torch

from clrun.models.cnn import CNN
from clrun.streams.experience import StreamShape


def cnn(*, channels=(32, 64, 128), norm="none", dropout=0.0, size=32, colours=3) -> CNN:
    config = CNN.Config(channels=list(channels), norm=norm, dropout=dropout, pretrained=False)
    shape = StreamShape(
        channels=colours, height=size, width=size, num_classes=10, num_experiences=5
    )
    return CNN(config, shape)


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_the_default_network_has_three_convolutions_and_a_head():
    weights = 9 * (3 * 32 + 32 * 64 + 64 * 128) + 128 * 10
    biases = 32 + 64 + 128 + 10

    assert parameters(cnn()) == weights + biases


def test_batch_normalisation_takes_the_place_of_the_biases():
    weights = 9 * (3 * 32 + 32 * 64 + 64 * 128) + 128 * 10 + 10
    scales_and_shifts = 2 * (32 + 64 + 128)

    assert parameters(cnn(norm="batch")) == weights + scales_and_shifts


@pytest.mark.parametrize(("size", "pooled"), [(1, 0), (2, 1), (8, 3), (9, 3), (28, 4), (64, 5)])
def test_blocks_pool_only_while_there_are_two_pixels_to_pool(size, pooled):
    model = cnn(channels=(2, 2, 2, 2, 2), size=size)

    names = [name for name, _ in model.features.named_children()]
    assert sum(name.startswith("pool") for name in names) == pooled
    assert model(torch.rand(2, 3, size, size)).shape == (2, 10)


def test_an_oblong_image_is_halved_until_its_short_side_is_one():
    config = CNN.Config(channels=[2, 2, 2, 2], norm="none", dropout=0.0, pretrained=False)
    shape = StreamShape(channels=1, height=4, width=64, num_classes=3, num_experiences=1)

    logits = CNN(config, shape)(torch.rand(2, 1, 4, 64))

    assert logits.shape == (2, 3)


def test_published_weights_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"^pretrained=true: .* cnn\. Give a file of weights"):
        CNN.Config(channels=[4], norm="none", dropout=0.0, pretrained=True)
