import gzip
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.images.download import DownloadError
from clrun.images.files import Remote
from clrun.seeds import generator
from clrun.sources.mnist import FashionMnist, Mnist

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data"
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(values: Tensor) -> bytes:
    header = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return header + values.numpy().tobytes()


def images(n: int, side: int = 28) -> Tensor:
    shape = (n, side, side)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator(0, "images"))


def labels(n: int) -> Tensor:
    return torch.arange(n, dtype=torch.uint8) % 10


def write(folder: Path, *, gzipped: bool = False) -> None:
    """Twenty training and ten test images, as published."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, n in (("train", 20), ("t10k", 10)):
        for kind, values in (("images-idx3", images(n)), ("labels-idx1", labels(n))):
            content, name = idx(values), f"{split}-{kind}-ubyte"
            if gzipped:
                content, name = gzip.compress(content), f"{name}.gz"
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("layout", ["MNIST/raw", "MNIST", "raw", "."])
def test_the_files_are_found_in_every_layout(tmp_path, layout, gzipped):
    write(tmp_path / layout, gzipped=gzipped)
    source = Mnist()

    source.check(tmp_path, download=False)
    data = source.load(tmp_path, download=False)

    assert torch.equal(data.train.x, images(20).unsqueeze(1))
    assert torch.equal(data.test.y, labels(10).long())
    assert data.train.x.shape == (20, 1, 28, 28)


def test_nothing_is_written_beside_the_users_files(tmp_path):
    write(tmp_path / "FashionMNIST" / "raw", gzipped=True)
    before = sorted(tmp_path.rglob("*"))

    FashionMnist().load(tmp_path, download=True)

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("folder", ["FashionMNIST/raw", "FashionMNIST"])
def test_the_files_of_the_other_set_are_not_mistaken_for_ours(tmp_path, folder):
    write(tmp_path / folder)

    with pytest.raises(ConfigError, match="holds FashionMNIST, not MNIST"):
        Mnist().check(tmp_path / folder, download=False)


def no_folder(root: Path) -> None:
    pass


def a_file(root: Path) -> None:
    root.write_text("")


def empty_folder(root: Path) -> None:
    root.mkdir()


def spoilt(name: str, content: bytes | None):
    """A whole data set, with one file's content replaced, or the file removed."""

    def make(root: Path) -> None:
        write(root / "MNIST" / "raw")
        path = root / "MNIST" / "raw" / name
        path.unlink() if content is None else path.write_bytes(content)

    return make


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(no_folder, "there is no such folder", id="no folder"),
        pytest.param(a_file, "is a file, not a folder", id="a file"),
        pytest.param(
            empty_folder,
            r"MNIST/raw/train-images-idx3-ubyte\.gz and 3 more are missing",
            id="empty folder",
        ),
        pytest.param(
            spoilt(LABELS, None), r"train-labels-idx1-ubyte\.gz is missing", id="file missing"
        ),
        pytest.param(spoilt(IMAGES, b""), f"{IMAGES} is empty", id="empty file"),
        pytest.param(spoilt(IMAGES, b"PK\3\4"), f"{IMAGES} starts with 504b0304", id="bad magic"),
        pytest.param(
            spoilt(IMAGES, idx(images(20))[:-5]), f"{IMAGES} holds 15675 bytes", id="truncated"
        ),
        pytest.param(spoilt(IMAGES, b"\0\0\x08\3\0"), "ends within its header", id="half a header"),
        pytest.param(spoilt(LABELS, idx(labels(0))), "says that it holds nothing", id="no labels"),
        pytest.param(
            spoilt(LABELS, idx(labels(19))), "holds 19 labels for 20 images", id="too few labels"
        ),
        pytest.param(
            spoilt(IMAGES, idx(images(20, side=32))), "images of 32x32, not 28x28", id="wrong size"
        ),
        pytest.param(spoilt(LABELS, idx(images(1))), "starts with 00000803", id="swapped files"),
    ],
)
def test_malformed_data_are_told_in_one_line_before_they_are_read(tmp_path, make, message):
    root = tmp_path / "data"
    make(root)

    with pytest.raises(ConfigError, match=message) as caught:
        Mnist().check(root, download=False)

    assert str(caught.value).startswith(f"benchmark.data_root={root}: ")
    assert "\n" not in str(caught.value)


def test_a_label_that_is_no_class_is_refused(tmp_path):
    spoilt(LABELS, idx(labels(20) + 1))(tmp_path)

    with pytest.raises(ConfigError, match=f"{LABELS} holds a label 10"):
        Mnist().load(tmp_path, download=False)


@contextmanager
def permissions(path: Path, mode: int) -> Iterator[None]:
    """The mode for a while; skips where the user, such as root, is above permissions."""
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        if os.access(path, os.R_OK | os.W_OK):
            pytest.skip("permissions do not bind this user")
        yield
    finally:
        path.chmod(before)


@pytest.mark.parametrize("part", ["", f"MNIST/raw/{IMAGES}"])
def test_what_may_not_be_read_is_named(tmp_path, part):
    write(tmp_path / "data" / "MNIST" / "raw")

    with (
        permissions(tmp_path / "data" / part, 0),
        pytest.raises(ConfigError, match="may not be read"),
    ):
        Mnist().check(tmp_path / "data", download=False)


def test_a_folder_that_a_download_cannot_be_put_into_is_refused_before_it(tmp_path):
    with permissions(tmp_path, 0o555), pytest.raises(ConfigError, match="may not be written to"):
        Mnist().check(tmp_path / "data", download=True)


def test_checking_fetches_and_writes_nothing(tmp_path):
    Mnist().check(tmp_path / "data", download=True)

    assert not (tmp_path / "data").exists()


def test_offline_the_message_says_which_file_goes_where(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/train-images-idx3-ubyte.gz"
        source = Mnist()
        source.remotes = (Remote(address, "0" * 64, 1), *source.remotes[1:])

        with pytest.raises(DownloadError) as caught:
            source.load(tmp_path, download=True)

    line = str(caught.value)
    assert line.startswith(
        f"benchmark.data_root={tmp_path}: MNIST/raw/train-images-idx3-ubyte.gz is not there, and "
    )
    assert "127.0.0.1 cannot be reached" in line
    assert line.endswith("Put it there, or run once online.")
    assert "\n" not in line


@pytest.mark.skipif(not (SHARED / "FashionMNIST").is_dir(), reason="../shared/data is not here")
@pytest.mark.parametrize("folder", [".", "FashionMNIST", "FashionMNIST/raw"])
def test_the_real_fashion_mnist_has_the_published_mean_and_deviation(folder):
    source = FashionMnist()

    data = source.load(SHARED / folder, download=False)

    pixels = data.train.x.float() / 255
    assert data.train.x.shape == (60_000, 1, 28, 28)
    assert data.test.y.bincount().tolist() == [1000] * 10
    assert source.mean == (pytest.approx(pixels.mean().item(), abs=5e-5),)
    assert source.std == (pytest.approx(pixels.std().item(), abs=5e-5),)
