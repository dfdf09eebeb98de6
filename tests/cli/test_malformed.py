"""Whatever is wrong with a configuration: exit code 2, a line for each problem, nothing written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from clrun.cli.main import main
from clrun.config.sources import GROUPS
from clrun.console.visible import HIDDEN, LONGEST_LINE

LIST_OF_LISTS = "[[1]]"

NO_OPTIONS = ("null", "1", "true", "1.5", "[0]", "[null]", LIST_OF_LISTS, "{a: 1}", "nowhere")
CHOICES = [
    f"{group}={value}"
    for at, group in enumerate(GROUPS)
    for value in NO_OPTIONS
    if value in ("null", "nowhere") or (at + NO_OPTIONS.index(value)) % 4 == 0
]
"""No option, and none of that name, for each group; the other values for two groups each."""
WORDS = [
    # of a kind that Hydra does not expect (its own assertions and type errors)
    "experiment=[0]",
    "experiment=[-1]",
    "experiment=[null]",
    "experiment=[[1]]",
    "experiment=1",
    "experiment=true",
    "experiment={a: b}",
    "experiment='\\0'",
    "experiment=",
    "experiment=x/y",
    "experiment=../config",
    "experiment=../../conf/config",
    "experiment=/etc/passwd",
    "~hydra/launcher=0",
    "~hydra/launcher=nowhere",
    "~model=int(1.5)",
    "~strategy=[1]",
    "~strategy",
    "~seed",
    "~nowhere",
    "~benchmark.scenario",
    "strategy=${oc.decode:'[1,2]'}",
    "strategy=${oc.create:[1]}",
    "strategy=${nowhere}",
    "strategy=${oc.env:NOT_THERE}",
    "+@strategy.lr=x",
    "+=x",
    "strategy@x=naive",
    "strategy@model=naive",
    "+strategy=naive",
    "++strategy=naive",
    "strategy=_descent",
    f"benchmark={'b' * 5000}",
    f"experiment={'e' * 300}",
    f"{'k' * 5000}=1",
    "benchmark=a\0b",
    "experiment='a\0b'",
    # plugins
    "strategy.plugins=[{name: [si]}]",
    "strategy.plugins=[{name: {a: b}}]",
    "strategy.plugins=[{name: null}]",
    "strategy.plugins=[{name: 3}]",
    "strategy.plugins=[{}]",
    "strategy.plugins=[si]",
    "strategy.plugins=[[si]]",
    "strategy.plugins=[null]",
    "strategy.plugins=si",
    "strategy.plugins={name: si}",
    "strategy.plugins=[{name: si, ewc_lambda: x}]",
    "strategy.plugins=[{name: si, name: si}]",
    "strategy.plugins=[{name: ../strategy/naive}]",
    # values
    "seed=x",
    "seed=-1",
    "seed=1.5",
    "seed=null",
    "seed=[1]",
    "seed={a: 1}",
    "seed=1e400",
    "seed=nan",
    "log_every=0",
    "max_jobs=5",
    "sweep.max_jobs=0",
    "sweep.max_jobs=x",
    "sweep.retries=-1",
    "sweep.retries=1.5",
    "sweep.share=maybe",
    "sweep.on_error=wait",
    "sweep.time_limit=0",
    "sweep.time_limt=1",
    "sweep=null",
    "sweep=5",
    "launcher=null",
    "launcher.workers=0",
    "launcher.threads=0",
    "launcher.threads=100000",
    "launcher.worker=1",
    "run_name=[a]",
    "run_name=3",
    "output_root=",
    "output_root=null",
    "strategy=null seed=x",
    "strategy.lr=0",
    "strategy.lr=nan",
    "strategy.lr=inf",
    "strategy.lr=-inf",
    "strategy.lr=[1]",
    "strategy.lr=fast",
    "strategy.lr=null",
    "strategy.target=null",
    "strategy.target=3",
    "strategy.target=os:system",
    "strategy.target=os",
    "strategy.target=:",
    "strategy.target=a:b:c",
    "strategy.target=.x:Y",
    "strategy.target=..:Y",
    "strategy.target=[os:system]",
    "strategy.target=clrun.strategies.naive:Nowhere",
    "strategy.target=clrun.nowhere:Naive",
    "strategy.target=subprocess:Popen",
    "strategy.target=__main__:X",
    "benchmark.source=os:system",
    "benchmark.source=nowhere",
    "benchmark.source=[digits]",
    "model.hidden=x",
    "model.hidden=[x]",
    "model.hidden=[0]",
    "model=null seed=1",
    "device.threads=0",
    "checkpoint=null",
    "checkpoint=3",
    "checkpoint.keep=0",
    "checkpoint.nowhere=1",
    # keys
    "nowhere=1",
    "+nowhere=1",
    "++nowhere.deeper.still=1",
    "strategy.nowhere=1",
    "+strategy.nowhere.x=1",
    "strategy.lr.x=1",
    "seed.x=1",
    "hydra=null",
    "hydra=3",
    "++hydra=3",
    "hydra.nowhere=1",
    "hydra.job=null",
    "hydra.run=null",
    "hydra.run.dir=null",
    "hydra.run.dir=",
    "hydra.run.dir=${nowhere}",
    "hydra.job.name=null",
    "hydra.job.num=x",
    "hydra.job.env_copy=[NOT_THERE]",
    "hydra.job_logging=null",
    "hydra.output_subdir=[1]",
    "hydra.mode=x",
    "hydra.verbose=[3]",
    "hydra.searchpath=3",
    "hydra.searchpath=[3]",
    "hydra.searchpath=[file:///nowhere]",
    "hydra.searchpath=[pkg://nowhere]",
    "hydra.searchpath=[other://nowhere]",
    "hydra/job_logging=[a]",
    "hydra/job_logging=nowhere",
    "hydra/nowhere=x",
    # interpolations
    "strategy.lr=${nowhere}",
    "strategy.lr=${.nowhere}",
    "strategy.lr=${....}",
    "strategy.lr=${",
    "strategy.lr=${}",
    "strategy.lr=${strategy.lr}",
    "strategy.lr=${oc.env:NOT_THERE}",
    "strategy.lr=${oc.decode:'['}",
    "strategy.lr=${oc.create:{}}",
    "strategy.lr=${nowhere:1}",
    "strategy.lr=${strategy}",
    "strategy.lr=${hydra:nowhere}",
    "seed=${run_name}",
    "run_name=${seed}${nowhere}",
    "model.hidden=${strategy}",
    # grammar
    "strategy.lr=[",
    "strategy.lr=]",
    "strategy.lr={",
    "strategy.lr='",
    'strategy.lr="',
    "strategy.lr=(",
    "strategy.lr=a(",
    "strategy.lr=int(x)",
    "strategy.lr=nowhere(3)",
    "strategy.lr=int()",
    "strategy.lr=float(a,b)",
    "strategy.lr==1",
    "=1",
    "a b=1",
    "a-b=1",
    "1=1",
    "seed=1,2",
    "seed=range(3)",
    "seed=choice(1,2)",
    "seed=interval(0,1)",
    "seed=glob(*)",
    "seed=\\",
    "seed=~",
    "eval='a\nb'",
    "eval='a\tb'",
    "seed='\x1b[31mred'",
    "strategy='\u202eabc'",
    "a\x1b[31m=3",
    "a\u202eb=3",
    "seed=\x9b31m",
    "run_name=\U0001f600 x",
    f"model.hidden=[{','.join(['1'] * 10_000)}]",
    f"model.hidden={'[' * 40}{']' * 40}",
    f"seed={'9' * 5000}",
    f"strategy.nowhere={'x' * 5000}",
]
SWEEPS = [
    "seed=range(1000000)",
    "seed=range(0,1,0.0000001)",
    "seed=range(100) strategy.lr=range(1,101) log_every=range(1,101)",
    "seed=range(0)",
    "seed=range(1,5,0)",
    "seed=range(1,5,-1)",
    "seed=range(a)",
    "seed=1,x",
    "seed=1,1",
    "strategy=naive,nowhere",
    "strategy=null,naive",
    "strategy.target=os:system,os:popen",
    "seed=interval(0,1)",
    "seed=1,2 hydra.launcher=null",
    "seed=1,2 hydra.sweeper=null",
    "seed=1,2 hydra/launcher=nowhere",
    "seed=1,2 hydra.sweeper.params=3",
    "seed=1,2 sweep.max_jobs=1",
    "seed=1,2 nowhere=1",
    "hydra.job.name=a,b",
    "seed=[1,2],[3]",
]


def require_refused(code: int, shown: str) -> None:
    """Exit code 2, and lines that a terminal shows whole."""
    lines = shown.splitlines()
    assert code == 2, shown
    assert lines
    assert all(line.startswith("clrun: ") for line in lines), shown
    assert all(len(line) <= LONGEST_LINE + 7 for line in lines)
    assert not HIDDEN.search(shown)
    assert "Error executing" not in shown
    assert ".log" not in shown


def split(words: str) -> list[str]:
    """Words apart at blanks that are followed by another KEY=VALUE."""
    known = (" seed=", " strategy.lr=", " log_every=", " hydra.", " hydra/", " sweep.max_jobs=")
    for start in (*known, " nowhere="):
        words = words.replace(start, f"\1{start[1:]}")
    return words.split("\1")


@pytest.mark.parametrize("word", [*CHOICES, *WORDS], ids=lambda word: ascii(word[:40]))
def test_a_word_is_refused(word: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = main(split(word))

    shown = capsys.readouterr().err
    require_refused(code, shown)
    assert len(shown.splitlines()) <= 2
    assert not list(workplace.iterdir())


@pytest.mark.parametrize("words", SWEEPS)
def test_a_sweep_is_refused(
    words: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["-m", *split(words)])

    require_refused(code, capsys.readouterr().err)
    assert not list(workplace.iterdir())


FILES: dict[str, bytes] = {
    "nothing": b"",
    "a comment": b"# only this\n",
    "a list": b"- a\n",
    "a text": b"hello\n",
    "a number": b"3\n",
    "binary": bytes(range(256)),
    "png": b"\x89PNG\r\n\x1a\n\x00\x00",
    "utf-16": "a: 1\n".encode("utf-16"),
    "a null": b"a: \x00\n",
    "an escape": b"a\x1b[31m: 1\n",
    "an escape in quotes": b'"a\\x1b[31m": 1\n',
    "a tab": b"a:\n\tb: 1\n",
    "twice": b"lr: 1\nlr: 2\n",
    "twice within": b"a: {b: 1, b: 2}\n",
    "a tag": b"a: !!python/object/apply:os.system [id]\n",
    "an open bracket": b"a: [1\n",
    "an open quote": b"a: 'x\n",
    "two documents": b"a: 1\n---\nb: 2\n",
    "an alias of nothing": b"a: *b\n",
    "an alias of itself": b"a: &a [*a]\n",
    "a list as key": b"? [1, 2]\n: 3\n",
    "a mapping as key": b"? {a: 1}\n: 3\n",
    "keys of numbers": b"1: 2\n",
    "a key of null": b"null: 2\n",
    "a key of true": b"yes: 2\n",
    "a key with a dot": b"a.b: 2\n",
    "an empty key": b"'': 2\n",
    "a date": b"lr: 2020-01-01\n",
    "defaults: a number": b"defaults: 3\n",
    "defaults: a text": b"defaults: naive\n",
    "defaults: a mapping": b"defaults: {a: b}\n",
    "defaults: null": b"defaults:\n",
    "defaults: of numbers": b"defaults: [3]\n",
    "defaults: of lists": b"defaults: [[naive]]\n",
    "defaults: two keys": b"defaults: [{a: b, c: d}]\n",
    "defaults: no key": b"defaults: [{}]\n",
    "defaults: of nowhere": b"defaults: [nowhere]\n",
    "defaults: a group of nowhere": b"defaults: [{/nowhere: x}]\n",
    "defaults: a number as option": b"defaults: [{/model: 3}]\n",
    "defaults: itself": b"defaults: [x]\n",
    "defaults: an override of nothing": b"defaults: [{override /nowhere: x}]\n",
    "defaults: twice itself": b"defaults: [_self_, _self_]\n",
    "defaults: missing": b"defaults: [???]\n",
    "defaults: an interpolation": b"defaults: ['${nowhere}']\n",
    "package: nowhere": b"# @package a.b.c\nlr: 1\n",
    "package: hydra": b"# @package hydra.job\nnowhere: 1\n",
    "package: garbage": b"# @package [!!\nlr: 1\n",
    "header without value": b"# @package\nlr: 1\n",
    "target: a list": b"target: [a]\n",
    "target: null": b"target:\n",
    "target: nowhere": b"target: clrun.nowhere:X\n",
    "interpolation: bad": b"lr: ${\n",
    "interpolation: of nothing": b"lr: ${nowhere}\n",
    "interpolation: of itself": b"lr: ${strategy.lr}\n",
    "hydra: a number": b"# @package _global_\nhydra: 3\n",
    "hydra: unknown": b"# @package _global_\nhydra: {nowhere: 1}\n",
    "hydra: a wrong type": b"# @package _global_\nhydra: {verbose: {a: b}}\n",
    "global: a group of text": b"# @package _global_\nstrategy: naive\n",
    "global: a group of a list": b"# @package _global_\nstrategy: [naive]\n",
    "global: a group of null": b"# @package _global_\nstrategy:\n",
    "global: plugins": b"# @package _global_\nstrategy: {plugins: {name: si}}\n",
    "global: an unknown key": b"# @package _global_\nnowhere: 1\n",
}


OF_RECIPES = [*FILES][::3]  # what is wrong with any file is the same code for both


@pytest.mark.parametrize(
    ("group", "name"),
    [*(("strategy", name) for name in FILES), *(("experiment", name) for name in OF_RECIPES)],
)
def test_a_file_is_refused(
    group: str, name: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = workplace / "mine" / group / "x.yaml"
    option.parent.mkdir(parents=True)
    option.write_bytes(FILES[name])

    code = main(["--config-dir", "mine", f"{group}=x"])

    shown = capsys.readouterr().err
    if code == 0:  # a recipe that says nothing
        pytest.fail(f"{name} was taken")
    require_refused(code, shown)
    assert [path.name for path in workplace.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", FILES)
def test_help_and_list_explain_or_refuse_it(
    name: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    option = workplace / "mine" / "strategy" / "x.yaml"
    option.parent.mkdir(parents=True)
    option.write_bytes(FILES[name])

    codes = [
        main(["list", "strategies", "--config-dir", "mine"]),
        main(["help", "strategy=x", "--config-dir", "mine"]),
    ]

    captured = capsys.readouterr()
    assert codes in ([0, 0], [0, 2])
    assert len(captured.err.splitlines()) == codes.count(2)
    assert not HIDDEN.search(captured.out + captured.err)


@pytest.mark.parametrize(
    "name", ["a list", "binary", "a tab", "twice", "a tag", "defaults: itself"]
)
@pytest.mark.parametrize(
    "verb", [(), ("preview",), ("--cfg", "job"), ("--help",), ("-m",)], ids=str
)
def test_a_primary_file_is_refused_by_every_verb(
    verb: tuple[str, ...], name: str, workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "mine").mkdir()
    (workplace / "mine" / "x.yaml").write_bytes(FILES[name])

    code = main([*verb, "--config-path", "mine", "--config-name", "x"])

    require_refused(code, capsys.readouterr().err)


@pytest.mark.parametrize(
    "words",
    [
        ["strategy=null"],
        ["strategy.plugins=[{name: [si]}]"],
        ["seed='\x1b[31m'"],
        ["--config-dir", "mine", "strategy=x"],
        ["-m", "seed=range(1000000)"],
    ],
    ids=ascii,
)
def test_a_process_says_the_same(words: list[str], tmp_path: Path) -> None:
    option = tmp_path / "mine" / "strategy" / "x.yaml"
    option.parent.mkdir(parents=True)
    option.write_bytes(FILES["twice"])
    command = [sys.executable, "-m", "clrun", *words]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    require_refused(done.returncode, done.stderr)
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1
