import hashlib
import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torchvision.models import MobileNet_V2_Weights, ResNet18_Weights

from clrun.errors import ConfigError
from clrun.models.published import SHA256, pin_of, published_state
from clrun.models.torchvision_model import TorchvisionModel
from clrun.streams.experience import StreamShape

KNOWN = MobileNet_V2_Weights.IMAGENET1K_V1.url
SHAPE = StreamShape(channels=3, height=32, width=32, num_classes=5, num_experiences=2)


@pytest.fixture(autouse=True)
def checkpoints(tmp_path, monkeypatch) -> Path:
    """The folder of published weights; the user's cache folder is another."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


class Touch:
    """Makes a file wherever it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def raw(canary: Path) -> bytes:
    return pickle.dumps(Touch(canary), protocol=2)


def torch_zip(canary: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("archive/data.pkl", raw(canary))
        file.writestr("archive/version", "3")
    return content.getvalue()


def legacy(canary: Path) -> bytes:
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(part, protocol=2) for part in head) + raw(canary)


def legacy_tar(canary: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(raw(canary))
            file.addfile(info, io.BytesIO(raw(canary)))
    return content.getvalue()


FORMS = [raw, torch_zip, legacy, legacy_tar]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("is_published", [False, True], ids=["planted", "published"])
def test_a_pickle_among_published_weights_never_runs(
    form, is_published, checkpoints, tmp_path, monkeypatch
):
    content = form(tmp_path / "canary")
    file = checkpoints / "mobilenet_v2-b0353104.pth"
    file.write_bytes(content)
    if is_published:  # and even then it is not run
        monkeypatch.setitem(SHA256, file.name, hashlib.sha256(content).hexdigest())
    config = TorchvisionModel.Config(arch="mobilenet_v2", pretrained=True)

    with pytest.raises(ConfigError, match=r"^model\.pretrained=[^\n]+$"):
        TorchvisionModel(config, SHAPE)

    assert not (tmp_path / "canary").exists()
    assert pickle.loads(raw(tmp_path / "canary")) == 0
    assert (tmp_path / "canary").exists()  # so such a pickle would have


def test_other_weights_under_the_published_name_are_refused(checkpoints):
    torch.save({"x": torch.zeros(3)}, checkpoints / "mobilenet_v2-b0353104.pth")

    with pytest.raises(ConfigError, match=r"is damaged or not the published file \(SHA-256 "):
        published_state(KNOWN, "IMAGENET1K_V1")


def of_which_only_the_first_digits_are_published(folder: Path, value: float) -> tuple[str, Path]:
    content = io.BytesIO()
    torch.save({"x": torch.full((3,), value)}, content)
    digits = hashlib.sha256(content.getvalue()).hexdigest()
    path = folder / f"new-{digits[:8]}.pth"
    path.write_bytes(content.getvalue())
    return f"https://data.example.org/{path.name}", path


def test_the_first_use_keeps_the_whole_checksum_where_others_cannot_change_it(checkpoints):
    url, path = of_which_only_the_first_digits_are_published(checkpoints, 1.0)

    first, second = (published_state(url, "V1") for _ in range(2))

    assert first.sha256 == second.sha256 == pin_of(path).read_text().strip()
    assert checkpoints not in pin_of(path).parents
    assert first.state["x"].tolist() == [1, 1, 1]


def test_a_file_of_equal_first_digits_is_refused_once_the_other_was_used(checkpoints):
    url, path = of_which_only_the_first_digits_are_published(checkpoints, 1.0)
    published_state(url, "V1")
    pin_of(path).write_text(path.stem[-8:] + "0" * 56)  # as if the first one had been another

    with pytest.raises(ConfigError, match=r"is not the file that was first used here") as refused:
        published_state(url, "V1")

    assert str(pin_of(path)) in str(refused.value)


def test_a_folder_that_cannot_be_written_is_no_obstacle(checkpoints, monkeypatch):
    url, _ = of_which_only_the_first_digits_are_published(checkpoints, 1.0)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nothing")

    assert published_state(url, "V1").state["x"].tolist() == [1, 1, 1]


def test_weights_of_another_network_are_refused_in_one_line(checkpoints, monkeypatch):
    file = checkpoints / Path(ResNet18_Weights.IMAGENET1K_V1.url).name
    torch.save({"conv1.weight": torch.zeros(3)}, file)
    monkeypatch.setitem(SHA256, file.name, hashlib.sha256(file.read_bytes()).hexdigest())
    config = TorchvisionModel.Config(arch="resnet18", pretrained=True)

    with pytest.raises(ConfigError, match=r"^model\.pretrained=[^\n]*does not fit resnet18[^\n]*$"):
        TorchvisionModel(config, SHAPE)


def test_torchvision_itself_is_as_before_afterwards(checkpoints):
    weights = MobileNet_V2_Weights.IMAGENET1K_V1
    (checkpoints / "mobilenet_v2-b0353104.pth").write_bytes(b"x")
    with pytest.raises(ConfigError):
        TorchvisionModel(TorchvisionModel.Config(arch="mobilenet_v2", pretrained=True), SHAPE)

    assert "get_state_dict" not in vars(weights)
