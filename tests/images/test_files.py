from pathlib import Path

import pytest

from clrun.errors import ConfigError
from clrun.images.files import check_root, data_folder


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


@pytest.mark.parametrize(
    ("download", "reason"), [(True, "no folder can be made in /proc"), (False, "no such folder")]
)
def test_a_folder_that_cannot_be_is_told_with_what_names_it(download, reason, monkeypatch):
    with pytest.raises(ConfigError, match=rf"^benchmark\.data_root=/proc/nope: .*{reason}"):
        check_root(data_folder("/proc/nope"), download=download)

    monkeypatch.setenv("CLRUN_DATA", "/proc/nope")
    with pytest.raises(ConfigError, match=rf"^CLRUN_DATA=/proc/nope: .*{reason}"):
        check_root(data_folder(None), download=download)


def test_a_folder_that_can_be_made_is_not_made_by_looking(home):
    check_root(home / "new" / "data", download=True)

    assert list(home.iterdir()) == []
