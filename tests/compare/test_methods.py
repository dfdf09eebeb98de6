"""The scores of a method: one for each start, over all that was swept beside it."""

from __future__ import annotations

from pathlib import Path

from clrun.compare.methods import Method, MethodRun, Start
from clrun.records.past_run import read_run


def test_a_start_without_a_run_of_each_other_value_has_no_score(written):
    finals = {("lr=1", 0): 0.4, ("lr=2", 0): 0.6, ("lr=1", 1): 0.9}  # lr=2 of seed 1 is not there
    runs = []
    for (block, seed), final in finals.items():
        folder: Path = written(f"{block}-{seed}", final, seed=seed)
        runs.append(_run(folder, block, seed))
    method = Method(name="replay", values={}, runs=tuple(runs))
    both = [run.value("acc_final") for run in runs[:2]]

    scores = method.scores("acc_final")

    assert None not in both
    assert scores == {Start(0, ""): sum(v for v in both if v is not None) / 2}


def _run(folder: Path, block: str, seed: int) -> MethodRun:
    past, start = read_run(folder), Start(seed, "")
    return MethodRun(
        folder=folder, name=folder.name, status="completed", block=block, past=past, start=start
    )
