"""`clrun doctor` as a person types it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

import clrun
from clrun.cli.main import main


@pytest.fixture(scope="module")
def naive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor") / "run"
    keys = ["strategy=naive", "device=cpu", "model.hidden=[32]", "strategy.train_epochs=8"]
    clrun.run(clrun.compose(keys), folder)
    return folder


def test_what_is_wrong_is_shown_with_what_to_do(naive, capsys):
    assert main(["doctor", str(naive)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "naive-digits-s0: completed"
    place = lines.index("forgetting")
    assert lines[place + 1].startswith("  All 4 earlier experiences are forgotten: from ")
    assert lines[place + 2].startswith("  strategy=replay remembers past rows")
    assert lines[-1].startswith("1 of 16 checks found something. The others found nothing: ")


def test_what_is_well_is_said_to_be(tmp_path, capsys):
    keys = ["strategy=replay", "device=cpu", "benchmark.limit_per_class=10"]
    clrun.run(clrun.compose(keys), tmp_path / "run")

    assert main(["doctor", str(tmp_path / "run")]) == 0

    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("Nothing was found. What was looked at: end of the run, ")


def test_it_can_be_had_as_json(naive, capsys):
    assert main(["doctor", "--json", str(naive)]) == 0

    found = json.loads(capsys.readouterr().out)
    assert (found["folder"], found["status"]) == (str(naive), "completed")
    [finding] = found["findings"]
    assert set(finding) == {"check", "seen", "advice"}
    assert finding["check"] in found["checks"]


def test_it_fits_a_narrow_terminal_without_unicode(naive):
    environment = {"PYTHONIOENCODING": "ascii", "COLUMNS": "60", "FORCE_COLOR": "1"}
    code = "import sys; from clrun.cli.main import main; sys.exit(main(sys.argv[1:]))"

    made = subprocess.run(
        [sys.executable, "-c", code, "doctor", str(naive)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "forgetting" in made.stdout
    assert made.stdout.isascii()


def of_a_sweep(folder):
    (folder / "job").mkdir(parents=True)
    (folder / "job" / "run.json").write_text("{}")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "there is no such folder"),
        (lambda folder: folder.mkdir(), "holds no run"),
        (of_a_sweep, "holds several runs. Name the folder of one of them, e.g. "),
        (of_a_sweep, "none says how all of them stand."),
        (lambda folder: folder.write_text(""), "there is no such folder"),
    ],
)
def test_a_folder_without_a_run_is_refused(make, words, tmp_path, capsys):
    make(tmp_path / "none")

    assert main(["doctor", str(tmp_path / "none")]) == 2

    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"clrun: {tmp_path / 'none'}: ")
    assert words in error
    assert len(error.splitlines()) == 1


def test_a_folder_of_runs_names_one_of_them(naive, capsys):
    assert main(["doctor", str(naive.parent)]) == 2

    assert f"Name the folder of one of them, e.g. {naive}." in capsys.readouterr().err


def test_a_run_needs_no_torch(naive):
    code = (
        "import sys; from clrun.cli.main import main; code = main(sys.argv[1:]);"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )

    subprocess.run([sys.executable, "-c", code, "doctor", str(naive)], check=True)


def test_without_a_run_the_installation_is_looked_at(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = [fact["name"] for fact in found["facts"]]
    assert {"python", "packages", "runs", "disk", "torch", "device cpu", "threads"} <= set(names)
    assert list(tmp_path.iterdir()) == []

    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("python")
    assert "Looked at in " in lines[-1]


def test_what_a_record_says_cannot_command_the_terminal(naive, tmp_path, capsys):
    shutil.copytree(naive, tmp_path / "run")
    place = tmp_path / "run" / "run.json"
    record = json.loads(place.read_text())
    record |= {"label": "a\x1b[31mb", "status": "failed", "error": "X: \x1b]0;t\x07 [bold]y"}
    place.write_text(json.dumps(record))

    assert main(["doctor", str(tmp_path / "run")]) == 0

    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert r"X: \x1b]0;t\x07 [bold]y" in out
