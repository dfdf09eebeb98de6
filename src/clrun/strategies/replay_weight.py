"""How much replayed rows count beside current ones, where their losses are means of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from clrun.config.moment import SECOND, Moment
from clrun.strategies.replay_keys import ReplayKeys


class Weights(NamedTuple):
    """What the mean losses are multiplied with."""

    current: float
    replayed: float


@dataclass(frozen=True, kw_only=True)
class WeightedReplayKeys(ReplayKeys):
    """The keys of replay whose loss may be two weighted means; see `replay.yaml`."""

    replay_weight: (
        Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | Literal["per_experience"] | None
    ) = None

    def weights(self, experience: int) -> Weights | None:
        """Those of this experience, counted from 0; None where the keys give none.

        `per_experience` is 1/T for the current rows of the T-th experience, as if every experience
        had its share: van de Ven et al. 2022, https://doi.org/10.1038/s42256-022-00568-3.
        """
        weight = self.replay_weight
        if weight is None:
            return None
        replayed = experience / (experience + 1) if weight == "per_experience" else float(weight)
        return Weights(1 - replayed, replayed)

    def rehearsal_acts_from(self) -> Mapping[str, Moment]:
        """In the first experience nothing is weighed, unless rows are stored as they pass."""
        found = super().rehearsal_acts_from()
        is_online = self.memory_update == "minibatch"
        return found if is_online else {**found, "replay_weight": SECOND}
