"""TensorBoard, Weights & Biases and MLflow, where they are installed: what they have in the end."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from logged_runs import logged_run

from clrun.loggers.logger import Logger

PLACE = {"experience": 0, "epoch": None}
LINES: list[dict[str, Any]] = [
    {"kind": "eval", **PLACE, "iteration": 0, "seconds": 0.1, "accuracy": [0.25, 0.5, None]},
    {"kind": "step", **PLACE, "iteration": 10, "seconds": 0.5, "loss": 0.75, "accuracy": 0.5},
    {"kind": "step", **PLACE, "iteration": 20, "seconds": 0.9, "loss": 0.5, "accuracy": 1.0},
    {"kind": "metrics", **PLACE, "iteration": 20, "seconds": 1.0, "acc_final": 0.5, "bwt": None},
]
"""All numbers are exact in single precision, which TensorBoard has."""

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs are not ours to mend


def logged(logger: Logger, folder: Path) -> None:
    """A run whose process is killed after three lines, the last of which no state has."""
    run = logged_run(folder)
    logger.begin(run, [])
    for line in LINES[:3]:
        logger.write(line)
    logger.end("interrupted")


def continued(logger: Logger, folder: Path) -> None:
    """The rest of that run, in another process."""
    logger.begin(logged_run(folder), LINES[:2])
    for line in LINES[2:]:
        logger.write(line)
    logger.end("completed")


CURVES = {
    "eval/accuracy/0": [(0, 0.25)],
    "eval/accuracy/1": [(0, 0.5)],
    "train/loss": [(10, 0.75), (20, 0.5)],
    "train/accuracy": [(10, 0.5), (20, 1.0)],
    "acc_final": [(20, 0.5)],
}


def test_tensorboard_has_each_point_once_at_its_moment(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from clrun.loggers.tensorboard import TensorBoard

    config = TensorBoard.Config(flush_seconds=10.0)
    logged(TensorBoard(config), tmp_path)
    continued(TensorBoard(config), tmp_path)

    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    curves = {name: events.Scalars(name) for name in events.Tags()["scalars"]}
    found = {name: [(e.step, e.value) for e in curve] for name, curve in curves.items()}
    assert found == CURVES
    assert [e.wall_time for e in curves["train/loss"]] == [1000.5, 1000.9]
    assert "config" in events.Tags()["tensors"]


def test_mlflow_has_each_point_once_at_its_moment(tmp_path: Path) -> None:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    from clrun.loggers.mlflow import MLflow

    config = MLflow.Config(experiment="mine", tracking_uri=None, flush_seconds=5.0)
    logged(MLflow(config), tmp_path)
    continued(MLflow(config), tmp_path)

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine")
    assert experiment is not None
    [run] = client.search_runs([experiment.experiment_id])
    history = {name: client.get_metric_history(run.info.run_id, name) for name in CURVES}
    found = {name: [(m.step, m.value) for m in curve] for name, curve in history.items()}
    assert set(run.data.metrics) == set(CURVES)
    assert found == CURVES
    assert [m.timestamp for m in history["train/loss"]] == [1_000_500, 1_000_900]
    assert run.info.status == "FINISHED"
    assert run.data.params == {"seed": "0", "strategy": "naive"}


@pytest.fixture
def _no_words_of_wandb(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_DIR", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)


BLOCK, HEADER = 2**15, 7
"""Bytes of a block of a LevelDB log, and of what stands before a part of a record"""


def records(content: bytes) -> Iterator[bytes]:
    """The records of an offline run, which is a LevelDB log after seven bytes of its own."""
    place, record = HEADER, b""
    while place + HEADER <= len(content):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
        _, length, kind = struct.unpack("<IHB", content[place : place + HEADER])
        record += content[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or a last part
            yield record
            record = b""


@pytest.mark.usefixtures("_no_words_of_wandb")
def test_wandb_has_one_offline_run_with_each_point_once(tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    from clrun.loggers.wandb import WeightsAndBiases

    config = WeightsAndBiases.Config(project="mine", entity=None, mode="offline")
    logged(WeightsAndBiases(config), tmp_path)
    continued(WeightsAndBiases(config), tmp_path)
    wandb.teardown()  # as at the end of the process: the last lines are written then

    [file] = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in CURVES}
    for data in records(file.read_bytes()):
        record = Record.FromString(data)
        items = {"/".join(i.nested_key) or i.key: i.value_json for i in record.history.item}
        for name in found.keys() & items.keys():
            found[name].append((int(items["_step"]), float(items[name])))
    assert found == CURVES
