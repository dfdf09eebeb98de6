from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clrun.disk.folders import chosen_or_cached, user_cache


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
