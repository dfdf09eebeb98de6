"""Workers of a Ray cluster; one whose node is killed is scripts/prove_ray."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from comparing_runs import lines, results

import clrun
from clrun.cli.main import main
from clrun.config.compose import compose
from clrun.errors import ConfigError
from clrun.sweep.engines.ray_keys import RayKeys

WORDS = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")
SECONDS = 300


def keys(*words: str) -> RayKeys:
    launcher = compose(["launcher=ray", *words]).launcher
    assert launcher is not None
    config: RayKeys = launcher.config
    return config


def test_a_worker_runs_as_many_jobs_at_a_time_as_it_asks_room_for():
    assert keys().jobs == 1
    assert keys("launcher.num_cpus=5", "launcher.threads=2").jobs == 2
    assert keys("launcher.num_gpus=2", "launcher.jobs_per_gpu=3").jobs == 6
    assert keys("launcher.num_gpus=0.5", "launcher.jobs_per_gpu=3").jobs == 1
    assert keys("launcher.jobs_per_worker=4").jobs == 4


def test_what_a_node_must_have_is_in_rays_words():
    asked = keys("launcher.num_cpus=2", "launcher.num_gpus=0.5", "launcher.resources={a100: 1}")

    assert asked.needed == {"CPU": 2, "GPU": 0.5, "a100": 1}
    assert keys().needed == {"CPU": 1}


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("num_cpus=0", "launcher.num_cpus=0: must be at least 1."),
        ("num_gpus=1.5", "launcher.num_gpus=1.5: above 1 it must be a whole number."),
        ("resources={GPU: 1}", "GPU is set by launcher.num_cpus or launcher.num_gpus."),
        ("resources={a100: 0}", "must be above 0"),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_its_reason(word, line):
    with pytest.raises(ConfigError) as refused:
        keys(f"launcher.{word}")

    assert line in str(refused.value)


def swept(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clrun", "-m", *WORDS, "launcher=ray", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)


@pytest.mark.slow
def test_a_sweep_on_ray_is_what_its_jobs_are_alone(workplace):
    pytest.importorskip("ray")

    ran = swept("seed=0,1", "launcher.workers=1", "hydra.sweep.dir=sweep")

    assert ran.returncode == 0, ran.stdout + ran.stderr
    folders = sorted(file.parent for file in Path("sweep").glob("*/results.json"))
    assert len(folders) == 2
    for seed, folder in enumerate(folders):
        clrun.run(compose([*WORDS, f"seed={seed}"]), Path(f"alone{seed}"))
        assert lines(folder) == lines(Path(f"alone{seed}"))
        assert results(folder) == results(Path(f"alone{seed}"))
    logs = list(Path("sweep/.sweep/ray").glob("*.log"))
    assert [log.name.rpartition("-")[0] for log in logs] == [os.uname().nodename]
    assert logs[0].read_text().count(": completed in ") == 2


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_a_cluster_that_is_not_there_is_refused_before_anything_is_written(
    address, workplace, capsys
):
    pytest.importorskip("ray")

    words = ["-m", *WORDS, "seed=0,1", "launcher=ray", f"launcher.address='{address}'"]
    assert main([*words, "hydra.sweep.dir=sweep"]) == 2

    said = capsys.readouterr().err
    assert said == f"clrun: launcher.address={address}: Connection refused.\n"
    assert not Path("sweep").exists()
