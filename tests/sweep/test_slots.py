"""How many jobs run at a time, and which GPU each has."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from making_sweeps import written_sweep

from clrun import compose
from clrun.errors import FolderError
from clrun.sweep import gpus, slots
from clrun.sweep.gpus import choose_gpu
from clrun.sweep.manifest import Job
from clrun.sweep.record import SweepOptions
from clrun.sweep.slots import processors, require_gpus, slots_here


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    [made] = written_sweep(tmp_path_factory.mktemp("sweep"), [["seed=1"]])
    return made


@pytest.mark.parametrize(
    ("keys", "threads", "slots"),
    [
        ({}, 1, processors()),
        ({"workers": None, "threads": 1, "jobs_per_gpu": 1}, 1, processors()),
        ({"workers": 7}, 1, 7),
        ({}, 10_000, 1),
    ],
)
def test_there_are_as_many_as_is_said_or_as_processors(
    keys: dict[str, Any], threads: int, slots: int, job: Job
):
    one = replace(job, identity={**job.identity, "threads": threads, "device": "cpu"})

    assert slots_here(SweepOptions(launcher_keys=keys), [one]) == slots


@pytest.mark.parametrize(
    ("device", "words", "gpus", "is_refused"),
    [
        ("cuda:0 (a card)", (), 0, True),
        ("cuda:0 (a card)", (), 1, False),
        ("cuda:1 (a card)", (), 1, True),
        ("cpu (a processor)", ("device=cuda",), 0, False),
        (None, ("device=cuda",), 0, True),
        (None, ("device=cuda", "device.index=2"), 2, True),
        (None, ("device=cuda", "device.index=2"), 3, False),
        (None, ("device=auto",), 0, False),
        (None, ("device=mps",), 0, False),
    ],
)
def test_a_worker_without_the_gpu_of_its_jobs_refuses_before_they_fail(
    device: str | None,
    words: tuple[str, ...],
    gpus: int,
    is_refused: bool,
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(slots, "called", lambda function: gpus)  # of a machine that is not here
    identity = {"threads": 1} if device is None else {"threads": 1, "device": device}
    one = replace(job, config=compose(words).plain(), identity=identity)

    if not is_refused:
        require_gpus(Path("sweep"), [job, one])
        return
    with pytest.raises(
        FolderError, match=f"sweep: .* on cuda:{'12'[gpus - 1] if gpus else 0}, and"
    ):
        require_gpus(Path("sweep"), [job, one])


@pytest.mark.parametrize(
    ("words", "visible", "slots", "seen"),
    [
        (("device=auto",), None, (0, 1, 2, 3), ("0", "1", "2", "0")),
        (("device=cuda",), "4,6,7", (0, 1, 2), ("4", "6", "7")),
        (("device=cuda", "device.index=1"), None, (0, 1), (None, None)),
        (("device=cpu",), None, (0, 1), (None, None)),
    ],
)
def test_neighbouring_slots_have_different_gpus(
    words: tuple[str, ...],
    visible: str | None,
    slots: tuple[int, ...],
    seen: tuple[str | None, ...],
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(gpus, "count_gpus", lambda: 3)  # of a machine that is not here
    device = compose(words[:1]).nodes["device"]
    values = {**device.values, **{w.partition("=")[0][7:]: 1 for w in words[1:]}}
    found = []
    for slot in slots:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        choose_gpu(replace(device, values=values), slot)
        found.append(os.environ.get("CUDA_VISIBLE_DEVICES"))

    assert tuple(found) == seen
