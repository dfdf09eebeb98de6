"""What `clrun export` is told wrongly: one line, exit code 2, before torch is loaded."""

from __future__ import annotations

import subprocess
import sys

import pytest

from clrun.cli.main import main


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["outputs"], "clrun export: names one file to write, e.g. --onnx model.onnx."),
        (["a", "b.onnx", "--onnx", "c.onnx"], "clrun export: names one file to write"),
        (["a", "--onnx", "b.pt2", "--format", "torch"], "--onnx and --format torch are two"),
        (["a", "--onnx", "."], ".: is a folder. Name a file to write"),
        (["a", "--onnx", "no/b.onnx"], "no/b.onnx: there is no folder no."),
        (["a", "b", "c"], "unrecognized arguments: c"),
        (["a", "b", "--format", "tflite"], "invalid choice: 'tflite'"),
        (["nowhere", "b.pt2", "--format", "torch"], "nowhere: there is no such folder"),
        ([".", "b.pt2", "--format", "torch"], ".: is no run's folder"),
    ],
)
def test_wrong_words_are_one_line(words, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["export", *words]) == 2

    error = capsys.readouterr().err
    assert line in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_missing_packages_are_named_with_the_command_that_installs_them(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in ("onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None)

    assert main(["export", "run", "--onnx", "model.onnx"]) == 2

    assert capsys.readouterr().err == (
        "clrun: clrun export: --format onnx needs onnx, onnxruntime, onnxscript. Install with: "
        'pip install "clrun[onnx]"\n'
    )


def test_wrong_words_load_no_torch(tmp_path):
    code = (
        "import sys\n"
        "from clrun.cli.main import main\n"
        "code = main(['export', 'nowhere', 'model.pt2', '--format', 'torch'])\n"
        "sys.exit(code if 'torch' not in sys.modules else 99)\n"
    )

    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True)

    assert done.returncode == 2, done.stderr
