"""Sweeps from the command line, end to end."""

from __future__ import annotations

import glob
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.plugins import Plugins

from clrun.cli.main import main
from clrun.records.identity import differences
from clrun.sweep.manifest import read_manifest

QUICK = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")
PACKAGE = Path(__file__).parents[1] / "packages" / "clrun_sampler"


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweeper of another package, `hydra/sweeper=sampler`."""
    monkeypatch.syspath_prepend(PACKAGE)
    plugin = importlib.import_module("hydra_plugins.clrun_sampler")
    Plugins.instance().register(plugin.Sampler)


def runs(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*/run.json"))]


def content(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_every_point_runs_in_a_folder_that_says_its_keys_and_latest_is_the_sweep(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", *QUICK, "strategy.lr=0.1,0.2", "seed=range(2)"]) == 0

    [sweep] = (workplace / "outputs" / "multirun").glob("*/*")
    jobs = sorted(path.parent.name.rpartition("-")[0] for path in sweep.glob("*/results.json"))
    assert jobs == [f"naive-digits-s{seed}-lr={lr}" for seed in (0, 1) for lr in (0.1, 0.2)]
    assert (workplace / "outputs" / "latest").resolve() == sweep
    shown = capsys.readouterr().out
    assert "4 jobs: 4 completed." in shown
    assert f"Results: {sweep}" in shown
    assert [line.split()[0] for line in shown.splitlines() if " of 4" in line] == list("1234")


def test_options_may_stand_between_overrides(workplace: Path) -> None:
    assert main(["seed=1,2", "-m", *QUICK]) == 0
    assert len(list((workplace / "outputs" / "multirun").glob("*/*/*/results.json"))) == 2


def test_a_failing_job_stops_no_other_and_is_named_with_its_reason(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", *QUICK, "strategy.lr=1e20,0.1", "hydra.sweeper.max_batch_size=1"]

    assert main([*words, "hydra.sweep.dir=sweep"]) == 1

    captured = capsys.readouterr()
    statuses = sorted(run["status"] for run in runs(workplace / "sweep"))
    assert statuses == ["completed", "failed"]
    assert "failed: strategy.lr=1e+20: the loss is nan" in captured.out
    assert "2 jobs: 1 completed, 1 failed." in captured.out
    assert captured.err == ""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["-m", "strategy.mem_size=100,0"], "strategy.mem_size=0: must be at least 1."),
        (["-m", "strategy.lr=interval(0.1,1)"], "an interval needs what draws from it: clrun tune"),
        (["-m", "strategy=glob(x*)"], "strategy=glob(x*): this is no value."),
        (["-m", "seed=1,1"], "seed=1: the same job twice in one sweep."),
        (["-m", "run_name=a,b"], "run_name=b: the same job twice in one sweep, for run_name chan"),
        (
            ["-m", "checkpoint.keep=1,2", "hydra/launcher=basic"],
            "for checkpoint.keep changes no number. Give one value.",
        ),
        (["-m", "strategy.foo=1", "seed=1,2"], "strategy.foo=1: there is no such key."),
        (["+hydra.sweeper.params.seed=1,2"], "only a sweep reads this. Add -m."),
        (["-m", "hydra/sweeper=sampler", "strategy.lrr=interval(0,1)"], "strategy.lrr"),
        (["-m", "hydra/sweeper=sampler", "strategy.lr=fast"], "strategy.lr=fast: must be a num"),
        (["-m", "hydra/sweeper=sampler", "eval=full,none"], "eval=none: there is no such option"),
    ],
)
@pytest.mark.usefixtures("sampler")
def test_a_bad_point_stops_a_sweep_before_the_first_job(
    words: list[str], line: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(words)

    shown = capsys.readouterr().err
    assert code == 2
    assert line in shown
    assert len(shown.splitlines()) == 1
    assert not list(workplace.iterdir())


def recipe(workplace: Path, name: str, hydra_node: dict[str, Any]) -> None:
    path = workplace / "mine" / "experiment" / f"{name}.yaml"
    path.parent.mkdir(parents=True)
    text = yaml.safe_dump({"strategy": {"train_epochs": 1}, "hydra": hydra_node})
    path.write_text(f"# @package _global_\n{text}")


IN_YAML = {"mode": "MULTIRUN", "sweep": {"dir": "sweep"}, "sweeper": {"params": {"seed": "0,1"}}}


@pytest.mark.parametrize("word", [None, "seed=0,1", "eval=full"])
def test_a_sweep_in_yaml_is_a_sweep_as_on_the_command_line(
    word: str | None, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(workplace, "mine", IN_YAML)

    words = [word] if word else []
    code = main(["--config-dir", "mine", "experiment=mine", "strategy=naive", *words])

    assert code == 0
    assert "2 jobs: 2 completed." in capsys.readouterr().out
    assert [run["seeds"]["seed"] for run in runs(workplace / "sweep")] == [0, 1]


def test_a_sweep_in_yaml_is_checked_beforehand(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe(workplace, "mine", IN_YAML | {"sweeper": {"params": {"strategy.lr": "0.1,-1"}}})

    assert main(["--config-dir", "mine", "experiment=mine"]) == 2

    assert "strategy.lr=-1: must be above 0." in capsys.readouterr().err
    assert [path.name for path in workplace.iterdir()] == ["mine"]


def test_params_on_the_command_line_and_glob_are_swept(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", "strategy.train_epochs=1", "hydra.sweep.dir=sweep"]

    assert main([*words, "strategy=glob(na*)", "+hydra.sweeper.params.seed=1,2"]) == 0

    assert [run["label"] for run in runs(workplace / "sweep")] == [
        "naive-digits-s1",
        "naive-digits-s2",
    ]


def test_the_configuration_of_each_job_is_shown(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-m", "--cfg", "job", "seed=3,4", "strategy=naive"]) == 0

    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [document["seed"] for document in documents] == [3, 4]
    assert not list(workplace.iterdir())


@pytest.mark.usefixtures("sampler")
def test_another_sweeper_gets_the_value_of_each_trial_and_of_a_repeated_one_again(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", *QUICK, "hydra/sweeper=sampler", "strategy.lr=interval(-0.1,0.3)"]

    code = main(
        [*words, "hydra.sweeper.fractions=[0.5,0.75,0.75,0.1,0.5]", "hydra.sweep.dir=sweep"]
    )

    values = (workplace / "sweep" / "values.txt").read_text().split()
    first, second = (
        json.loads(path.read_text())["metrics"]["acc_final"]
        for lr in ("0.1", "0.2")
        for path in (workplace / "sweep").glob(f"*lr={lr}*/results.json")
    )
    shown = capsys.readouterr().out
    assert code == 1
    assert values == [str(first), str(second), str(second), "failed", str(first)]
    assert shown.count("was there already") == 2
    assert "strategy.lr=-0.06" in shown
    assert "must be above 0" in shown


def test_a_sweep_in_its_folder_again_runs_what_is_missing(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", *QUICK, "seed=0", "hydra.sweep.dir=sweep"]
    assert main([*words, "strategy.lr=0.1"]) == 0
    [run] = (workplace / "sweep").glob("*-s0-*")
    before = content(run)

    assert main([*words, "strategy.lr=0.1,0.2"]) == 0
    shown = capsys.readouterr().out
    after = content(run)
    assert main([*words, "strategy.lr=0.2,0.1"]) == 0

    assert "2 jobs: 1 completed before." in shown
    assert after == before == content(run)
    assert "2 jobs: 2 completed before." in capsys.readouterr().out
    assert len(runs(workplace / "sweep")) == 2


def test_a_manifest_says_of_each_job_what_its_run_says_of_itself(workplace: Path) -> None:
    words = ["-m", "strategy=naive,replay", "strategy.train_epochs=1", "benchmark.n_experiences=2"]

    assert main([*words, "hydra.sweep.dir=sweep"]) == 0

    jobs = read_manifest(workplace / "sweep")
    records = [json.loads((workplace / "sweep" / j.folder / "run.json").read_text()) for j in jobs]
    assert [job.values["strategy"] for job in jobs] == ["naive", "replay"]
    for job, record in zip(jobs, records, strict=True):
        assert job.identity["data"]["fingerprint"]
        assert differences(job.identity, {key: record[key] for key in job.identity}) == []
        assert record["threads"] == 1
        assert record["config"] == job.config


def test_a_point_that_only_the_data_tell_is_wrong_leaves_no_trace(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", *QUICK, "benchmark=digits,npz", "+benchmark.data_root=nowhere.npz"]

    assert main([*words, "hydra.sweep.dir=sweep"]) == 2

    shown = capsys.readouterr().err
    assert "nowhere.npz" in shown
    assert "(job benchmark=npz)" in shown
    assert len(shown.splitlines()) == 1
    assert not list(workplace.iterdir())


WITHOUT_TORCH = """
import sys
from clrun.cli.main import main
from clrun.records.identity import differences
from clrun.sweep.manifest import read_manifest
code = main(sys.argv[1:])
print(code, "torch" in sys.modules)
"""


CALLED_BACK = """
import os
from hydra.experimental.callback import Callback
class Noting(Callback):
    def on_multirun_start(self, config, **_): note("sweep starts")
    def on_multirun_end(self, config, **_): note("sweep ends")
    def on_job_start(self, config, **_): note(f"job {os.environ['SAID']}")
    def on_job_end(self, config, job_return, **_): note(f"{os.getcwd().endswith('-1')} ends")
