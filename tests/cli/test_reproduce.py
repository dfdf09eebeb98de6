"""scripts/reproduce: what it says of a number, by bands that are made up, and a row that runs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import yaml

import clrun

PATH = Path(__file__).resolve().parents[2] / "scripts" / "reproduce.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("reproduce", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["reproduce"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["reproduce"]


@pytest.fixture
def row(script):
    def make(**keys):
        usual = {"name": "r", "experiment": None, "data": "digits", "seeds": 3}
        return script.Row(**{**usual, **keys})

    return make


@pytest.mark.parametrize(
    ("keys", "values", "said"),
    [
        ({"band": [49, 51]}, [49.5, 50.5], "yes"),
        ({"band": [49, 51]}, [40.0, 61.0], "yes"),  # the mean counts
        ({"band": [49, 51]}, [51.5], "no"),
        (
            {"band": [49, 51], "differs": "of this"},
            [10.0],
            "our definition differs because of this",
        ),
        ({"band": [49, 51], "differs": "of this"}, [50.0], "yes"),
    ],
)
def test_a_mean_is_in_its_band_or_not(keys, values, said, row, script):
    assert script.verdict(row(**keys), script.Measured(values=values)) == said


@pytest.mark.parametrize(("mean", "said"), [(55.5, "yes"), (56.5, "no"), (44.5, "yes")])
def test_without_a_band_two_joint_standard_errors_decide(mean, said, row, script):
    published = script.Published(value=50.0, spread=2.0, kind="SEM", source="made up")
    values = [mean - 2, mean, mean + 2, mean - 2, mean + 2]  # SD 2, SEM 0.89... of five

    measured = script.Measured(values=values)
    by_hand = 2 * (2.0**2 + (sum((v - mean) ** 2 for v in values) / 4) / 5) ** 0.5

    assert by_hand == pytest.approx(4.38, abs=0.01)
    assert script.verdict(row(published=published), measured) == (
        "yes" if abs(mean - 50) <= by_hand else "no"
    )


def test_what_did_not_run_says_why(row, script, tmp_path):
    away = row(band=[0, 1], data="mnist")
    far = row(out_of_reach="needs a GPU")

    assert script.verdict(away, script.measure(away, None, tmp_path)).startswith("skipped: needs")
    missing = script.measure(away, tmp_path, tmp_path)
    assert script.verdict(away, missing) == f"skipped: {tmp_path} has no MNIST/raw"
    assert script.verdict(far, script.measure(far, None, tmp_path)) == "skipped: needs a GPU"
    with pytest.raises(ValueError, match="neither a band"):
        row()


ROWS = {
    "rows": {
        "learns": {"band": [0, 100]},
        "does_not": {"band": [99.5, 100]},
        "stops": {"band": [0, 1], "words": ["strategy.lr=-1"]},
    },
    "orderings": [
        {"higher": "learns", "lower": "does_not", "within": 100},
        {"higher": "learns", "lower": "does_not", "by": 99},
        {"higher": "learns", "lower": "stops"},
    ],
}
WORDS = ["strategy=naive", "strategy.train_iterations=5", "benchmark.n_experiences=2", "device=cpu"]


def test_rows_are_run_and_judged(script, tmp_path):
    for name, keys in ROWS["rows"].items():
        keys |= {"experiment": None, "data": "digits", "seeds": 2 if name == "learns" else 1}
        keys["words"] = [*WORDS, *keys.get("words", ())]
    (tmp_path / "rows.yaml").write_text(yaml.safe_dump(ROWS, sort_keys=False))
    catalogue = script.read_catalogue(tmp_path / "rows.yaml")

    table = list(script.reproduce(catalogue, [], None, tmp_path / "work"))

    head, _, learns, does_not, stops, _, _, _, equal, higher = table
    assert [line.count("|") for line in (head, learns, does_not)] == [8] * 3
    assert learns.startswith("| learns | - | 0.0 to 100.0 | ")
    assert learns.endswith(" | yes |")
    assert " ± " in learns
    assert does_not.endswith(" | no |")
    assert "| no: " in stops
    assert "strategy.lr=-1: must be above 0." in stops
    assert equal.endswith("| yes |")
    assert higher.endswith("| no |")
    again = list(script.reproduce(catalogue, ["does*"], None, tmp_path / "work"))
    assert again[2] == does_not  # of the runs that were kept


def test_every_row_is_of_a_recipe_that_composes(script):
    catalogue = script.read_catalogue(script.ROWS)

    for row in catalogue.rows:
        if row.data != "cifar10" and "ewc" not in row.name:  # all recipes: test_conf_files
            continue
        config = clrun.compose([f"experiment={row.experiment}", *row.words])
        assert row.data in FOLDERS.get(config.nodes["benchmark"].option, row.data)
    recipes = {f"repro/{path.stem}" for path in RECIPES.glob("*.yaml")}
    assert recipes <= {row.experiment for row in catalogue.rows}


RECIPES = PATH.parents[1] / "conf" / "experiment" / "repro"
FOLDERS = {
    "split_mnist": "mnist",
    "split_fashion_mnist": "fashion_mnist",
    "split_cifar10": "cifar10",
}
