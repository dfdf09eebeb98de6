"""Results as people read them: lines under a case, and the README's table."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from cases import names

SHOWN = ("train_cpu", "eval_cpu", "total_cpu", "total_wall", "peak_mb", "accuracy", "process_cpu")
"""Values that every side may have."""


class Spread(NamedTuple):
    """A median with the least and the most."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        if self.least == self.most:
            return f"{self.middle:.3g}"
        return f"{self.middle:.3g} ({self.least:.3g} to {self.most:.3g})"


def spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))


def measured(content: dict[str, Any], side: str, value: str) -> list[float]:
    """The value of a side in each repeat."""
    return [turn[side][value] for turn in content["repeats"] if value in turn.get(side, {})]


def ratios(content: dict[str, Any], value: str, side: str, other: str) -> list[float]:
    """The value of `side` over that of `other`, in each repeat that has both."""
    pairs = [
        (turn[side].get(value), turn[other].get(value))
        for turn in content["repeats"]
        if side in turn and other in turn
    ]
    return [a / b for a, b in pairs if a is not None and b]


def lines_of(content: dict[str, Any]) -> str:
    """Medians of every side, then each bar with what was reached."""
    lines = []
    for side in dict.fromkeys(side for turn in content["repeats"] for side in turn):
        found = [(name, measured(content, side, name)) for name in SHOWN]
        shown = [f"{name} {spread(values)}" for name, values in found if values]
        lines.append(f"  {side:<14} {', '.join(shown)}")
    lines += [f"  {line}" for line in _agreement(content)]
    lines += [
        f"  bar: {judged.words}: {judged.reached}  {judged.verdict}" for judged in bars(content)
    ]
    return "\n".join(lines)


def _agreement(content: dict[str, Any]) -> list[str]:
    differences = measured(content, "raw", "weights_difference")
    if not differences:
        return []
    apart = f"at most {max(differences):.2g} of a tensor's largest apart"
    return [f"results of clrun and raw: {apart if max(differences) else 'the same bits'}"]


class Judged(NamedTuple):
    """A bar, and whether it is reached; `reached` is empty where nothing was measured."""

    words: str
    reached: str
    verdict: str


def bars(content: dict[str, Any]) -> list[Judged]:
    """The bars of a case whose sides have run."""
    sides = content["case"]["sides"]
    ours = "clrun" if "clrun" in sides else sides[0]
    found = []
    for bar in content["case"]["bars"]:
        value, other, called = bar["value"], bar["against"], names()
        words = f"{called.get(value, value)}: {bar['sense']} {bar['limit']:.3g}"
        if bar["difference"]:
            words += f" above that of {called[other]} (means)"
            values = _mean_difference(content, value, ours, other)
        elif other:
            words += f" of that of {called[other]}"
            values = ratios(content, value, ours, other)
        else:
            values = measured(content, ours, value)
        if values:
            reached = spread(values)
            above = reached.middle - bar["limit"]
            good = above <= 0 if bar["sense"] == "at most" else above >= 0
            found.append(Judged(words, str(reached), "reached" if good else "NOT REACHED"))
    return found


def _mean_difference(content: dict[str, Any], value: str, ours: str, other: str) -> list[float]:
    sides = [measured(content, side, value) for side in (ours, other)]
    return [statistics.mean(sides[0]) - statistics.mean(sides[1])] if all(sides) else []


def markdown(files: list[Path]) -> str:
    """The tables of the README and of docs/speed.md, made of any number of cases."""
    contents = [json.loads(file.read_text()) for file in files]
    return "\n".join([*_compared(contents), "", *_judged(contents), "", *_conditions(contents)])


def _compared(contents: list[dict[str, Any]]) -> list[str]:
    """A row for each case that clrun shares with another side."""
    rows = [
        "| case | clrun | loop | Avalanche | clrun / Avalanche | clrun / loop, training | memory |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for content in contents:
        beside = [
            ratios(content, "total_cpu", "clrun", "avalanche"),
            ratios(content, "train_cpu", "clrun", "raw"),
            ratios(content, "peak_mb", "clrun", "avalanche"),
        ]
        if any(beside):
            seconds = [_seconds(content, side) for side in ("clrun", "raw", "avalanche")]
            cells = [str(spread(values)) if values else "" for values in beside]
            rows.append(f"| {' | '.join([content['case']['about'], *seconds, *cells])} |")
    return rows


def _judged(contents: list[dict[str, Any]]) -> list[str]:
    """A row for each bar."""
    rows = ["| case | bar | measured | reached |", "| --- | --- | --- | --- |"]
    for content in contents:
        for bar in bars(content):
            reached = "yes" if bar.verdict == "reached" else "no"
            cells = [content["case"]["name"], bar.words, bar.reached, reached]
            rows.append(f"| {' | '.join(cells)} |")
    return rows


def _seconds(content: dict[str, Any], side: str) -> str:
    """Median CPU seconds, training and evaluation together."""
    values = measured(content, side, "total_cpu")
    return f"{statistics.median(values):.3g} s" if values else ""


def _conditions(contents: list[dict[str, Any]]) -> list[str]:
    """Lines on where the numbers come from: machines, images, and the commit of each case."""
    turns = [len(content["repeats"]) for content in contents]
    lines = [f"Medians (least to most) of {min(turns)} to {max(turns)} turns."]
    for content in contents:
        machine = content["machine"]
        line = f"{machine['processor']}, threads: {content['threads']}, torch {machine['torch']}"
        lines.append(f"{line}; images: {content['data']}." if content["data"] else f"{line}.")
    for commit in dict.fromkeys(content["commit"] for content in contents):
        named = [c for c in contents if c["commit"] == commit]
        cases = [f"{c['case']['name']} ({len(c['repeats'])})" for c in named]
        lines.append(f"Commit {commit}, with turns: {', '.join(cases)}.")
    return list(dict.fromkeys(lines))
