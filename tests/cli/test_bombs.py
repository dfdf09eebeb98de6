"""Small files and words that stand for very much: refused at once, in little memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 10.0
"""CPU seconds of the whole process, of which importing is 1; some two are used."""
MEGABYTES = 300

RECIPE = "# @package _global_\n"
DOUBLING = "".join(f"a{i}: ${{a{i - 1}}}${{a{i - 1}}}\n" for i in range(1, 25))
TREE = "".join(f"a{i}: ['${{a{i - 1}}}', '${{a{i - 1}}}']\n" for i in range(1, 25))
ALIASES = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 8)
)
FILES = {
    "aliases": {"x": ALIASES},
    "keys": {"x": "".join(f"k{i}: 1\n" for i in range(100_000))},
    "a long text": {"x": "run_name: " + "x" * 20_000_000},
    "plugins": {"x": "strategy:\n  plugins:\n" + "  - {name: si}\n" * 50_000},
    "doubling texts": {"x": f"a0: xxxxxxxx\n{DOUBLING}run_name: ${{a24}}\n"},
    "doubling lists": {"x": f"a0: [1]\n{TREE}run_name: ${{a24}}\n"},
    "one long interpolation": {"x": "run_name: '" + "${seed}" * 20_000 + "'\n"},
    "deep": {"x": f"a: {'[' * 4000}{']' * 4000}\n"},
    "itself": {"x": "defaults: [x]\n"},
    "two of each other": {"x": "defaults: [y]\n", "y": "defaults: [x]\n"},
    "doubling files": {
        **{f"t{i}": f"defaults: [t{i - 1}@a{i}, t{i - 1}@b{i}]\n" for i in range(1, 20)},
        "t0": "a: 1\n",
        "x": "defaults: [t19]\n",
    },
}
WORDS = {
    "a million jobs": ["-m", "seed=range(1000000)"],
    "100 x 100 x 100": [
        "-m",
        *(f"{key}=range(1,101)" for key in ("seed", "log_every", "checkpoint.keep")),
    ],
    "a list of 10,000": [f"model.hidden=[{','.join(['7'] * 10_000)}]"],
    "10,000 words": [f"+k{i}=1" for i in range(10_000)],
    "deep brackets": [f"model.hidden={'[' * 2000}{']' * 2000}"],
}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# ru_maxrss would be at least that of this process, from which it was forked
MEASURED = (
    "import re, resource, sys; from clrun.cli.main import main; code = main(sys.argv[1:]); "
    "used = resource.getrusage(resource.RUSAGE_SELF); "
    "peak = re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]; "
    "print(used.ru_utime + used.ru_stime, int(peak) / 1024); sys.exit(code)"
)


def require_refused_at_once(words: list[str], folder: Path) -> None:
    """One line, exit code 2, few seconds and little memory; nothing written."""
    before = sorted(folder.rglob("*"))

    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    seconds, megabytes = map(float, done.stdout.split())
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert seconds < SECONDS
    assert megabytes < MEGABYTES
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", FILES)
def test_files(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine" / "experiment").mkdir(parents=True)
    for file, content in FILES[name].items():
        (tmp_path / "mine" / "experiment" / f"{file}.yaml").write_text(RECIPE + content)

    require_refused_at_once(["--config-dir", "mine", "experiment=x"], tmp_path)


@pytest.mark.parametrize("name", WORDS)
def test_words(name: str, tmp_path: Path) -> None:
    require_refused_at_once(WORDS[name], tmp_path)
