from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from clrun.compare.compared import Compared, compared_groups
from clrun.compare.shown import caption
from clrun.errors import ConfigError

Write = Callable[..., Path]

RANDOM = [0.50, 0.52, 0.49, 0.51, 0.53, 0.50, 0.48, 0.52]
HERDING = [0.55, 0.56, 0.55, 0.56, 0.57, 0.56, 0.54, 0.55]


def runs(write: Write, option: str, finals: Sequence[float | None], **keys: Any) -> list[str]:
    """Folders of runs of a selection strategy, one for each seed."""
    return [
        str(write(f"{option}-{seed}", value, seed=seed, options={"selection": option}, **keys))
        for seed, value in enumerate(finals)
    ]


def refusal(folders: Sequence[str], **keys: Any) -> list[str]:
    with pytest.raises(ConfigError) as error:
        compared_groups(folders, **keys)
    return error.value.problems


def test_runs_that_differ_in_their_seed_alone_are_a_method_and_named_by_what_tells_it(written):
    found = compared_groups([*runs(written, "random", RANDOM), *runs(written, "herding", HERDING)])

    assert [(method.name, len(method.runs)) for method in found.methods] == [
        ("random", 8),
        ("herding", 8),
    ]
    assert found.duels[0].comparison.mean == pytest.approx(-0.04875)
    assert found.verdict == (
        "herding is better than random: final accuracy differs by 0.0488 "
        "(95 % interval 0.0393 to 0.0582; p = 0.0078, n = 8)."
    )


def test_the_order_in_which_folders_are_named_pairs_nothing_else(written):
    random, herding = runs(written, "random", RANDOM), runs(written, "herding", HERDING)

    first = compared_groups([*random, *herding])
    second = compared_groups([*random, *reversed(herding)])

    assert first.duels[0].comparison == second.duels[0].comparison


def test_runs_below_a_folder_are_grouped_by_the_value_of_a_key(written, tmp_path):
    runs(written, "random", RANDOM)
    runs(written, "herding", HERDING)

    found = compared_groups([str(tmp_path)], by=["selection"])

    assert {method.name for method in found.methods} == {"random", "herding"}


