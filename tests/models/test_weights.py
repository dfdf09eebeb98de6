import os
import pickle
from pathlib import Path
from random import Random

import pytest
import safetensors.torch
import torch

from clrun.errors import ConfigError
from clrun.models.mlp import MLP
from clrun.models.slim_resnet18 import SlimResNet18
from clrun.models.weights import load_pretrained, origin
from clrun.streams.experience import StreamShape


def mlp(*, pretrained=False, size=8, classes=10, hidden=(6,)) -> MLP:
    config = MLP.Config(hidden=list(hidden), dropout=0.0, init="pytorch", pretrained=pretrained)
    shape = StreamShape(channels=1, height=size, width=size, num_classes=classes, num_experiences=5)
    return MLP(config, shape)


def saved(model: MLP | SlimResNet18, folder: Path) -> str:
    path = folder / "weights.pt"
    torch.save(model.state_dict(), path)
    return str(path)


def test_saved_weights_come_back_bit_for_bit(tmp_path):
    model = mlp()

    loaded = mlp(pretrained=saved(model, tmp_path))

    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)


def test_running_statistics_come_back_too(tmp_path):
    shape = StreamShape(channels=3, height=8, width=8, num_classes=4, num_experiences=2)
    model = SlimResNet18(SlimResNet18.Config(width=2, pretrained=False), shape)
    model(torch.rand(4, 3, 8, 8))
    path = saved(model, tmp_path)

    loaded = SlimResNet18(SlimResNet18.Config(width=2, pretrained=path), shape)

    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), rtol=0, atol=0)
    assert loaded.stem.norm.num_batches_tracked == 1


def test_a_head_for_other_classes_is_refused_with_both_shapes(tmp_path):
    path = saved(mlp(classes=10), tmp_path)

    with pytest.raises(ConfigError) as refused:
        mlp(pretrained=path, classes=4)

    assert str(refused.value) == (
        f"model.pretrained={path}: output.weight is 10x6, but 4 classes need 4x6. "
        "Use weights for 4 classes, or false."
    )


@pytest.mark.parametrize(
    ("other", "told"),
    [
        (dict(size=5), "features.linear0.weight is 6x25 instead of 6x64"),
        (dict(hidden=(6, 6)), "features.linear1.weight is unknown"),
        (dict(hidden=()), "features.linear0.weight is missing"),
    ],
)
def test_weights_of_another_network_are_refused_by_name(tmp_path, other, told):
    path = saved(mlp(**other), tmp_path)

    with pytest.raises(ConfigError, match="does not fit MLP") as refused:
        mlp(pretrained=path)

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_refused_file_leaves_the_weights_alone(tmp_path):
    path = saved(mlp(hidden=(6, 6)), tmp_path)
    model = mlp()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with pytest.raises(ConfigError):
        load_pretrained(model, path)

    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(
        ConfigError, match=r"none.pt: No such file or directory\. .* the folder of a run\."
    ):
        mlp(pretrained=str(tmp_path / "none.pt"))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="is no run's folder"):
        mlp(pretrained=str(tmp_path))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not weights",
        b"PK\x03\x04 cut short",
        pickle.dumps(print, protocol=2),
        pickle.dumps({"a": 1}, protocol=2),
    ],
    ids=["empty", "text", "cut zip", "a pickled function", "a pickled dict"],
)
def test_a_file_that_is_not_weights_is_refused_and_never_executed(tmp_path, content):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"^model\.pretrained=.*torch.save"):
        mlp(pretrained=str(path))


def test_a_damaged_file_is_refused_in_one_line_wherever_the_damage_is(tmp_path):
    whole = Path(saved(mlp(), tmp_path)).read_bytes()
    path = tmp_path / "damaged.pt"
    rng = Random(0)

    for _ in range(100):
        damaged = bytearray(whole[: rng.randrange(len(whole))])
        damaged[rng.randrange(len(damaged) + 1) :] += rng.randbytes(8)
        path.write_bytes(damaged)

        with pytest.raises(ConfigError, match=r"^model\.pretrained=[^\n]*$"):
            mlp(pretrained=str(path))


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, torch.zeros(3)])
def test_a_file_that_holds_something_else_is_refused(tmp_path, content):
    path = tmp_path / "weights.pt"
    torch.save(content, path)

    with pytest.raises(ConfigError, match="holds no state dict"):
        mlp(pretrained=str(path))


