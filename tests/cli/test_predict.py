"""`clrun predict`, end to end: the run's own test images get the accuracy that the run reported."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clrun.cli.main import main

CLASSES = ("ant", "bee", "cat")
RUN = (
    *("device=cpu", "device.threads=1", "strategy=naive", "strategy.train_epochs=2"),
    *("model=cnn", "benchmark=folder"),
)


def photos(folder: Path, side: int = 12, seed: int = 0) -> None:
    """Class folders of small colour images, ten of each class to train on and six to test."""
    rng = np.random.default_rng(seed)
    for k, name in enumerate(CLASSES):
        for part, count in (("train", 10), ("test", 6)):
            place = folder / part / name
            place.mkdir(parents=True)
            for n in range(count):
                x = rng.integers(0, 120, (side, side, 3), dtype=np.uint8)
                x[..., k] += rng.integers(20, 100, dtype=np.uint8)
                Image.fromarray(x).save(place / f"{n}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ and a finished run on them, not to be changed."""
    folder = tmp_path_factory.mktemp("predict")
    photos(folder / "photos")
    here, cache = Path.cwd(), os.environ.get("CLRUN_CACHE")
    os.chdir(folder)
    os.environ["CLRUN_CACHE"] = str(folder / "cache")
    try:
        code = main([*RUN, "benchmark.data_root=photos", "hydra.run.dir=run"])
    finally:
        os.chdir(here)
        if cache is None:
            del os.environ["CLRUN_CACHE"]
        else:
            os.environ["CLRUN_CACHE"] = cache
    assert code == 0
    return folder


@pytest.fixture
def at_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    monkeypatch.setenv("CLRUN_CACHE", str(place / "cache"))
    return place


