from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models import MobileNet_V2_Weights

from clrun.errors import ConfigError
from clrun.images.download import file_digest
from clrun.images.transforms import IMAGENET
from clrun.models.dropout import SeededDropout, reseed
from clrun.models.features import head
from clrun.models.layers import BatchNorm2d
from clrun.models.published import SHA256
from clrun.models.torchvision_model import TorchvisionModel
from clrun.models.weights import weights_left_out
from clrun.seeds import isolated
from clrun.streams.experience import StreamShape

WEIGHTS = Path(__file__).parents[3] / "shared" / "weights"
V1_FILE = "mobilenet_v2-b0353104.pth"


def build(
    arch: str,
    *,
    pretrained: bool | str = False,
    size: int = 32,
    channels: int = 3,
    classes: int = 5,
) -> TorchvisionModel:
    shape = StreamShape(
        channels=channels, height=size, width=size, num_classes=classes, num_experiences=2
    )
    with isolated(0, "weights"):
        return TorchvisionModel(TorchvisionModel.Config(arch=arch, pretrained=pretrained), shape)


def images(rows: int, size: int = 32, channels: int = 3) -> torch.Tensor:
    return torch.randn(rows, channels, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("arch", "size", "name"),
    [
        ("mobilenet_v2", 8, "network.classifier.1"),
        ("mobilenet_v3_small", 32, "network.classifier.3"),
        ("resnet18", 32, "network.fc"),
        ("efficientnet_b0", 32, "network.classifier.1"),
        ("shufflenet_v2_x0_5", 32, "network.fc"),
        ("googlenet", 64, "network.fc"),
    ],
)
def test_every_sort_of_classifier_learns_the_stream_s_classes(arch, size, name):
    model = build(arch, size=size).train()
    reseed(model, 0, 0, 0, 0)

    logits = model(images(1, size))
    logits.sum().backward()

    assert logits.shape == (1, 5)
    assert head(model) == (name, model.get_submodule(name))
    assert all(p.grad is not None for p in model.parameters())


def test_the_network_computes_what_torchvision_s_does():
    model = build("mobilenet_v2", classes=7).eval()
    theirs = models.mobilenet_v2(num_classes=7).eval()
    state = {name.removeprefix("network."): t for name, t in model.state_dict().items()}
    theirs.load_state_dict(state)

    torch.testing.assert_close(model(images(2)), theirs(images(2)), rtol=0, atol=0)


def test_a_grey_image_is_shown_as_three_equal_channels():
    grey, colour = build("mobilenet_v2", channels=1).eval(), build("mobilenet_v2").eval()
    x = images(2, channels=1)

    torch.testing.assert_close(grey(x), colour(x.repeat(1, 3, 1, 1)))


def test_dropout_and_stochastic_depth_repeat_with_their_seed_and_touch_no_global_generator():
    model = build("efficientnet_b0").train()
    before = torch.get_rng_state()

    first, again, other = [], [], []
    for outputs, iteration in ((first, 0), (again, 0), (other, 1)):
        reseed(model, 0, 0, 0, iteration)
        outputs.append(model(images(4)))

    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert not torch.equal(other[0], first[0])
    assert torch.equal(torch.get_rng_state(), before)
    drops = [m for m in model.modules() if isinstance(m, SeededDropout)]
    assert {drop.per_row for drop in drops} == {True, False}
    assert not any("Stochastic" in type(m).__name__ for m in model.modules())


def test_normalisation_keeps_its_settings_and_takes_a_lone_row():
    model = build("mobilenet_v3_small", size=8).train()
    reseed(model, 0, 0, 0, 0)

    model(images(1, 8))

    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert {type(norm) for norm in norms} == {BatchNorm2d}
    assert {(norm.eps, norm.momentum) for norm in norms} == {(0.001, 0.01)}


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(
        ConfigError, match=r"^model.arch=mobilenet_2: .* Did you mean 'mobilenet_v2'"
    ):
        build("mobilenet_2")


def test_a_detector_is_no_classifier():
    with pytest.raises(ConfigError, match="no such classifier"):
        build("fasterrcnn_resnet50_fpn")


def test_a_network_without_a_linear_head_is_refused():
    with pytest.raises(ConfigError, match="has no linear layer"):
        build("squeezenet1_1", size=64)


