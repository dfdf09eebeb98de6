from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clrun.disk.folders import chosen_or_cached, make_folder, user_cache
from clrun.errors import ConfigError


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other folders")
def test_on_linux_the_cache_is_where_xdg_says_or_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    usual = user_cache()

    monkeypatch.setenv("XDG_CACHE_HOME", "/scratch/me")

    assert usual == tmp_path / ".cache" / "clrun"
    assert user_cache() == Path("/scratch/me/clrun")


def test_a_folder_that_the_environment_names_is_taken_as_it_is(monkeypatch):
    monkeypatch.setenv("CLRUN_SOMETHING", "~/elsewhere")

    assert chosen_or_cached("CLRUN_SOMETHING", "images") == Path.home() / "elsewhere"


@pytest.mark.parametrize("value", [None, ""])
def test_without_one_it_is_in_the_users_cache(value, monkeypatch):
    monkeypatch.delenv("CLRUN_SOMETHING", raising=False)
    if value is not None:
        monkeypatch.setenv("CLRUN_SOMETHING", value)

    assert chosen_or_cached("CLRUN_SOMETHING", "images") == user_cache() / "images"


@pytest.mark.parametrize(
    ("value", "start"), [("set", "CLRUN_SOMETHING=set: "), (None, "CLRUN_SOMETHING is not set: ")]
)
def test_a_folder_that_cannot_be_made_is_told_with_its_variable(
    value, start, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("CLRUN_SOMETHING", raising=False)
    if value is not None:
        monkeypatch.setenv("CLRUN_SOMETHING", value)

    with pytest.raises(ConfigError) as refused:
        make_folder(tmp_path / "file" / "a" / "b", "CLRUN_SOMETHING")

    assert str(refused.value) == (
        f"{start}{tmp_path / 'file' / 'a' / 'b'} cannot be made (Not a directory). Let the "
        "variable name a folder that you can write to."
    )
