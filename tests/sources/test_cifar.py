import hashlib
import io
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from clrun.errors import ConfigError
from clrun.images.files import Remote
from clrun.sources.cifar import Cifar10, Cifar100, Cifar100Coarse, CifarImages

FOLDER = "cifar-10-batches-py"


def batch(first: int, n: int) -> bytes:
    """A pickled batch of n one-coloured images, `first` being the first one's brightness."""
    data = np.repeat(np.arange(first, first + n, dtype=np.uint8)[:, None], 3072, axis=1)
    data[:, 2048:] = 7  # the blue plane
    return pickle.dumps({b"data": data, b"labels": [i % 10 for i in range(first, first + n)]}, 4)


class Runs:
    """A pickle of this runs a command when it is read."""

    def __reduce__(self):
        return os.mkdir, ("it_ran",)


def source_of(files: dict[str, bytes], archive: bytes = b"") -> CifarImages:
    """CIFAR-10 whose published checksums are those of `files`."""
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}
    test = {"test_batch": md5.pop("test_batch")}
    source = Cifar10()
    source.train_md5, source.test_md5 = md5, test
    digest = hashlib.sha256(archive).hexdigest()
    source.archive = Remote(source.archive.url, digest, len(archive))
    return source


FILES = {"data_batch_1": batch(0, 6), "data_batch_2": batch(6, 4), "test_batch": batch(20, 5)}


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()


ARCHIVE = packed({f"{FOLDER}/{name}": content for name, content in FILES.items()})


def write(folder: Path, files: dict[str, bytes] = FILES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("layout", [FOLDER, "."])
def test_batches_are_read_in_order_with_their_planes_as_channels(tmp_path, layout):
    write(tmp_path / layout)
    source = source_of(FILES)

    source.check(tmp_path, download=False)
    data = source.load(tmp_path, download=False)

    assert data.train.x.shape == (10, 3, 32, 32)
    assert data.train.x.dtype == torch.uint8
    assert data.train.y.dtype == torch.int64
    assert data.train.x[:, 0, 0, 0].tolist() == list(range(10))
    assert data.train.x[:, 2].unique().tolist() == [7]
    assert data.train.y.tolist() == list(range(10))
    assert data.test.y.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("source", "labels"), [(Cifar100(), [99, 3]), (Cifar100Coarse(), [19, 2])])
def test_fine_or_coarse_labels_are_read_of_cifar_100(tmp_path, source, labels):
    content = pickle.dumps(
        {
            b"data": np.zeros((2, 3072), np.uint8),
            b"fine_labels": [99, 3],
            b"coarse_labels": [19, 2],
        }
    )
    md5 = hashlib.md5(content).hexdigest()
    write(tmp_path / "cifar-100-python", {"train": content, "test": content})

    source.train_md5, source.test_md5 = {"train": md5}, {"test": md5}
    data = source.load(tmp_path, download=False)

    assert data.train.y.tolist() == labels
    assert max(labels) == len(source.class_names) - 1


def test_a_batch_pickled_by_python_2_is_read(tmp_path):
    # as published: protocol 2, byte strings for names and for the array's bytes
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    state = b"(I1\n(I1\nI3072\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\ntR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntb"
    body = b"I00\nS'" + b"\\x05" * 3072 + b"'\ntb"
    content = b"(dS'data'\n" + array + state + body + b"sS'labels'\n(lI4\nas."
    files = {"data_batch_1": content, "test_batch": content}
    write(tmp_path / FOLDER, files)

    data = source_of(files).load(tmp_path, download=False)

    assert data.train.x.unique().tolist() == [5]
    assert data.train.y.tolist() == [4]


def test_a_changed_file_is_refused_before_it_is_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / FOLDER, {**FILES, "data_batch_2": pickle.dumps(Runs())})

    with pytest.raises(ConfigError, match="data_batch_2 is damaged or not the published file"):
        source_of(FILES).load(tmp_path, download=False)

    assert not (tmp_path / "it_ran").exists()


def test_even_a_pickle_with_the_right_checksum_runs_no_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {**FILES, "data_batch_2": pickle.dumps(Runs())}
    write(tmp_path / FOLDER, files)

    with pytest.raises(ConfigError, match=r"data_batch_2 is no batch of images \(.*mkdir"):
        source_of(files).load(tmp_path, download=False)

    assert not (tmp_path / "it_ran").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"data_batch_1": b""}, "data_batch_1 is empty", id="empty file"),
        pytest.param({"test_batch": None}, f"{FOLDER}/test_batch is missing", id="missing file"),
        pytest.param(
            dict.fromkeys(FILES), f"{FOLDER}/data_batch_1 and 2 more are missing", id="no files"
        ),
    ],
)
def test_malformed_data_are_told_in_one_line_before_they_are_read(tmp_path, changed, message):
    files = {name: content for name, content in {**FILES, **changed}.items() if content is not None}
    write(tmp_path / FOLDER, files)

    with pytest.raises(ConfigError, match=message) as caught:
        source_of(FILES).check(tmp_path, download=False)

    assert str(caught.value).startswith(f"benchmark.data_root={tmp_path}: ")
    assert "\n" not in str(caught.value)


def test_an_archive_in_the_folder_is_unpacked_without_the_network(tmp_path):
    source = source_of(FILES, ARCHIVE)
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(ARCHIVE)

    source.check(tmp_path, download=False)
    data = source.load(tmp_path, download=False)

    assert len(data.train.y) == 10
    assert {path.name for path in (tmp_path / FOLDER).iterdir()} == set(FILES)


def test_an_archive_that_is_not_the_published_one_is_not_opened(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(ARCHIVE + b"x")

    with pytest.raises(ConfigError, match="is damaged or not the published file"):
        source_of(FILES, ARCHIVE).load(tmp_path, download=False)

    assert not (tmp_path / FOLDER).exists()


def test_only_the_files_that_are_missing_are_unpacked(tmp_path):
    write(tmp_path / FOLDER, {"data_batch_1": FILES["data_batch_1"]})
    before = (tmp_path / FOLDER / "data_batch_1").stat().st_mtime_ns
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(ARCHIVE)

    source_of(FILES, ARCHIVE).load(tmp_path, download=False)

    assert (tmp_path / FOLDER / "data_batch_1").stat().st_mtime_ns == before


@pytest.mark.parametrize(("source", "name"), [(Cifar10(), "CIFAR10"), (Cifar100(), "CIFAR100")])
def test_addresses_and_checksums_are_torchvisions(source, name):
    published = getattr(pytest.importorskip("torchvision").datasets, name)

    assert source.archive.url == published.url
    assert source.folder == published.base_folder
    assert source.train_md5 == dict(published.train_list)
    assert source.test_md5 == dict(published.test_list)
