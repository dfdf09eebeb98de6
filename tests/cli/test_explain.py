"""`clrun help`: what it says of verbs, groups and options."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser

from clrun.cli.completion import FLAGS
from clrun.cli.main import main
from clrun.cli.request import SWEEP_FLAGS
from clrun.cli.topics import OPTIONS as OPTIONS_OF_A_RUN
from clrun.cli.topics import TOPICS
from clrun.cli.verbs import VERBS
from clrun.config.nodes import part_schemas
from clrun.config.option_file import read_option
from clrun.config.schema import config_class
from clrun.config.sources import GROUPS, PLUGINS, RECIPES, options
from clrun.errors import EXIT_CODES, ClrunError

OPTIONS = [
    f"{group}={option.name}" for group in (*GROUPS, PLUGINS, RECIPES) for option in options(group)
]


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def explained(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(["help", *words]) == 0
    return capsys.readouterr().out.splitlines()


def option_file(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")


def test_a_key_has_its_default_its_type_with_bounds_and_its_comment(capsys):
    lines = explained(capsys, "strategy=replay")

    assert lines[0] == "strategy=replay"
    assert lines[1].startswith("  Experience replay: a small memory mixed into every minibatch")
    at = lines.index("  strategy.mem_size=200  (whole number, at least 1)")
    assert lines[at + 1].startswith("      rows the memory holds, over all classes")
    at = lines.index("  strategy.memory_mb_size=null")
    assert lines[at + 1] == "      (whole number, at least 1, at most 1e+09, or null)"
    assert "  strategy.mix=split  (split | add)" in lines


@pytest.mark.parametrize("word", OPTIONS)
def test_every_option_is_explained_key_by_key_within_80_columns(word, capsys):
    lines = explained(capsys, word)

    group, _, name = word.partition("=")
    whole = ("    clrun", "  strategy.plugins=[")  # commands and lists are shown as they are
    filled = [line for line in lines if not line.startswith(whole) and "=DIR" not in line]
    assert all(len(line) <= 80 for line in filled)
    prefix = "" if group in (PLUGINS, RECIPES) else f"{group}."
    option = read_option(group, name)
    for path in option.keys:
        [line] = [line for line in lines if line.startswith(f"  {prefix}{path}=")]
        assert "(" in line or lines[lines.index(line) + 1].startswith("      ("), line
    if option.target is not None:
        schema, values = (
            config_class(option.target),
            {k.path: k.value for k in option.keys.values()},
        )
        schemas = (schema, *part_schemas(schema, values))
        assert set(option.keys) == {field.name for some in schemas for field in fields(some)}


def test_keys_of_the_file_that_an_option_is_based_on_are_explained_from_there(capsys, tmp_path):
    option_file(
        tmp_path,
        "strategy/_mine.yaml",
        "# Keys of descent.\nlr: 0.1  # step size\nmomentum: 0.0  # of SGD\n",
    )
    option_file(
        tmp_path,
        "strategy/mine.yaml",
        "# Mine.\ndefaults:\n  - _mine\n  - _self_\ntarget: clrun.strategies.naive:Naive\n"
        "lr: 0.5\nl2: 0.25  # decay\n",
    )

    lines = explained(capsys, "--config-dir", str(tmp_path), "strategy=mine")

    assert lines == [
        f"strategy=mine  [{tmp_path}]",
        "  Mine.",
        "  Class: clrun.strategies.naive:Naive",
        "",
        "  strategy.l2=0.25  (number, at least 0)",
        "      decay",
        "",
        "Shared keys (strategy/_mine.yaml). Keys of descent.",
        "  strategy.lr=0.5  (number, above 0)",
        "      step size",
        "  strategy.momentum=0.0  (number, at least 0, below 1)",
        "      of SGD",
    ]


def test_a_base_is_no_option(capsys, tmp_path):
    option_file(tmp_path, "strategy/_mine.yaml", "# Keys of descent.\nlr: 0.1\n")

    lines = explained(capsys, "--config-dir", str(tmp_path), "strategy")

    assert not any("_mine" in line for line in lines)
    assert main(["help", "--config-dir", str(tmp_path), "strategy=_mine"]) == 2


def test_a_recipe_is_explained_by_the_options_it_chooses(capsys):
    lines = explained(capsys, "experiment=ar1_digits")

    assert "    clrun experiment=ar1_digits" in lines
    assert any(line.startswith("  Chooses strategy=ar1, benchmark=digits") for line in lines)
    at = lines.index("  strategy.rm_sz=200  (whole number, at least 0)")
    assert lines[at + 1].startswith("      latents stored")


def test_a_plugin_says_how_it_is_added(capsys):
    lines = explained(capsys, "plugin=si")

    assert "  Add it with 'strategy.plugins=[{name: si, KEY: VALUE}]'." in lines
    assert "  ewc_lambda=???  (number, at least 0)" in lines


def test_a_metric_is_explained_with_its_direction(capsys):
    [_, line] = explained(capsys, "metric=forgetting_max")

    assert line == "  forgetting: mean drop from each experience's best; lower is better."


@pytest.mark.parametrize("group", [*GROUPS, PLUGINS, RECIPES, "metric"])
def test_a_group_is_a_line_for_each_option(group, capsys):
    lines = explained(capsys, group)

    assert lines[0] == group
    assert all(len(line) <= 80 for line in lines)
    names = [option.name for option in options(group)] if group != "metric" else None
    shown = [line.split()[0] for line in lines[1:] if line.startswith("  ")]
    assert shown
    assert names is None or shown == names


def test_without_words_every_verb_and_group_is_there_and_the_keys_of_none(capsys):
    lines = explained(capsys)

    first_words = {line.split()[0] for line in lines if line.startswith("  ")}
    assert {*VERBS, *GROUPS, PLUGINS, RECIPES, "seed=0", "log_every=10"} <= first_words
    assert all(len(line) <= 80 for line in lines)


def test_the_long_help_names_every_verb(capsys):
    assert main(["--help"]) == 0

    text = capsys.readouterr().out
    assert all(f"clrun {verb} " in text for verb in VERBS)


def test_keys_that_are_in_no_group_are_explained_together(capsys):
    lines = explained(capsys, "sweep")

    assert lines[0] == "sweep.KEY"
    assert "  sweep.on_error=continue  (continue | stop)" in lines
    assert not any("checkpoint" in line for line in lines)


def test_a_verb_is_explained_by_its_own_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["help", "preview"])

    assert stop.value.code == 0
    assert "usage: clrun preview" in capsys.readouterr().out


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_a_table_within_80_columns(topic, capsys):
    lines = explained(capsys, topic)

    names = {name for table in TOPICS[topic].tables() for name in table.rows}
    assert {f"  {name}" for name in names} <= set(lines)
    assert all(len(line) <= 80 for line in lines)


def test_every_exit_code_of_an_error_is_explained():
    errors = [ClrunError]
    for error in errors:
        errors += error.__subclasses__()

    codes = {str(error.exit_code) for error in errors if isinstance(error.exit_code, int)}
    assert codes | {"0", "128 + n"} == EXIT_CODES.keys()


def test_every_option_without_a_verb_is_explained():
    words = {word for name in OPTIONS_OF_A_RUN for word in re.findall(r"--?[\w-]+", name)}

    hidden = {"--experimental-rerun"}  # refused
    known = {word for action in get_args_parser()._actions for word in action.option_strings}
    assert words == {*(known - hidden), *SWEEP_FLAGS, "--debug", "--trust"}
    assert words >= {*FLAGS}


BAD = [
    ("strategy=repaly", "Did you mean 'replay'?"),
    ("strategy=", "Options: agem, "),
    ("strateg=replay", "Did you mean 'strategy'?"),
    ("prevew", "Did you mean 'preview'?"),
    ("benchmrk", "Did you mean 'benchmark'?"),
    ("metric=bwd", "Did you mean 'bwt'?"),
    ("strategy.lr", "no such verb or group"),
    ("--confg-dir", "clrun help --help"),
]


def test_an_unknown_folder_is_one_line(capsys):
    assert main(["help", "--config-dir", "nowhere", "strategy"]) == 2
    assert capsys.readouterr().err == "clrun: --config-dir=nowhere: there is no such folder.\n"


@pytest.mark.parametrize(("word", "hint"), BAD)
def test_an_unknown_word_is_one_line_with_a_hint(word, hint, capsys):
    assert main(["help", word]) == 2

    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("clrun: ")
    assert word in line
    assert hint in line
