from __future__ import annotations

import platform
from datetime import UTC, datetime, timedelta

import pytest
import torch

import clrun
from clrun.records.run_record import ended, git_commit, started, utc_now, versions


@pytest.fixture(scope="module")
def config():
    return clrun.compose(
        ["strategy=naive", "seed=3", "run_name=my first", "strategy.plugins=[]", "device=cpu"]
    )


def test_a_run_that_begins_is_told_with_all_that_is_needed_to_repeat_it(config, tmp_path):
    record = started(config, tmp_path / "11-12-13-abcdef", device="cpu", threads=2)

    assert record["schema"] == 1
    assert record["run_id"] == "11-12-13-abcdef"
    assert record["run_name"] == "my first"
    assert record["label"] == "naive-digits-s3"
    assert record["config_hash"] == config.hash()
    assert (record["status"], record["error"], record["ended"]) == ("running", None, None)
    assert record["seeds"] == {"seed": 3}
    assert (record["device"], record["threads"]) == ("cpu", 2)
    assert record["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_the_command_can_be_pasted_into_a_shell(config, tmp_path):
    command = started(config, tmp_path, device="cpu", threads=2)["command"]

    assert command == (
        "clrun strategy=naive seed=3 'run_name=my first' 'strategy.plugins=[]' device=cpu"
    )


def test_a_seed_for_the_class_order_is_told_beside_the_seed(tmp_path):
    config = clrun.compose(["benchmark.class_order=shuffled", "benchmark.class_order_seed=5"])

    assert started(config, tmp_path, device="cpu", threads=2)["seeds"] == {
        "seed": 0,
        "class_order_seed": 5,
    }


def test_a_run_that_ends_tells_why_and_when():
    record = ended("failed", "ValueError: no")

    assert (record["status"], record["error"]) == ("failed", "ValueError: no")
    assert datetime.fromisoformat(record["ended"]).utcoffset() == timedelta(0)


def test_times_are_utc_to_the_second():
    told = datetime.fromisoformat(utc_now())

    assert abs(datetime.now(UTC) - told) < timedelta(minutes=1)
    assert told.microsecond == 0


def test_versions_are_those_of_this_process():
    found = versions()

    assert found["python"] == platform.python_version()
    assert set(found) >= {"clrun", "torch", "torchvision", "hydra-core", "omegaconf", "numpy"}
    assert all(found.values())


def test_the_commit_is_a_full_hash_or_unknown():
    commit = git_commit()

    assert commit is None or (len(commit) == 40 and set(commit) <= set("0123456789abcdef"))


def test_another_git_is_not_run(tmp_path, monkeypatch):
    before = git_commit()
    fake = tmp_path / "git"
    fake.write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\necho 0000\n")
    fake.chmod(0o755)
    for variable in ("PATH", "GIT_DIR", "GIT_EXEC_PATH"):
        monkeypatch.setenv(variable, str(tmp_path))

    git_commit.cache_clear()
    assert git_commit() == before
    assert not (tmp_path / "canary").exists()
