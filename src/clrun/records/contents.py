"""What lies in the folder of a run and of a sweep: `clrun help run_folder` and `sweep_folder`.

Names may have the wildcards of a shell. That nothing else is written is for tests to see.
"""

from __future__ import annotations

from collections.abc import Mapping

RUN_FILES: Mapping[str, str] = {
    "run.json": "status (running, interrupted, failed, completed), error, seeds, versions, commit, "
    "device and threads, the data's place and fingerprint, a command that repeats it from "
    "anywhere, start and end (UTC)",
    "results.json": "accuracy matrix (row: after training on, column: tested on; a row that was "
    "not evaluated is empty), accuracy by class, metrics, why one is undefined (notes), cost, "
    "memory",
    "accuracy_matrix.csv": "the same matrix for a spreadsheet",
    "report.html": "all of it as a page, in one file (not with report=false)",
    "metrics.jsonl": "the raw log, one object a line with its kind (step, epoch, experience, eval, "
    "memory, resource); every metric can be computed again from it",
    "checkpoints/model.safetensors": "the trained model with its transform, class names and sizes; "
    "a SHA-256 finds every flipped bit",
    "checkpoints/state-*.safetensors": "the newest states, from which the run can go on",
    "checkpoints/state-*.json": "what lies beside the tensors of a state",
    "clrun.log": "what the run and its libraries logged",
    ".hydra/config.yaml": "the configuration as it was understood, every key",
    ".hydra/overrides.yaml": "the words of the command line",
    ".hydra/hydra.yaml": "Hydra's own part of the configuration",
    "metrics.csv": "the raw log as one table (logger=csv)",
    "tensorboard/*": "the numbers for TensorBoard (logger=tensorboard)",
    "wandb/*": "the run of Weights & Biases (logger=wandb)",
    "mlflow/run-id": "which run of MLflow this is (logger=mlflow)",
    "plots/*": "figures of clrun plot",
    "profile/*": "where the time went: summary.json, operators.csv, trace.json.gz (clrun profile)",
    ".lock": "locked by the process that writes here, and only while it lives",
}
"""What the folder of a run has, `outputs/<date>/<time>-<id>/` unless it is named."""

SWEEP_FILES: Mapping[str, str] = {
    "<strategy>-<benchmark>-s<seed>-<hash>/": "the folder of a job, as that of any run (a trial "
    "of a study has its values in the name)",
    "multirun.yaml": "what the sweep was composed of, as every Hydra program saves it",
    "sweep.jsonl": "the manifest, one line a job: its words, its identity, its folder; it does not "
    "change",
    "sweep.json": "the sweep as a whole: its command, versions, workers' options",
    "sweep.csv": "one row a job: its words, its status, every metric and cost",
    "index.sqlite": "the same for SQL",
    "report.html": "the page of the sweep",
    "study.json": "of clrun tune: what is searched, and how",
    "trials.jsonl": "of clrun tune: one line a trial, its values and its jobs",
    "experiment/best.yaml": "of clrun tune: the best values, as a recipe",
    "full/": "of clrun tune --run: the sweep over the whole stream, with the best values",
    ".sweep/": "what workers need among themselves; it may go once every job is done",
}
"""What the folder of a sweep has, `outputs/multirun/<date>/<time>-<id>/` unless it is named."""
