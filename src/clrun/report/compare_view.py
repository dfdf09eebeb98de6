"""Compared methods as their page takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clrun.compare.compared import Compared
from clrun.compare.methods import Method
from clrun.records import alike
from clrun.records.costs import COSTS
from clrun.report.scored import Scored


@dataclass(frozen=True, kw_only=True)
class Side(Scored):
    """A method of a comparison, with the runs that completed."""

    method: Method
    runs: alike.Method

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return self.method.name

    @property
    def values(self) -> Mapping[str, str]:
        """The keys that tell it from the others -> its values."""
        return self.method.values

    def cost(self, key: str) -> float | None:
        """The mean of a cost over the completed runs; None where one of them does not know it."""
        return self.runs.cost(COSTS[key].of)


def sides(found: Compared) -> list[Side]:
    """The methods, in the order in which they were found."""
    return [
        Side(
            method=method,
            runs=alike.Method(
                values=method.values,
                runs=tuple(run.past for run in method.completed if run.past is not None),
                title=method.name,
            ),
            spread=method.spread(found.metric.key),
        )
        for method in found.methods
    ]
