"""model.safetensors as a file: whole or refused in one line, and nothing in it is executed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save

from clrun.errors import ConfigError, StorageError
from clrun.records.trained_model import (
    PLACE,
    ZEROS,
    Component,
    Facts,
    model_file,
    read_model,
    write_model,
)

TENSORS = {"output.weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}


def facts(**changed: Any) -> Facts:
    part = Component(option="mlp", target="clrun.models.mlp:MLP", values={"hidden": [3]})
    given: dict[str, Any] = {
        "label": "naive-digits-s0",
        "config_hash": "0123456789ab",
        "class_names": ["cat", f'a "sha256": "{ZEROS}"', f'"{ZEROS}'],
        "image_shape": (1, 8, 8),
        "mean": [0.5],
        "std": [0.25],
        "seed": 3,
        "model": part,
        "is_own_model": False,
        "strategy": None,
        "benchmark": part,
        "is_own_benchmark": False,
        "evaluation": {"stream": "test"},
        "eval_mb_size": 512,
        "device": {"kind": "cpu"},
        "proof": [[0.5, None]],
        "shared": {},
        "versions": {"clrun": "0.1.0"},
    }
    return Facts(**{**given, **changed})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_model(tmp_path / PLACE, facts(), TENSORS)
    return tmp_path / PLACE


def test_what_was_written_comes_back(path: Path) -> None:
    file = read_model(path)

    assert replace(file.facts, sha256=ZEROS) == facts()
    assert {name: tensor.tolist() for name, tensor in load(file.content).items()} == {
        name: tensor.tolist() for name, tensor in TENSORS.items()
    }
    assert [entry.name for entry in path.parent.iterdir()] == ["model.safetensors"]


def test_the_same_content_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    for n in range(5):
        write_model(tmp_path / str(n) / PLACE.name, facts(), dict(reversed(TENSORS.items())))

        assert (tmp_path / str(n) / PLACE.name).read_bytes() == path.read_bytes()


def test_every_flipped_bit_of_the_header_is_found(path: Path) -> None:
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    rng = random.Random(0)

    for place in range(header):
        damaged = bytearray(content)
        damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        with pytest.raises(ConfigError) as raised:
            read_model(path)
        assert len(str(raised.value).splitlines()) == 1, place


def test_every_flipped_bit_of_the_tensors_is_found(path: Path) -> None:
    content = path.read_bytes()

    for place in range(8 + int.from_bytes(content[:8], "little"), len(content)):
        for bit in range(8):
            damaged = bytearray(content)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(ConfigError, match=r"is damaged \(its SHA-256 differs\)"):
                read_model(path)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 100, -1])
def test_a_file_that_was_cut_off_is_one_line(keep: int, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:keep])

    with pytest.raises(ConfigError, match="damaged") as raised:
        read_model(path)

    assert len(str(raised.value).splitlines()) == 1


def forged(path: Path, text: str) -> None:
    """Write the file anew with other facts and the sum that belongs to them."""
    content = save(TENSORS, metadata={"clrun": text})
    digest = hashlib.sha256(content).hexdigest()
    path.write_bytes(content.replace(ZEROS.encode(), digest.encode(), 1))


FINE = {
    *(("strategy", "null"), ("schema", "missing")),
    *(("first_experiences", "missing"), ("first_experiences", "null")),
}
WRONG = [
    (field.name, change)
    for field in fields(Facts)
    for change in ("missing", "another type", "null")
    if (field.name, change) not in FINE and field.name != "sha256"  # without it nothing is compared
]


@pytest.mark.parametrize(("key", "change"), WRONG)
def test_each_fact_that_is_wrong_is_named_in_one_line(key: str, change: str, path: Path) -> None:
    content = json.loads(json.dumps(asdict(facts())))
    if change == "missing":
        del content[key]
    else:
        content[key] = None if change == "null" else {"another": [1]} if key != "device" else 3
        if change == "another type" and key in ("evaluation", "shared", "versions"):
            content[key] = [1]
    forged(path, json.dumps(content))

    with pytest.raises(ConfigError, match=rf"is no model of this clrun \({key}") as raised:
        read_model(path)

    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema: Input should be 1"),
        ({"class_names": []}, "class_names: "),
        ({"image_shape": [1, 8]}, "image_shape"),
        ({"image_shape": [1, 0, 8]}, "image_shape.1: "),
        ({"image_shape": [3, 8, 8]}, "mean and std: 1 and 1 values for 3 channels"),
        ({"std": [0.0]}, "std.0: "),
        ({"eval_mb_size": 0}, "eval_mb_size: "),
        ({"seed": -1}, "seed: "),
        ({"more": 1}, "more: "),
        ({"model": {"option": "mlp", "target": "x:Y", "values": {}, "z": 1}}, "model.z: "),
    ],
)
def test_facts_out_of_bounds_are_named(change: dict[str, Any], reason: str, path: Path) -> None:
    forged(path, json.dumps(json.loads(json.dumps(asdict(facts()))) | change))

    with pytest.raises(ConfigError) as raised:
        read_model(path)

    assert f"({reason}" in str(raised.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"mean": NaN}'])
def test_facts_that_are_no_facts_are_one_line(text: str, path: Path) -> None:
    forged(path, text)

    with pytest.raises(ConfigError) as raised:
        read_model(path)

    assert len(str(raised.value).splitlines()) == 1


def test_a_safetensors_file_of_somebody_else_is_refused(path: Path) -> None:
    path.write_bytes(save(TENSORS, metadata={"format": "pt"}))

    with pytest.raises(ConfigError, match="safetensors file that clrun did not write"):
        read_model(path)


def fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (fifo, "no regular file"),
        (Path.mkdir, "cannot be read"),
        (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
        (lambda path: path.symlink_to("nowhere"), "cannot be read"),
    ],
    ids=["fifo", "folder", "device", "broken link"],
)
def test_what_is_no_regular_file_is_refused_at_once(
    make: Callable[[Path], None], reason: str, path: Path
) -> None:
    path.unlink()
    make(path)

    with pytest.raises(ConfigError, match=reason) as raised:
        read_model(path)

    assert len(str(raised.value).splitlines()) == 1


def test_a_pickle_is_not_read(path: Path, tmp_path: Path) -> None:
    torch.save(TENSORS, path)

    with pytest.raises(ConfigError, match="no safetensors file"):
        read_model(path)


def test_where_a_run_has_it(path: Path, tmp_path: Path) -> None:
    assert model_file(tmp_path) == path
    assert model_file(path) == path


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (None, "is no run's folder (no run.json). Name e.g. outputs/latest."),
        ('{"status": "completed"}', "clrun.log says why, or it is a run of an earlier clrun"),
        ("{", "though the run is unknown."),
        ('{"status": "interrupted", "error": null}', "the run was interrupted. clrun resume "),
    ],
)
def test_a_folder_without_one_says_what_it_is(
    record: str | None, line: str, tmp_path: Path
) -> None:
    if record is not None:
        (tmp_path / "run.json").write_text(record)

    with pytest.raises(ConfigError) as raised:
        model_file(tmp_path)

    assert line in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_the_folder_of_a_sweep_is_none_of_a_run(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "run.json").write_text("{}")

    with pytest.raises(ConfigError, match=r"holds several runs\. .* e\.g\. .*job\.$"):
        model_file(tmp_path)


def test_a_full_disk_is_a_storage_error_that_leaves_the_old_file(path: Path) -> None:
    before = path.read_bytes()
    code = (
        "import resource, sys, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "import torch\n"
        "from pathlib import Path\n"
        "from clrun.errors import StorageError\n"
        "from clrun.records.trained_model import read_model, write_model\n"
        "path = Path(sys.argv[1])\n"
        "facts = read_model(path).facts\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    write_model(path, facts, {'x': torch.zeros(1000)})\n"
        "except StorageError as error:\n"
        "    sys.exit(error.exit_code)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(path), os.pathsep.join(sys.path)], check=False
    )

    assert done.returncode == StorageError.exit_code
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
