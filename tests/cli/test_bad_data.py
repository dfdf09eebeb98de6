"""One's own data that are malformed: exit code 2, one line that names the file, nothing written."""

from __future__ import annotations

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clrun.cli.main import main


def image(path: Path, size: tuple[int, int] = (8, 8), mode: str = "RGB", **keys: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size).save(path, **keys)


def classes(root: Path, *names: str, rows: int = 3) -> None:
    for name in names:
        for k in range(rows):
            image(root / name / f"{k}.png")


def table(path: Path, text: str, encoding: str = "utf-8") -> None:
    for name in "abcdef":
        image(path.parent / f"{name}.png")
    path.write_bytes(text.encode(encoding))


def arrays(path: Path, **given: object) -> None:
    whole = {"x": np.zeros((6, 8, 8), np.uint8), "y": np.array([0, 0, 0, 1, 1, 1]), **given}
    np.savez(path, **{name: value for name, value in whole.items() if value is not None})


# ---- folders


def no_folder(data: Path) -> None:
    data.rmdir()


def a_file(data: Path) -> None:
    data.rmdir()
    data.write_text("x")


def no_class_folders(data: Path) -> None:
    image(data / "0.png")


def one_class(data: Path) -> None:
    classes(data, "cat")


def empty_class(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "emu").mkdir()


def corrupt_image(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "cat" / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(30))


def truncated_image(data: Path) -> None:
    classes(data, "cat", "dog")
    noise = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    (data / "dog" / "1.png").write_bytes(out.getvalue()[:-60])


def empty_image(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "cat" / "1.png").write_bytes(b"")


def text_for_an_image(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "cat" / "1.png").write_text("no image")


def other_suffix(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "cat" / "1.heic").write_bytes(b"x")


def mixed_sizes(data: Path) -> None:
    classes(data, "cat", "dog")
    image(data / "dog" / "1.png", (9, 7))


def float_image(data: Path) -> None:
    classes(data, "cat", "dog")
    image(data / "dog" / "1.tif", mode="F")


def animation(data: Path) -> None:
    classes(data, "cat", "dog")
    frames = [Image.new("L", (8, 8), grey) for grey in (0, 255)]
    frames[0].save(data / "dog" / "1.gif", save_all=True, append_images=frames[1:])


def link_loop(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "dog" / "again").symlink_to(data, target_is_directory=True)


def broken_link(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "dog" / "9.png").symlink_to(data / "gone.png")


def link_to_itself(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "dog" / "9.png").symlink_to("9.png")


def broken_link_for_a_class(data: Path) -> None:
    classes(data, "cat", "dog")
    (data / "emu").symlink_to(data / "gone", target_is_directory=True)


def name_that_is_no_text(data: Path) -> None:
    classes(data, "cat", "dog")
    os.rename(data / "dog" / "1.png", os.fsencode(data / "dog") + b"/\xff.png")


def class_of_two_lines(data: Path) -> None:
    classes(data, "cat", "d\nog")


def class_without_test(data: Path) -> None:
    classes(data / "train", "cat", "dog")
    classes(data / "test", "cat")


def class_without_train(data: Path) -> None:
    classes(data / "train", "cat", "dog")
    classes(data / "test", "cat", "dog", "emu")


def one_image_of_a_class(data: Path) -> None:
    classes(data, "cat", "dog")
    classes(data, "emu", rows=1)


def stray_image(data: Path) -> None:
    classes(data, "cat", "dog")
    image(data / "0.png")


def sides_beside_classes(data: Path) -> None:
    classes(data, "train", "bus", "car")


def without_train(data: Path) -> None:
    classes(data / "test", "cat", "dog")


def one_file_on_both_sides(data: Path) -> None:
    classes(data / "train", "cat", "dog")
    (data / "test").symlink_to("train", target_is_directory=True)


def sides_in_classes(data: Path) -> None:
    classes(data / "cat", "train", "test")
    classes(data / "dog", "train", "test")


def classes_of_one_name(data: Path) -> None:
    classes(data, "1", "01")


def class_without_name(data: Path) -> None:
    classes(data, "cat", "nan")


def three_damaged(data: Path) -> None:
    classes(data, "cat", "dog")
    for k in range(3):
        (data / "cat" / f"{k}.png").write_text("<html>404</html>")


