"""From configuration files of anybody nothing runs and nothing is written that clrun does not name.

Each payload names a module or file of ours as a canary. It would run in one of the places where
Hydra, `logging` or clrun import what a configuration names.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from installing import PACKAGES, ROOT, clrun_in, install

import clrun
from clrun.cli.main import main
from clrun.config.sources import conf_root
from clrun.errors import ConfigError

QUICK = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")
CANARY = "evil_canary"
RECIPE = "# @package _global_\n"

HANDLER = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
"""One that passes."""


def logging_of(**parts: object) -> dict[str, object]:
    """A logging configuration with these parts."""
    return {"version": 1, "root": {"level": "INFO", "handlers": []}, **parts}


def handler(**keys: object) -> dict[str, object]:
    """A logging configuration with one handler."""
    return logging_of(handlers={"x": keys})


CALLS = {
    "a class of the canary": {"_target_": f"{CANARY}.Run"},
    "unpickling": {"_target_": "torch.load", "f": "canary.bin", "weights_only": False},
    "opening a file": {"_target_": "builtins.open", "file": "canary", "mode": "w"},
    "copying a file": {"_target_": "shutil.copyfile", "src": "mine", "dst": "canary"},
    "the shell": {"_target_": "os.system", "command": "touch canary"},
    "a local hub": {"_target_": "torch.hub.load", "repo_or_dir": ".", "source": "local"},
    "an end": {"_target_": "os._exit", "_args_": [0]},
    "an interpolation": {"_target_": "${run_name}"},
    "an alias": {"_target_": f"logging.os.{CANARY}"},
    "inside an argument": {"_target_": "builtins.dict", "x": {"_target_": f"{CANARY}.Run"}},
}

NODES: dict[str, dict[str, object]] = {
    **{f"callbacks: {name}": {"callbacks": {"x": call}} for name, call in CALLS.items()},
    **{f"launcher: {name}": {"launcher": call} for name, call in CALLS.items()},
    "sweeper": {"sweeper": {"_target_": f"{CANARY}.Run"}},
    "sweeper: sampler": {"sweeper": {"sampler": {"_target_": f"{CANARY}.Run"}}},
    "sweeper: search space": {"sweeper": {"custom_search_space": f"{CANARY}.space"}},
    "launcher: an installed one": {"launcher": {"_target_": "hydra_plugins.x.Slurm", "setup": "x"}},
    "launcher: a shell line": {"launcher": {"setup": ["touch canary"]}},
    "callbacks: an interpolation": {"callbacks": "${hydra.help}"},
    "job: an interpolation": {"job": "${hydra.help}"},
    "env_set: PATH": {"job": {"env_set": {"PATH": "."}}},
    "env_set: LD_PRELOAD": {"job": {"env_set": {"LD_PRELOAD": "./canary.so"}}},
    "env_set: PYTHONPATH": {"job": {"env_set": {"PYTHONPATH": "."}}},
    "env_copy": {"job": {"env_copy": ["HOME"]}},
    "job name": {"job": {"name": "../canary"}},
    "job name: absolute": {"job": {"name": "/tmp/canary"}},
    "output_subdir": {"output_subdir": "../canary"},
    "output_subdir: absolute": {"output_subdir": "/tmp/canary"},
    "output_subdir: itself": {"output_subdir": ".."},
}
for _kind in ("job_logging", "hydra_logging"):
    NODES |= {
        f"{_kind}: class": {_kind: handler(**{"class": f"{CANARY}.Run"})},
        f"{_kind}: factory": {_kind: handler(**{"()": f"{CANARY}.Run"})},
        f"{_kind}: ext": {_kind: handler(**{**HANDLER, "stream": f"ext://{CANARY}.x"})},
        f"{_kind}: cfg": {_kind: handler(**{**HANDLER, "stream": "cfg://root"})},
        f"{_kind}: file": {
            _kind: handler(**{"class": "logging.FileHandler", "filename": "canary", "mode": "w"})
        },
        f"{_kind}: rotating": {
            _kind: handler(
                **{"class": "logging.handlers.RotatingFileHandler", "filename": "canary"}
            )
        },
        f"{_kind}: socket": {
            _kind: handler(**{"class": "logging.handlers.SocketHandler", "host": "h", "port": 1})
        },
        f"{_kind}: formatter class": {
            _kind: logging_of(formatters={"x": {"class": f"{CANARY}.Run"}})
        },
        f"{_kind}: formatter factory": {
            _kind: logging_of(formatters={"x": {"()": f"{CANARY}.Run"}})
        },
        f"{_kind}: formatter style": {
            _kind: logging_of(formatters={"x": {"format": "{x}", "style": "{"}})
        },
        f"{_kind}: filter": {_kind: logging_of(filters={"x": {"()": f"{CANARY}.Run"}})},
        f"{_kind}: an interpolation": {_kind: "${hydra.help}"},
        f"{_kind}: an interpolated class": {_kind: handler(**{"class": "${run_name}"})},
    }

COMPONENTS = {
    "strategy": {"strategy": {"target": f"{CANARY}:Run"}},
    "strategy: in a package": {"strategy": {"target": f"{CANARY}_package.inner:Run"}},
    "strategy: of the library": {"strategy": {"target": "os:system"}},
    "strategy: interpolated": {"strategy": {"target": "${run_name}"}, "run_name": f"{CANARY}:Run"},
    "model": {"model": {"target": f"{CANARY}:Run"}},
    "model: torch": {"model": {"target": "torch.nn:Sequential"}},
    "benchmark": {"benchmark": {"target": f"{CANARY}:Run"}},
    "benchmark: source": {"benchmark": {"source": f"{CANARY}:Run"}},
    "selection": {"selection": {"target": f"{CANARY}:Run"}},
    "storage_policy": {"storage_policy": {"target": f"{CANARY}:Run"}},
    "device": {"device": {"target": f"{CANARY}:Run"}},
    "eval": {"eval": {"target": f"{CANARY}:Run"}},
    "like ours": {"strategy": {"target": "clrun_evil_canary:Run"}},
}

PAYLOADS = {
    **{name: {"hydra": node} for name, node in NODES.items()},
    **COMPONENTS,
}

OF_A_KIND_HYDRA_REFUSES = {
    *(name for name in PAYLOADS if re.match("launcher: (?!a class|an inter|an alias)", name)),
    "sweeper: sampler",
    "sweeper: search space",
    "job: an interpolation",
}
"""Keys that its own launcher, sweeper and job do not have."""


@pytest.fixture
def place(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module that leaves a file where it is imported, within reach."""
    code = f"open({str(workplace / 'canary')!r}, 'w').close()\nclass Run:\n    class Config: pass\n"
    for name in (CANARY, "clrun_evil_canary"):
        (workplace / f"{name}.py").write_text(code)
    package = workplace / f"{CANARY}_package"
    package.mkdir()
    (package / "__init__.py").write_text(code)
    (package / "inner.py").write_text(code)
    (workplace / "mine").write_text("mine")
    (workplace / "conf" / "experiment").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(workplace))
    before = set(sys.modules)
    yield workplace
    for name in set(sys.modules) - before:
        if CANARY in name:
            del sys.modules[name]


