"""What Slurm is given for a sweep, and what is refused before; real Slurm is scripts/prove_slurm.

The commands of Slurm are stand-ins here that keep what they are given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clrun.cli.main import main
from clrun.config.compose import compose
from clrun.config.trust import trusting, typed
from clrun.errors import ClrunError, ConfigError
from clrun.sweep.engines import starting
from clrun.sweep.engines.slurm_keys import OF_SLURM, OF_TASKS, UNSAID, USUAL
from clrun.sweep.folder import SweepFolder
from clrun.sweep.manifest import Job, read_manifest, write_manifest
from clrun.sweep.outcomes import (
    COMPLETED,
    FAILED,
    INTERRUPTED,
    JobOutcome,
    read_outcome,
    write_outcome,
)
from clrun.sweep.record import SweepOptions, SweepRecord, read_record, write_record

SBATCH = """#!/bin/sh
for word; do script=$word; done
[ "$1" = --test-only ] && { cp "$script" asked.sh; exit 0; }
cp "$script" given.sh
echo Submitted batch job 77
"""


@pytest.fixture
def slurm(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that come first on PATH."""
    pytest.importorskip("submitit")
    folder = workplace / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    command(folder, "sbatch", SBATCH)
    command(folder, "srun", "#!/bin/sh\n")
    command(folder, "squeue", "#!/bin/sh\ncat queue.txt\n")
    return folder


OLD = {"code": {"clrun": "0123"}}


