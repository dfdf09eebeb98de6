"""A run that is stopped anywhere and goes on from its folder ends as if nothing had happened.

In this process: a run is left by an exception, or by a signal that it sends to itself, and its
folder is opened again, with a new strategy and the newest state that is on the disk. Real kills and
new processes are in tests/cli/test_resume.py.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comparing_runs import leaves, lines, results
from PIL import Image
from torch import nn

import clrun
from clrun.config.run_config import RunConfig
from clrun.errors import ConfigError, FolderError, NoCheckpoint
from clrun.profiling.activity import watch
from clrun.records.unfinished import open_unfinished
from clrun.runner.interrupt import Interrupted
from clrun.runner.prepare import prepare
from clrun.runner.resume import continuation
from clrun.runner.run import run
from clrun.runner.state import RunState
from clrun.streams.experience import Benchmark

SMALL = (
    *("device=cpu", "device.threads=1", "benchmark.limit_per_class=30", "log_every=4"),
    *("strategy.train_epochs=2", "strategy.eval_every=1", "benchmark.augment=crop"),
    *("strategy.momentum=0.9", "checkpoint.every_steps=1", "benchmark.n_experiences=2"),
)
MLP = ("model.hidden=[16]", "model.dropout=0.25")
CNN = ("model=cnn",)
RUNS: dict[str, tuple[str, ...]] = {
    "naive-sgd": ("strategy=naive", *CNN),
    "naive-adam-channels-last": (
        *("strategy=naive", *CNN, "strategy.optimizer=adam", "strategy.lr=0.003"),
        *("strategy.momentum=0", "device.channels_last=true"),
    ),
    "naive-adamw": (
        *("strategy=naive", *MLP, "strategy.optimizer=adamw", "strategy.lr=0.003"),
        "strategy.momentum=0",
    ),
    "replay-herding": (*MLP, "selection=herding", "strategy.mem_size=20"),
    "replay-online": (*MLP, "strategy.memory_update=minibatch", "storage_policy=reservoir"),
    "cumulative": ("strategy=cumulative", *MLP),
    "joint": ("strategy=joint", *MLP),
    "ar1": (
        *("strategy=ar1", *CNN, "strategy.latent_layer=features", "strategy.train_mb_size=24"),
        *("strategy.rm_sz=20", "strategy.ewc_lambda=0.5", "strategy.latent_dtype=uint8"),
    ),
    "der": ("strategy=der", *MLP, "strategy.mem_size=20", "strategy.memory_mb_size=8"),
    "lwf": ("strategy=lwf", *MLP, "strategy.active=experience", "eval.task_ids=true"),
    "er_ace": ("strategy=er_ace", *MLP, "strategy.mem_size=20"),
    "si": ("strategy=naive", *MLP, "strategy.plugins=[{name: si, ewc_lambda: 100}]"),
}


class Stopped(BaseException):
    """Leaves a run between two updates, after which nothing more is saved."""


class Ended:
    """What a run, or its last process, left."""

    def __init__(self, folder: Path, state: RunState) -> None:
        self.folder = folder
        self.weights = leaves(state.strategy.state_dict())
        self.lines = lines(folder)
        self.results = results(folder)
        self.pauses = state.cost.train_steps


def started(config: RunConfig, folder: Path, stop_at: int | None = None) -> Ended | None:
    """A run to its end, or to this pause."""
    return _watched(stop_at, lambda pause: run(prepare(config), folder, at_pause=pause), folder)


def resumed(folder: Path, stop_at: int | None = None, **given: Any) -> Ended | None:
    """The rest of a run, or a part of it."""
    unfinished = open_unfinished(folder)
    assert unfinished is not None
    try:
        ready = continuation(unfinished, **given)

        def go_on(pause: Callable[[RunState], None]) -> None:
            run(ready.prepared, unfinished.folder, resumed=ready.state, at_pause=pause)

        return _watched(stop_at, go_on, folder)
    finally:
        unfinished.folder.close()


def _watched(
    stop_at: int | None, work: Callable[[Callable[[RunState], None]], Any], folder: Path
) -> Ended | None:
    states: list[RunState] = []

    def pause(state: RunState) -> None:
        states.append(state)
        if len(states) - 1 == stop_at:
            raise Stopped

    try:
        work(pause)
    except Stopped:
        return None
    return Ended(folder, states[-1])


@contextmanager
def signal_in_evaluation(number: int) -> Iterator[None]:
    """Send this process SIGTERM when it begins this evaluation, counted from 1."""
    begun = 0

    def watcher(activity: str | None) -> None:
        nonlocal begun
        begun += activity == "evaluating"
        if activity == "evaluating" and begun == number:
            os.kill(os.getpid(), signal.SIGTERM)

    watch(watcher)
    try:
        yield
    finally:
        watch(None)


def assert_equal(ended: Ended | None, whole: Ended, where: object) -> None:
    assert ended is not None
    assert ended.lines == whole.lines, where
    assert ended.results == whole.results, where
    assert ended.weights == whole.weights, where


@pytest.fixture(scope="module", params=RUNS)
def whole(request, tmp_path_factory) -> tuple[RunConfig, Ended]:
    config = clrun.compose([*SMALL, *RUNS[request.param]])
    ended = started(config, tmp_path_factory.mktemp("whole") / "run")
    assert ended is not None
    return config, ended


def test_a_run_that_is_left_again_and_again_ends_the_same(whole, tmp_path):
    config, ended = whole
    folder = tmp_path / "run"

    assert started(config, folder, stop_at=2) is None
    while (again := resumed(folder, stop_at=ended.pauses // 3)) is None:
        pass

    assert_equal(again, ended, "several times")


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_evaluation_that_was_left_is_made_once(number, whole, tmp_path):
    """The first is that of the untrained model, then one of an epoch, one of an experience."""
    config, ended = whole
    folder = tmp_path / "run"

    with signal_in_evaluation(number), pytest.raises(Interrupted, match="clrun resume"):
        started(config, folder)

    assert_equal(resumed(folder), ended, number)
    assert len(json.loads((folder / "run.json").read_text())["resumed"]) == 1


def test_rows_of_image_files_are_found_again_and_are_in_no_state(tmp_path):
    draws = np.random.default_rng(0)
    for number in range(60):
        place = tmp_path / "photos" / "abcd"[number % 4]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(
            place / f"{number}.png"
        )
    words = ("strategy=cumulative", "model=mlp", "model.hidden=[4]", "benchmark=folder")
    config = clrun.compose(
        [*SMALL, *words, f"benchmark.data_root={tmp_path / 'photos'}", "benchmark.image_size=64"]
    )
    ended = started(config, tmp_path / "whole")
    assert ended is not None
    started(config, tmp_path / "run", stop_at=ended.pauses - 1)

    assert_equal(resumed(tmp_path / "run"), ended, "files")
    sizes = [file.stat().st_size for file in (tmp_path / "run" / "checkpoints").iterdir()]
    assert max(sizes) < 64 * 64 * 3 * 40  # the bytes of the rows that were learnt from


UNSAVABLE = """
from clrun.strategies.naive import Naive
from clrun.strategies.strategy import Strategy

