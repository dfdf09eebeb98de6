"""No command shows a terminal what it would obey: names come from anybody's files."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from clrun.cli.main import main

CANARY = "x\x1b[2J\u202ey"
SHOWN = "x\\x1b[2J\\u202ey"
OBEYED = re.compile("[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f\u202a-\u202e]|\x1b(?!\\[[0-9;]*m)")
"""Everything but the colours that clrun itself sends."""
UNSEEN = (["--hydra-help"], ["--info", "all"], ["--cfg", "job", "experiment=r"])
"""Commands that do not show it; the last one writes YAML, which has escapes of its own."""
QUICK = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")


def require_shown(capsys: pytest.CaptureFixture[str], *, seen: bool = True) -> str:
    """What was printed; the canary is in it, and nothing that a terminal obeys."""
    captured = capsys.readouterr()
    whole = captured.out + captured.err
    assert not OBEYED.search(whole), repr(OBEYED.search(whole))
    assert SHOWN in whole or not seen, whole
    return whole


@pytest.fixture
def folder(workplace: Path) -> Path:
    """A configuration folder whose names and texts are canaries."""
    for group, content in {
        "strategy": {"defaults": ["naive", "_self_"]},
        "model": {"defaults": ["mlp", "_self_"]},
        "benchmark": {"defaults": ["digits", "_self_"]},
    }.items():
        path = workplace / "mine" / group / f"{CANARY}.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(f"# About \u202e{CANARY[0]}\x1b[2J.\n" + yaml.safe_dump(content))
    recipe = workplace / "mine" / "experiment" / "r.yaml"
    recipe.parent.mkdir()
    said = {CANARY: 1, "run_name": CANARY}
    recipe.write_text("# @package _global_\n" + yaml.safe_dump(said, allow_unicode=False))
    (workplace / "mine" / "good" / "experiment").mkdir(parents=True)
    (workplace / "mine" / "good" / "experiment" / "named.yaml").write_text(
        "# @package _global_\n" + yaml.safe_dump({"run_name": CANARY}, allow_unicode=False)
    )
    return workplace / "mine"


@pytest.mark.parametrize(
    "words",
    [
        ["strategy=nowhere"],
        ["--help"],
        ["--info", "all"],
        ["--cfg", "job", "experiment=r"],
        ["experiment=r"],
        ["--hydra-help"],
        [f"strategy={CANARY}"],
        [f"strategy.{CANARY}=1"],
        [f"{CANARY}=1"],
        [f"strategy.lr='{CANARY}'"],
        [f"--{CANARY}"],
        [CANARY],
        ["preview", "experiment=r"],
        ["preview", f"strategy.lr='{CANARY}'"],
        ["profile", "experiment=r"],
        ["help", f"strategy={CANARY}"],
        ["help", "strategy"],
        ["help", CANARY],
        ["list"],
        ["list", "strategies"],
        ["-m", "seed=1,2", "experiment=r"],
        ["-m", "seed=1,2", f"strategy.lr='{CANARY}'"],
        ["evaluate", CANARY],
        ["predict", ".", CANARY],
    ],
    ids=ascii,
)
def test_words_and_files(
    words: list[str], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [] if words[0] in ("evaluate", "predict") else ["--config-dir", str(folder)]

    main([*words, *where])

    require_shown(capsys, seen=words not in UNSEEN)


@pytest.mark.parametrize("option", ["--config-dir", "--config-path"])
def test_folders_that_are_not_there(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option, CANARY]) == 2

    require_shown(capsys)


def test_folders_that_are_there(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = workplace / CANARY / "strategy"
    place.mkdir(parents=True)
    (place / "mine.yaml").write_text("- a list\n")

    for words in (["strategy=mine"], ["help", "strategy=mine"], ["list", "strategies"]):
        main([*words, "--config-dir", CANARY])
        require_shown(capsys)


@pytest.mark.parametrize("debug", [[], ["--debug"]], ids=str)
def test_a_run(debug: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*QUICK, f"hydra.run.dir='{workplace}/{CANARY}'"]

    assert main([*words, *debug]) == 0
    require_shown(capsys)
    assert main([*words, *debug]) == 3
    require_shown(capsys)


def arrays(workplace: Path) -> list[str]:
    """Class names in an npz file."""
    x = np.random.default_rng(0).integers(0, 255, (20, 8, 8), np.uint8)
    y = np.array([CANARY] * 10 + ["dog"] * 10)
    np.savez(workplace / f"{CANARY}.npz", x=x, y=y)
    return ["benchmark=npz", f"benchmark.data_root='{workplace}/{CANARY}.npz'"]


def table(workplace: Path) -> list[str]:
    """Class names and paths in a csv file."""
    rows = []
    for place in range(12):
        name = f"{CANARY}{place}.png"
        Image.fromarray(np.full((8, 8), place * 20, np.uint8)).save(workplace / name)
        rows.append((name, CANARY if place % 2 else "dog"))
    with (workplace / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return ["benchmark=csv", f"benchmark.data_root={workplace / 't.csv'}"]


@pytest.mark.parametrize("data", [arrays, table], ids=lambda data: data.__name__)
@pytest.mark.parametrize("verb", [["preview"], []], ids=["preview", "run"])
def test_names_in_data(
    verb: list[str], data: object, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*data(workplace), "benchmark.n_experiences=1"]  # type: ignore[operator]

    main([*verb, *words, *QUICK])

    require_shown(capsys, seen=bool(verb))
