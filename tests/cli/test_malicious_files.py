"""Files made to run code, to be written through, or never to end: one line, and no effect."""

from __future__ import annotations

import io
import os
import pickle
import signal
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from clrun.cli.main import main

USUAL = ["strategy=naive", "strategy.train_epochs=1", "device=cpu", "benchmark.limit_per_class=20"]
PUBLISHED = "mobilenet_v2-b0353104.pth"
PATIENCE = 60
"""Seconds; what waits for a FIFO waits for ever."""


class Touch:
    """Makes the canary wherever it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {Path.cwd() / 'canary'}",)


def raw() -> bytes:
    return pickle.dumps(Touch(), protocol=2)


def torch_zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("archive/data.pkl", raw())
        file.writestr("archive/version", "3")
    return content.getvalue()


def legacy() -> bytes:
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(part, protocol=2) for part in head) + raw()


def legacy_tar() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(raw())
            file.addfile(info, io.BytesIO(raw()))
    return content.getvalue()


def object_array() -> bytes:
    content = io.BytesIO()
    x = np.zeros((6, 8, 8), np.uint8)
    np.savez(content, x=x, y=np.array([Touch()] * 6, dtype=object))
    return content.getvalue()


def code_in_header() -> bytes:
    text = "{'descr': __import__('os').system('touch canary'), 'fortran_order': False, 'shape': ()}"
    header = text.encode().ljust(117) + b"\n"
    member = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("x.npy", member)
        file.writestr("y.npy", member)
    return content.getvalue()


def pickles_as_arrays() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("x.npy", raw())
        file.writestr("y.npy", raw())
    return content.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n"
PSD = b"8BPS\x00\x01" + bytes(40)
FITS = b"SIMPLE  =                    T".ljust(2880)
PDF = b"%PDF-1.7\n" + bytes(40)

CONTENTS = [raw, torch_zip, legacy, legacy_tar]

# ---- what may lie in a file's place


def fifo(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    here = Path.cwd()
    with socket.socket(socket.AF_UNIX) as made:
        os.chdir(path.parent)
        made.bind(path.name)
    os.chdir(here)


def without_end(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_device(path: Path) -> None:
    path.symlink_to("/dev/tty")


NO_FILES = [fifo, a_socket, without_end, a_device]


def to_the_victim(path: Path) -> None:
    path.symlink_to(Path.cwd() / "victim")


# ---- the words of each attack; each makes its files below the current directory


def weights(make: Callable[[], bytes], suffix: str) -> list[str]:
    Path(f"weights{suffix}").write_bytes(make())
    return [f"model.pretrained=weights{suffix}"]


def no_weights(make: Callable[[Path], None], suffix: str) -> list[str]:
    make(Path(f"weights{suffix}").absolute())
    return [f"model.pretrained=weights{suffix}"]


def published(make: Callable[[], bytes]) -> list[str]:
    place().write_bytes(make())
    return PRETRAINED


def no_published(make: Callable[[Path], None]) -> list[str]:
    make(place())
    return PRETRAINED


def place() -> Path:
    folder = Path("torch/hub/checkpoints").absolute()
    folder.mkdir(parents=True)
    return folder / PUBLISHED


PRETRAINED = ["model=torchvision", "model.arch=mobilenet_v2", "model.pretrained=true"]
PRETRAINED += ["benchmark.image_size=32"]


def npz(make: Callable[[], bytes]) -> list[str]:
    Path("data.npz").write_bytes(make())
    return ["benchmark=npz", "benchmark.data_root=data.npz"]


def no_npz(make: Callable[[Path], None]) -> list[str]:
    make(Path("data.npz").absolute())
    return ["benchmark=npz", "benchmark.data_root=data.npz"]


def csv(row: str) -> list[str]:
    Path("table").mkdir()
    Path("table/t.csv").write_text(f"path,label\n{row},a\n")
    return ["benchmark=csv", "benchmark.data_root=table/t.csv"]


def no_csv(make: Callable[[Path], None]) -> list[str]:
    make(Path("t.csv").absolute())
    return ["benchmark=csv", "benchmark.data_root=t.csv"]


def folders() -> Path:
    for name in ("cat", "dog"):
        Path("photos", name).mkdir(parents=True)
        for k in range(3):
            Image.new("RGB", (8, 8), (k, 0, 0)).save(f"photos/{name}/{k}.png")
    return Path("photos/cat/9.png").absolute()


FOLDER = ["benchmark=folder", "benchmark.data_root=photos"]


def image(content: bytes) -> list[str]:
    folders().write_bytes(content)
    return FOLDER


def no_image(make: Callable[[Path], None]) -> list[str]:
    make(folders())
    return FOLDER


def cifar(make: Callable[[], bytes]) -> list[str]:
    folder = Path("data/cifar-10-batches-py")
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        (folder / name).write_bytes(make())
    return ["benchmark=split_cifar10", "benchmark.data_root=data", "benchmark.download=false"]


def no_mnist(make: Callable[[Path], None]) -> list[str]:
    folder = Path("data/MNIST/raw").absolute()
    folder.mkdir(parents=True)
    for side in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            make(folder / f"{side}-{kind}-ubyte")
    return ["benchmark=split_mnist", "benchmark.data_root=data", "benchmark.download=false"]


def run_folder(make: Callable[[Path], None], name: str) -> list[str]:
    Path("run").mkdir()
    make(Path("run").absolute() / name)
    return ["hydra.run.dir=run"]


ATTACKS = [
    *[(weights, make, suffix) for make in CONTENTS for suffix in (".pt", ".safetensors")],
    *[(no_weights, make, suffix) for make in NO_FILES for suffix in (".pt", ".safetensors")],
    *[(published, make) for make in CONTENTS],
    *[(no_published, make) for make in (fifo, a_socket, a_device)],
    *[(npz, make) for make in (object_array, code_in_header, pickles_as_arrays, raw, torch_zip)],
    *[(no_npz, make) for make in NO_FILES],
    *[(csv, row) for row in ("../x.png", "/etc/passwd", "file:///etc/passwd", "..\\x.png")],
    *[(no_csv, make) for make in NO_FILES],
    *[(image, content) for content in (EPS, PSD, FITS, PDF)],
    *[(no_image, make) for make in NO_FILES],
    *[(cifar, make) for make in CONTENTS],
    *[(no_mnist, make) for make in (fifo, without_end)],
    *[(run_folder, fifo, name) for name in ("run.json", "metrics.jsonl", ".lock")],
    *[(run_folder, to_the_victim, name) for name in ("run.json", "metrics.jsonl", ".lock")],
]


def named(attack: tuple[object, ...]) -> str:
    return "-".join(str(getattr(part, "__name__", part))[:20] for part in attack)


@pytest.fixture
def prey(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with a victim and a false Ghostscript; an attack that waits is woken up."""
    (workplace / "victim").write_text("mine")
    ghostscript = workplace / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {workplace}/canary\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TORCH_HOME", str(workplace / "torch"))
    monkeypatch.setenv("CLRUN_CACHE", str(workplace / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(workplace / "xdg"))
    before = signal.signal(signal.SIGALRM, woken_up)
    signal.alarm(PATIENCE)
    yield workplace
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def woken_up(*_: object) -> None:
    raise TimeoutError("waited")


@pytest.mark.parametrize("attack", ATTACKS, ids=named)
def test_a_malicious_file_is_one_line_and_without_effect(attack, prey, capsys):
    prepare, *given = attack
    words = prepare(*given)

    code = main([*USUAL, *words])

    output = capsys.readouterr().err
    assert code in (2, 3), output
    assert output.count("\n") == 1, output
    assert output.startswith("clrun: ")
    assert "waited" not in output
    assert not (prey / "canary").exists()
    assert not (prey / "outputs").exists()
    assert (prey / "victim").read_text() == "mine"


def test_there_are_enough_of_them():
    assert len(ATTACKS) >= 40


@pytest.mark.parametrize("make", CONTENTS)
def test_the_canary_would_show_it(make, prey):
    (prey / "weights.pt").write_bytes(make())
    with suppress(Exception):  # after the code has run
        torch.load(prey / "weights.pt", weights_only=False)

    assert (prey / "canary").exists()