class Mine:
    Config = Naive.Config

    def __init__(self, config, parts):
        self._naive = Naive(config, parts)

    def learn(self, experience, *start):
        yield from self._naive.learn(experience, *start)

    def predict(self, x):
        return self._naive.predict(x)
"""
"""A strategy of somebody else's, which says nothing of its state."""


def test_what_cannot_be_saved_runs_on_with_a_note_and_says_why_it_cannot_go_on(
    tmp_path, monkeypatch, caplog
):
    option = tmp_path / "conf" / "strategy" / "mine.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("# Mine.\ndefaults: [naive, _self_]\ntarget: clrun_unsavable:Mine\n")
    (tmp_path / "clrun_unsavable.py").write_text(UNSAVABLE)
    monkeypatch.syspath_prepend(tmp_path)
    words = [*SMALL, "strategy=mine", *MLP]
    config = clrun.compose(words, config_dirs=[tmp_path / "conf"], trust=True)

    run(prepare(config), tmp_path / "whole")
    started(config, tmp_path / "run", stop_at=3)

    notes = [r.getMessage() for r in caplog.records if r.name == "clrun.note"]
    assert notes[0].startswith("no states are saved, and an interrupted run begins anew: Mine has")
    assert not list((tmp_path / "whole").glob("checkpoints/state-*"))
    with pytest.raises(ConfigError, match=r"target=clrun_unsavable:Mine: .*--trust"):
        clrun.resume(tmp_path / "run")
    with pytest.raises(NoCheckpoint, match=r"its state cannot be saved: Mine has no state_dict"):
        clrun.resume(tmp_path / "run", trust=True)


