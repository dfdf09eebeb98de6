"""One run, top to bottom: build, then learn and score one experience after another."""

from __future__ import annotations

import logging
import math
from contextlib import closing
from pathlib import Path
from typing import Any

from clrun.console.display import Display, Pace, SilentDisplay
from clrun.device.garbage import only_new_objects_searched
from clrun.errors import NonFiniteLoss
from clrun.profiling.spans import phase, span, updates
from clrun.records.raw_log import RawLog
from clrun.records.results import Results
from clrun.records.run_folder import RunFolder
from clrun.records.run_record import ended, started
from clrun.runner.cost import Cost, peak_rss_bytes
from clrun.runner.evaluation import Scores
from clrun.runner.interrupt import Interrupted, noted_signals
from clrun.runner.merged import merged
from clrun.runner.meter import Meter
from clrun.runner.prepare import Prepared, build
from clrun.runner.summary import Scored, json_keys, nothing, summary
from clrun.strategies.step import Step
from clrun.strategies.strategy import Parts, Strategy
from clrun.streams.experience import Benchmark, Experience

log = logging.getLogger("clrun")


@only_new_objects_searched()
def run(prepared: Prepared, folder: Path, display: Display | None = None) -> Results:
    """Train one strategy over one stream and write everything to `folder`.

    Raises:
        FolderError: the folder is in use or holds a run.
        NonFiniteLoss: the loss became NaN or infinite.
        Interrupted: SIGINT or SIGTERM arrived.
    """
    run_folder = RunFolder(folder)
    try:
        run_folder.update(**started(prepared.config, folder, *prepared.hardware))
        results = _run(prepared, run_folder, display or SilentDisplay())
    except (Interrupted, KeyboardInterrupt) as error:
        run_folder.update(**ended("interrupted", str(error) or "interrupted."))
        raise
    except BaseException as error:
        log.exception("the run failed")
        run_folder.update(**ended("failed", f"{type(error).__name__}: {error}"))
        raise
    else:
        run_folder.update(**ended("completed"))
        return results
    finally:
        run_folder.close()


def _run(prepared: Prepared, run_folder: RunFolder, display: Display) -> Results:
    """The run inside its folder: with its log open, its device set up and signals noted."""
    run_folder.keep_config(prepared.config)
    run_folder.point_latest(Path(prepared.config.root.output_root))
    with (
        closing(RawLog(run_folder.path / "metrics.jsonl")) as raw_log,
        prepared.device.applied(prepared.update_macs),
        noted_signals() as interrupt,
    ):
        results = Run(prepared, raw_log, display, interrupt).results()
        results.save(run_folder.path)
    log.info("completed: %s", results.metrics)
    return results