@pytest.mark.parametrize(("arch", "size"), [("alexnet", 16), ("vit_b_32", 64)])
def test_images_of_the_wrong_size_are_refused_before_anything_is_trained(arch, size):
    with pytest.raises(ConfigError) as refused:
        build(arch, size=size)

    line = str(refused.value)
    assert line.startswith(f"model.arch={arch}: takes no images of {size}x{size} (")
    assert line.endswith("Use another benchmark.image_size or model.arch.")
    assert "\n" not in line


def test_images_of_two_channels_are_refused():
    with pytest.raises(ConfigError, match="takes images of 1 or 3 channels, and here they have 2"):
        build("mobilenet_v2", channels=2)


def test_saved_weights_come_back_bit_for_bit(tmp_path):
    model, path = build("mobilenet_v2"), tmp_path / "weights.pt"
    torch.save(model.state_dict(), path)

    loaded = build("mobilenet_v2", pretrained=str(path))

    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_weights_for_other_classes_are_refused(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(build("mobilenet_v2", classes=9).state_dict(), path)

    with pytest.raises(ConfigError, match=r"network.classifier.1.weight is 9x1280, but 5 classes"):
        build("mobilenet_v2", pretrained=str(path))


@pytest.mark.parametrize("pretrained", [True, "IMAGENET1K_V1"])
def test_published_weights_are_found_where_torch_home_says(monkeypatch, tmp_path, pretrained):
    theirs = models.mobilenet_v2()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(theirs.state_dict(), folder / V1_FILE)
    monkeypatch.setitem(SHA256, V1_FILE, file_digest(folder / V1_FILE, "sha256"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    model = build("mobilenet_v2", pretrained=pretrained)

    expected = theirs.features.state_dict()
    torch.testing.assert_close(model.network.features.state_dict(), expected, rtol=0, atol=0)
    assert model.network.classifier[1].out_features == 5
    assert model.pixel_statistics == IMAGENET
    assert build("mobilenet_v2", channels=1, pretrained=pretrained).pixel_statistics == (
        pytest.approx((0.449,)),
        pytest.approx((0.226,)),
    )


@pytest.fixture
def no_network(monkeypatch):
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("socket.getaddrinfo", unreachable)
    monkeypatch.setattr("time.sleep", lambda _: None)  # between attempts


@pytest.mark.parametrize("name", ["IMAGENET1K_V1", "IMAGENET1K_V2"])
@pytest.mark.usefixtures("no_network")
def test_weights_out_of_reach_are_told_in_one_line(monkeypatch, tmp_path, name):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = Path(MobileNet_V2_Weights[name].url).name

    with pytest.raises(ConfigError) as refused:
        build("mobilenet_v2", pretrained=name)

    assert str(refused.value) == (
        f"model.pretrained={name}: {file} is neither in {tmp_path}/hub/checkpoints nor to be had "
        f"({MobileNet_V2_Weights[name].url}: download.pytorch.org cannot be reached (no route to "
        "host)). Put it there, set TORCH_HOME, or use model.pretrained=false."
    )


@pytest.mark.parametrize("content", [b"", b"not weights"])
def test_a_damaged_download_is_named(monkeypatch, tmp_path, content):
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / V1_FILE).write_bytes(content)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    with pytest.raises(ConfigError, match=rf"{V1_FILE} is damaged or not the .* Delete") as refused:
        build("mobilenet_v2", pretrained=True)

    assert "\n" not in str(refused.value)


def test_a_path_that_is_not_there_is_told_as_such(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.pt: No such file"):
        build("mobilenet_v2", pretrained=str(tmp_path / "none.pt"))


@pytest.mark.skipif(
    not (WEIGHTS / "hub" / "checkpoints" / V1_FILE).exists(),
    reason="../shared/weights has no mobilenet_v2",
)
def test_the_real_weights_load_and_leave_the_head_to_the_seed(monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(WEIGHTS))

    model, again = (build("mobilenet_v2", pretrained=True) for _ in range(2))

    first = model.network.features[0][0].weight
    assert first.norm().item() > 5  # trained; random ones of this shape have a norm of about 2
    torch.testing.assert_close(model.state_dict(), again.state_dict(), rtol=0, atol=0)


def test_a_model_whose_weights_come_later_reads_none_and_computes_as_with_them(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # nothing is there, and nothing is fetched

    with weights_left_out():
        model = build("googlenet", pretrained=True, size=64)

    assert model.network.transform_input  # what GoogLeNet's published weights want
    assert not list(tmp_path.iterdir())
