"""`seeds` and what goes with it: checked like any key, and no part of a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import clrun
from clrun.cli.main import main
from clrun.config.compose import compose, initialized
from clrun.config.override_text import override_text
from clrun.config.repeats import check_repeats, seeded
from clrun.config.run_config import RepeatKeys
from clrun.config.sources import REPEATS, conf_root
from clrun.config.sweep import Sweep
from clrun.config.sweep_words import read_sweep
from clrun.errors import ConfigError


def swept(*words: str) -> Sweep:
    with initialized() as app:
        sweep = read_sweep(app, "config", words)
        return seeded(sweep, check_repeats(sweep.tree))


def test_they_change_neither_hash_nor_record_of_a_run() -> None:
    plain, several = compose([]), compose(["seeds=5", "references=true", "seeds_width=0.1"])

    assert several.repeats == RepeatKeys(seeds=5, references=True, seeds_width=0.1)
    assert several.hash() == plain.hash()
    assert {**several.plain(), "overrides": []} == plain.plain()
    assert several.as_dict() == plain.as_dict()


def test_yaml_has_the_keys_and_defaults_of_the_dataclass() -> None:
    given = yaml.safe_load((conf_root() / "config.yaml").read_text())

    assert tuple(RepeatKeys.__dataclass_fields__) == REPEATS
    assert RepeatKeys(**{key: given[key] for key in REPEATS}) == RepeatKeys()


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        (["seeds=3"], [("seed=0",), ("seed=1",), ("seed=2",)]),
        (["seeds=2", "seed=7"], [("seed=7",), ("seed=8",)]),
        (["seed=4", "seeds=1"], [("seed=4",)]),
        (["seeds=auto", "seeds_max=2"], [("seed=0",), ("seed=1",)]),
        (["references=true", "seed=3"], [("seed=3",)]),
        (
            ["strategy.lr=0.1,0.2", "seeds=2"],
            [(f"strategy.lr={lr}", f"seed={seed}") for lr in (0.1, 0.2) for seed in (0, 1)],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value[0], str) else "",
)
def test_the_jobs_are_so_many_seeds_from_the_one_that_is_given_on(words, jobs) -> None:
    assert swept(*words).jobs() == jobs


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["seeds=0"], "seeds=0: must be at least 1 or must be one of auto."),
        (["seeds=many"], "seeds=many: must be a whole number or must be one of auto."),
        (["seeds=auto", "seeds_width=0"], "seeds_width=0: must be above 0."),
        (["seeds=auto", "seeds_max=0"], "seeds_max=0: must be at least 1."),
        (["references=maybe"], "references=maybe: must be true or false."),
        (["seeds_width=0.1"], "seeds_width=0.1: only seeds=auto reads this. Leave it out, or say"),
        (["seeds=5", "seeds_max=9"], "seeds_max=9: only seeds=auto reads this."),
        (["-m", "seeds=5", "seed=0,1"], "seed=0,1: seeds=5 says which seeds. Leave one out."),
        (["seeds=2,3", "-m"], "seeds=2,3: is for all jobs of a sweep. Give it one value: seeds=2."),
        (["seeds=2", "hydra.run.dir=there"], "hydra.run.dir=there: several runs are a sweep."),
        (["seeds=2", "hydra/launcher=basic"], "seeds=2: Hydra's own loop runs these jobs"),
        (["seeds=99999"], "seed: 99,999 jobs. A sweep has at most sweep.max_jobs=10,000."),
        (["tune", "seeds=5"], "seeds=5: a study has seed=0,1,2 and --seeds for that."),
        (["profile", "seeds=5"], "seeds=5: clrun profile measures one run."),
        (
            ["seeds=auto", "hydra.sweep.subdir=here"],
            "hydra.sweep.subdir=here: seeds=auto and references=true name the folders",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_with_them_is_one_line_before_anything_starts(
    words: list[str], line: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(words)

    shown = capsys.readouterr().err
    assert (code, shown.startswith(f"clrun: {line}"), len(shown.splitlines())) == (2, True, 1), (
        shown
    )
    assert not list(workplace.iterdir())


def test_clrun_run_makes_one_run_and_says_so() -> None:
    with pytest.raises(ConfigError, match=r"clrun\.run makes one run"):
        clrun.run(clrun.compose(["seeds=5"]))


@pytest.mark.parametrize(
    "value",
    [None, True, 3, -0.5, 1e-05, "cnn", "a b", "it's", "1", "null", "[x]", ["a", 2], [[1], []]],
    ids=repr,
)
def test_a_value_is_read_back_from_its_text(value: object) -> None:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    [word] = OverridesParser.create().parse_overrides([f"key={override_text(value)}"])

    assert word.value() == value
