"""What docs/guides/write_strategy.md says to write is refused without trust, and runs with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from clrun.cli.main import main

ROOT = Path(__file__).parents[2]


def test_the_strategy_of_the_page_is_listed_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(
        r"```(?:python|yaml)\n(.*?)```",
        (ROOT / "docs" / "guides" / "write_strategy.md").read_text(),
        re.S,
    )
    for name, known_by in (
        ("my_package/mine.py", "class Mine(Naive)"),
        ("conf/strategy/mine.yaml", "target: my_package.mine:Mine"),
    ):
        (block,) = [block for block in blocks if known_by in block]
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(block)
    monkeypatch.chdir(tmp_path)

    assert main(["list", "strategy", "--config-dir", "conf"]) == 0
    assert "  mine        Naive training that answers with small logits." in capsys.readouterr().out
    words = ("strategy=mine", "strategy.train_epochs=1", "strategy.weight=0.2", "device=cpu")
    assert main(["--config-dir", "conf", *words]) == 2
    assert main(["--trust", "--config-dir", "conf", *words]) == 0
