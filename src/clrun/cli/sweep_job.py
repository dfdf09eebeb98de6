"""One job of a sweep, in whatever process its launcher chose."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from clrun.cli.hydra_job import hide_secrets
from clrun.cli.job import logged_traceback, ready_run
from clrun.config.check import check
from clrun.config.run_config import RunConfig
from clrun.config.sweep import as_typed, swept_values
from clrun.config.trust import trust_now, trusting
from clrun.console.display import Display, SilentDisplay
from clrun.console.notes import show_note
from clrun.console.screen import let_readers_leave
from clrun.console.sweep_display import SweepDisplay, outcome_line
from clrun.errors import ClrunError
from clrun.fast.heap import give_back
from clrun.profiling.peaks import forget_peak
from clrun.records.outcome import Outcome, outcome_in
from clrun.runner.interrupt import Interrupted, Stop
from clrun.runner.prepare import all_notes
from clrun.runner.run import run


class SweepJob:
    """What a launcher calls with the configuration of a job; returns its final accuracy.

    It travels to other processes without the display of this one, and says there in a line what
    came out.

    Raises:
        ClrunError: the job failed. It holds nothing of the run, whose memory the next job needs.
        Stop: a signal arrived, which is for all jobs.
    """

    def __init__(self, swept: Sequence[str]) -> None:
        self._swept, self._trust = tuple(swept), trust_now()
        self.display: SweepDisplay | None = None
        self._noted: set[str] = set()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "display": None, "_noted": set()}

    def __call__(self, tree: DictConfig) -> float | None:
        start, node = time.monotonic(), HydraConfig.get()
        folder, overrides = Path(node.runtime.output_dir), as_typed(node.overrides.task)
        whole = cast(DictConfig, OmegaConf.merge({"hydra": node}, cast(Any, tree)))
        hide_secrets(folder)
        with trusting(self._trust):
            config = check(whole, overrides)
        values = swept_values(overrides, self._swept)
        give_back()
        forget_peak()
        log = folder / f"{node.job.name}.log"
        failure = _failure(config, folder, self._job_display(values), log, self._note)
        is_failed = isinstance(failure, ClrunError)
        outcome = failed(values, failure) if is_failed else outcome_in(folder, values)
        if self.display is None:
            let_readers_leave()  # of a process that a launcher started
            print(outcome_line(outcome, time.monotonic() - start, outcome.name), flush=True)
        if failure is not None:
            raise failure
        return outcome.value

    def _note(self, note: str) -> None:
        """Show a note once, not for each job."""
        if note not in self._noted:
            show_note(note)
        self._noted.add(note)

    def _job_display(self, values: Mapping[str, str]) -> Display:
        return SilentDisplay() if self.display is None else self.display.job(values)


def _failure(
    config: RunConfig, folder: Path, display: Display, log: Path, note: Callable[[str], None]
) -> ClrunError | Stop | None:
    """Run in this folder; what failed, without the traceback that would keep the run's tensors."""
    try:
        with logged_traceback(log):
            prepared = ready_run(config)
            for text in all_notes(prepared):
                note(text)
            display.title(config.label())
            run(prepared, folder, display, is_latest=False)
    except Interrupted as error:
        return Stop(error.number)
    except ClrunError as error:
        error.__cause__ = error.__context__ = None
        return error.with_traceback(None)
    finally:
        display.close()
    return None


def failed(values: Mapping[str, str], error: BaseException | None) -> Outcome:
    """The outcome of a job that raised this."""
    return Outcome(values=values, status="failed", reason=str(error).splitlines()[0])
