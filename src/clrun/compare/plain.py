"""Methods and duels as JSON has them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import asdict
from typing import Any

from clrun.compare.judged import Duel
from clrun.compare.methods import Method


def plain_method(method: Method, metric: str, name: Callable[[Hashable], str]) -> dict[str, Any]:
    spread = method.spread(metric)
    statuses = [run.status for run in method.runs]
    return {
        "name": method.name,
        "values": dict(method.values),
        "runs": len(method.runs),
        "by_status": {status: statuses.count(status) for status in dict.fromkeys(statuses)},
        "mean": None if spread is None else spread.mean,
        "sd": None if spread is None else spread.sd,
        "n": 0 if spread is None else spread.n,
        "half_width": None if spread is None else spread.half_width,
        "seeds": {name(start): value for start, value in method.scores(metric).items()},
        "folders": [str(run.folder) for run in method.runs],
    }


def plain_duel(duel: Duel, name: Callable[[Hashable], str]) -> dict[str, Any]:
    return {
        "a": duel.a,
        "b": duel.b,
        **asdict(duel.comparison),
        "is_shown": duel.comparison.is_shown,
        "winner": duel.winner,
        "sentence": duel.sentence,
        "pairs": list(map(name, duel.pairs.keys)),
        "differences": (duel.pairs.a - duel.pairs.b).tolist(),
    }