def predicted(capsys: pytest.CaptureFixture[str], *words: str) -> list[dict]:
    capsys.readouterr()
    assert main(["predict", "run", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_runs_own_test_images_get_the_accuracy_it_reported(at_place, capsys):
    results = json.loads((at_place / "run" / "results.json").read_text())

    found = predicted(capsys, "photos/test")

    right = [Path(image["image"]).parent.name == image["class"] for image in found]
    assert len(found) == 18
    assert sum(right) / 18 == results["metrics"]["acc_pooled"]
    for image in found:
        assert set(image["probabilities"]) == {*CLASSES}
        assert sum(image["probabilities"].values()) == pytest.approx(1)
        assert max(image["probabilities"], key=image["probabilities"].get) == image["class"]


def test_a_file_a_folder_a_table_and_arrays_give_the_same(at_place, tmp_path, capsys):
    files = [f"photos/test/bee/{k}.png" for k in range(6)]
    table = at_place / "list.csv"
    table.write_text("path\n" + "\n".join(files))
    arrays = np.stack([np.asarray(Image.open(file)) for file in files])
    np.savez(tmp_path / "x.npz", x=arrays)

    by_folder = predicted(capsys, "photos/test/bee")
    by_file = predicted(capsys, *files)
    by_table = predicted(capsys, "list.csv")
    by_array = predicted(capsys, str(tmp_path / "x.npz"))

    assert [image["image"] for image in by_folder] == files
    assert by_file == by_folder
    assert [{**image, "image": 0} for image in by_table] == [
        {**image, "image": 0} for image in by_folder
    ]
    assert [image["probabilities"] for image in by_array] == [
        image["probabilities"] for image in by_folder
    ]
    assert by_array[3]["image"] == f"{tmp_path / 'x.npz'}:x[3]"


def test_a_table_is_shown_and_csv_is_for_programs(at_place, capsys):
    assert main(["predict", "run", "photos/test/ant", "--top", "2"]) == 0
    table = capsys.readouterr().out
    assert main(["predict", "run", "photos/test/ant", "--csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))

    assert "photos/test/ant/3.png" in table
    assert rows[0] == [
        *("image", "class", "probability", "class_2", "probability_2", "class_3"),
        "probability_3",
    ]
    assert len(rows) == 7
    assert rows[1][0] == "photos/test/ant/0.png"
    assert float(rows[1][2]) > float(rows[1][4]) > float(rows[1][6])
    assert sum(float(cell) for cell in rows[1][2::2]) == pytest.approx(1)


def test_images_of_another_kind_are_decoded_as_in_training(at_place, tmp_path, capsys):
    image = Image.open("photos/test/cat/0.png")
    image.resize((40, 30)).save(tmp_path / "large.jpg")
    image.convert("L").save(tmp_path / "grey.png")

    assert main(["predict", "run", str(tmp_path)]) == 0

    output = capsys.readouterr()
    assert "large.jpg" in output.out
    assert "grey.png" in output.out
    assert output.err == (
        "clrun: note: 1 of the images had another size and were resized to 12x12.\n"
    )


def test_damaged_files_are_refused_all_at_once_as_the_run_would(at_place, tmp_path, capsys):
    shutil.copy("photos/test/ant/0.png", tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"<html>")
    (tmp_path / "c.png").write_bytes(b"")

    code = main(["predict", "run", str(tmp_path)])

    output = capsys.readouterr()
    assert code == 2
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert "2 files are damaged" in output.err
    assert "b.png" in output.err
    assert "c.png" in output.err


WRONG = {
    "no words": ([], "the following arguments are required: RUN, PATH"),
    "no path": (["run"], "the following arguments are required: PATH"),
    "no run": (["nowhere", "photos"], "nowhere: there is no such folder. Name a run's folder."),
    "no file": (["run", "nowhere.png"], "nowhere.png: there is no such file or folder."),
    "no run's folder": (["photos", "photos"], "photos: is no run's folder (no run.json)."),
    "option": (["run", "photos", "--jsn"], "unrecognized arguments: --jsn"),
    "top": (["run", "photos", "--top", "0"], "0: must be a whole number of at least 1"),
    "both": (["run", "photos", "--csv", "--json"], "not allowed with argument"),
    "device": (["run", "photos", "--device", "tpu"], "invalid choice: 'tpu'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_words_are_one_line(name, at_place, capsys):
    words, line = WRONG[name]

    code = main(["predict", *words])

    error = capsys.readouterr().err
    assert code == 2
    assert line in error
    assert len(error.splitlines()) == 1


def test_wrong_words_cost_no_torch(at_place):
    wrong = [
        *(["predict", "run"], ["predict", "run", "x"], ["predict", "photos", "photos"]),
        *(["predict", "run", "photos", "--top", "x"], ["evaluate", "photos"]),
        *(["evaluate", "run", word] for word in ("seed=1", "benchmark.x=1", "--j", "benchmark=x")),
    ]
    code = (
        "import sys\nfrom clrun.cli.main import main\n"
        f"assert {{main(words) for words in {wrong!r}}} == {{2}}\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=at_place, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"path,label\n", "has a header and no rows"),
        (b"file,label\na.png,b\n", "has no column path, only file, label."),
        (b"path\nnowhere.png\n", "row 1 names nowhere.png, and there is no such file"),
    ],
)
def test_a_table_that_names_nothing_is_one_line(content, reason, at_place, tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(content)

    code = main(["predict", "run", str(tmp_path / "t.csv")])

    error = capsys.readouterr().err
    assert code == 2
    assert f"{tmp_path / 't.csv'}: {reason}" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": np.zeros((2, 12, 12), np.float32)}, "x is float32"),
        ({"a": np.zeros(2), "b": np.zeros(2)}, "has arrays a, b, and x is missing"),
        ({"x": np.array([None, None])}, "x holds Python objects"),
    ],
)
def test_arrays_that_are_no_images_are_one_line(arrays, reason, at_place, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", **arrays)

    code = main(["predict", "run", str(tmp_path / "x.npz")])

    error = capsys.readouterr().err
    assert code == 2
    assert reason in error
    assert len(error.splitlines()) == 1


def test_a_folder_without_images_is_one_line(at_place, tmp_path, capsys):
    code = main(["predict", "run", str(tmp_path)])

    assert code == 2
    assert f"{tmp_path}: has no images. Use .png" in capsys.readouterr().err


def test_grey_arrays_of_another_size_are_made_the_models(at_place, tmp_path, capsys):
    np.savez(tmp_path / "x.npz", np.zeros((3, 20, 10), np.uint8))  # arr_0: the only one

    found = predicted(capsys, str(tmp_path / "x.npz"))

    assert [image["image"] for image in found] == [
        f"{tmp_path / 'x.npz'}:arr_0[{k}]" for k in range(3)
    ]