def test_before_the_first_state_a_run_begins_anew(tmp_path, caplog):
    config = clrun.compose([*SMALL, "strategy=naive", *MLP, "checkpoint.every_steps=null"])
    ended = started(config, tmp_path / "whole")
    started(config, tmp_path / "run", stop_at=3)
    assert ended is not None
    assert (tmp_path / "run" / "metrics.jsonl").stat().st_size

    assert_equal(resumed(tmp_path / "run"), ended, "anew")

    assert "no state was saved yet: the run begins anew." in caplog.messages


def test_states_that_are_gone_or_damaged_are_no_beginning(tmp_path):
    config = clrun.compose([*SMALL, "strategy=naive", *MLP])
    started(config, tmp_path / "run", stop_at=5)
    files = list((tmp_path / "run" / "checkpoints").iterdir())
    contents = {file: file.read_bytes() for file in files}
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()

    for file in files:
        file.write_bytes(contents[file][:-1])
    with pytest.raises(NoCheckpoint, match="none of them is whole") as damaged:
        resumed(tmp_path / "run")
    for file in files:
        file.unlink()
    with pytest.raises(NoCheckpoint, match="states were saved, and none is there"):
        resumed(tmp_path / "run")

    assert damaged.value.exit_code == 4
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_a_run_that_was_killed_at_its_very_end_has_its_results_still(tmp_path):
    config = clrun.compose([*SMALL, "strategy=naive", *MLP])
    ended = started(config, tmp_path / "run")
    assert ended is not None
    edit(tmp_path / "run", status="running")
    (tmp_path / "run" / "results.json").unlink()

    again = clrun.resume(tmp_path / "run")

    assert lines(tmp_path / "run") == ended.lines
    assert results(tmp_path / "run") == ended.results
    assert again.accuracy_matrix == ended.results["accuracy_matrix"]


def test_where_run_folders_go_need_not_be_there_any_more(stopped):
    saved = record(stopped)
    saved["config"]["root"]["output_root"] = "/proc/nowhere"
    edit(stopped, **{**saved, "output_root": "/proc/nowhere"})

    assert resumed(stopped) is not None


@pytest.fixture
def stopped(tmp_path) -> Path:
    started(clrun.compose([*SMALL, "strategy=naive", *MLP]), tmp_path / "run", stop_at=5)
    return tmp_path / "run"


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def edit(folder: Path, **values: Any) -> None:
    (folder / "run.json").write_text(json.dumps({**record(folder), **values}))


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"data": {"fingerprint": "0123"}}, r"data\.fingerprint: 0123 before, \w+ now"),
        ({"code": {"clrun": "0123"}}, r"code\.clrun: 0123 before, \w+ now"),
        ({"versions": {"torch": "1.0"}}, r"versions\.torch: 1\.0 before, 2\.\S+ now"),
        ({"processor": "Z80"}, "processor: Z80 before"),
        ({"config_hash": "0123"}, "config_hash: 0123 before"),
    ],
)
def test_what_differs_is_said_and_refused_unless_it_is_forced(change, line, stopped):
    original = record(stopped)
    edit(stopped, **change)
    before = {path: path.read_bytes() for path in stopped.rglob("*.json*")}

    with pytest.raises(FolderError, match=line) as refused:
        resumed(stopped)
    assert refused.value.exit_code == 3
    assert {path: path.read_bytes() for path in stopped.rglob("*.json*")} == before

    assert resumed(stopped, force=True) is not None
    after = record(stopped)
    assert after["status"] == "completed"
    assert len(after["resumed"][0]["forced"]) >= 1
    key = next(iter(change))
    assert after[key] == original[key]


