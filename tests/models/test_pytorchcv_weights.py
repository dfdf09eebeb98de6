import sys
from types import ModuleType

import pytest
import torch

from clrun.errors import ConfigError
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.models.pytorchcv_weights import imagenet_weights, renamed

LAYERS = [f"layers.{index}" for index in range(28)]


def published() -> dict[str, torch.Tensor]:
    """pytorchcv's names, and a number for each; shapes are of no concern here."""
    units = [f"stage{s}.unit{u + 1}" for s, n in enumerate([1, 2, 2, 6, 2], 1) for u in range(n)]
    blocks = ["init_block"]
    blocks += [f"{unit}.{part}_conv" for unit in units for part in ("dw", "pw")]
    tensors = ["conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"]
    tensors.append("bn.num_batches_tracked")
    names = [f"features.{block}.{tensor}" for block in blocks for tensor in tensors]
    names += ["output.weight", "output.bias"]
    return {name: torch.tensor(float(place)) for place, name in enumerate(names)}


def test_each_block_goes_to_its_layer_and_the_classifier_to_none():
    weights = renamed(published(), LAYERS)

    assert len(weights) == 27 * 6
    assert weights["layers.0.conv.weight"] == published()["features.init_block.conv.weight"]
    assert weights["layers.19.bn.bias"] == published()["features.stage4.unit5.dw_conv.bn.bias"]
    assert (
        weights["layers.26.bn.running_var"]
        == (published()["features.stage5.unit2.pw_conv.bn.running_var"])
    )
    assert sorted(t.item() for t in weights.values()) == list(range(27 * 6))


@pytest.mark.parametrize("change", ["features.stage4.unit5.dw_conv.bn.bias", "features.new"])
def test_a_missing_or_unknown_tensor_is_refused_by_name(change):
    state = published()
    if state.pop(change, None) is None:
        state[change] = torch.zeros(())

    with pytest.raises(ConfigError, match=rf"^model\.pretrained=true: .* such as {change}"):
        renamed(state, LAYERS)


def test_the_names_are_those_of_pytorchcv_itself():
    mobilenet = pytest.importorskip(
        "pytorchcv.models.mobilenet", reason="pytorchcv is not installed"
    )
    theirs, ours = mobilenet.mobilenet_w1(pretrained=False).eval(), MobilenetV1(5).eval()

    weights = renamed(theirs.state_dict(), [ours.layer_name(index) for index in range(28)])
    ours.load_state_dict({**weights, "output.weight": ours.output.weight})

    x = torch.rand(1, 3, 224, 224)
    features = ours.end_features(ours.lat_features(x))
    torch.testing.assert_close(features, theirs.features(x))


def test_a_missing_package_is_told_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorchcv.models.mobilenet", None)

    with pytest.raises(ConfigError, match=r"needs the package pytorchcv\. .*clrun\[pretrained\]"):
        imagenet_weights(LAYERS, in_channels=3)


def test_weights_out_of_reach_are_told_in_one_line(monkeypatch, tmp_path, capsys):
    def unreachable(**_: object) -> None:
        print("download failed, retrying")
        raise ConnectionError("no route\nto host")

    module = ModuleType("pytorchcv.models.mobilenet")
    module.mobilenet_w1 = unreachable
    for name in ("pytorchcv", "pytorchcv.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "pytorchcv.models.mobilenet", module)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    with pytest.raises(ConfigError) as refused:
        imagenet_weights(LAYERS, in_channels=3)

    assert str(refused.value) == (
        f"model.pretrained=true: mobilenet_w1-*.pth is neither in {tmp_path}/hub/checkpoints nor "
        "to be had (ConnectionError). Put it there, set TORCH_HOME, or use model.pretrained=false."
    )
    assert capsys.readouterr().out == ""
