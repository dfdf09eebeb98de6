from pathlib import Path

import pytest

from clrun.sources.passed_over import holds_runs, is_system


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir",
        "#recycle",
        "@Recycle",
        "@Recently-Snapshot",
        ".@__thumb",
        "$RECYCLE.BIN",
        "System Volume Information",
        "Thumbs.db",
        "ehthumbs.db",
        "Desktop.ini",
        "a.jpg:Zone.Identifier",
        "__MACOSX",
        ".DS_Store",
        "._a.jpg",
        "Icon\r",
        "lost+found",
        ".Trash-1000",
        ".ipynb_checkpoints",
        "__pycache__",
    ],
)
def test_what_systems_leave_behind_is_no_data(name):
    assert is_system(name)


@pytest.mark.parametrize("name", ["a.jpg", "recycle", "eaDir", "snapshot", "thumbs", "found"])
def test_other_names_may_be_data(name):
    assert not is_system(name)


@pytest.mark.parametrize(
    "record",
    [
        "2026-11-27/12-00-00-abc/run.json",
        "multirun/2026-11-27/12-00-00-abc/naive-folder-s0/run.json",
        "2026-11-27/12-00-00-abc/.hydra/config.yaml",
        "run.json",
        "sweep.jsonl",
    ],
)
def test_a_folder_with_runs_in_it_is_known_by_its_records(tmp_path: Path, record: str):
    (tmp_path / record).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / record).write_text("{}")

    assert holds_runs(tmp_path)


def test_a_folder_of_images_holds_no_runs(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "0.png").write_bytes(b"x")
    (tmp_path / "notes.json").write_text("{}")

    assert not holds_runs(tmp_path)
