"""Sources that are not those that the jobs of a sweep were written for: nothing is mixed unsaid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from making_sweeps import misbehaving, written_sweep

from clrun.cli.main import main
from clrun.config.trust import Trust, trusting
from clrun.device import processor
from clrun.errors import ConfigError, FolderError
from clrun.records.identity import sources
from clrun.records.run_record import versions
from clrun.sweep.manifest import Job, write_manifest
from clrun.sweep.outcomes import COMPLETED, FAILED, JobOutcome, read_outcome, write_outcome
from clrun.sweep.record import SweepOptions, read_record, write_record
from clrun.sweep.sources_now import done_otherwise, require_same_sources, stream_of
from clrun.sweep.work import work

SEEDS = [["seed=0"], ["seed=1"]]


def written_here(path: Path, **changed: object) -> list[Job]:
    """A sweep of two jobs that was written by what is here, but for what is changed."""
    here = {"code": {"clrun": sources()}, "versions": versions(), "processor": processor.name()}
    jobs = [
        replace(job, identity={**job.identity, **here, **changed})
        for job in written_sweep(path, SEEDS)
    ]
    write_manifest(path, jobs)
    return jobs


def test_what_was_written_by_the_same_sources_is_worked_on(tmp_path: Path):
    jobs = written_here(tmp_path)

    require_same_sources(tmp_path, jobs)
    assert done_otherwise(jobs, threads=1, data={}) is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"code": {"clrun": "0123"}}, "code.clrun: 0123 before"),
        ({"versions": {**versions(), "torch": "1.0"}}, "versions.torch: 1.0 before"),
        ({"processor": "Z80"}, "processor: Z80 before"),
    ],
)
def test_jobs_of_other_sources_are_refused_before_one_is_begun(
    tmp_path: Path, changed: dict[str, object], named: str
):
    written_here(tmp_path, **changed)
    write_outcome(tmp_path, 0, JobOutcome(status=FAILED))

    with pytest.raises(FolderError, match="1 of its jobs are not over") as refused:
        work(tmp_path, SweepOptions(), lambda event: None)

    assert named in str(refused.value)
    assert read_outcome(tmp_path, 1) is None


def test_jobs_whose_code_is_not_trusted_are_refused_before_one_is_begun(tmp_path: Path):
    where = misbehaving(tmp_path)
    common = ("strategy=misbehaving", "benchmark=digits", "device=cpu")
    with trusting(Trust(everything=True)):
        written_sweep(tmp_path / "sweep", SEEDS, common=common, where=where)

    with pytest.raises(ConfigError, match="--trust"):
        work(tmp_path / "sweep", SweepOptions(), lambda event: None)

    assert read_outcome(tmp_path / "sweep", 0) is None


def test_nothing_is_handed_to_an_engine_whose_workers_would_refuse_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    written_here(tmp_path, code={"clrun": "0123"})
    options = SweepOptions(launcher="ray")
    write_record(tmp_path, replace(read_record(tmp_path), options=options))

    assert main(["resume", str(tmp_path)]) == 3
    assert "code.clrun: 0123 before" in capsys.readouterr().err


def test_other_data_fail_each_job_and_what_is_forced_is_run(tmp_path: Path):
    """Data are not read before a job is; whoever forces it may have other sources, too."""
    jobs = written_here(tmp_path, data={"fingerprint": "of old"})

    assert work(tmp_path, SweepOptions(), lambda event: None) == 1

    outcomes = [read_outcome(tmp_path, job.number) for job in jobs]
    assert [(each.status, each.exit_code) for each in outcomes if each] == [(FAILED, 3)] * 2
    assert all("data.fingerprint: of old before" in str(each) for each in outcomes)
    write_manifest(
        tmp_path, [replace(j, identity={**j.identity, "code": {"clrun": "0123"}}) for j in jobs]
    )
    assert main(["worker", str(tmp_path), "--retry-failed", "--force"]) == 0


def test_jobs_of_a_gpu_that_is_not_here_are_refused_before_one_is_begun(tmp_path: Path):
    written_here(tmp_path, device="cuda:63 (a card)")

    with pytest.raises(FolderError, match=r"run on cuda:63, and this machine has \d+ GPUs"):
        work(tmp_path, SweepOptions(), lambda event: None)

    assert read_outcome(tmp_path, 0) is None


@pytest.mark.parametrize("name", [".sweep", "sweep.csv", "job"])
def test_nothing_is_written_where_a_link_leads(tmp_path: Path, name: str):
    jobs = written_here(tmp_path / "sweep")
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "sweep" / (jobs[1].folder if name == "job" else name)
    link.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(FolderError, match=r"is a (symbolic )?link.* not written to"):
        work(tmp_path / "sweep", SweepOptions(), lambda event: None)

    assert not list((tmp_path / "elsewhere").iterdir())


def test_where_all_is_over_other_sources_are_nobodys_business(tmp_path: Path):
    written_here(tmp_path, code={"clrun": "0123"})
    for number in (0, 1):
        write_outcome(tmp_path, number, JobOutcome(status=COMPLETED))

    assert work(tmp_path, SweepOptions(), lambda event: None, slots=1) == 0


def test_what_is_done_with_something_else_is_named(tmp_path: Path):
    jobs = written_here(tmp_path, code={"clrun": "0123"}, data={"fingerprint": "of old"})

    line = done_otherwise(
        jobs, threads=2, data={stream_of(jobs[1].config): {"fingerprint": "of new"}}
    )

    assert line is not None
    assert line.startswith("2 of the jobs that are done here would give other numbers now")
    for different in ("code.clrun: 0123 before", "threads: 1 before, 2 now", "of old before"):
        assert different in line
