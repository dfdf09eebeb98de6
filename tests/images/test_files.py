from pathlib import Path

import pytest

from clrun.images.files import data_folder


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("CLRUN_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    return tmp_path


def test_the_default_folder_is_in_the_users_cache(home):
    assert data_folder(None) == home / ".cache" / "clrun" / "data"


def test_the_cache_can_be_elsewhere(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))

    assert data_folder(None) == home / "cache" / "clrun" / "data"


def test_the_environment_can_name_the_folder(home, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setenv("CLRUN_DATA", "~/images")

    assert data_folder(None) == home / "images"


def test_a_given_folder_wins_and_is_relative_to_the_working_folder(home, monkeypatch):
    monkeypatch.setenv("CLRUN_DATA", "/elsewhere")
    monkeypatch.chdir(home)

    assert data_folder("images") == Path.cwd() / "images"
    assert data_folder("~/images") == home / "images"