FOLDERS = [
    (sides_beside_classes, "train/ means a side and stands beside bus/"),
    (without_train, "has test/ and no train/"),
    (one_file_on_both_sides, "train/cat/0.png and test/cat/0.png are one file"),
    (sides_in_classes, "cat/ is read as a class, and holds test/ and train/"),
    (classes_of_one_name, "data/01/ has class '01' and data/1/ '1', which are one number"),
    (class_without_name, "data/nan/ has no label ('nan')"),
    (three_damaged, "3 files are damaged: cat/0.png is no image that can be read; cat/1.png"),
    (no_folder, "there is no such folder"),
    (a_file, "is a file, not a folder"),
    (no_class_folders, "has images (0.png) but no class folders"),
    (one_class, "there is one class only (cat)"),
    (empty_class, "data/emu/ has no images"),
    (corrupt_image, "cat/1.png"),
    (truncated_image, "dog/1.png cannot be decoded"),
    (empty_image, "cat/1.png is empty"),
    (text_for_an_image, "cat/1.png is no image that can be read"),
    (other_suffix, "cat/1.heic is no image by its name"),
    (mixed_sizes, "dog/1.png has 9x7 pixels, and cat/0.png 8x8. Use e.g. benchmark.image_size=8"),
    (float_image, "dog/1.tif cannot be decoded (32-bit floats"),
    (animation, "dog/1.gif cannot be decoded (it has several frames"),
    (link_loop, "is a link to a folder above it"),
    (broken_link, "dog/9.png is a broken link"),
    (link_to_itself, "dog/9.png is a broken link"),
    (broken_link_for_a_class, "data/emu is a broken link"),
    (name_that_is_no_text, r"'dog/\udcff.png' has a name that is no text"),
    (class_of_two_lines, r"'data/d\nog' has a name that is no text on one line"),
    (class_without_test, "train/ has a class dog, and test/ has none"),
    (class_without_train, "test/ has a class emu, and train/ has none"),
    (one_image_of_a_class, "class emu has no test rows"),
    (stray_image, "0.png lies beside the class folders"),
]

# ---- tables: the text of data.csv, beside a.png to f.png

GOOD = "a.png,0\nb.png,0\nc.png,0\nd.png,1\ne.png,1\n"
TABLES = [
    ("", "is empty. Its first line must name the columns path and label"),
    ("path,label\n", "has a header and no rows"),
    ("file,label\n" + GOOD, "has no column path, only file, label"),
    ("path;label\na.png;0\n", "has semicolons between its columns. Use commas"),
    ("path,label\n" + GOOD + "f.png\n", "row 6 has 1 cells, and the header 2"),
    ("path,label\n" + GOOD + "f.png,nan\n", "row 6 has no label ('nan')"),
    ("path,label\n" + GOOD + "f.png,\n", "row 6 has no label ('')"),
    ("path,label\n" + GOOD + "f.png,-1\n", "row 6 has label -1. Number classes from 0 on"),
    ("path,label\n" + GOOD + "./a.png,1\n", "rows 1 and 6 both name ./a.png"),
    ("path,label\n" + GOOD + "g.png,1\n", "row 6 names g.png, and there is no such file"),
    ("path,label\n" + GOOD + "../g.png,1\n", "row 6 has path '../g.png'"),
    ("path,label\n" + GOOD + "/etc/passwd,1\n", "row 6 has path '/etc/passwd'"),
    ("path,label\n" + GOOD + '"f.png,1\n', "is no comma-separated table"),
    (
        "path,label,split\na.png,0,train\nb.png,1,both\n",
        "row 2 has split 'both'. Use train, val or test",
    ),
    ("path,label\n" + GOOD + "f.png,None\n", "row 6 has no label ('None')"),
    ("path,label\na.png,cat\nb.png,Cat\n", "row 1 has class 'cat' and row 2 'Cat'"),
    ("path,label\na.png,1\nb.png,1.0\n", "row 1 has class '1' and row 2 '1.0', which are one"),
    ("path,label\n" + GOOD + "f.png,x\u200b\n", "with an invisible character (U+200B)"),
    ("path,label\n" + GOOD + "g.png,1\nh.png,1\n", "2 files are not there: row 6 g.png, row 7 h"),
    (
        "path,label,split\na.png,0,train\nb.png,0,val\nc.png,0,test\nd.png,1,train\ne.png,1,test\n",
        "class 1 has no validation rows",
    ),
    ("path,label,split,group\na.png,0,train,x\nb.png,1,test,x\n", "rows 1 and 2 are of one group"),
    ("path,label,split\na.png,0,train\nb.png,1,train\n", "class 0 has no test rows"),
    ("path,label,experience\na.png,0,1\nb.png,1,one\n", "row 2 has experience 'one'"),
    ("path,label,experience\na.png,0,1\nb.png,1,\n", "row 2 has no experience"),
    ("path,label,label\n", "has two columns label"),
]

