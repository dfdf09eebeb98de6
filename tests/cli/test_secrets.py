"""A secret of the environment reaches whom it is for, and no file that clrun writes."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

import clrun
from clrun.cli.main import main
from clrun.config.run_config import RunConfig
from clrun.disk.secrets import hidden, hidden_text, is_secret, note_read, revealed

SECRET = "hunter2-canary"
QUICK = ("strategy=naive", "strategy.train_epochs=1", "device=cpu", "device.threads=1")
READ = "${oc.env:SECRET_TOKEN}"
SECRETS = (
    "TOKEN HF_TOKEN API_KEY apikey WANDB_API_KEY AWS_SECRET_ACCESS_KEY DB_PASSWORD PGPASSWORD "
    "MYSQL_PWD PASSPHRASE GOOGLE_CREDENTIALS SESSION_COOKIE PRIVATE_KEY NPM_AUTH GITHUB_PAT"
)
OTHERS = "PWD HOME PATH USER DATA LANG KEYBOARD MONKEY HOSTNAME"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", SECRET)


def holders(folder: Path) -> list[Path]:
    """The files with the secret in them."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    "words",
    [
        [f"run_name={READ}"],
        [f"run_name='mine {READ} too'"],
        ["run_name=${oc.env:SECRET_TOKEN,none}"],
        [f"hydra.job.name={READ}"],
        [f"+hydra.job.env_set.MINE={READ}"],
        [f"hydra.help.header={READ}"],
        [f"benchmark.data_root=/data/{READ}"],
        [f"output_root=out/{READ}"],
        ["-m", f"run_name={READ}", "strategy.lr=0.1,0.2"],
        ["-m", "seed=1,2", f"run_name={READ}"],
    ],
    ids=" ".join,
)
def test_no_file_holds_it(
    words: list[str], workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([*QUICK, *words])

    assert not holders(workplace)
    assert any(workplace.rglob("run.json")) or "data_root" in words[0]


def test_quotes_in_it_do_not_help(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", f'it\'s "a" \\ {SECRET}: # [é]')

    assert main([*QUICK, f"run_name={READ}", "hydra.run.dir=run"]) == 0

    assert not holders(workplace)


def test_a_recipe_cannot_fetch_it(workplace: Path) -> None:
    recipe = workplace / "mine" / "experiment" / "x.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(f"# @package _global_\nrun_name: {READ}\n")

    assert main(["--config-dir", "mine", "experiment=x", *QUICK, "hydra.run.dir=run"]) == 0

    assert not holders(workplace)
    assert json.loads((workplace / "run" / "run.json").read_text())["run_name"] == READ


def test_copying_it_into_the_record_is_refused(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "hydra.job.env_copy=[SECRET_TOKEN]"]) == 2

    assert "hydra.job.env_copy=SECRET_TOKEN: " in capsys.readouterr().err
    assert not list(workplace.iterdir())


def test_a_message_shows_what_was_typed(
    workplace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, f"strategy.lr={READ}"]) == 2

    shown = capsys.readouterr().err
    assert SECRET not in shown
    assert shown == f"clrun: strategy.lr={READ}: must be a number.\n"


def test_whom_it_is_for_gets_it() -> None:
    config = clrun.compose([f"run_name={READ}"])

    assert config.root.run_name == SECRET


def test_a_record_that_is_read_again_reads_the_variable_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    saved = json.loads(json.dumps(hidden(clrun.compose([f"run_name={READ}"]).plain())))
    monkeypatch.setenv("SECRET_TOKEN", "another-one")

    assert RunConfig.of_plain(saved).root.run_name == "another-one"
    assert SECRET not in json.dumps(saved)


@pytest.mark.parametrize("name", SECRETS.split())
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name, "something")


@pytest.mark.parametrize(
    "name", ["PWD", "HOME", "PATH", "USER", "DATA", "LANG", "KEYBOARD", "MONKEY", "HOSTNAME"]
)
def test_names_of_others(name: str) -> None:
    assert not is_secret(name, "something")


def test_an_address_with_a_password_is_one() -> None:
    assert is_secret("DATABASE_URL", "postgres://me:pass@host/x")
    assert not is_secret("DATABASE_URL", "postgres://host/x")


def test_what_is_short_is_none() -> None:
    note_read("A_TOKEN", "abc")

    assert hidden_text("abc") == "abc"


def test_texts_are_hidden_keys_and_numbers_are_not() -> None:
    note_read("A_TOKEN", "value1")

    plain = {"value1": ["a value1 b", 1, None, True, {"x": "value1"}]}

    assert hidden(plain) == {
        "value1": ["a ${oc.env:A_TOKEN} b", 1, None, True, {"x": "${oc.env:A_TOKEN}"}]
    }
    assert revealed("${oc.env:NOT_THERE} x") == "${oc.env:NOT_THERE} x"


def test_logs_hide_it(tmp_path: Path) -> None:
    from clrun.disk.secrets import SecretsHidden

    note_read("A_TOKEN", "value2")
    handler = logging.FileHandler(tmp_path / "log")
    handler.addFilter(SecretsHidden())
    try:
        raise ValueError("value2")
    except ValueError as error:
        record = logging.LogRecord(
            "x", 40, "f", 1, "so: %s", ("value2",), (ValueError, error, error.__traceback__)
        )
    handler.handle(record)
    handler.close()

    assert "value2" not in (tmp_path / "log").read_text()
    assert "so: ${oc.env:A_TOKEN}" in (tmp_path / "log").read_text()