class Run:
    """The state of a run in progress: the strategy, what it scored so far, and what it cost."""

    def __init__(
        self, prepared: Prepared, raw_log: RawLog, display: Display, interrupt: list[int]
    ) -> None:
        self.prepared, self.raw_log, self.display = prepared, raw_log, display
        self.interrupt = interrupt
        self.benchmark = prepared.data
        self.cost = Cost(setup_seconds=prepared.load_seconds)
        with self.cost.phase("setup"):
            self.strategy = self._strategy()
            self.stream = _stream(self.strategy, self.benchmark)
        self.keys = prepared.config.nodes["strategy"].config
        self.scored = Scored()

    def _strategy(self) -> Strategy:
        prepared = self.prepared
        parts = Parts(
            model=prepared.device.place(prepared.model),
            transform=self.benchmark.transform,
            device=prepared.device,
            seed=prepared.config.seed,
            num_classes=self.benchmark.shape.num_classes,
            storage_policy=prepared.storage_policy,
            selection=prepared.selection,
            plugins=tuple(build(node) for node in prepared.config.plugins),
        )
        return build(prepared.config.nodes["strategy"], parts)

    def results(self) -> Results:
        """Learn the whole stream."""
        if self.prepared.evaluation.config.initial:
            self.scored.initial = self._evaluate(None, None)
        for experience in self.stream:
            self._learn(experience)
            is_last = experience.index == len(self.stream) - 1
            if self.keys.eval_every >= 0 or is_last:
                scores = self._evaluate(experience.index, None)
            else:
                scores = nothing(self.benchmark)
            self.scored.matrix.append(scores)
            self.display.evaluated(experience.index, len(self.stream), scores.experiences)
            self._write("memory", experience.index, None, **json_keys(self.strategy.memory_rows()))
            self._write(
                "resource",
                experience.index,
                None,
                rss_peak_bytes=peak_rss_bytes(),
                device_peak_bytes=self.prepared.device.peak_bytes(),
            )
        return summary(self.prepared, self.cost, self.strategy, self.scored)

    def _learn(self, experience: Experience) -> None:
        """One experience, update by update."""
        seconds = dict(self.cost.wall_seconds)
        meter = Meter()
        for step in self.cost.steps(updates(self.strategy.learn(experience), experience.index)):
            meter.add(step)
            if self.interrupt:
                raise Interrupted(self.interrupt[0])
            if self.cost.train_steps % self.prepared.config.root.log_every == 0 or step.ends_epoch:
                self._log(experience, step, meter)
            if step.ends_epoch and self._evaluates_after(step.epoch):
                self._evaluate(experience.index, step.epoch)
        spent = {k: round(v - seconds[k], 6) for k, v in self.cost.wall_seconds.items()}
        self._write(
            "experience",
            experience.index,
            None,
            classes=list(experience.classes),
            train_rows=len(experience.train.y),
            wall_seconds=spent,
        )

    def _evaluates_after(self, epoch: int) -> bool:
        """In the middle of an experience; its end is evaluated anyway."""
        every = self.keys.eval_every
        return every > 0 and (epoch + 1) % every == 0 and epoch + 1 < self.keys.train_epochs

    def _log(self, experience: Experience, step: Step, meter: Meter) -> None:
        """Read what the updates left on the device, and tell of it."""
        with phase("train"), span("log"):  # on a GPU this waits for the updates
            loss, accuracy = meter.read_interval()
        place = (experience.index, step.epoch)
        if not math.isfinite(loss):
            raise NonFiniteLoss(
                f"the loss is {loss} in experience {experience.index}, epoch {step.epoch}, "
                f"iteration {step.iteration}. A smaller strategy.lr may help."
            )
        self._write("step", *place, loss=loss, accuracy=accuracy, patterns=step.patterns)
        if step.ends_epoch:
            loss_epoch, accuracy_epoch = meter.read_epoch()
            self._write("epoch", *place, loss=loss_epoch, accuracy=accuracy_epoch)
        self.display.step(self._pace(experience, step, loss, accuracy))

    def _pace(self, experience: Experience, step: Step, loss: float, accuracy: float) -> Pace:
        epochs = self.keys.train_epochs
        within = (step.epoch + (step.iteration + 1) / step.iterations) / epochs
        return Pace(
            experience=experience.index,
            experiences=len(self.stream),
            epoch=step.epoch,
            epochs=epochs,
            done=(experience.index + within) / len(self.stream),
            loss=loss,
            accuracy=accuracy,
            images=self.cost.patterns_seen,
        )

    def _evaluate(self, experience: int | None, epoch: int | None) -> Scores:
        """Score the strategy as it is; `experience` None is the untrained model."""
        seen = len(self.benchmark) if self.strategy.whole_stream else (experience or 0) + 1
        device = self.prepared.device
        with self.cost.phase("eval"):
            scores = self.prepared.evaluation.scores(
                self.strategy,
                self.benchmark,
                seen=seen,
                minibatch=self.keys.eval_mb_size,
                hold=None if device.torch.type == "cpu" else device.hold,
            )
        if experience is not None:
            self.scored.points.append((seen - 1, scores.experiences))
        self._write(
            "eval",
            experience,
            epoch,
            stream=self.prepared.evaluation.config.stream,
            accuracy=scores.experiences,
            class_accuracy=scores.classes,
        )
        return scores

    def _write(self, kind: str, experience: int | None, epoch: int | None, **values: Any) -> None:
        iteration = self.cost.train_steps
        self.raw_log.write(kind, experience=experience, epoch=epoch, iteration=iteration, **values)


def _stream(strategy: Strategy, benchmark: Benchmark) -> list[Experience]:
    """What is learnt: the experiences, or all of them merged into one."""
    return [merged(benchmark)] if strategy.whole_stream else list(benchmark.experiences)