def test_threads_and_device_are_those_of_the_record(stopped):
    """Of a machine where other threads and another memory order would be chosen."""
    saved = record(stopped)
    saved["config"]["nodes"]["device"]["values"]["threads"] = None
    saved["config_hash"] = RunConfig.of_plain(saved["config"]).hash()
    edit(stopped, **{**saved, "threads": 2, "channels_last": True})

    unfinished = open_unfinished(stopped)
    assert unfinished is not None
    ready = continuation(unfinished)
    unfinished.folder.close()

    assert ready.prepared.hardware == ("cpu", 2)
    assert ready.prepared.machine["channels_last"] is True
    assert ready.prepared.config.nodes["device"].values["threads"] is None


def test_a_device_that_is_not_here_is_refused_unless_it_is_forced(stopped):
    edit(stopped, device="cuda:63 (an old card)")

    with pytest.raises(FolderError, match=r"was run on cuda:63 \(an old card\)\. device"):
        resumed(stopped)
    edit(stopped, device=7)
    with pytest.raises(ConfigError, match=r"device\.kind=null: must be one of"):
        resumed(stopped)
    edit(stopped, device="cuda:63 (an old card)")

    assert resumed(stopped, force=True) is not None
    assert record(stopped)["device"] == "cpu"


def test_ones_own_benchmark_and_model_are_handed_over_again(tmp_path):
    x = np.random.default_rng(0).integers(0, 255, (40, 1, 8, 8), dtype=np.uint8)
    y = np.arange(40) % 2
    stream = Benchmark.of_arrays([(x, y), (x, y + 2)], [(x, y), (x, y + 2)])
    config = clrun.compose(["strategy=naive", "device=cpu", "checkpoint.every_steps=1"])

    def module(seed: int = 0) -> nn.Module:
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 4))

    def stop(state: RunState) -> None:
        if state.cost.train_steps == 9:
            raise Stopped

    whole = clrun.run(config, tmp_path / "whole", benchmark=stream, model=module())
    prepared = prepare(config, own_benchmark=stream, own_model=module())
    with pytest.raises(Stopped):
        run(prepared, tmp_path / "run", at_pause=stop)

    with pytest.raises(ConfigError, match=r"benchmark=.+: was handed over from Python"):
        clrun.resume(tmp_path / "run")
    with pytest.raises(FolderError, match="config_hash"):
        clrun.resume(tmp_path / "run", benchmark=stream, model=module(seed=1))
    again = clrun.resume(tmp_path / "run", benchmark=stream, model=module())

    assert again.accuracy_matrix == whole.accuracy_matrix
    with pytest.raises(FolderError, match="is finished"):
        clrun.resume(tmp_path / "run")


def test_a_state_of_another_run_does_not_fit(stopped, tmp_path):
    other = clrun.compose([*SMALL, "strategy=naive", "model.hidden=[8]"])
    started(other, tmp_path / "other", stop_at=5)
    for file in (stopped / "checkpoints").iterdir():
        file.unlink()
    for file in (tmp_path / "other" / "checkpoints").iterdir():
        file.rename(stopped / "checkpoints" / file.name)

    with pytest.raises(NoCheckpoint, match=r"does not fit this run: Error.* size mismatch"):
        resumed(stopped)
