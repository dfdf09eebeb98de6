"""The group `logger`: several at once, each below its own name, none of them in the hash."""

from __future__ import annotations

from typing import Any

import pytest

import clrun
from clrun.config.run_config import RunConfig
from clrun.config.sources import options
from clrun.errors import ConfigError


def chosen(*words: str) -> dict[str, Any]:
    return {node.option: dict(node.values) for node in clrun.compose(list(words)).loggers}


@pytest.mark.parametrize(
    ("words", "loggers"),
    [
        ([], {}),
        (["logger=none"], {}),
        (["logger=[]"], {}),
        (["logger=csv"], {"csv": {"steps": True}}),
        (["logger=[none,csv]", "logger.csv.steps=off"], {"csv": {"steps": False}}),
        (
            ["logger=[csv,tensorboard]"],
            {"csv": {"steps": True}, "tensorboard": {"flush_seconds": 10.0}},
        ),
    ],
)
def test_as_many_as_are_listed(words: list[str], loggers: dict[str, Any]) -> None:
    assert chosen(*words) == loggers


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["logger=null"], "logger=null: write logger=none"),
        (["logger=cvs"], "logger=cvs: there is no such option. Did you mean 'csv'?"),
        (["logger=[csv,cvs]"], "logger=cvs: there is no such option. Did you mean 'csv'?"),
        (["logger=5"], "logger=5: there is no such option."),
        (["logger=csv,tensorboard"], "one run has all of them: 'logger=[csv,tensorboard]'."),
        (["logger.csv.steps=off"], "logger.csv: this logger is not chosen. Add logger=csv."),
        (["logger.cvs.steps=off"], "logger.cvs: there is no such logger. Did you mean 'csv'?"),
        (["logger=csv", "logger.csv.step=off"], "logger.csv.step=off: there is no such key."),
        (["logger=csv", "logger.csv.steps=7"], "logger.csv.steps=7: must be true or false."),
    ],
)
def test_what_cannot_be_meant_is_one_line(words: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        clrun.compose(words)

    [line] = refused.value.problems
    assert problem in line


def test_a_logger_changes_no_number_and_is_not_in_the_hash() -> None:
    plain, logged = clrun.compose(["seed=3"]), clrun.compose(["seed=3", "logger=csv"])

    assert logged.hash() == plain.hash()
    assert logged.as_dict()["logger"]["csv"]["steps"] is True


def test_a_record_has_them_and_an_older_one_has_none() -> None:
    config = clrun.compose(["logger=csv", "logger.csv.steps=off"])
    plain = config.plain()

    again = RunConfig.of_plain(plain)
    older = RunConfig.of_plain({key: plain[key] for key in plain if key != "loggers"})

    assert again.loggers == config.loggers
    assert older.loggers == ()


def test_a_record_cannot_name_code_of_anybody() -> None:
    plain = clrun.compose(["logger=csv"]).plain()
    plain["loggers"][0]["target"] = "os.path:Class"

    with pytest.raises(ConfigError, match="Add --trust"):
        RunConfig.of_plain(plain)


@pytest.mark.parametrize("option", [o.name for o in options("logger") if o.name != "none"])
def test_every_option_composes_and_its_keys_are_those_of_its_class(option: str) -> None:
    assert list(chosen(f"logger={option}")) == [option]