# ---- arrays: what is changed of good ones

X = np.zeros((6, 8, 8), np.uint8)
ARRAYS = [
    ({"y": None}, "has arrays x, and y is missing"),
    ({"x": X.astype(np.float32)}, "x is float32, and which value is white is not known"),
    ({"x": X.astype(np.int64)}, "x is int64. Save uint8, uint16 or bool"),
    ({"x": X.reshape(6, 64)}, "x has shape (6, 64). Use [N, H, W]"),
    ({"x": np.zeros((6, 8, 8, 4), np.uint8)}, "x has shape (6, 8, 8, 4)"),
    ({"x": X[:5]}, "y has shape (6,), and x (5, 8, 8)"),
    ({"x": X[:0], "y": np.zeros(0, int)}, "x is empty"),
    ({"x": np.array([{}] * 6)}, "x holds Python objects, which are not read"),
    ({"y": np.array(["a", None] * 3)}, "y holds Python objects, which are not read"),
    ({"y": np.array([0, 0, 0, 1, 1, np.nan])}, "y has a NaN where whole numbers"),
    ({"y": np.array([0, 0, 0, 1, 1, -1])}, "row 6 has label -1"),
    ({"y": np.zeros((6, 2), int)}, "y has shape (6, 2), and not a single 1 in each row"),
    ({"y": np.ones((6, 2), int)}, "e.g. y.argmax(1)"),
    ({"y": np.zeros((6, 1, 1), int)}, "y has shape (6, 1, 1)"),
    ({"y": np.array([0, 0, 0, 1, 1, 1.5])}, "y has 1.5 where whole numbers"),
    ({"y": np.array([0, 0, 0, 1, 1, np.inf])}, "y has inf where whole numbers"),
    ({"y": np.array([b"a", b"a", b"a", b"b", b"b", b"\xff"])}, "y holds bytes that are not UTF-8"),
    ({"x": np.full((6, 8, 8), 255, np.uint16)}, "Save 8 bits, e.g. x.astype('uint8')"),
    ({"x": np.full((6, 8, 8), 4095, ">u2")}, "e.g. (x >> 4).astype('uint8')"),
    ({"x": np.ones((6, 8, 8), np.uint8)}, "the images hold 0 and 1 alone, of 255: nearly black"),
    ({"x": X.reshape(6, 64)}, "e.g. x.reshape(-1, 8, 8)"),
    ({"x": np.zeros((6, 192), np.uint8)}, "e.g. x.reshape(-1, 8, 8, 3)"),
    ({"x": np.zeros((6, 8, 8, 4), np.uint8)}, "e.g. x[..., :3]"),
    ({"x": np.zeros((6, 4, 8, 8), np.uint8)}, "e.g. x[:, :3]"),
    ({"x_train": X}, "x and x_train both mean train images. Keep one"),
    ({"task_test": np.zeros(6, int)}, "has task_test without task and x_test"),
    ({"x": None, "y": None, "arr_0": X}, "has arrays arr_0, and x is missing. Add it: numpy.savez"),
    ({"x_test": X}, "y_test is missing"),
    ({"x_test": X[:, :7], "y_test": np.array([0, 1] * 3)}, "Save images of one size"),
    ({"task": np.array([0, 0, 1, 1, 1, -1])}, "task has -1. Number experiences from 0 on"),
    ({"task": np.array(["a"] * 6)}, "task is <U1"),
]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a run with these words is refused with."""
    before = sorted(str(path) for path in Path().rglob("*"))

    code = main(["device=cpu", *words])

    output = capsys.readouterr().err.splitlines()
    assert code == 2, output
    assert len(output) == 1
    after = [path for path in Path().rglob("*") if path.parts[0] != "cache"]
    assert sorted(map(str, after)) == before
    return output[0]


@pytest.fixture(autouse=True)
def cache_in(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLRUN_CACHE", str(workplace / "cache"))


@pytest.mark.parametrize(("build", "named"), FOLDERS, ids=[b.__name__ for b, _ in FOLDERS])
def test_a_malformed_folder_is_refused(
    build: Callable[[Path], None], named: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "data").mkdir()
    build(workplace / "data")

    output = refused(["benchmark=folder", "benchmark.data_root=data"], capsys)

    assert output.startswith(f"clrun: benchmark.data_root={workplace}/data: ")
    assert named in output


@pytest.mark.parametrize(("text", "named"), TABLES, ids=[named for _, named in TABLES])
def test_a_malformed_table_is_refused(
    text: str, named: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(workplace / "data.csv", text)

    output = refused(["benchmark=csv", "benchmark.data_root=data.csv"], capsys)

    assert output.startswith(f"clrun: benchmark.data_root={workplace}/data.csv: ")
    assert named in output


def test_a_table_in_another_encoding_is_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table(workplace / "data.csv", "path,label\na.png,käfer\n", "latin-1")

    assert "is not UTF-8 text" in refused(["benchmark=csv", "benchmark.data_root=data.csv"], capsys)


@pytest.mark.parametrize(("changed", "named"), ARRAYS, ids=[named for _, named in ARRAYS])
def test_malformed_arrays_are_refused(
    changed: dict[str, object], named: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays(workplace / "data.npz", **changed)

    output = refused(["benchmark=npz", "benchmark.data_root=data.npz"], capsys)

    assert output.startswith(f"clrun: benchmark.data_root={workplace}/data.npz: ")
    assert named in output


class Runs:
    """A pickle of this makes a folder when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("it_ran",)


