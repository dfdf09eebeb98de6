from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from clrun.doctor import installation
from clrun.doctor.installation import Fact


def said(fact: Fact) -> str:
    assert fact.finding is not None, fact
    return f"{fact.finding.seen} -> {fact.finding.advice}"


@pytest.mark.parametrize(
    ("found", "bounds", "is_enough"),
    [
        ("2.10", ">=2.10", True),
        ("2.9.1", ">=2.10", False),
        ("2.10.1+cpu", ">=2.10,<3", True),
        ("2.11.0rc1", ">=2.10,<2.11", False),
        ("3.0", ">=2.10,<3", False),
        ("1.3.8", "<1.5,>=1.3.8", True),
        ("4", ">=4.0.1", False),
        ("4.0.1.2", ">=4.0.1", True),
        ("7", "", True),
        ("7", "!=6", True),
    ],
)
def test_versions_are_held_against_what_is_declared(found, bounds, is_enough):
    assert installation.satisfies(found, bounds) == is_enough


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("torch>=2.10", ("torch", ">=2.10")),
        ("hydra-core<1.5,>=1.3.8", ("hydra-core", "<1.5,>=1.3.8")),
        ("pillow (>=12.3) ; python_version > '3'", ("pillow", ">=12.3")),
        ("rich", ("rich", "")),
    ],
)
def test_a_dependency_is_a_name_and_bounds(text, expected):
    assert installation.requirement(text) == expected


def test_extras_that_are_there_and_those_to_install_are_named():
    declared = [
        "numpy>=1",
        'rich>=13; extra == "pretty"',
        'rich>=13; extra == "half"',
        'no-such-package>=1; extra == "half"',
        'no-such-package; extra == "dev"',
    ]

    [fact] = installation.extras(declared)

    assert fact.value == "pretty; not installed: half (pip install 'clrun[NAME]')"
    assert fact.finding is None
    assert not list(installation.extras(["numpy>=1"]))


def test_the_packages_of_this_installation_are_as_declared():
    [fact] = installation.packages()

    assert fact.finding is None
    assert fact.name == "packages"


def package(folder: Path, name: str, version: str, *requires: str) -> None:
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir()
    lines = [f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires)]
    (place / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", *lines, ""]))


def test_a_package_that_is_too_old_or_missing_is_named(tmp_path, monkeypatch):
    needs = ("old_thing>=2", "new_thing>=2", "no_such_thing>=1", 'other; extra == "dev"')
    package(tmp_path, "clrun", "9", *needs)
    package(tmp_path, "old_thing", "1.9")
    package(tmp_path, "new_thing", "2.0")
    monkeypatch.syspath_prepend(str(tmp_path))

    good, old, missing = installation.packages()

    assert good.value == "1 of 3 as declared: new_thing 2.0"
    assert "old_thing 1.9 is installed, and clrun needs >=2." in said(old)
    assert "no_such_thing is not installed." in said(missing)


def test_pytorch_and_the_cpu_are_tried():
    facts = {fact.name: fact for fact in installation.hardware()}

    assert re.search(r"built for (CPU alone|CUDA|ROCm)", facts["torch"].value)
    assert facts["device cpu"].value == "computes"
    assert facts["threads"].value


def test_more_threads_than_processors_are_found():
    there = installation.processors()

    assert installation.threads(there).finding is None
    assert f"device.threads={there}" in said(installation.threads(there + 1))


def test_a_folder_is_shown_with_what_is_in_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").write_bytes(bytes(2_000_000))

    fact = installation.folder("runs", tmp_path)

    assert fact.finding is None
    assert f"{tmp_path}: 1 file, 2.0 MB, " in fact.value
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_that_is_not_there_is_looked_for_above(tmp_path):
    fact = installation.folder("data", tmp_path / "x" / "y")

    assert "not there yet" in fact.value
    assert fact.finding is None
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "variable"), [("runs", "output_root"), ("data", "CLRUN_DATA"), ("weights", "TORCH")]
)
def test_a_folder_that_cannot_be_written_to_is_found(name, variable, tmp_path):
    (tmp_path / "file").write_bytes(b"")

    fact = installation.folder(name, tmp_path / "file")

    assert f"{tmp_path / 'file'} cannot be written to" in said(fact)
    assert variable in said(fact)


def test_little_space_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "LITTLE_SPACE", 10**18)

    assert re.search(r"has [\d,]+ MB free", said(installation.folder("runs", tmp_path)))


def test_a_large_folder_is_not_walked_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "MOST_FILES", 3)
    for number in range(5):
        (tmp_path / str(number)).write_bytes(b"x")

    assert installation.size_of(tmp_path).startswith("over 3 files")


def test_the_disk_is_timed(tmp_path, monkeypatch):
    monkeypatch.setattr(installation, "SLOW_DISK", 0.0)
    assert installation.disk_speed(tmp_path).finding is None

    monkeypatch.setattr(installation, "SLOW_DISK", 1e9)
    assert "MB/s" in said(installation.disk_speed(tmp_path))
    assert os.listdir(tmp_path) == []
    assert "cannot be written to" in said(installation.disk_speed(tmp_path / "none"))


@pytest.mark.parametrize(
    ("count", "manifest", "is_whole"),
    [(12, None, True), (11, None, False), (12, "{", False), (12, '{"count": 1}', False)],
)
def test_a_cache_of_images_has_as_many_bytes_as_its_manifest_says(
    count, manifest, is_whole, tmp_path
):
    folder = tmp_path / "folder_1x2x2-abc"
    folder.mkdir()
    text = json.dumps({"count": 3, "shape": [1, 2, 2]}) if manifest is None else manifest
    (folder / "manifest.json").write_text(text)
    (folder / "rows.npy").write_bytes(bytes(count))

    [fact] = installation.image_caches(tmp_path)

    assert (fact.finding is None) == is_whole
    if not is_whole:
        assert f"Delete it: {folder}" in said(fact)