def meta(x: torch.Tensor) -> torch.Tensor:
    return x.to("meta")


def one_nan(x: torch.Tensor) -> torch.Tensor:
    return x.clone().index_fill_(1, torch.tensor([3]), torch.nan)


def too_large(x: torch.Tensor) -> torch.Tensor:
    return x.double() + 1e300


def quantized(x: torch.Tensor) -> torch.Tensor:
    return torch.quantize_per_tensor(x.detach(), 0.1, 0, torch.qint8)


UNUSABLE = {
    one_nan: "holds NaN or infinite values as float32",
    too_large: "holds NaN or infinite values as float32",
    torch.Tensor.long: "is int64 instead of float32",
    torch.Tensor.bool: "is bool instead of float32",
    lambda x: x + 1j: "is complex64 instead of float32",
    meta: "is no plain tensor",
    torch.Tensor.to_sparse: "is no plain tensor",
    torch.Tensor.to_sparse_csr: "is no plain tensor",
    quantized: "is no plain tensor",
}


@pytest.mark.parametrize(("change", "reason"), UNUSABLE.items())
@pytest.mark.filterwarnings("ignore")
def test_values_that_no_network_can_have_are_refused_by_name(change, reason, tmp_path):
    state = mlp().state_dict()
    path = tmp_path / "weights.pt"
    torch.save({**state, "features.linear0.weight": change(state["features.linear0.weight"])}, path)
    model = mlp()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    with pytest.raises(ConfigError) as refused:
        load_pretrained(model, str(path))

    assert str(refused.value).startswith(f"model.pretrained={path}: features.linear0.weight")
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)
    torch.testing.assert_close(dict(model.state_dict()), before, rtol=0, atol=0)


def test_a_negative_variance_is_refused(tmp_path):
    shape = StreamShape(channels=3, height=8, width=8, num_classes=4, num_experiences=2)
    model = SlimResNet18(SlimResNet18.Config(width=2, pretrained=False), shape)
    model.stem.norm.running_var.fill_(-1)
    path = saved(model, tmp_path)

    with pytest.raises(ConfigError, match=r"stem\.norm\.running_var holds a negative variance"):
        SlimResNet18(SlimResNet18.Config(width=2, pretrained=path), shape)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_floats_of_another_width_are_taken(dtype, tmp_path):
    path = tmp_path / "weights.pt"
    torch.save({name: tensor.to(dtype) for name, tensor in mlp().state_dict().items()}, path)

    assert all(p.dtype == torch.float32 for p in mlp(pretrained=str(path)).parameters())


def test_safetensors_are_read_and_their_origin_is_known(tmp_path):
    path = tmp_path / "weights.safetensors"
    source = mlp()
    safetensors.torch.save_file(source.state_dict(), path)

    model = mlp(pretrained=str(path))

    torch.testing.assert_close(model.state_dict(), source.state_dict(), rtol=0, atol=0)
    found = origin(model)
    assert found is not None
    assert (found["file"], len(found["sha256"])) == (str(path), 64)
    assert origin(mlp()) is None


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\xff" * 64, b"\x10" + bytes(7) + b"not json at all!"]
)
def test_damaged_safetensors_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)

    with pytest.raises(ConfigError, match=r"^model\.pretrained=[^\n]* not a whole \.safetensors"):
        mlp(pretrained=str(path))


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "weights.pt")

    with pytest.raises(ConfigError, match="is a FIFO, no regular file"):
        mlp(pretrained=str(tmp_path / "weights.pt"))


def test_a_file_larger_than_the_memory_is_refused_unread(tmp_path):
    path = tmp_path / "weights.pt"
    path.touch()
    os.truncate(path, 1 << 42)  # no block of it is on the disk

    with pytest.raises(ConfigError, match=r"would take 4,398\.0 GB, and this machine has"):
        mlp(pretrained=str(path))


def test_names_that_are_no_text_are_refused(tmp_path):
    torch.save({1: torch.zeros(3)}, tmp_path / "weights.pt")

    with pytest.raises(ConfigError, match="holds no state dict"):
        mlp(pretrained=str(tmp_path / "weights.pt"))
