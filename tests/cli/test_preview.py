"""`clrun preview`, end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clrun.cli.main import main
from clrun.sources.core50_files import LISTS
from clrun.sources.core50_lists import list_names


def test_a_table_is_shown_and_nothing_is_written(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["preview", "strategy=naive"])

    output = capsys.readouterr().out
    assert code == 0
    assert output.startswith("benchmark=digits benchmark.scenario=nc seed=0\n")
    assert "strategy=naive: 980 updates" in output
    assert not list(workplace.iterdir())


def test_json_is_all_there_is_on_standard_output(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["preview", "--json", "benchmark.scenario=ni", "seed=3", "strategy=naive"])

    output = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (output["seed"], len(output["experiences"]), output["train"]) == (3, 5, 1442)
    assert set(output["experiences"][0]) >= {"train", "test", "classes", "validation", "bytes"}


def test_the_picture_is_written_where_it_is_asked_for(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["preview", "strategy=naive", "--png", "stream.png"])

    assert code == 0
    assert f"picture: {workplace / 'stream.png'}" in capsys.readouterr().out
    assert [path.name for path in workplace.iterdir()] == ["stream.png"]


def test_a_recipe_of_ones_own_is_found_through_config_dir(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = workplace / "mine" / "experiment" / "mine.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text("# @package _global_\nbenchmark:\n  n_experiences: 2\nseed: 7\n")

    code = main(["preview", "--config-dir", "mine", "+experiment=mine", "--json"])

    output = json.loads(capsys.readouterr().out)
    assert code == 0
    assert (output["seed"], len(output["experiences"])) == (7, 2)


@pytest.mark.parametrize(
    "words",
    [
        "strategy.mem_sizee=3",
        "strategy.lr=fast",
        "benchmark=split_mnits",
        "benchmark.n_experiences=3",
        "seed=1,2",
        "seed=[1",
        "--config-dir nowhere",
        "storage_policy=reservoir selection=herding",
        "benchmark=split_mnist benchmark.download=false benchmark.data_root=nowhere",
    ],
)
def test_mistakes_are_shown_as_a_run_shows_them(
    words: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = [main(["preview", *words.split()]), 0]
    by_preview = capsys.readouterr().err
    codes[1] = main(words.split())
    by_run = capsys.readouterr().err

    assert codes == [2, 2]
    assert by_preview == by_run
    assert not list(workplace.iterdir())


def counted(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[dict[str, int]]:
    """The training rows of each class in each experience, as JSON has them."""
    capsys.readouterr()
    assert main(["preview", "--json", "strategy=naive", *words]) == 0
    return [
        experience["classes"] for experience in json.loads(capsys.readouterr().out)["experiences"]
    ]


@pytest.fixture
def undecodable(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """photos/ with a table, and photos.npz: headers and labels are right, and no pixel is."""
    monkeypatch.setenv("CLRUN_CACHE", str(workplace / "cache"))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 40, 40), np.uint8)
    rows = [(f"{name}/{k}.png", name) for name in ("ant", "bee") for k in range(10)]
    for (path, _), image in zip(rows, pixels, strict=True):
        (workplace / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(workplace / "photos" / path)
        whole = (workplace / "photos" / path).read_bytes()
        (workplace / "photos" / path).write_bytes(whole[: len(whole) // 2])
    lines = [("path", "label"), *((f"photos/{path}", name) for path, name in rows)]
    (workplace / "table.csv").write_text("".join(f"{','.join(line)}\n" for line in lines))
    np.savez(workplace / "arrays.npz", x=pixels, y=np.repeat([0, 1], 10))
    stored = (workplace / "arrays.npz").read_bytes()
    (workplace / "arrays.npz").write_bytes(stored.replace(pixels[3].tobytes(), bytes(1600)))
    return workplace


@pytest.mark.parametrize(
    "words",
    [
        ["benchmark=folder", "benchmark.data_root=photos"],
        ["benchmark=csv", "benchmark.data_root=table.csv"],
        ["benchmark=npz", "benchmark.data_root=arrays.npz"],
    ],
    ids=lambda words: words[0],
)
def test_what_needs_no_pixel_decodes_none(
    words: list[str], undecodable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert counted(words, capsys) == [{"0": 8}, {"1": 8}]

    assert not (undecodable / "cache").exists()
    assert main(["preview", *words, "--png", "stream.png"]) == 2  # a picture has pixels


def test_core50_is_counted_by_its_lists_alone(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = [range(10), *(range(start, start + 5) for start in range(10, 50, 5))]
    names = list_names(len(groups))
    lists = [[f"s1/o{k + 1}/C_01_{k + 1:02}_000.png {k}" for k in group] for group in groups]
    lists.append([f"s3/o{k + 1}/C_03_{k + 1:02}_000.png {k}" for k in range(50)])
    for name, lines in zip(names, lists, strict=True):
        (workplace / LISTS["nc"] / "run0").mkdir(parents=True, exist_ok=True)
        (workplace / LISTS["nc"] / "run0" / name).write_text("\n".join(lines) + "\n")
    words = ["benchmark=core50_nc", "benchmark.data_root=.", "benchmark.run=0"]

    found = counted([*words, "benchmark.download=false"], capsys)

    assert found == [dict.fromkeys(map(str, group), 1) for group in groups]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--jsn", "--jsn: preview has no such option. Did you mean '--json'?"),
        ("--multirun seed=1,2", "--multirun: preview has no such option."),
        ("--cfg job", "--cfg: preview has no such option."),
        ("--png", "expected one argument"),
        ("--png picture.jpg", "--png=picture.jpg: the picture is a PNG."),
        ("--png nowhere/p.png", "--png=nowhere/p.png: there is no folder"),
        ("--png folder.png", "--png=folder.png: is a folder."),
    ],
)
def test_options_that_mean_nothing_are_refused_in_one_line(
    words: str, message: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "folder.png").mkdir()

    code = main(["preview", *words.split()])

    error = capsys.readouterr().err
    assert code == 2
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("words", [["--help"], ["lr=1"]], ids=" ".join)
def test_no_torch_is_imported_to_help_or_to_refuse(words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom clrun.cli.main import main\n"
        "try:\n"
        f"    main(['preview', *{words!r}])\n"
        "except SystemExit:\n"
        "    pass\n"
        "heavy = {'torch', 'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