def require_untouched(place: Path) -> None:
    """Nothing ran, nothing was written."""
    names = {path.name for path in place.iterdir()}
    modules = {f"{CANARY}.py", "clrun_evil_canary.py", f"{CANARY}_package"}
    assert names == {*modules, "mine", "conf"}
    assert (place / "mine").read_text() == "mine"
    assert not [name for name in sys.modules if CANARY in name]


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines that refuse these words."""
    assert main(words) == 2
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_recipe_runs_nothing(name: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = place / "conf" / "experiment" / "x.yaml"
    recipe.write_text(RECIPE + yaml.safe_dump(PAYLOADS[name]))

    lines = refused(["--config-dir", "conf", "experiment=x", *QUICK], capsys)

    assert all(line.startswith("clrun: ") for line in lines)
    assert name in OF_A_KIND_HYDRA_REFUSES or any("--trust" in line for line in lines), lines
    require_untouched(place)


@pytest.mark.parametrize(
    "name", ["callbacks: a class of the canary", "job_logging: class", "env_set: PATH", "model"]
)
def test_a_saved_run_runs_nothing(
    name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copied = place / "conf" / "config.yaml"
    shutil.copytree(conf_root(), place / "conf", dirs_exist_ok=True)
    copied.write_text(copied.read_text().partition("\nhydra:")[0])
    clrun.compose([*QUICK], config_path=place / "conf")  # it passes as it is
    with copied.open("a") as file:
        yaml.safe_dump(PAYLOADS[name], file)

    lines = refused(["--config-path", "conf", *QUICK], capsys)

    assert any("--trust" in line for line in lines), lines
    require_untouched(place)


@pytest.mark.parametrize(
    "words",
    [
        ["--info", "all"],
        ["--info", "defaults"],
        ["--hydra-help"],
        ["-m", "seed=1,2"],
        ["hydra.mode=MULTIRUN", "seed=1,2"],
    ],
    ids=" ".join,
)
def test_what_only_shows_or_sweeps_runs_nothing_either(
    words: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("hydra_logging", "job_logging"):
        option = place / "conf" / "hydra" / kind / "mine.yaml"
        option.parent.mkdir(parents=True, exist_ok=True)
        node = PAYLOADS[f"{kind}: class"]["hydra"]
        option.write_text(yaml.safe_dump(node[kind]))
    chosen = ["hydra/hydra_logging=mine", "hydra/job_logging=mine"]

    lines = refused(["--config-dir", "conf", *chosen, *words], capsys)

    said = f"logging.handlers.x.class={CANARY}.Run: would run code"
    assert said in lines[0]
    require_untouched(place)


def test_the_configuration_can_be_looked_at(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = place / "conf" / "experiment" / "x.yaml"
    recipe.write_text(RECIPE + yaml.safe_dump(PAYLOADS["callbacks: unpickling"]))

    assert main(["--config-dir", "conf", "experiment=x", "--cfg", "hydra"]) == 0

    assert "_target_: torch.load" in capsys.readouterr().out
    require_untouched(place)


@pytest.mark.parametrize(
    "params",
    [
        {"strategy.target": f"{CANARY}:Run"},
        {"benchmark.source": f"{CANARY}:Run,{CANARY}:Other"},
        {"+hydra.callbacks.x._target_": f"{CANARY}.Run"},
        {"+hydra.job.env_set.PATH": "."},
    ],
    ids=str,
)
def test_what_a_file_sweeps_over_is_not_typed(
    params: dict[str, str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = {"hydra": {"mode": "MULTIRUN", "sweeper": {"params": params}}}
    (place / "conf" / "experiment" / "x.yaml").write_text(RECIPE + yaml.safe_dump(node))

    lines = refused(["--config-dir", "conf", "experiment=x", *QUICK], capsys)

    assert lines
    require_untouched(place)


def test_a_plugin_of_a_folder_runs_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "conf" / "plugin").mkdir()
    (place / "conf" / "plugin" / "mine.yaml").write_text(f"# Mine.\ntarget: {CANARY}:Run\n")

    [line] = refused(["--config-dir", "conf", "strategy.plugins=[{name: mine}]", *QUICK], capsys)

    assert line.startswith(f"clrun: strategy.plugins[0].target={CANARY}:Run: {CANARY} is code of")
    require_untouched(place)


@pytest.mark.parametrize("scheme", ["pkg", "package"])
def test_a_search_path_imports_nothing(
    scheme: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = (conf_root() / "config.yaml").read_text()
    saved = ours.replace("hydra:\n", f"hydra:\n  searchpath: ['{scheme}://{CANARY}_package']\n", 1)
    (place / "conf" / "config.yaml").write_text(saved)

    [line] = refused(["--config-path", "conf", *QUICK], capsys)

    assert scheme != "pkg" or "hydra.searchpath=" in line
    require_untouched(place)


@pytest.mark.parametrize("words", [["help", "model=mine"], ["list", "models"]], ids=" ".join)
def test_verbs_explain_a_folder_without_its_code(
    words: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "conf" / "model").mkdir()
    (place / "conf" / "model" / "mine.yaml").write_text(f"# Mine.\ntarget: {CANARY}:Run\nx: 3\n")

    assert main([*words, "--config-dir", "conf"]) == 0

    assert "Mine." in capsys.readouterr().out
    require_untouched(place)


@pytest.mark.parametrize("verb", [["preview"], ["profile"], []], ids=str)
def test_each_verb_that_composes_refuses(
    verb: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "conf" / "model").mkdir()
    (place / "conf" / "model" / "mine.yaml").write_text(f"# Mine.\ntarget: {CANARY}:Run\n")

    [line] = refused([*verb, "model=mine", "--config-dir", "conf"], capsys)

    assert line == (
        f"clrun: model.target={CANARY}:Run: {CANARY} is code of neither clrun nor an installed "
        "package with options for it. Add --trust if you trust the files that say so."
    )
    require_untouched(place)


def test_the_tab_key_imports_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "conf" / "model").mkdir()
    (place / "conf" / "model" / "mine.yaml").write_text(f"# Mine.\ntarget: {CANARY}:Run\nx: 3\n")
    monkeypatch.setenv("COMP_LINE", "clrun --config-dir conf model=mine model.x=")

    assert main(["-sc", "query=bash"]) == 0

    require_untouched(place)


def test_a_folder_of_somebodys_hides_no_library(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (workplace / "conf" / "experiment").mkdir(parents=True)
    (workplace / "conf" / "experiment" / "x.yaml").write_text(f"{RECIPE}seed: 3\n")
    before = list(sys.path)

    clrun.compose(["experiment=x"], config_dirs=[workplace / "conf"])

    assert sys.path == before


def test_an_entry_point_beside_a_folder_is_not_installed(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sys.path.remove(str(place))
    information = place / "conf" / "evil-1.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    (information / "entry_points.txt").write_text(f"[clrun.conf]\nevil = {CANARY}\n")
    (place / "conf" / "model").mkdir()
    (place / "conf" / "model" / "mine.yaml").write_text(f"# Mine.\ntarget: {CANARY}:Run\n")

    [line] = refused(["--config-dir", "conf", "model=mine", *QUICK], capsys)

    assert "--trust" in line
    require_untouched(place)


def test_trust_lets_files_name_code(place: Path) -> None:
    (place / "conf" / "model").mkdir()
    code = "class Run:\n    class Config:\n        pass\n"
    (place / f"{CANARY}.py").write_text(
        f"import dataclasses\n{code}".replace(
            "    class Config", "    @dataclasses.dataclass\n    class Config"
        )
    )
    (place / "conf" / "model" / "mine.yaml").write_text(f"# Mine.\ntarget: {CANARY}:Run\n")
    where = {"config_dirs": [place / "conf"]}

    with pytest.raises(ConfigError, match="--trust"):
        clrun.compose(["model=mine"], **where)
    trusted = clrun.compose(["model=mine"], trust=True, **where)
    typed = clrun.compose(["model=mine", f"model.target={CANARY}:Run"], **where)

    assert trusted.nodes["model"].target == typed.nodes["model"].target == f"{CANARY}:Run"
    assert "--trust" in trusted.command()
    assert "--trust" not in typed.command()
    with pytest.raises(ConfigError, match="--trust"):
        clrun.compose(["model=mine"], **where)  # trust ends with the call


def test_what_is_typed_is_the_users_own(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "conf" / "experiment" / "x.yaml").write_text(f"{RECIPE}seed: 3\n")
    words = ["+hydra.job.env_set.A=b", "hydra.job_logging.root.level=WARNING"]

    assert main(["--config-dir", "conf", "experiment=x", *words, *QUICK, "hydra.run.dir=run"]) == 0


@pytest.mark.parametrize("logging", ["default", "none", "disabled", "stdout"])
def test_a_file_may_choose_logging_that_hydra_has(
    logging: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = f"{RECIPE}defaults:\n- override /hydra/job_logging: {logging}\n"
    (place / "conf" / "experiment" / "x.yaml").write_text(recipe)

    clrun.compose(["experiment=x"], config_dirs=[place / "conf"])


def test_a_file_may_set_what_has_no_such_effect(place: Path) -> None:
    node = {
        "hydra": {
            "job": {"name": "mine", "chdir": False},
            "run": {"dir": "there"},
            "sweep": {"dir": "there"},
            "sweeper": {"params": {"seed": "1,2"}, "max_batch_size": 3},
            "job_logging": {"root": {"level": "DEBUG"}, "handlers": {"more": HANDLER}},
            "output_subdir": ".kept",
        }
    }
    (place / "conf" / "experiment" / "x.yaml").write_text(RECIPE + yaml.safe_dump(node))

    clrun.compose(["experiment=x"], config_dirs=[place / "conf"])


def test_installed_packages_are_trusted(tmp_path: Path) -> None:
    install(tmp_path / "site", ROOT, PACKAGES / "clrun_garden")
    folder = tmp_path / "mine" / "strategy"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(
        "# Mine.\ntarget: clrun_garden.nearest_mean:NearestMean\ndistance: cosine\n"
    )

    done = clrun_in(
        tmp_path / "site", "preview", "--config-dir", str(folder.parent), "strategy=mine"
    )

    assert done.returncode == 0, done.stderr
