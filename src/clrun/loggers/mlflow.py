"""MLflow: a SQLite data base beside the run folders, or a server.

    mlflow ui --backend-store-uri sqlite:///outputs/mlflow.db

A run that goes on is the same run there, and what it has already is passed over: of each number so
many entries as it has.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from clrun.config.bounds import Positive
from clrun.disk.files import write_text
from clrun.disk.locks import locked
from clrun.disk.opening import read_text
from clrun.loggers.logger import Line, LoggedRun, own_folder, require_package
from clrun.loggers.numbers import numbers

MOST_AT_ONCE, MOST_PARAMETERS, LONGEST = 1000, 100, 6000
"""Numbers and parameters that MLflow takes in one call, characters of a parameter"""

ENDS = {"completed": "FINISHED", "interrupted": "KILLED"}
"""MLflow's words; anything else is FAILED"""


class MLflow:
    """One run of MLflow, its steps the updates."""

    @dataclass(frozen=True, kw_only=True)
    class Config:
        experiment: str
        tracking_uri: str | None
        flush_seconds: Positive

    def __init__(self, config: Config) -> None:
        require_package("mlflow", "mlflow")
        self.config = config
        self._client: Any = None
        self._identity = ""
        self._base: Path | None = None
        self._there: Counter[str] = Counter()
        """name -> entries that are there and are still to come again"""
        self._waiting: list[Any] = []
        self._flushed = monotonic()

    def begin(self, run: LoggedRun, lines: Iterable[Line]) -> None:
        """Open the run, or the one that this run was before it was stopped."""
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing leaves this machine
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # which say how they make a data base
            logging.getLogger(name).setLevel(logging.WARNING)
        self._run = run
        uri = self.config.tracking_uri
        if uri is None:
            self._base = run.output_root / "mlflow.db"
            self._base.parent.mkdir(parents=True, exist_ok=True)
            uri = f"sqlite:///{self._base}"
        with self._alone():
            client = MlflowClient(tracking_uri=uri)
            self._identity = self._opened(client)
        self._client = client
        for line in lines:
            self.write(line)

    def write(self, line: Line) -> None:
        """Keep the numbers until the next flush."""
        from mlflow.entities import Metric

        moment = round((self._run.started + line["seconds"]) * 1000)
        for name, value in numbers(line, self._run).items():
            if value is None:
                continue
            if self._there[name]:
                self._there[name] -= 1
            else:
                self._waiting.append(Metric(name, value, moment, line["iteration"]))
        if monotonic() - self._flushed >= self.config.flush_seconds:
            self._flush()

    def end(self, status: str) -> None:
        if self._client is not None:
            self._flush()
            with self._alone():
                self._client.set_terminated(self._identity, ENDS.get(status, "FAILED"))

    def _flush(self) -> None:
        with self._alone():
            for first in range(0, len(self._waiting), MOST_AT_ONCE):
                batch = self._waiting[first : first + MOST_AT_ONCE]
                self._client.log_batch(self._identity, metrics=batch)
        self._waiting, self._flushed = [], monotonic()

    def _opened(self, client: Any) -> str:
        """The id of the run, which is made if there is none yet."""
        file = own_folder(self._run.folder / "mlflow") / "run-id"
        if file.exists():
            identity = read_text(file, most=64).strip()
            for name in client.get_run(identity).data.metrics:
                self._there[name] = len(client.get_metric_history(identity, name))
            client.update_run(identity, status="RUNNING")
            return identity
        found = client.get_experiment_by_name(self.config.experiment)
        experiment = (
            found.experiment_id if found else client.create_experiment(self.config.experiment)
        )
        run = self._run
        tags = {"run_id": run.run_id, "folder": str(run.folder), "sweep": run.sweep or ""}
        made = client.create_run(experiment, run_name=run.name or run.label, tags=tags)
        _log_parameters(client, made.info.run_id, run)
        write_text(file, made.info.run_id)
        return str(made.info.run_id)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process at a time writes to a data base that is a file."""
        if self._base is None:
            yield
            return
        with locked(self._base.with_name(f".{self._base.name}.lock")):
            yield


def _log_parameters(client: Any, identity: str, run: LoggedRun) -> None:
    from mlflow.entities import Param

    found = [Param(key, str(value)[:LONGEST]) for key, value in run.config.items()]
    for first in range(0, len(found), MOST_PARAMETERS):
        client.log_batch(identity, params=found[first : first + MOST_PARAMETERS])
