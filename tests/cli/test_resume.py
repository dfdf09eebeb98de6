"""`clrun resume`: real processes, killed in the middle, go on in new ones to the same numbers."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from comparing_runs import lines, results
from safetensors.numpy import load_file

import clrun
from clrun.cli.main import main
from clrun.records.checkpoint import Checkpoints

QUICK = (
    *("device=cpu", "device.threads=1", "benchmark.limit_per_class=40", "log_every=1"),
    *("strategy.train_epochs=3", "strategy.eval_every=2", "checkpoint.every_steps=2"),
)
RUNS = {
    "ar1": (
        *("strategy=ar1", "model=cnn", "strategy.latent_layer=features", "strategy.rm_sz=40"),
        *("strategy.train_mb_size=24", "strategy.ewc_lambda=0.5", "strategy.latent_dtype=uint8"),
    ),
    "herding": ("selection=herding", "strategy.mem_size=50", "strategy.train_epochs=10"),
}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "clrun", *words]


def quiet(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), text=True, capture_output=True, timeout=300)


def killed(words: list[str], folder: Path, at: int, number: int = signal.SIGKILL) -> int:
    """Start a process and send it a signal once its log has grown to so many bytes."""
    log = folder / "metrics.jsonl"
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    while process.poll() is None and not (log.exists() and log.stat().st_size >= at):
        time.sleep(0.002)
        assert time.monotonic() - begun < 300
    process.send_signal(number)
    return process.wait(60)


def record(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "run.json").read_text())


def weights(folder: Path) -> dict[str, Any]:
    found = load_file(folder / "checkpoints" / "model.safetensors")
    return {name: tensor.tolist() for name, tensor in found.items()}


@pytest.mark.parametrize("name", RUNS)  # tests/cli/test_prove_resume.py has Adam
def test_a_run_that_is_killed_twice_goes_on_in_new_processes_to_the_same_end(name, workplace):
    words = (*QUICK, *RUNS[name])
    whole, cut = workplace / "whole", workplace / "cut"
    assert main([*words, f"hydra.run.dir={whole}"]) == 0
    size = (whole / "metrics.jsonl").stat().st_size

    killed(command(*words, f"hydra.run.dir={cut}"), cut, size // 4)
    before = len((cut / "clrun.log").read_text().splitlines())
    assert record(cut)["status"] == "running"
    saved = Checkpoints(cut / "checkpoints").newest()
    assert saved is not None
    killed(command("resume", str(cut)), cut, size // 2)
    last = quiet("resume", str(cut))

    assert last.returncode == 0, last.stderr
    assert "Test accuracy by experience" in last.stdout
    assert lines(cut) == lines(whole)
    assert results(cut) == results(whole)
    assert weights(cut) == weights(whole)
    assert len(record(cut)["resumed"]) == 2
    assert record(cut)["status"] == "completed"
    log = (cut / "clrun.log").read_text().splitlines()
    assert len(log) > before
    assert "completed" in log[-1]


def test_a_signal_saves_the_state_of_now_and_the_run_goes_on_from_there(workplace):
    words = (*QUICK, *RUNS["herding"], "checkpoint.every_steps=null")
    whole, cut = workplace / "whole", workplace / "cut"
    assert main([*words, f"hydra.run.dir={whole}"]) == 0

    code = killed(command(*words, f"hydra.run.dir={cut}"), cut, 3000, signal.SIGTERM)

    assert code == 143
    saved = Checkpoints(cut / "checkpoints").newest()
    assert saved is not None
    last = lines(cut)[-1]
    assert saved.facts["train_steps"] >= last["iteration"]
    assert (record(cut)["status"], record(cut)["ended"] is None) == ("interrupted", False)
    assert quiet("resume", str(cut)).returncode == 0
    assert lines(cut) == lines(whole)
    assert results(cut) == results(whole)


@pytest.fixture
def finished(workplace: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    assert main(["strategy=naive", *QUICK, "strategy.train_epochs=1", "hydra.run.dir=run"]) == 0
    capsys.readouterr()
    return workplace / "run"


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    found = [folder, *folder.rglob("*")]
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in found
    }


@pytest.mark.parametrize("words", [[], ["--force"]], ids=["", "forced"])
def test_a_finished_run_stays_as_it_is(words, finished, capsys):
    before = contents(finished)

    assert main(["resume", "run", *words]) == 0

    assert capsys.readouterr().out == f"{finished}: is finished.\n"
    assert contents(finished) == before


def test_a_link_to_a_run_is_followed_before_it_can_lead_elsewhere(finished, capsys):
    (finished.parent / "latest").symlink_to(finished)

    assert main(["resume", "latest"]) == 0

    assert capsys.readouterr().out == f"{finished}: is finished.\n"
    (finished.parent / "latest").unlink()


def test_latest_leads_to_the_run_that_goes_on_from_wherever(workplace, monkeypatch, capsys):
    words = ["strategy=naive", *QUICK, "strategy.train_epochs=1"]
    assert main(words) == 0
    [first] = [p for p in workplace.glob("outputs/*/*") if not p.parent.is_symlink()]
    changed = {**record(first), "status": "failed"}
    (first / "run.json").write_text(json.dumps(changed))
    assert main(words) == 0
    assert (workplace / "outputs" / "latest").resolve() != first
    (workplace / "elsewhere").mkdir()
    monkeypatch.chdir(workplace / "elsewhere")
    capsys.readouterr()

    assert main(["resume", str(first)]) == 0

    title = capsys.readouterr().out.splitlines()[0]
    assert re.fullmatch(r"naive-digits-s0 on cpu: mlp, continued (in|after) experience \d.*", title)
    assert (workplace / "outputs" / "latest").resolve() == first
    assert not list((workplace / "elsewhere").iterdir())


@pytest.mark.parametrize("go_on", [lambda job: main(["resume", str(job)]), clrun.resume])
def test_latest_leads_to_the_sweep_whose_job_goes_on(go_on, workplace):
    assert main(["-m", "strategy=naive", *QUICK, "strategy.train_epochs=1", "seed=0,1"]) == 0
    [sweep] = [p for p in workplace.glob("outputs/multirun/*/*") if p.is_dir()]
    job = next(sweep.glob("*/run.json")).parent
    (job / "run.json").write_text(json.dumps({**record(job), "status": "interrupted"}))

    go_on(job)

    assert record(job)["status"] == "completed"
    assert (workplace / "outputs" / "latest").resolve() == sweep


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("nowhere", "nowhere: there is no such folder."),
        ("empty", "empty: holds no run, for there is no run.json."),
        ("damaged", "damaged/run.json: is damaged"),
        ("several", "several: holds several runs. Name the folder of one of them, e.g. "),
        ("loop", "words again with hydra.sweep.dir={folder}, and without hydra/launcher=basic"),
        ("edited", "edited/run.json: config: seed=-3: must be at least 0."),
        ("older", "older/run.json: config: config=null: this is no configuration of a run."),
    ],
)
def test_what_is_no_unfinished_run_is_one_line(name, line, finished, workplace, capsys):
    saved = {**record(finished), "status": "failed"}
    unread = ("empty", "damaged", "several", "loop")
    for folder in (*unread, "several/job", "loop/job", "edited", "older"):
        (workplace / folder).mkdir()
    (workplace / "damaged" / "run.json").write_text("{")
    (workplace / "several" / "job" / "run.json").write_text("{}")
    (workplace / "loop" / "job" / "run.json").write_text("{}")
    (workplace / "loop" / "multirun.yaml").write_text("{}")
    older = {key: value for key, value in saved.items() if key != "config"}
    (workplace / "older" / "run.json").write_text(json.dumps(older))
    saved["config"]["root"]["seed"] = -3
    (workplace / "edited" / "run.json").write_text(json.dumps(saved))
    before = {place: contents(workplace / place) for place in unread}

    assert main(["resume", name]) == 2

    [said] = capsys.readouterr().err.splitlines()
    assert line.format(folder=workplace / name) in said
    assert {place: contents(workplace / place) for place in before} == before


def test_a_run_that_is_still_running_is_refused_with_its_holder(workplace):
    words = ("strategy=naive", "strategy.train_epochs=5000", "device=cpu", "device.threads=1")
    first = subprocess.Popen(command(*words, "hydra.run.dir=run"), stdout=subprocess.DEVNULL)
    while not (workplace / "run" / "metrics.jsonl").exists():
        time.sleep(0.02)
        assert first.poll() is None
    first.send_signal(signal.SIGSTOP)
    before = contents(workplace / "run")

    second = quiet("resume", "run")
    after = contents(workplace / "run")
    first.kill()
    first.wait()

    assert second.returncode == 3
    assert f"another run is writing here (process {first.pid} on " in second.stderr
    assert after == before


def test_help_and_wrong_words_load_no_torch(workplace):
    code = (
        "import sys; from clrun.cli.main import main\n"
        "try: n = main(sys.argv[1:])\n"
        "except SystemExit as stop: n = stop.code\n"
        "print(n, 'torch' in sys.modules)"
    )
    for words, expected in ((["--help"], "0 False"), (["nowhere"], "2 False"), ([], "2 False")):
        done = subprocess.run(
            [sys.executable, "-c", code, "resume", *words],
            text=True,
            capture_output=True,
            env={**os.environ},
        )
        assert done.stdout.splitlines()[-1] == expected, done
