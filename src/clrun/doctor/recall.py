"""What is still known: classes, experiences, memory, and whether the numbers can say so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clrun.doctor.evidence import Evidence
from clrun.doctor.finding import Finding, listed
from clrun.doctor.training import LEARNT, NEAR_CHANCE

NOTHING = 0.02
"""Accuracy up to here is none."""
UNEVEN = 4.0
"""The largest class of a memory has this many times the rows of the smallest."""
FEW_ROWS = 30
"""Test rows with fewer of which an accuracy is known to 10 points at best."""
DEARER_SECONDS = 5.0
"""Evaluating that takes less than this costs nobody anything."""


def at_chance_in_the_end(run: Evidence) -> Iterator[Finding]:
    """The end of the run is no better than guessing."""
    metrics = run.results.get("metrics", {})
    final = metrics.get("acc_pooled")
    classes = len({label for seen in run.learnt for label in seen})
    if final is None or classes < 2 or final > NEAR_CHANCE / classes:
        return
    yield Finding(
        f"The final accuracy is {final:.3f}: guessing among {classes} classes gives "
        f"{1 / classes:.3f}.",
        "Try strategy=joint, the upper bound. If that fails too, look at the data (clrun preview) "
        "and strategy.lr.",
    )


def never_recalled(run: Evidence) -> Iterator[Finding]:
    """A class was learnt and never once recognised."""
    table = run.class_accuracy
    if not len(table) or len(table) < len(run.learnt):
        return
    never = []
    first = {label: k for k, labels in reversed(list(enumerate(run.learnt))) for label in labels}
    for label, place in sorted(first.items()):
        after = table[place:, label] if label < table.shape[1] else np.zeros(0)
        after = after[~np.isnan(after)]
        if len(after) and after.max() <= 0:
            never.append(label)
    if never and len(never) < len(first):
        yield Finding(
            f"{_classes(run, never)} never recognised: accuracy 0 in every evaluation after "
            f"learning {'it' if len(never) == 1 else 'them'}.",
            "Look at their images and counts (clrun preview); rare classes need "
            "storage_policy=class_balanced.",
        )


def all_forgotten(run: Evidence) -> Iterator[Finding]:
    """Nothing is left of what was learnt before the last experience."""
    table = run.accuracy
    if len(table) < 2 or len(table) != len(run.learnt) or table.shape[1] < len(table):
        return
    then, now = np.diagonal(table)[:-1], table[-1, : len(table) - 1]
    known = ~np.isnan(then) & ~np.isnan(now) & (then > NOTHING)
    if not known.any() or now[known].max() > NOTHING or table[-1, len(table) - 1] < LEARNT / 2:
        return
    yield Finding(
        f"All {known.sum()} earlier experiences are forgotten: from {then[known].mean():.3f} right "
        f"after each was learnt to {now[known].mean():.3f} in the end.",
        _against_forgetting(run),
    )


def uneven_memory(run: Evidence) -> Iterator[Finding]:
    """Some classes have most of the memory."""
    lines = [line for line in run.of_kind("memory") if line.get("rows")]
    if not lines:
        return
    counts = {int(label): count for label, count in lines[-1]["per_class"].items()}
    learnt = {label for labels in run.learnt for label in labels}
    missing = sorted(label for label in learnt if not counts.get(label))
    if missing and lines[-1]["rows"] >= len(learnt):
        yield Finding(
            f"{_classes(run, missing)} without a row in the memory, which holds "
            f"{lines[-1]['rows']:,}.",
            _for_balance(run, "keeps rows"),
        )
        return
    held = {label: count for label, count in counts.items() if count}
    most, least = max(held, key=held.__getitem__), min(held, key=held.__getitem__)
    if held[most] > UNEVEN * held[least] and held[most] - held[least] > UNEVEN:
        yield Finding(
            f"The memory is out of balance: {held[most]:,} rows of class {_name(run, most)} and "
            f"{held[least]:,} of class {_name(run, least)}.",
            _for_balance(run, "holds as many"),
        )


def dear_evaluation(run: Evidence) -> Iterator[Finding]:
    """Evaluating takes longer than training."""
    wall = run.results.get("cost", {}).get("wall_seconds", {})
    learning = wall.get("train", 0.0) + wall.get("memory", 0.0)
    evaluating = wall.get("eval", 0.0)
    if evaluating < DEARER_SECONDS or evaluating <= learning:
        return
    yield Finding(
        f"Evaluating took {evaluating:.1f} s and training {learning:.1f} s.",
        "eval=seen, eval.limit_per_experience=100 or strategy.eval_every=-1 evaluate less.",
    )


def few_test_rows(run: Evidence) -> Iterator[Finding]:
    """Accuracies are of a handful of rows."""
    rows = run.test_rows
    few = [count for count in rows if 0 < count < FEW_ROWS]
    if few and 2 * len(few) >= len([count for count in rows if count]):
        least = min(few)
        yield Finding(
            f"{len(few)} of {len(rows)} experiences have fewer than {FEW_ROWS} test rows (the "
            f"fewest {least}): one row more or less is {1 / least:.0%} of their accuracy.",
            "Compare over seeds (-m seed=range(5)), or look at acc_pooled, which counts all rows.",
        )


def _against_forgetting(run: Evidence) -> str:
    sizes = [run.key(key) for key in ("strategy.mem_size", "strategy.rm_sz")]
    if sizes == [None, None]:
        return "strategy=replay remembers past rows; strategy=ar1 their activations."
    size = sizes[0] or sizes[1]
    named = f" than {size:,}" if size else ""
    return f"Use a larger memory{named} (strategy.mem_size, strategy.rm_sz), or a smaller lr."


def _for_balance(run: Evidence, does: str) -> str:
    if run.key("strategy.mem_size") is None and run.key("strategy.rm_sz") is not None:
        return "Use a larger strategy.rm_sz: no storage_policy decides which activations stay."
    return f"storage_policy=class_balanced {does} of each class."


def _classes(run: Evidence, labels: list[int]) -> str:
    """The classes by their names, with the verb that follows."""
    names = listed([_name(run, label) for label in labels])
    return f"Class {names} is" if len(labels) == 1 else f"Classes {names} are"


def _name(run: Evidence, label: int) -> str:
    names = run.class_names
    return names[label] if label < len(names) else str(label)