def test_a_run_without_a_partner_one_that_failed_and_one_without_a_value_are_named(written):
    random = runs(written, "random", [*RANDOM, None])
    herding = runs(written, "herding", HERDING[:6])
    failed = written("bad", seed=7, options={"selection": "herding"}, status="failed", error="boom")

    found = compared_groups([*random, *herding, str(failed)])

    assert found.duels[0].comparison.n == 6
    text = "\n".join(found.missing)
    assert f"herding: failed (1): {failed} (boom)" in text
    assert "random: acc_final is undefined (1)" in text
    assert "random: no partner in herding (2): seed 6" in text
    assert found.plain()["methods"][1]["by_status"] == {"completed": 6, "failed": 1}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"fingerprint": "g"}, "data (fingerprint) f against g"),
        ({"test_rows": 20}, "test rows 20 against 40"),
        ({"classes": [[2, 3], [0, 1]]}, "class order: no run has that of a run of the other"),
        ({"classes": [[0, 1], [2, 3], [4, 5]]}, "experiences 2 against 3"),
        ({"cost": {"memory_bytes": 200}}, "memory 100 bytes against 200 bytes"),
        (
            {"cost": {"train_steps": 5000}},
            "updates 50 against 5,000 (strategy.train_iterations gives",
        ),
        ({"values": {"eval": {"stream": "validation"}}}, "scored on rows of test against"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_not_alike_is_refused_with_what_differs_and_compared_where_that_is_said(
    keys, said, written
):
    folders = [*runs(written, "random", RANDOM), *runs(written, "herding", HERDING, **keys)]

    problems = refusal(folders)
    found = compared_groups(folders, anyway=True)

    assert any("random and herding are not alike: " in p and said in p for p in problems)
    assert all(line.endswith("Compare runs that are alike, or say --anyway.") for line in problems)
    assert any(said in line for line in found.unlike)
    assert found.duels[0].comparison.n == 8


def test_another_benchmark_is_said_once_and_not_all_that_follows_from_it(written):
    other = {"options": {"selection": "herding", "benchmark": "split_mnist"}}
    folders = [
        *runs(written, "random", RANDOM),
        *(
            str(written(f"b{seed}", seed=seed, classes=[[0], [1]], fingerprint="g", **other))
            for seed in range(8)
        ),
    ]

    problems = refusal(folders)

    assert sum("benchmark digits against split_mnist" in line for line in problems) == 1
    assert not any("fingerprint" in line for line in problems)


def test_one_percent_of_a_budget_is_no_other_budget(written):
    spent = {"cost": {"memory_bytes": 101, "train_steps": 50}}

    folders = [*runs(written, "random", RANDOM), *runs(written, "herding", HERDING, **spent)]

    assert compared_groups(folders).unlike == ()


def test_a_method_without_a_memory_is_no_other_budget_but_it_is_said(written):
    none = {"cost": {"memory_bytes": 0}}

    found = compared_groups(
        [*runs(written, "random", RANDOM), *runs(written, "herding", HERDING, **none)]
    )

    assert found.notes == ("random and herding: memory 100 bytes against 0 bytes.",)


def test_several_methods_are_held_to_the_level_together_and_one_may_be_the_baseline(written):
    middle = [value + 0.02 for value in RANDOM]
    folders = [
        *runs(written, "random", RANDOM),
        *runs(written, "herding", HERDING),
        *runs(written, "closest", middle),
    ]

    all_pairs = compared_groups(folders)
    against = compared_groups(folders, baseline="random")

    assert [(duel.a, duel.b) for duel in all_pairs.duels] == [
        ("random", "herding"),
        ("random", "closest"),
        ("herding", "closest"),
    ]
    assert all(duel.comparison.p_holm == 3 * 2 / 2**8 for duel in all_pairs.duels)
    assert all_pairs.verdict.startswith(
        "herding is better than all 2 others; against the nearest, closest, final accuracy differs"
    )
    assert [(duel.a, duel.b) for duel in against.duels] == [
        ("herding", "random"),
        ("closest", "random"),
    ]
    assert against.verdict == (
        "Against random in final accuracy: herding (by 0.0488, p = 0.016) and closest (by 0.0200, "
        "p = 0.016) are better."
    )


def test_what_cannot_be_told_says_how_many_more_seeds_would_settle_it(written):
    found = compared_groups(
        [*runs(written, "random", RANDOM[:3]), *runs(written, "herding", HERDING[:3])]
    )

    assert found.verdict == (
        "Cannot tell random from herding: herding is ahead by 0.0500 in final accuracy "
        "(p = 0.25, n = 3); about 3 more seeds would settle it."
    )


def test_what_cannot_be_told_from_the_baseline_is_named_with_the_way_on(written):
    folders = [
        *runs(written, "random", RANDOM[:3]),
        *runs(written, "herding", HERDING[:3]),
        *runs(written, "closest", RANDOM[:3]),
    ]

    found = compared_groups(folders, baseline="random")

    assert found.verdict == (
        "Against random in final accuracy: herding (about 4 more seeds would settle it) and "
        "closest (they are the same on all 3 seeds) cannot be told from it."
    )
    assert caption(found).endswith("With fewer than 7 pairs no p is below 0.05.")


def test_two_runs_of_one_configuration_and_seed_are_told_apart_by_their_folders(written):
    a, b = written("before", 0.5), written("after", 0.6)

    found = compared_groups([str(a), str(b)])

    assert [method.name for method in found.methods] == [str(a), str(b)]


def test_a_lower_forgetting_is_better(written):
    folders = [*runs(written, "random", RANDOM), *runs(written, "herding", HERDING)]

    found = compared_groups(folders, metric="forgetting_max")

    assert found.verdict == "random and herding have the same forgetting on all 8 seeds."


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"metric": "acc_finale"},
            "--metric acc_finale: no such metric. Did you mean 'acc_final'?",
        ),
        ({"baseline": "hering"}, "--baseline hering: no such method. Did you mean 'herding'?"),
        ({"by": ["selektion"]}, "--by selektion: none of these runs has such a key. Did you"),
        ({"by": ["seed"]}, "--by seed: pairs the runs of a method."),
        ({"by": ["strategy"]}, "--by strategy: all 4 runs have the same. Name another run"),
        ({"metric": "wc_acc"}, "compare: no two methods have a value of wc_acc for the same seed"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_in_one_line(keys, said, written):
    folders = [*runs(written, "random", RANDOM[:2]), *runs(written, "herding", HERDING[:2])]

    assert refusal(folders, **keys)[0].startswith(said)


def test_methods_that_differ_in_two_keys_are_not_mixed_by_one(written):
    lrs = ({"strategy": {"lr": 0.1}}, {"strategy": {"lr": 0.2}})
    folders = [str(written(f"r{k}", values=each)) for k, each in enumerate(lrs)]
    herding = str(written("h", options={"selection": "herding"}, values=lrs[0]))

    [problem] = refusal([*folders, herding], by=["selection"])

    assert problem.startswith("random: has two runs with seed 0")
    assert problem.endswith("which differ in strategy.lr. Say --by selection,strategy.lr.")


def test_a_folder_without_runs_or_named_twice_is_refused(written, tmp_path):
    run = str(written("run"))
    (tmp_path / "empty").mkdir()

    assert refusal([str(tmp_path / "empty")])[0].endswith("there is no run.json in it or below.")
    assert refusal([run, run]) == [f"{run}: is named twice. Name each folder once."]
    assert refusal([run])[0].startswith("compare: one method alone, 1 run.")


def test_comparing_imports_no_torch(written):
    folders = [*runs(written, "random", RANDOM[:2]), *runs(written, "herding", HERDING[:2])]
    program = (
        "import sys; from clrun.cli.main import main; code = main(sys.argv[1:]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, "compare", *folders], check=False, capture_output=True
    )

    assert done.returncode == 0


def test_the_same_methods_may_be_judged_by_another_metric(written):
    found: Compared = compared_groups(
        [*runs(written, "random", RANDOM), *runs(written, "herding", HERDING)]
    )

    other = found.by("aia")

    assert other is not None
    assert "average incremental accuracy" in other.verdict
    assert found.by("wc_acc") is None
