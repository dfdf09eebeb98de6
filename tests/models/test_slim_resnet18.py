import pytest
import torch
from torch import nn

from clrun.models.slim_resnet18 import BasicBlock, SlimResNet18
from clrun.streams.experience import StreamShape


def resnet(*, width=20, size=32, classes=100) -> SlimResNet18:
    shape = StreamShape(
        channels=3, height=size, width=size, num_classes=classes, num_experiences=20
    )
    return SlimResNet18(SlimResNet18.Config(width=width, pretrained=False), shape)


def by_hand(nf: int, classes: int) -> int:
    """Parameters of convolutions without bias, each followed by a scale and a shift."""

    def conv(channels_in: int, channels: int, kernel: int) -> int:
        return channels_in * channels * kernel**2 + 2 * channels

    total, channels_in = conv(3, nf, 3), nf
    for channels in (nf, 2 * nf, 4 * nf, 8 * nf):
        total += conv(channels_in, channels, 3) + 3 * conv(channels, channels, 3)
        total += conv(channels_in, channels, 1) if channels != channels_in else 0
        channels_in = channels
    return total + (8 * nf + 1) * classes


def test_the_paper_s_network_for_cifar100_has_1_109_240_parameters():
    count = sum(p.numel() for p in resnet().parameters())

    assert count == by_hand(20, 100) == 1_109_240


def test_there_are_eighteen_weighted_layers_on_the_main_path_and_three_shortcuts():
    model = resnet(width=2)

    convolutions = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    shortcuts = [name for name in convolutions if "shortcut" in name]
    assert len(convolutions) - len(shortcuts) + 1 == 18
    assert shortcuts == [f"layer{stage}.0.shortcut.conv" for stage in (2, 3, 4)]


@pytest.mark.parametrize(("size", "sides"), [(32, [32, 16, 8, 4]), (8, [8, 4, 2, 1])])
def test_stages_double_the_channels_and_halve_the_image(size, sides):
    model = resnet(width=2, size=size).eval()
    x = model.stem(torch.rand(1, 3, size, size))

    shapes = []
    for stage in (model.layer1, model.layer2, model.layer3, model.layer4):
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))

    assert shapes == [(c, s, s) for c, s in zip((2, 4, 8, 16), sides, strict=True)]


def test_a_block_whose_convolutions_give_nothing_passes_a_positive_input_on():
    block = BasicBlock(3, 3, stride=1).eval()
    nn.init.zeros_(block.conv2.norm.weight)
    x = torch.rand(2, 3, 5, 5)

    assert torch.equal(block(x), x)


def test_published_weights_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"^pretrained=true: .* slim_resnet18\. Give a file"):
        SlimResNet18.Config(width=20, pretrained=True)