def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(f"{text}\\n")
"""


def test_what_drives_a_sweep_has_no_torch_and_what_hydra_does_around_jobs_is_done(
    workplace: Path,
) -> None:
    (workplace / "noting.py").write_text(CALLED_BACK)
    notes, search = workplace / "notes.txt", os.environ.get("PYTHONPATH", "")
    environment = {"NOTES": str(notes), "PYTHONPATH": f"{workplace}{os.pathsep}{search}"}
    of_hydra = [
        "+hydra.callbacks.mine._target_=noting.Noting",
        "+hydra.job.env_set.SAID=hello",
        "hydra.job.chdir=true",
        "hydra.job.name=mine",
        "hydra.sweep.dir=sweep",
        "hydra.sweep.subdir=job-${hydra.job.num}",
    ]
    words = ["-m", *QUICK, "benchmark.n_experiences=2", "seed=0,1", "launcher.workers=1"]

    shown = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *words, *of_hydra],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    ).stdout

    assert shown.splitlines()[-1] == "0 False"
    assert notes.read_text().splitlines() == [
        "sweep starts",
        *("job hello", "False ends"),
        *("job hello", "True ends"),
        "sweep ends",
    ]
    assert (workplace / "sweep" / "job-0" / "mine.log").exists()


def test_hydras_own_loop_runs_what_it_is_asked_to(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-m", *QUICK, "seed=0,1", "hydra/launcher=basic", "hydra.sweep.dir=sweep"]

    assert main(words) == 0

    assert "2 jobs: 2 completed." in capsys.readouterr().out
    assert not (workplace / "sweep" / "sweep.jsonl").exists()
    assert (workplace / "sweep" / "multirun.yaml").exists()


@pytest.mark.parametrize("words", [["hydra.run.dir=x"], ["-m", "hydra.sweep.dir=x/.."]])
def test_a_refused_run_leaves_every_byte(
    words: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "hydra.run.dir=x"]) == 0
    before = content(workplace)

    code = main([*QUICK, "seed=7", *words, "hydra.sweep.subdir=x"])

    assert code == 3
    assert "holds a run already (status completed)" in capsys.readouterr().err
    assert content(workplace) == before


def test_the_peak_memory_of_a_job_is_its_own(workplace: Path) -> None:
    words = ["-m", *QUICK, "model.hidden=[5000,5000],[10]", "benchmark.limit_per_class=20"]

    assert main([*words, "hydra.sweep.dir=sweep"]) == 0

    large, small = (
        json.loads(path.read_text())["cost"]["peak_rss_bytes"]
        for hidden in ("5000", "10")
        for path in (workplace / "sweep").glob(f"*hidden=_{hidden}*/results.json")
    )
    assert large - small >= 256 * 2**20


def started(command: list[str], folder: Path) -> subprocess.Popen[str]:
    """A sweep in its first job."""
    process = subprocess.Popen(
        [sys.executable, "-m", "clrun", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not glob.glob(f"{folder}/sweep/*/metrics.jsonl"):
        time.sleep(0.02)
    return process


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGHUP, 129)],
    ids=["INT", "HUP"],
)
def test_a_signal_ends_the_whole_sweep_and_says_what_is_done(
    number: int, code: int, workplace: Path
) -> None:
    words = ["strategy.train_epochs=3000", "seed=range(3)", "launcher.workers=1"]
    sweep = started(["-m", *QUICK, *words, "hydra.sweep.dir=sweep"], workplace)

    os.kill(sweep.pid, number)
    out, err = sweep.communicate(timeout=60)

    name = signal.Signals(number).name
    assert sweep.returncode == code
    assert [run["status"] for run in runs(workplace / "sweep")] == ["interrupted"]
    assert err.startswith(f"clrun: interrupted by {name}. 0 jobs were completed")
    assert err.endswith(f"To go on: clrun resume {workplace / 'sweep'}\n")
    assert "3 jobs: 1 interrupted, 2 not started." in out


IN_ANOTHER_PROCESS = """
import pickle, sys
from hydra.core.singleton import Singleton
from clrun.config.compose import compose
compose(["seed=0"])
state = {**Singleton.get_state(), "omegaconf_resolvers": {}}  # lambdas, for cloudpickle alone
sys.stdout.buffer.write(pickle.dumps(state))
"""


def test_a_launcher_may_send_what_hydra_knows_to_other_processes(workplace: Path) -> None:
    words = [sys.executable, "-c"]
    state = subprocess.run([*words, IN_ANOTHER_PROCESS], check=True, capture_output=True).stdout
    there = (
        "import pickle, sys; from hydra.core.singleton import Singleton; "
        "Singleton.set_state(pickle.load(sys.stdin.buffer))"
    )

    subprocess.run([*words, there], input=state, check=True)
