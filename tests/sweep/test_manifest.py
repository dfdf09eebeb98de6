"""Files of a sweep as anybody may have written them: read, or refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from making_sweeps import written_sweep

from clrun.cli.main import main
from clrun.disk import secrets
from clrun.errors import ConfigError
from clrun.sweep.manifest import read_manifest, write_manifest
from clrun.sweep.record import read_record

Damage = Callable[[dict[str, Any]], Any]


def changed(*path: str, to: Any) -> Damage:
    """What puts another value at this place."""

    def damage(plain: dict[str, Any]) -> None:
        for key in path[:-1]:
            plain = plain[key]
        plain[path[-1]] = to

    return damage


def left_out(*path: str) -> Damage:
    """What leaves the value at this place out."""

    def damage(plain: dict[str, Any]) -> None:
        for key in path[:-1]:
            plain = plain[key]
        del plain[path[-1]]

    return damage


JOBS = [
    changed("config", to=[1]),
    changed("config", to={}),
    changed("config", "nodes", "eval", to=[]),
    left_out("config", "nodes", "strategy"),
    left_out("config", "root", "seed"),
    changed("config", "plugins", to=7),
    changed("config", "where", to=None),
    changed("identity", to={}),
    changed("identity", "threads", to="one"),
    changed("identity", "threads", to=-5),
    changed("values", to=[1]),
    changed("values", "seed", to=3),
    changed("overrides", to=None),
    changed("overrides", to=[5]),
    changed("folder", to="../elsewhere"),
    changed("folder", to="/tmp/elsewhere"),
    changed("folder", to=5),
    changed("number", to=1),
]
OPTIONS = [
    changed("options", "retries", to="many"),
    changed("options", "retries", to=-1),
    changed("options", "time_limit", to="long"),
    changed("options", "time_limit", to=0),
    changed("options", "share", to="yes"),
    changed("options", "on_error", to="wait"),
    changed("options", "launcher", to="rocket"),
    changed("options", "launcher_keys", to=["workers"]),
    changed("options", to=None),
    changed("swept", to=5),
]


def damaged(file: Path, damage: Damage) -> None:
    plain = json.loads(file.read_text())
    damage(plain)
    file.write_text(json.dumps(plain) + "\n")


@pytest.mark.parametrize("damage", JOBS)
def test_a_manifest_that_is_none_is_refused_in_a_line(
    tmp_path: Path, damage: Damage, capsys: pytest.CaptureFixture[str]
):
    written_sweep(tmp_path, [["seed=0"]])
    damaged(tmp_path / "sweep.jsonl", damage)

    with pytest.raises(ConfigError, match=r"sweep\.jsonl: is damaged"):
        read_manifest(tmp_path)

    for command in ("status", "worker", "resume"):
        assert main([command, str(tmp_path)]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        assert "sweep.jsonl: is damaged" in said.err
    assert not (tmp_path / ".sweep" / "outcomes").exists()


@pytest.mark.parametrize("damage", OPTIONS)
def test_options_that_no_sweep_has_are_refused_in_a_line(tmp_path: Path, damage: Damage):
    written_sweep(tmp_path, [["seed=0"]])
    damaged(tmp_path / "sweep.json", damage)

    with pytest.raises(ConfigError, match=r"sweep\.json: is damaged"):
        read_record(tmp_path)


@pytest.fixture
def _nothing_secret() -> Iterator[None]:
    yield
    secrets._READ.clear()


@pytest.mark.usefixtures("_nothing_secret")
def test_a_secret_with_quotes_is_hidden_too(tmp_path: Path):
    [job] = written_sweep(tmp_path, [["seed=0"]])
    secrets.note_read("MY_TOKEN", 'se"cret\u00e9')
    job.config["root"]["run_name"] = 'se"cret\u00e9'

    write_manifest(tmp_path, [job])

    assert read_manifest(tmp_path)[0].config["root"]["run_name"] == "${oc.env:MY_TOKEN}"