def command(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def options(*words: str) -> SweepOptions:
    launcher = compose(["launcher=slurm", *words]).launcher
    assert launcher is not None
    return SweepOptions(launcher="slurm", launcher_keys=dict(launcher.values))


def sweep(path: Path, given: SweepOptions, jobs: int = 4) -> Path:
    path.mkdir()
    identity: Mapping[str, Any] = {"config_hash": "0", "threads": 1}
    config = compose(["strategy=naive"]).plain()
    write_manifest(
        path,
        [
            Job(number=k, overrides=(), values={}, folder=f"{k}", config=config, identity=identity)
            for k in range(jobs)
        ],
    )
    record = SweepRecord(
        sweep_id="s", command="clrun -m", swept=(), started="", output_root=".", options=given
    )
    write_record(path, record)
    return path


def lines(path: Path) -> list[str]:
    return starting.engine_lines(path, read_record(path))


def test_every_key_is_in_the_script_that_slurm_is_given(slurm, workplace, capsys):
    given = options(
        *("launcher.partition=low", "launcher.workers=3", "launcher.array_parallelism=2"),
        *("launcher.cpus_per_task=6", "launcher.threads=2", "launcher.gpus_per_node=0"),
        *("launcher.mem_gb=1.5", "launcher.timeout_min=30", "launcher.signal_delay_s=60"),
        *("launcher.requeue=off", "launcher.additional_parameters={qos: long, exclusive: true}"),
        *("launcher.srun_args=['--cpu-bind=none']", "launcher.setup=['module load a;b']"),
    )
    path = sweep(workplace / "a b", given)

    with trusting(typed(["launcher.srun_args=x", "launcher.setup=x"])):
        assert not starting.run_elsewhere(path, given)

    script = Path("given.sh").read_text().splitlines()
    flags = {line.removeprefix("#SBATCH ") for line in script if line.startswith("#SBATCH")}
    assert flags >= {
        *("--array=0-2%2", "--partition=low", "--cpus-per-task=6", "--mem=1536MB", "--time=30"),
        *("--signal=USR2@60", "--no-requeue", "--open-mode=append", "--qos=long", "--exclusive"),
        *("--job-name=clrun", "--nodes=1"),
    }
    assert not any(flag.startswith("--gpus") for flag in flags)
    assert "module load 'a;b'" in script
    assert any(line.startswith("srun ") and " --cpu-bind=none " in line for line in script)
    said = capsys.readouterr().out
    assert said == (
        f"Slurm job 77: 3 workers for 4 jobs.\nHow it goes: clrun status '{workplace / 'a b'}'\n"
    )


def test_a_worker_runs_as_many_jobs_at_a_time_as_it_has_room_for():
    def jobs(*words: str) -> int:
        launcher = compose(["launcher=slurm", *words]).launcher
        assert launcher is not None
        return launcher.config.jobs

    assert jobs() == 1  # on its GPU
    assert jobs("launcher.gpus_per_node=2", "launcher.jobs_per_gpu=3") == 6
    assert jobs("launcher.gpus_per_node=0", "launcher.cpus_per_task=7", "launcher.threads=2") == 3
    assert jobs("launcher.gpus_per_node=0", "launcher.cpus_per_task=1", "launcher.threads=2") == 1
    assert jobs("launcher.jobs_per_worker=5") == 5


def test_what_is_pickled_is_a_worker_command_in_a_folder_of_our_own(slurm, workplace):
    given = options("launcher.workers=2")
    path = sweep(workplace / "s", given)

    starting.run_elsewhere(path, given)

    folder = path / ".sweep" / "slurm"
    assert folder.stat().st_mode & 0o777 == 0o700
    pickles = sorted(folder.glob("*.pkl"))
    assert [file.name for file in pickles] == ["77_0_submitted.pkl", "77_1_submitted.pkl"]
    assert all(file.stat().st_size < 1000 for file in pickles)
    assert not list(path.glob("*.pkl"))


def test_there_are_no_more_workers_than_jobs_left(slurm, workplace, capsys):
    given = options()
    path = sweep(workplace / "s", given)
    for number in range(3):
        write_outcome(path, number, JobOutcome(status=COMPLETED))

    starting.run_elsewhere(path, given)

    assert capsys.readouterr().out.startswith("Slurm job 77: 1 worker for 1 job.\n")
    assert read_record(path).engine["submitted"] == [
        {"cluster": "slurm", "tasks": ["77"], "host": os.uname().nodename}
    ]
    write_outcome(path, 3, JobOutcome(status=COMPLETED))
    Path("given.sh").unlink()
    assert starting.run_elsewhere(path, given)  # nothing is left to wait for
    assert not Path("given.sh").exists()


def test_failed_jobs_are_left_unless_they_are_asked_for(slurm, workplace):
    given = options()
    path = sweep(workplace / "s", given)
    write_outcome(path, 0, JobOutcome(status=FAILED, reason="too large", attempts=3))

    starting.run_elsewhere(path, given)
    assert read_outcome(path, 0) == JobOutcome(status=FAILED, reason="too large", attempts=3)

    starting.run_elsewhere(path, given, retry_failed=True)
    assert read_outcome(path, 0) == JobOutcome(status=INTERRUPTED, attempts=3)


def test_the_queue_says_which_workers_wait_and_why_which_run_and_which_are_gone(slurm, workplace):
    given = options("launcher.workers=4")
    path = sweep(workplace / "s", given, jobs=6)
    starting.run_elsewhere(path, given)
    Path("queue.txt").write_text("77_0|RUNNING|None|node1\n77_2|PENDING|Priority|\n")
    (path / ".sweep" / "slurm" / "77_3_ended.json").write_text('{"code": 1}')

    assert lines(path) == [
        "Slurm job 77: worker 0 running (node1)",
        "Slurm job 77: worker 1 gone (cancelled or killed; clrun resume SWEEP starts others)",
        "Slurm job 77: worker 2 queued (Priority)",
        "Slurm job 77: worker 3 ended (exit code 1)",
    ]
    Path("queue.txt").write_text("".join(f"77_{k}|PENDING|Resources|\n" for k in (0, 1, 3)))
    (path / ".sweep" / "slurm" / "77_2_ended.json").write_text('{"code": 0}')
    assert lines(path) == [
        "Slurm job 77: workers 0-1, 3 queued (Resources)",
        "Slurm job 77: worker 2 ended",
    ]


@pytest.mark.parametrize(
    ("squeue", "line"),
    [
        (None, "Slurm job 77: there is no squeue here that could say what they do"),
        ("echo slurm_load_jobs error: Unable to contact >&2; exit 1", "Unable to contact"),
        ("echo slurm_load_jobs error: Invalid job id specified >&2; exit 1", "workers 0-1 gone"),
    ],
)
def test_where_there_is_no_queue_to_ask_status_says_so(slurm, workplace, squeue, line, monkeypatch):
    given = options("launcher.workers=2")
    path = sweep(workplace / "s", given)
    starting.run_elsewhere(path, given)
    if squeue is None:
        (slurm / "squeue").unlink()
        monkeypatch.setenv("PATH", str(slurm))
    else:
        command(slurm, "squeue", f"#!/bin/sh\n{squeue}\n")

    assert [line in said for said in lines(path)] == [True]


def test_a_sweep_that_no_engine_runs_has_no_lines(workplace):
    path = sweep(workplace / "s", SweepOptions())

    assert lines(path) == []


@pytest.mark.parametrize(
    ("missing", "word"), [("sbatch", "launcher=slurm"), ("srun", "hydra/launcher=slurm")]
)
def test_without_slurms_commands_nothing_is_written(
    slurm, workplace, missing, word, monkeypatch, capsys
):
    (slurm / missing).unlink()
    monkeypatch.setenv("PATH", str(slurm))

    assert main(["-m", "strategy=naive", "seed=0,1", word, "hydra.sweep.dir=s"]) == 2

    assert f"clrun: launcher=slurm: there is no {missing} here." in capsys.readouterr().err
    assert not Path("s").exists()
    assert not Path("outputs").exists()


def test_what_slurm_would_refuse_is_refused_before_anything_is_written(slurm, workplace, capsys):
    command(slurm, "sbatch", "#!/bin/sh\necho sbatch: error: no partition x >&2\nexit 1\n")

    words = ["-m", "strategy=naive", "seed=0,1", "launcher=slurm", "launcher.partition=x"]
    assert main([*words, "hydra.sweep.dir=s"]) == 2

    line = "clrun: launcher=slurm: Slurm would refuse it: no partition x.\n"
    assert capsys.readouterr().err.endswith(line)
    assert not Path("s").exists()


def test_an_array_that_slurm_refuses_after_all_is_one_line(slurm, workplace):
    given = options()
    path = sweep(workplace / "s", given)
    refusing = '[ "$1" = --test-only ] || { echo sbatch: error: too many >&2; exit 1; }'
    command(slurm, "sbatch", f"#!/bin/sh\n{refusing}\n")

    with pytest.raises(ClrunError, match=r"^launcher=slurm: .*too many\. Nothing was submitted\.$"):
        starting.run_elsewhere(path, given)

    assert "submitted" not in read_record(path).engine


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("workers=0", "launcher.workers=0: must be at least 1."),
        ("cluster=sge", "launcher.cluster=sge: must be one of slurm, local, debug."),
        ("partition='a\n#SBATCH b'", "must be one line of text"),
        ("timeout_min=2", "launcher.signal_delay_s=120: must be below the 120 seconds of timeout"),
        ("additional_parameters={time: 5}", "time is set by launcher.timeout_min."),
        ("additional_parameters={a_b: 5}", "a_b is no option of sbatch"),
        ("additional_parameters={qos: false}", "qos is true or has a value, or is left out."),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_its_reason(word, line):
    with pytest.raises(ConfigError) as refused:
        compose(["launcher=slurm", f"launcher.{word}"])

    assert line in str(refused.value)


@pytest.mark.parametrize(
    ("word", "local", "debug"),
    [
        ("partition=low", "slurm", "slurm"),
        ("array_parallelism=2", "slurm", "slurm"),
        ("mem_gb=1", "slurm", "slurm"),
        ("requeue=off", "slurm", "slurm"),
        ("additional_parameters={qos: long}", "slurm", "slurm"),
        ("srun_args=['-v']", "slurm", "slurm"),
        ("timeout_min=30", None, "slurm or local"),
        ("signal_delay_s=60", None, "slurm or local"),
        ("max_num_timeout=2", None, "slurm or local"),
        ("setup=['module load cuda']", None, "slurm or local"),
        ("gpus_per_node=0", None, None),
        ("mem_gb=null", None, None),
    ],
)
def test_a_key_is_refused_where_nobody_reads_it(word: str, local: str | None, debug: str | None):
    for cluster, readers in (("local", local), ("debug", debug), ("slurm", None)):
        words = ["launcher=slurm", f"launcher.cluster={cluster}", f"launcher.{word}"]
        if readers is None:
            compose(words)
            continue
        with pytest.raises(ConfigError) as refused:
            compose(words)
        key = word.partition("=")[0]
        assert f"{key}: is read with cluster={readers} alone" in str(refused.value)


def test_what_nobody_said_is_what_the_option_says():
    launcher = compose(["launcher=slurm"]).launcher
    assert launcher is not None
    unread = {key: launcher.values[key] for key in (*OF_SLURM, *OF_TASKS)}

    assert {key: value for key, value in unread.items() if value not in UNSAID} == USUAL


def test_force_reaches_the_workers(slurm, workplace, capsys):
    given = options("launcher.workers=1")
    path = sweep(workplace / "s", given)
    jobs = read_manifest(path)
    write_manifest(path, [replace(job, identity={**job.identity, **OLD}) for job in jobs])

    assert main(["resume", "s"]) == 3
    assert "code.clrun: 0123 before" in capsys.readouterr().err
    assert not Path("given.sh").exists()
    assert main(["resume", "s", "--force"]) == 0

    from submitit.helpers import DelayedSubmission

    [pickled] = (path / ".sweep" / "slurm").glob("*.pkl")
    assert DelayedSubmission.load(pickled).function.force


@pytest.mark.parametrize(
    ("word", "key"),
    [
        ("setup=['echo mine']", "launcher.setup"),
        ("srun_args=['--task-prolog=mine']", "launcher.srun_args"),
        ("additional_parameters={container: mine}", "launcher.additional_parameters.container"),
    ],
)
def test_what_a_machine_would_run_is_typed_or_trusted(slurm, word, key):
    """A saved sweep, or a file of options, may be anybody's."""
    given = options(f"launcher.{word}")

    with pytest.raises(ConfigError, match=f"^{key}: only a file says this"):
        starting.require(given)
    with trusting(typed([f"launcher.{word}"])):
        starting.require(given)
    with trusting(typed([], everything=True)):
        starting.require(given)


def test_the_folder_of_the_tasks_is_one_that_only_its_owner_enters(slurm, workplace):
    given = options()
    path = sweep(workplace / "s", given)
    SweepFolder(path).inner("slurm", "x").parent.chmod(0o777)

    starting.run_elsewhere(path, given)

    assert (path / ".sweep" / "slurm").stat().st_mode & 0o077 == 0
