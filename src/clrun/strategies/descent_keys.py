"""The keys of descent: how a strategy optimises, for how long, when it is evaluated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from clrun.config.bounds import Count, Fraction, NonNegative, Positive, Rows
from clrun.config.keys import Keys, Known
from clrun.config.moment import FIRST_LEARNT, SECOND, Moment


@dataclass(frozen=True, kw_only=True)
class DescentKeys(Keys):
    """The fields that the `Config` of a strategy with a learner inherits; see `_descent.yaml`."""

    tuned: ClassVar[Mapping[str, str]] = {"lr": "tag(log,interval(0.001,1))"}

    lr: Positive
    momentum: Fraction
    l2: NonNegative
    train_epochs: Count
    train_mb_size: Rows
    eval_mb_size: Rows
    optimizer: Literal["sgd", "adam", "adamw"]
    schedule: Literal["constant", "cosine", "step", "restarts"]
    schedule_milestones: list[Count]
    schedule_factor: Positive
    criterion: Literal["cross_entropy", "binary_cross_entropy"]
    plugins: list[dict[str, Any]]
    eval_every: Annotated[int, Field(ge=-1)]
    optimizer_state: Literal["keep", "fresh"] = "keep"
    on_nan: Literal["stop", "skip"] = "stop"
    active: Literal["all", "seen", "experience", "minibatch"] = "all"
    head_correction: Literal["none", "wa", "bic"] = "none"
    latent_layer: str | None = None
    latent_dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    train_iterations: Count | None = None
    updates_per_minibatch: Count = 1
    drop_last: bool = False

    fits_bic: ClassVar[bool] = False
    """Rows of its memory and of its experiences can be held out."""
    cuts_itself: ClassVar[bool] = False
    """True: what it does with `latent_layer` is the strategy's own business (AR1)."""

    @property
    def held_out_places(self) -> int:
        """Rows of the memory that are never trained on."""
        return getattr(self, "mem_size", 0) // 10 if self.head_correction == "bic" else 0

    @property
    def is_on_latents(self) -> bool:
        """The strategy is given what `latent_layer` makes of images (`on_latents`)."""
        return self.latent_layer is not None and not self.cuts_itself

    def __post_init__(self) -> None:
        """Check the schedule; a `Config` with a check of its own calls this first."""
        self._check_schedule()
        if self.head_correction == "bic" and not self.fits_bic:
            raise ValueError(
                "head_correction=bic: this strategy holds out no rows of a memory to fit it on. "
                "Use head_correction=wa or none, or e.g. strategy=replay."
            )

    def _check_schedule(self) -> None:
        milestones = self.schedule_milestones
        if self.schedule == "step" and not milestones:
            raise ValueError(
                "schedule_milestones=[]: strategy.schedule=step has no epoch to change the step "
                "size after. Name some, or use strategy.schedule=constant."
            )
        if self.schedule != "step" and milestones:
            raise ValueError(
                f"schedule_milestones={milestones}: strategy.schedule={self.schedule} has none. "
                "Use strategy.schedule=step, or no milestones."
            )
        by, end = "train_iterations", self.train_iterations
        if end is None:
            by, end = "train_epochs", self.train_epochs
        if any(milestone >= end for milestone in milestones):
            raise ValueError(
                f"schedule_milestones={milestones}: an experience is over after "
                f"strategy.{by}={end}. Use milestones below that."
            )

    def conflicts(self, known: Known) -> Iterator[str]:
        """Epochs or updates, momentum is SGD's, and separate heads need to know whose a row is; a
        `Config` with conflicts of its own yields from these first."""
        if self.train_iterations is not None and "strategy.train_epochs" in known.typed:
            yield (
                f"strategy.train_epochs={self.train_epochs}: strategy.train_iterations="
                f"{self.train_iterations} says how long an experience is learnt. Use one of them; "
                "strategy.train_iterations=null leaves it to the epochs."
            )
        if self.optimizer != "sgd" and self.momentum:
            yield (
                f"strategy.momentum={self.momentum:g}: {self.optimizer} has no such momentum. "
                "Use strategy.momentum=0, or strategy.optimizer=sgd."
            )
        if self.active == "experience" and known.is_online:
            yield (
                "strategy.active=experience: with benchmark.scenario=online an experience is a "
                "minibatch, whose classes come back in the next. Use strategy.active=seen, or "
                "another scenario."
            )
        yield from self._correction_conflicts(known)
        if self.active == "experience" and known.classes_return and not known.is_online:
            yield (
                "strategy.active=experience: classes occur in more than one experience, so that a "
                "row's class does not tell its experience. Use strategy.active=seen, or "
                "benchmark.labels=per_experience."
            )
        if not self.cuts_itself:
            yield from self._latent_conflicts(known)

    def _latent_conflicts(self, known: Known) -> Iterator[str]:
        """A type of latents is for latents; and where those are all that is stored, no network of
        images can choose among them."""
        if self.latent_layer is None and self.latent_dtype != "float32":
            yield (
                f"strategy.latent_dtype={self.latent_dtype}: strategy.latent_layer=null has no "
                "latents. Use strategy.latent_dtype=float32, or name a layer."
            )
        chooser = known.value("selection.model")
        if self.latent_layer is not None and chooser not in (None, "current"):
            yield (
                f"selection.model={chooser}: wants images, and with "
                f"strategy.latent_layer={self.latent_layer} a memory holds latents. "
                "Use selection.model=current, or strategy.latent_layer=null."
            )

    def _correction_conflicts(self, known: Known) -> Iterator[str]:
        """A head to correct, and a held-out row for every class."""
        correction, places = self.head_correction, self.held_out_places
        if correction != "none" and known.value("model.head") == "cosine":
            yield (
                f"strategy.head_correction={correction}: model.head=cosine has neither norms nor a "
                "bias to correct. Use model.head=linear, or strategy.head_correction=none."
            )
        if correction == "bic" and known.classes is not None and places < known.classes:
            yield (
                "strategy.head_correction=bic: a tenth of the memory is held out, "
                f"{places} rows for {known.classes} classes. Use strategy.mem_size of at least "
                f"{10 * known.classes}, or strategy.head_correction=wa."
            )

    def descent_acts_from(self) -> dict[str, Moment]:
        """`acts_from` for these keys, where nothing is predicted or stored within an experience.

        Whether a run is scored before it learns is for `eval.initial` to say.
        """
        found = {"optimizer_state": SECOND}  # in the first experience it is a new one either way
        if self.head_correction != "bic":  # which holds rows out of the first experience too
            found["head_correction"] = SECOND
        is_scored_within = 0 < self.eval_every < self.train_epochs or (
            self.eval_every > 0 and self.train_iterations is not None
        )
        if not is_scored_within:
            found |= {"eval_every": FIRST_LEARNT, "eval_mb_size": FIRST_LEARNT}
        return found
