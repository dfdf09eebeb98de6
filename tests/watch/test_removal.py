"""What a listing said of a run may be another by the time that its folder is removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clrun.watch.removal import remove


@pytest.mark.parametrize(
    ("status", "left"), [("completed", "is completed by now"), ("failed", None)]
)
def test_a_run_that_has_completed_since_it_was_listed_is_left(
    status: str, left: str | None, tmp_path: Path
):
    folder = tmp_path / "day" / "run"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"status": status}))

    said = remove(folder, tmp_path)

    assert said == left
    assert folder.exists() is (left is not None)
