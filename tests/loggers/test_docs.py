"""The logger of docs/guides/write_logger.md, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from logged_runs import logged_run

DOCS = Path(__file__).resolve().parents[2] / "docs" / "guides" / "write_logger.md"


def test_the_logger_of_the_docs_writes_its_diary(tmp_path: Path) -> None:
    code, *_ = re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    diary = names["Diary"](names["Diary"].Config(file="diary.txt"))
    place = {"experience": 1, "epoch": None, "iteration": 9, "seconds": 1.0}

    diary.begin(logged_run(tmp_path), [])
    diary.write({"kind": "step", **place, "loss": 0.5})
    diary.write({"kind": "metrics", **place, "acc_final": 0.75})
    diary.end("completed")

    assert (tmp_path / "diary.txt").read_text() == "1 acc_final 0.75\n"
