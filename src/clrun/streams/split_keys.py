"""The keys of every benchmark that cuts a source into a stream, and what they may say together.

Read while a configuration is checked, so nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field

from clrun.config.bounds import Count, FilePath, Fraction, NonNegative, Share
from clrun.config.keys import Keys, Known
from clrun.images.augment import AugmentPolicy, changes_colors
from clrun.streams.class_counts import (
    check_class_order,
    check_every_class_everywhere,
    class_counts,
    num_sessions,
    numbered_order,
    typed,
)
from clrun.streams.labelling import Labelling, check_labelling, outputs
from clrun.streams.normalization import Normalize, without_weights

Scenario = Literal[
    "nc",
    "ni",
    "nic",
    "online",
    "blurry",
    "long_tailed",
    "repetition",
    "permuted",
    "rotated",
]

KEYS_OF: dict[str, tuple[str, ...]] = {
    "online": ("rows_per_experience",),
    "blurry": ("blur",),
    "long_tailed": ("imbalance",),
    "repetition": ("repetition_p",),
    "rotated": ("angles",),
}
"""The keys that one scenario alone reads."""

NEEDED = {"rows_per_experience": "10", "blur": "0.1", "imbalance": "100", "repetition_p": "0.3"}
"""What such a key may be, where its scenario cannot do without it."""

ALL_CLASSES = ("ni", "permuted", "rotated")
"""The scenarios whose every experience has every class."""

Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Ratio = Annotated[float, Field(ge=1, allow_inf_nan=False)]
Degrees = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True, kw_only=True)
class SplitKeys(Keys):
    """All that is known of a stream but its source; a benchmark's `Config` adds that."""

    scenario: Scenario
    n_experiences: Count
    class_order: Literal["fixed", "shuffled"] | list[int | str]
    class_order_seed: int | None
    first_experience_classes: Count | None
    classes_per_experience: list[Count] | None
    rows_per_experience: Count | None
    blur: Share | None
    imbalance: Ratio | None
    repetition_p: Probability | None
    angles: list[Degrees] | None
    data_root: FilePath | None
    download: bool
    image_size: Count | None
    augment: AugmentPolicy
    jitter: list[NonNegative] | None
    normalize: Normalize
    limit_per_class: Count | None
    validation_fraction: Fraction
    labels: Labelling = "global"
    """with a default, which records of before it need"""

    def __post_init__(self) -> None:
        self._check_scenarios_keys()
        check_labelling(self.labels, self.scenario)
        self._check_jitter()
        if self.angles is not None and len(self.angles) != self.n_experiences:
            raise ValueError(
                f"angles={typed(self.angles)}: has {len(self.angles)} entries for "
                f"n_experiences={self.n_experiences}. Give one angle for each experience."
            )
        if self.scenario == "blurry" and self.n_experiences == 1:
            raise ValueError(
                "n_experiences=1: with scenario=blurry rows of a class leak into the other "
                "experiences. Use at least 2, or scenario=nc."
            )

    def conflicts(self, known: Known) -> Iterator[str]:
        """A normalisation for weights needs some."""
        yield from without_weights(self.normalize, known)

    def experiences_by_keys(self) -> int | None:
        """How many there are; the minibatches of an online stream can only be counted in data."""
        return None if self.is_online_stream() else self.n_experiences

    def classes_return_by_keys(self) -> bool | None:
        """Whether a label is in more than one experience, where the keys alone say so."""
        if self.labels == "per_experience":
            return False
        if self.labels == "within_experience" and self.n_experiences != 1:
            return None if self.n_experiences is None else True
        if self.scenario in ("nc", "long_tailed") or self.n_experiences == 1:
            return False
        return True if self.scenario in (*ALL_CLASSES, "online", "blurry") else None

    def is_online_stream(self) -> bool:
        """Whether each experience is seen as a minibatch."""
        return self.scenario == "online"

    def numbered(self, class_names: Sequence[str]) -> Self:
        """These keys with a class order that is given by names as one of numbers.

        Raises:
            ValueError: it names a class that there is not.
        """
        order: Any = numbered_order(self.class_order, class_names)
        return self if order == self.class_order else replace(self, class_order=order)

    def check_classes(self, num_classes: int) -> None:
        """Raise ValueError unless the stream can be cut from so many classes."""
        first, listed = self.first_experience_classes, self.classes_per_experience
        if self.scenario in ALL_CLASSES:
            check_every_class_everywhere(self.class_order, first, listed, self.scenario)
        elif self.scenario == "nic":
            num_sessions(num_classes, self.n_experiences, first, listed)
        else:
            class_counts(num_classes, self.n_experiences, first, listed)
        check_class_order(self.class_order, self.class_order_seed, num_classes, self.scenario)
        if self.labels != "global":
            outputs(self.labels, self.classes_by_experience(num_classes))

    def classes_by_experience(self, num_classes: int) -> tuple[int, ...]:
        """How many classes each experience has, where the keys say it (`UNKNOWN_CLASSES`: not).

        Raises:
            ValueError: the stream cannot be cut from so many classes.
        """
        n, first = self.n_experiences, self.first_experience_classes
        if self.scenario in ALL_CLASSES:
            return (num_classes,) * n
        if self.scenario == "nic":
            return (first or 1, *(1,) * (n - 1))
        return class_counts(num_classes, n, first, self.classes_per_experience)

    def _check_scenarios_keys(self) -> None:
        """A key of another scenario is not ignored, and one that is needed is not guessed."""
        for scenario, keys in KEYS_OF.items():
            for key in keys:
                value: Any = getattr(self, key)
                if value is not None and scenario != self.scenario:
                    given = typed(value) if isinstance(value, list) else value
                    raise ValueError(
                        f"{key}={given}: only scenario={scenario} reads it. "
                        f"Use {key}=null, or scenario={scenario}."
                    )
                if value is None and scenario == self.scenario and key in NEEDED:
                    raise ValueError(
                        f"{key}=null: scenario={scenario} needs it. Use e.g. {key}={NEEDED[key]}."
                    )

    def _check_jitter(self) -> None:
        if self.jitter is None:
            return
        given = f"jitter={typed(self.jitter)}"
        if not changes_colors(self.augment):  # nor with auto, whose presets have none
            raise ValueError(
                f"{given}: augment={self.augment} does not read it. "
                f"Use jitter=null, or augment=jitter."
            )
        if len(self.jitter) != 4 or self.jitter[3] > 0.5:
            raise ValueError(
                f"{given}: must be four numbers, how far brightness, contrast, saturation and hue "
                f"go; hue at most 0.5. Use e.g. [0.4,0.4,0.4,0.1]."
            )
