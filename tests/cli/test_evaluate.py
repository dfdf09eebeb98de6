"""`clrun evaluate`, end to end: the accuracies of the run again, and those on other data."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import clrun
from clrun.cli.main import main
from clrun.streams.experience import Benchmark

SHORT = ("device=cpu", "device.threads=1", "strategy.train_epochs=1", "model.hidden=[32]")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs on digits, on arrays and on arrays from Python; not to be changed."""
    folder = tmp_path_factory.mktemp("evaluate")
    here = Path.cwd()
    os.chdir(folder)
    rng = np.random.default_rng(0)
    y = np.repeat(np.array(["2", "10", "1"]), 20)
    x = rng.integers(0, 60, (60, 8, 8), dtype=np.uint8) + 60 * np.repeat([0, 1, 2], 20)[
        :, None, None
    ].astype(np.uint8)
    np.savez("own.npz", x=x, y=y)
    np.savez("other.npz", x=x[y != "2"], y=y[y != "2"])
    np.savez("wide.npz", x=x.repeat(2, 2), y=y)
    np.savez("colour.npz", x=np.stack([x] * 3, -1), y=y)
    np.savez("unknown.npz", x=x, y=np.char.replace(y, "10", "11"))
    try:
        for words in (
            ["strategy=replay", "hydra.run.dir=digits"],
            ["strategy=naive", "benchmark=npz", "benchmark.data_root=own.npz", "hydra.run.dir=own"],
        ):
            assert main([*SHORT, *words]) == 0
        config = clrun.compose([*SHORT, "strategy=naive"])
        pairs = [(x, np.repeat([0, 1, 2], 20))]
        clrun.run(config, "python", benchmark=Benchmark.of_arrays(pairs, pairs))
    finally:
        os.chdir(here)
    return folder


@pytest.fixture
def at_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    return place


def evaluated(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    capsys.readouterr()
    assert main(["evaluate", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("run", ["digits", "own"])
def test_the_runs_own_data_give_what_it_reported_to_the_last_digit(run, at_place, capsys):
    results = json.loads((at_place / run / "results.json").read_text())

    found = evaluated(capsys, run)

    assert found["experience_accuracy"] == results["accuracy_matrix"][-1]
    assert found["class_accuracy"] == results["class_accuracy"][-1]
    assert found["class_names"] == results["class_names"]
    assert found["experience_rows"] == [e["test_rows"] for e in results["experiences"]]
    for metric in ("acc_final", "acc_pooled"):
        assert found["metrics"][metric] == results["metrics"][metric]


def test_naming_the_runs_own_data_gives_the_same(at_place, capsys):
    found = evaluated(capsys, "own", "benchmark=npz", "benchmark.data_root=own.npz")

    assert found == evaluated(capsys, "own")


def test_a_key_alone_changes_the_runs_own_benchmark(at_place, tmp_path, capsys):
    moved = shutil.copy("own.npz", tmp_path / "moved.npz")

    found = evaluated(capsys, "own", f"benchmark.data_root={moved}", "benchmark.n_experiences=1")

    assert found["metrics"]["acc_pooled"] == evaluated(capsys, "own")["metrics"]["acc_pooled"]
    assert len(found["experience_rows"]) == 1


def test_data_that_lack_a_class_are_scored_on_the_others(at_place, capsys):
    whole = evaluated(capsys, "own", "--all")

    found = evaluated(capsys, "own", "benchmark=npz", "benchmark.data_root=other.npz", "--all")

    assert found["class_names"] == ["1", "2", "10"]
    assert found["class_rows"] == [20, 0, 20]
    assert found["class_accuracy"][1] is None
    assert found["class_accuracy"][::2] == whole["class_accuracy"][::2]
    assert whole["class_rows"] == [20, 20, 20]


def test_a_table_is_shown_with_how_many_images_were_scored(at_place, capsys):
    assert main(["evaluate", "own", "benchmark=npz", "benchmark.data_root=other.npz"]) == 0

    shown = capsys.readouterr()
    assert "naive-npz-s0 on npz_nc" in shown.out
    assert "all images" in shown.out
    assert "1 of the model's 3 classes have no images here." in shown.out
    assert shown.err == (
        "clrun: note: scored on the 8 images that the benchmark has to test on; --all scores every "
        "image.\n"
    )


def test_images_get_the_size_of_those_of_the_run(at_place, capsys):
    found = evaluated(capsys, "own", "benchmark=npz", "benchmark.data_root=wide.npz", "--all")

    assert found["class_rows"] == [20, 20, 20]


REFUSED = {
    "another class": (
        ["own", "benchmark=npz", "benchmark.data_root=unknown.npz"],
        "benchmark=npz: the model does not know 1 of the 3 classes: 11. It knows 1, 2, 10.",
    ),
    "other classes": (
        ["own", "benchmark=digits"],
        "the model does not know 8 of the 10 classes: 0, 3, 4, 5, 6, 7, 8, 9. It knows 1, 2, 10.",
    ),
    "another number of channels": (
        ["own", "benchmark=npz", "benchmark.data_root=colour.npz"],
        "images are 3x8x8 (channels, height, width), and the model of naive-npz-s0 takes 1x8x8.",
    ),
    "another size that was asked for": (
        ["own", "benchmark.image_size=9"],
        "takes 1x8x8. Use benchmark.image_size=8.",
    ),
    "no such file": (
        ["own", "benchmark.data_root=nowhere.npz"],
        "nowhere.npz",
    ),
    "data from Python": (["python"], "the run's data were given from Python. Name others"),
    "another group": (["own", "strategy=naive"], "strategy=naive: evaluate takes one value of"),
    "a sweep": (["own", "benchmark.image_size=8,9"], "evaluate takes one value of keys"),
    "an unknown key": (["own", "benchmark.imagesize=8"], "Did you mean 'image_size'?"),
    "a wrong value": (["own", "benchmark.image_size=x"], "image_size=x: must be a whole number"),
    "an unknown benchmark": (["own", "benchmark=digit"], "Did you mean 'digits'?"),
    "an unknown option": (["own", "--jsn"], "--jsn: evaluate has no such option. Did you mean"),
    "no run": ([], "the following arguments are required: RUN"),
    "no such run": (["nowhere"], "nowhere: there is no such folder."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_scored_is_one_line(name, at_place, capsys):
    words, line = REFUSED[name]

    code = main(["evaluate", *words])

    error = capsys.readouterr().err
    assert code == 2
    assert line in error
    assert len(error.splitlines()) == 1


def test_a_model_that_was_trained_on_data_from_python_is_scored_on_files(at_place, tmp_path):
    names = tmp_path / "named.npz"
    content = dict(np.load("own.npz"))
    order = {"2": "0", "10": "1", "1": "2"}
    np.savez(names, x=content["x"], y=[order[y] for y in content["y"]])

    code = main(["evaluate", "python", "benchmark=npz", f"benchmark.data_root={names}"])

    assert code == 0
