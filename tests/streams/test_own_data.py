import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import clrun
from clrun.errors import ConfigError
from clrun.preview.sizes import sizes
from clrun.runner.prepare import build
from clrun.streams.experience import Benchmark


@pytest.fixture(autouse=True)
def cache_in(tmp_path, monkeypatch):
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))


def made(*words: str):
    """The benchmark component that these words choose."""
    return build(clrun.compose(list(words)).nodes["benchmark"])


def brightness(x: torch.Tensor) -> list[int]:
    return x.index_select(0, torch.arange(len(x)))[:, 0, 0, 0].tolist()


def classes(benchmark: Benchmark) -> list[tuple[int, ...]]:
    return [e.classes for e in benchmark]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three classes of ten grey images; image k of class c has brightness 50 c + k."""
    for c, name in enumerate(("ant", "bee", "cow")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for k in range(10):
            Image.new("L", (4, 4), 50 * c + k).save(tmp_path / "photos" / name / f"{k}.png")
    return tmp_path / "photos"


@pytest.fixture
def table(photos: Path) -> Path:
    """The same images; experience 0 has images 0 to 4 of all classes, experience 1 the others."""
    rows = [(f"{name}/{k}.png", name, k // 5) for name in ("ant", "bee", "cow") for k in range(10)]
    with (photos / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "experience"), *rows])
    return photos / "table.csv"


def test_folders_become_a_stream_of_one_class_each(photos):
    split = made("benchmark=folder", f"benchmark.data_root={photos}")

    benchmark = split.load(seed=0)

    assert split.shape() == benchmark.shape
    assert benchmark.shape.num_classes == benchmark.shape.num_experiences == 3
    assert benchmark.class_names == ("ant", "bee", "cow")
    assert classes(benchmark) == [(0,), (1,), (2,)]
    for c, experience in enumerate(benchmark):
        both = [*brightness(experience.train.x), *brightness(experience.test.x)]
        assert sorted(both) == list(range(50 * c, 50 * c + 10))
        assert len(experience.test.y) == 2


@pytest.mark.parametrize("order", ["[cow,ant,bee]", "[2,0,1]", "['cow',ant,bee]"])
def test_the_order_of_classes_is_given_by_their_names_or_numbers(photos, order):
    given = ("benchmark=folder", f"benchmark.data_root={photos}", f"benchmark.class_order={order}")

    assert classes(made(*given).load(seed=0)) == [(2,), (0,), (1,)]


def test_names_that_are_numbers_order_classes_too(tmp_path):
    x, y = np.zeros((9, 2, 2), np.uint8), np.repeat([3, 43, 5], 3)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    given = ("benchmark=npz", f"benchmark.data_root={tmp_path}/data.npz")

    by_name = made(*given, "benchmark.class_order=[43,3,5]").load(seed=0)
    by_number = made(*given, "benchmark.class_order=[2,0,1]").load(seed=0)

    assert by_name.class_names == ("3", "5", "43")
    assert classes(by_name) == classes(by_number) == [(2,), (0,), (1,)]


@pytest.mark.parametrize(
    ("order", "line"),
    [
        ("[cow,ant,bea]", "there is no class bea. Did you mean 'bee'? The classes: ant, bee, cow."),
        ("[cow,ant]", "must name each of the 3 classes exactly once."),
        ("[cow,ant,ant]", "must name each of the 3 classes exactly once."),
        ("[0,1]", "must name each class from 0 to 2 exactly once."),
    ],
)
def test_an_order_that_is_none_of_the_classes_is_refused(photos, order, line):
    given = ("benchmark=folder", f"benchmark.data_root={photos}", f"benchmark.class_order={order}")

    with pytest.raises(ConfigError) as refused:
        made(*given)

    assert str(refused.value) == f"benchmark.class_order={order}: {line}"


def test_all_seeds_are_tested_on_the_same_images(photos):
    split = made(
        "benchmark=folder",
        f"benchmark.data_root={photos}",
        "benchmark.scenario=ni",
        "benchmark.n_experiences=2",
    )

    tested = [
        sorted(row for e in split.load(seed) for row in brightness(e.test.x)) for seed in (0, 1)
    ]

    assert tested[0] == tested[1]


def test_a_table_says_which_experience_a_row_is_in(table):
    benchmark = made("benchmark=csv", f"benchmark.data_root={table}").load(seed=0)

    assert classes(benchmark) == [(0, 1, 2), (0, 1, 2)]
    for k, experience in enumerate(benchmark):
        for patterns in (experience.train, experience.test):
            rows = brightness(patterns.x)
            assert {row % 50 // 5 for row in rows} == {k}
            assert [row // 50 for row in rows] == patterns.y.tolist()


def test_what_the_table_says_is_overruled_by_a_scenario(table):
    benchmark = made("benchmark=csv", f"benchmark.data_root={table}", "benchmark.scenario=nc").load(
        seed=0
    )

    assert classes(benchmark) == [(0,), (1,), (2,)]


def test_validation_rows_are_held_out_of_each_given_experience(table):
    benchmark = made(
        "benchmark=csv", f"benchmark.data_root={table}", "benchmark.validation_fraction=0.25"
    ).load(seed=0)

    for k, experience in enumerate(benchmark):
        held = brightness(experience.validation.x)
        assert len(held) == 3
        assert {row % 50 // 5 for row in held} == {k}
        assert not set(held) & set(brightness(experience.train.x))


@pytest.mark.parametrize("scenario", ["nc", "ni", "nic", "permuted", "given", "online"])
def test_rows_that_are_for_validation_go_where_test_rows_would(photos, scenario):
    sides = ["train", "test", "val", "train", "train"]
    rows = [
        (f"{name}/{k}.png", name, sides[k % 5], k // 5)
        for name in ("ant", "bee", "cow")
        for k in range(10)
    ]
    with (photos / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "split", "experience"), *rows])
    keys = {"ni": ["n_experiences=2"], "nic": ["n_experiences=6"], "permuted": ["n_experiences=2"]}
    keys |= {"online": ["n_experiences=3", "rows_per_experience=4"]}
    words = [f"scenario={scenario}", f"data_root={photos}/table.csv", *keys.get(scenario, [])]

    benchmark = made("strategy=naive", "benchmark=csv", *(f"benchmark.{w}" for w in words)).load(0)

    for side, of_side in (("train", {0, 3, 4}), ("test", {1}), ("validation", {2})):
        parts = [getattr(e, side) for e in benchmark]
        if scenario != "permuted":
            seen = [row for part in parts for row in brightness(part.x)]
            assert {row % 5 for row in seen} == of_side
            assert len(seen) == len(set(seen)) == 6 * len(of_side)
        for part, experience in zip(parts, benchmark, strict=True):
            assert set(part.y.tolist()) <= set(experience.classes)
    if scenario == "given":
        assert [{b % 50 // 5 for b in brightness(e.validation.x)} for e in benchmark] == [{0}, {1}]


def test_validation_rows_of_ones_own_are_scored(photos, tmp_path):
    for name in ("ant", "bee", "cow"):
        for side, rows in (("train", range(6)), ("test", range(6, 8)), ("val", range(8, 10))):
            (tmp_path / "sides" / side / name).mkdir(parents=True)
            for k in rows:
                (photos / name / f"{k}.png").rename(tmp_path / "sides" / side / name / f"{k}.png")
    words = ["benchmark=folder", f"benchmark.data_root={tmp_path / 'sides'}", "device=cpu"]

    results = clrun.run(clrun.compose([*words, "eval.stream=validation"]), tmp_path / "run")

    assert [e["test_rows"] for e in results.experiences] == [2, 2, 2]
    assert [e["train_rows"] for e in results.experiences] == [6, 6, 6]


def test_validation_without_rows_for_it_is_refused_before_there_is_a_folder(photos, tmp_path):
    words = ["benchmark=folder", f"benchmark.data_root={photos}", "device=cpu"]

    with pytest.raises(ConfigError, match=r"validation_fraction=0 holds nothing out"):
        clrun.run(clrun.compose([*words, "eval.stream=validation"]), tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_groups_are_whole_on_all_three_sides(photos):
    """Group k has images k and k + 5 of each class."""
    rows = [(f"{n}/{k}.png", n, f"g{k % 5}") for n in ("ant", "bee", "cow") for k in range(10)]
    with (photos / "table.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label", "group"), *rows])
    words = ["benchmark=csv", f"benchmark.data_root={photos}/table.csv"]

    benchmark = made(*words, "benchmark.validation_fraction=0.25").load(seed=0)

    groups = [
        {row % 5 for e in benchmark for row in brightness(getattr(e, side).x)}
        for side in ("train", "test", "validation")
    ]
    assert [len(of_side) for of_side in groups] == [3, 1, 1]
    assert set.union(*groups) == set(range(5))


def test_what_was_skipped_and_what_is_told_of_the_data_is_in_the_results(photos, tmp_path):
    (photos / "ant" / "3.png").write_text("<html>404</html>")
    words = ["benchmark=folder", f"benchmark.data_root={photos}", "device=cpu"]

    results = clrun.run(clrun.compose([*words, "benchmark.damaged=skip"]), tmp_path / "run")

    assert results.damaged_files == 1
    assert results.notes["data"].startswith("1 damaged file is skipped: ant/3.png is no image")
    assert sum(e["train_rows"] + e["test_rows"] for e in results.experiences) == 29


def test_arrays_and_the_limit_keep_rows_in_the_experience_of_their_task(tmp_path):
    x = np.arange(40, dtype=np.uint8).reshape(40, 1, 1)
    np.savez(
        tmp_path / "a.npz",
        x=x,
        y=np.arange(40) % 2,
        task=np.arange(40) // 2 % 2,
        x_test=x[:4],
        y_test=np.array([0, 1, 0, 1]),
        task_test=np.array([0, 0, 1, 1]),
    )

    benchmark = made(
        "benchmark=npz", f"benchmark.data_root={tmp_path / 'a.npz'}", "benchmark.limit_per_class=4"
    ).load(seed=0)

    assert [brightness(e.train.x) for e in benchmark] == [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert [brightness(e.test.x) for e in benchmark] == [[0, 1], [2, 3]]


def test_a_limit_that_empties_a_given_experience_is_refused(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        x=np.zeros((20, 1, 1), np.uint8),
        y=np.arange(20) % 2,
        task=np.arange(20) // 10,
    )
    split = made(
        "benchmark=npz", f"benchmark.data_root={tmp_path / 'a.npz'}", "benchmark.limit_per_class=2"
    )

    with pytest.raises(ConfigError, match=r"limit_per_class=2: leaves no training rows of experi"):
        split.load(seed=0)


@pytest.mark.parametrize("normalize", ["true", "false"])
def test_images_are_normalised_by_their_own_mean_and_deviation(photos, normalize):
    benchmark = made(
        "benchmark=folder", f"benchmark.data_root={photos}", f"benchmark.normalize={normalize}"
    ).load(seed=0)

    x = torch.cat([e.train.x.index_select(0, torch.arange(8)) for e in benchmark])
    seen = benchmark.transform.evaluation(x)

    if normalize == "true":
        assert float(seen.mean()) == pytest.approx(0, abs=1e-5)
        assert float(seen.std(correction=0)) == pytest.approx(1, abs=1e-5)
    else:
        assert torch.allclose(seen, x / 255)


@pytest.mark.parametrize("strategy", ["naive", "replay", "cumulative", "joint", "ar1"])
def test_own_images_are_trained_on_from_start_to_end(photos, tmp_path, strategy):
    config = clrun.compose(
        [
            "benchmark=folder",
            f"benchmark.data_root={photos}",
            "device=cpu",
            f"strategy={strategy}",
            f"output_root={tmp_path / 'outputs'}",
        ]
    )

    results = clrun.run(config, tmp_path / "run")

    assert results.metrics["acc_final"] >= 1 / 3


@pytest.fixture
def arrays(tmp_path: Path) -> Path:
    """Three classes of ten grey images, and a test side of two of each."""
    y, y_test = np.arange(3).repeat(10), np.arange(3).repeat(2)
    x, x_test = (np.arange(len(of) * 16, dtype=np.uint8).reshape(-1, 4, 4) for of in (y, y_test))
    np.savez(tmp_path / "arrays.npz", x=x, y=y, x_test=x_test, y_test=y_test)
    return tmp_path / "arrays.npz"


@pytest.mark.parametrize("source", ["folder", "csv", "npz"])
@pytest.mark.parametrize(
    "words",
    [
        (),
        ("benchmark.scenario=ni", "benchmark.n_experiences=2"),
        ("benchmark.scenario=permuted", "benchmark.n_experiences=2"),
        ("benchmark.scenario=nc", "benchmark.limit_per_class=4"),
        ("benchmark.scenario=nc", "benchmark.validation_fraction=0.25"),
    ],
    ids=" ".join,
)
def test_an_outline_is_the_stream_without_its_images(source, words, photos, table, arrays):
    place = {"folder": photos, "csv": table, "npz": arrays}[source]
    split = made(f"benchmark={source}", f"benchmark.data_root={place}", *words)
    whole = split.load(seed=0)

    outline = split.outline(seed=0)

    for ours, theirs in zip(outline, whole, strict=True):
        assert ours.classes == theirs.classes
        for part in ("train", "test", "validation"):
            mine, read = getattr(ours, part), getattr(theirs, part)
            assert (mine is None) == (read is None)
            if read is not None:
                assert torch.equal(mine.y, read.y)
                assert mine.x.shape == read.x.shape
    assert (outline.class_names, outline.shape) == (whole.class_names, whole.shape)
    assert sizes(outline) == sizes(whole)


def test_what_was_found_in_the_pixels_before_is_told_with_an_outline(photos):
    (photos / "ant" / "0.png").write_bytes((photos / "ant" / "1.png").read_bytes())
    (photos / "cow" / "2.png").write_bytes((photos / "ant" / "1.png").read_bytes())
    words = (f"benchmark.data_root={photos}", "benchmark.test_fraction=0.5")
    notes = made("benchmark=folder", *words).load(seed=0).notes

    outline = made("benchmark=folder", *words).outline(seed=0)

    assert outline.notes == notes
    assert "have the pixels of training rows" in notes[0]


def test_a_source_that_reads_its_images_has_no_outline():
    assert made("benchmark=digits").outline(seed=0) is None