def cut_short(path: Path) -> None:
    arrays(path)
    path.write_bytes(path.read_bytes()[:-40])


def no_zip(path: Path) -> None:
    np.save(path.with_suffix(".npy"), X)
    path.with_suffix(".npy").rename(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def pickle_for_an_array(path: Path) -> None:
    arrays(path, x=None)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", pickle.dumps(Runs()))


def header_that_lies(path: Path) -> None:
    arrays(path, x=None)
    out = io.BytesIO()
    described = {"descr": "|u1", "fortran_order": False, "shape": (6, 1 << 20, 1 << 20)}
    np.lib.format.write_array_header_1_0(out, described)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("x.npy", out.getvalue() + bytes(99))


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (cut_short, "is no complete .npz file"),
        (no_zip, "is no complete .npz file"),
        (a_folder, "is a folder"),
        (pickle_for_an_array, "x is no array"),
        (header_that_lies, "x holds less or more than its header says"),
    ],
)
def test_a_file_that_is_no_npz_is_refused_and_runs_no_code(
    build: Callable[[Path], None], named: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build(workplace / "data.npz")

    assert named in refused(["benchmark=npz", "benchmark.data_root=data.npz"], capsys)
    assert not Path("it_ran").exists()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("benchmark=folder", "benchmark.data_root=null: name the folder"),
        ("benchmark=csv", "benchmark.data_root=null: name the table"),
        ("benchmark=npz", "benchmark.data_root=null: name the file"),
        ("benchmark=csv benchmark.data_root=gone.csv", "there is no such file"),
        ("benchmark=npz benchmark.data_root=gone.npz", "there is no such file"),
        ("benchmark=npz benchmark.scenario=ni", "benchmark.n_experiences=null: scenario=ni"),
        ("benchmark=npz benchmark.test_fraction=1", "benchmark.test_fraction=1: must be below 1"),
        ("benchmark=torchvision benchmark.dataset=SVNH", "Did you mean 'SVHN'?"),
        ("benchmark=torchvision benchmark.dataset=Food101", "benchmark.image_size=null"),
        ("benchmark=torchvision benchmark.dataset=GTSRB", "benchmark.image_size=null"),
        (
            "benchmark=torchvision benchmark.download=false benchmark.data_root=.",
            "SVHN/train_32x32.mat is missing",
        ),
        (
            "benchmark=split_tiny_imagenet benchmark.download=false benchmark.data_root=.",
            "tiny-imagenet-200/train and 1 more are missing",
        ),
    ],
)
def test_data_that_are_not_there_are_refused(
    words: str, named: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert named in refused(words.split(), capsys)
