"""The keys of benchmarks made of one's own data: what may be left to the data, and what may not.

Read while a configuration is checked, so nothing here imports torch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from clrun.config.bounds import Count
from clrun.streams.class_counts import typed
from clrun.streams.split_keys import ALL_CLASSES, Scenario, SplitKeys

COUNTED = ("nic", *ALL_CLASSES)
"""The scenarios for which neither classes nor data suggest a number of experiences."""


@dataclass(frozen=True, kw_only=True)
class OwnKeys(SplitKeys):
    """The keys of any stream, some of which may be left to the data."""

    scenario: Literal["auto", "given"] | Scenario  # type: ignore[assignment]
    n_experiences: Count | None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        if self.n_experiences is None and self.scenario in COUNTED:
            raise ValueError(
                f"n_experiences=null: scenario={self.scenario} needs it. Use e.g. n_experiences=5."
            )
        super().__post_init__()

    def validation_by_keys(self) -> bool | None:
        """Whether rows are held out; without a share, the data may have rows of their own."""
        return True if self.validation_fraction else None

    def resolved(self, num_classes: int, num_given: int | None) -> OwnKeys:
        """These keys with nothing left to the data.

        Raises:
            ValueError: they ask for what cannot be had of so many classes, or of `num_given`
                experiences (None: the data do not say).
        """
        scenario = self.scenario
        if scenario == "auto":
            scenario = "nc" if num_given is None else "given"
        count = self.n_experiences
        if scenario == "given":
            if num_given is None:
                raise ValueError(
                    "scenario=given: the data do not say which experience a row is in. "
                    "Let them, or use scenario=nc."
                )
            if count not in (None, num_given):
                raise ValueError(
                    f"n_experiences={count}: the data have {num_given} experiences. "
                    f"Use n_experiences=null, or scenario=nc."
                )
            count = num_given
        keys = replace(self, scenario=scenario, n_experiences=count or self._natural(num_classes))
        keys.check_classes(num_classes)
        return keys

    def check_classes(self, num_classes: int) -> None:
        """Raise ValueError as `SplitKeys`; where the data say the experiences, nothing else may."""
        if self.scenario != "given":
            super().check_classes(num_classes)
            return
        for key in ("class_order_seed", "first_experience_classes", "classes_per_experience"):
            if (value := getattr(self, key)) is not None:
                given = typed(value) if isinstance(value, list) else value
                raise ValueError(
                    f"{key}={given}: the data say which experience a row is in. "
                    f"Use {key}=null, or scenario=nc."
                )
        if self.class_order != "fixed":
            order = self.class_order
            raise ValueError(
                f"class_order={order if isinstance(order, str) else typed(order)}: the data say "
                f"which experience a row is in. Use class_order=fixed, or scenario=nc."
            )

    def _natural(self, num_classes: int) -> int:
        """One experience for each class that no other key puts somewhere."""
        if self.classes_per_experience is not None:
            return len(self.classes_per_experience)
        first = self.first_experience_classes or 1
        return max(1, num_classes - first + 1)
