from __future__ import annotations

from pathlib import Path

from clrun.cli.main import main


def lines_of(capsys, *words: str) -> list[str]:
    assert main(["--help", *words]) == 0
    return capsys.readouterr().out.splitlines()


def option(folder: Path, path: str, text: str) -> None:
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, encoding="utf-8")


def test_keys_are_shown_with_the_values_they_would_have(capsys):
    lines = lines_of(capsys, "strategy=naive", "strategy.lr=0.25")

    assert "  lr: 0.25" in lines
    assert "  mem_size: 200" not in lines
    assert "hydra:" not in lines


def test_options_of_other_folders_are_listed(capsys, tmp_path):
    option(tmp_path, "selection/mine.yaml", "target: a:B\n")
    option(tmp_path, "zoo/own.yaml", "a: 1\n")

    lines = lines_of(capsys, "--config-dir", str(tmp_path))

    assert "selection: closest_to_center, herding, mine, random, unit_herding" in lines
    assert "zoo: own" in lines


def test_a_template_that_asks_for_more_is_filled_in_by_hydra(capsys, tmp_path):
    template = "defaults: [clrun, _self_]\ntemplate: |-\n  mine\n  $FLAGS_HELP\n  $CONFIG\n"
    option(tmp_path, "hydra/help/longer.yaml", template)

    lines = lines_of(capsys, "--config-dir", str(tmp_path), "hydra/help=longer")

    assert lines[0] == "mine"
    assert any(line.startswith("--multirun") for line in lines)


def test_a_key_that_does_not_exist_is_refused(capsys):
    assert main(["--help", "strategy.mem_sizee=3"]) == 2
    assert "mem_sizee" in capsys.readouterr().err
