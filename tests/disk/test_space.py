from __future__ import annotations

from types import SimpleNamespace

import pytest

from clrun.disk.space import require_space
from clrun.errors import StorageError


@pytest.fixture(autouse=True)
def five_gigabytes_are_free(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=5_000_000_000))


def test_what_just_fits_is_let_through(tmp_path):
    require_space(tmp_path, 5_000_000_000, "written")


def test_what_does_not_fit_is_refused_in_one_line_with_a_way_out(tmp_path):
    with pytest.raises(StorageError) as refused:
        require_space(tmp_path, 5_001_000_000, "written", "Use another disk.")

    assert str(refused.value) == (
        f"{tmp_path}: 5,001 MB are to be written, and 5,000 MB free. Use another disk."
    )
    assert refused.value.exit_code == 5


def test_without_a_way_out_the_line_ends_with_the_sizes(tmp_path):
    with pytest.raises(StorageError, match=r"5,000 MB free\.$"):
        require_space(tmp_path, 10**12, "downloaded")
