"""The one place that records a run: in the raw log, on the display and with any loggers."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from clrun.console.display import Display, Pace, many_accuracies
from clrun.errors import NonFiniteLoss
from clrun.profiling.spans import phase, span
from clrun.records.raw_log import RawLog
from clrun.runner.cost import Cost
from clrun.runner.meter import Meter
from clrun.runner.time_left import TimeLeft
from clrun.strategies.step import Step

log = logging.getLogger("clrun")


class Sink(Protocol):
    """Takes each line as metrics.jsonl has it."""

    def write(self, line: Mapping[str, Any]) -> None: ...


class Recorder:
    """Writes the lines of a run, and shows where it is.

    `cost` counts the updates, and each line says after how many it was written.
    """

    def __init__(
        self,
        raw_log: RawLog,
        display: Display,
        cost: Cost,
        *,
        experiences: int,
        epochs: int | None,
        log_every: int,
        updates: int | None = None,
        evaluations: int = 0,
        skips: bool = False,
        sinks: Sequence[Sink] = (),
    ) -> None:
        """`epochs` of an experience, `updates` and `evaluations`: how many the whole run will make,
        where that is known.

        `skips`: a loss that is not finite is that of an update which was not made, and no error.
        """
        self.raw_log, self.display, self.cost, self.sinks = raw_log, display, cost, sinks
        self.experiences, self.epochs, self.log_every = experiences, epochs, log_every
        self.updates, self.skips = updates, skips
        self.meter = Meter()
        self.time_left = TimeLeft(evaluations)
        self._experience = 0  # of the updates in the meter

    def write(
        self, kind: str, experience: int | None, epoch: int | None = None, **values: Any
    ) -> None:
        """Write one line; `experience` is None before training begins."""
        iteration = self.cost.train_steps
        if kind == "eval":
            self.time_left.evaluated()
        line = self.raw_log.write(
            kind, experience=experience, epoch=epoch, iteration=iteration, **values
        )
        for sink in self.sinks:
            sink.write(line)

    def update(self, experience: int, step: Step) -> None:
        """Count an update; after every `log_every` of them and each epoch, write and show.

        Raises:
            NonFiniteLoss: a loss since the last reading is NaN or infinite, which is an error.
        """
        self.meter.add(step)
        self._experience = experience
        if self.cost.train_steps % self.log_every and not step.ends_epoch:
            return
        with phase("train"), span("log"):  # on a GPU this waits for the updates
            self._fetch()
            loss, accuracy = self.meter.read_interval()
        place = (experience, step.epoch)
        self.write("step", *place, loss=loss, accuracy=accuracy, patterns=step.patterns)
        if step.ends_epoch:
            loss_epoch, accuracy_epoch = self.meter.read_epoch()
            skipped = {"skipped_updates": self.meter.left_out} if self.skips else {}
            self.write("epoch", *place, loss=loss_epoch, accuracy=accuracy_epoch, **skipped)
        self.display.step(self._pace(experience, step, loss, accuracy))

    def evaluated(self, experience: int, accuracies: Sequence[float | None]) -> None:
        """Show and log the accuracy on each experience after this one was learnt."""
        seconds = sum(self.cost.experience_seconds().values())
        number = f"{experience + 1}/{self.experiences}"
        log.info("after experience %s, %.1f s: %s", number, seconds, many_accuracies(accuracies))
        self.display.evaluated(experience, self.experiences, accuracies)

    def state_dict(self) -> dict[str, Any]:
        """Where the log ends, and what it does not have yet. Synchronises."""
        self._fetch()
        return {
            "raw_log": self.raw_log.state_dict(),
            "meter": self.meter.state_dict(),
            "evaluated": self.time_left.made,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Cut the log where it ended, and go on from there."""
        self.raw_log.load_state_dict(state["raw_log"])
        self.meter.load_state_dict(state["meter"])
        self.time_left.made = state["evaluated"]

    def _fetch(self) -> None:
        for step, update in self.meter.fetch():
            if not self.skips and not math.isfinite(update.loss):
                raise NonFiniteLoss(update.loss, self._experience, step.epoch, step.iteration)

    def _pace(
        self, experience: int, step: Step, loss: float | None, accuracy: float | None
    ) -> Pace:
        done = self._share_done(experience, step)
        seconds_left, speed = self.time_left.now(self.cost, done)
        return Pace(
            experience=experience,
            experiences=self.experiences,
            epoch=step.epoch,
            epochs=self.epochs,
            done=done,
            loss=math.nan if loss is None else loss,
            accuracy=math.nan if accuracy is None else accuracy,
            images=self.cost.patterns_seen,
            images_per_second=speed,
            seconds_left=seconds_left,
        )

    def _share_done(self, experience: int, step: Step) -> float:
        """How much of all training is over, in [0, 1]; all experiences are as long if need be."""
        if self.updates:
            return min(self.cost.train_steps / self.updates, 1.0)
        within = (step.epoch + (step.iteration + 1) / step.iterations) / (self.epochs or 1)
        return (experience + within) / self.experiences


def noted(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values by this name, where there are any."""
    return {name: values} if values else {}
