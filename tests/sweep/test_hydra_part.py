"""What a job of a sweep has of Hydra, although nothing is composed for it again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from making_sweeps import SHORT, written_sweep

from clrun.cli.main import main
from clrun.config.trust import Trust, trusting
from clrun.errors import ConfigError
from clrun.sweep.events import Event
from clrun.sweep.hydra_part import HydraPart
from clrun.sweep.outcomes import read_outcome
from clrun.sweep.record import SweepOptions
from clrun.sweep.worker import Worker

SWEEP = ("-m", *SHORT, "strategy.lr=0.1,0.2")


def hydra_of(job: Path) -> dict[str, object]:
    return yaml.safe_load((job / ".hydra" / "hydra.yaml").read_text())["hydra"]


def test_a_job_folder_has_what_hydra_s_own_launcher_writes(workplace: Path):
    assert main([*SWEEP, "hydra.sweep.dir=ours"]) == 0
    assert main([*SWEEP, "hydra.sweep.dir=its", "hydra/launcher=basic"]) == 0

    ours, its = (sorted((workplace / name).glob("naive*")) for name in ("ours", "its"))
    assert [path.name for path in ours] == [path.name for path in its]
    for mine, other in zip(ours, its, strict=True):
        files = {path.name for path in (mine / ".hydra").iterdir()}
        assert files == {path.name for path in (other / ".hydra").iterdir()}
        found, wanted = hydra_of(mine), hydra_of(other)
        assert list(found) == list(wanted)
        for hydra in (found, wanted):
            for differs in ("sweep", "launcher"):
                del hydra[differs]
            hydra["runtime"]["output_dir"] = None  # type: ignore[index]
            for words in ("hydra", "task"):
                hydra["overrides"][words] = [  # type: ignore[index]
                    word
                    for word in hydra["overrides"][words]
                    if "hydra" not in word  # type: ignore[index]
                ]
            hydra["job"]["override_dirname"] = None  # type: ignore[index]
            hydra["runtime"]["choices"].pop("hydra/launcher", None)  # type: ignore[index]
            hydra["runtime"]["choices"].pop("launcher", None)  # type: ignore[index]
        assert found == wanted


def test_what_hydra_does_for_a_job_is_done(workplace: Path):
    option = workplace / "conf" / "strategy" / "looking.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("# Looks.\ndefaults: [naive, _self_]\ntarget: looking_code:Looking\n")
    (workplace / "looking_code.py").write_text(
        """
import json, os
from dataclasses import dataclass
from hydra.core.hydra_config import HydraConfig
from clrun.strategies.naive import Naive


class Looking(Naive):
    @dataclass(frozen=True, kw_only=True)
    class Config(Naive.Config):
        pass

    def learn(self, *given):
        hydra = HydraConfig.get()
        seen = {"cwd": os.getcwd(), "env": os.environ["SAID"], "number": hydra.job.num}
        with open(os.path.join(hydra.runtime.output_dir, "seen.json"), "w") as file:
            file.write(json.dumps(seen))
        print("printed")
        yield from super().learn(*given)
"""
    )

    code = main(
        [
            *("-m", "--trust", "--config-dir", "conf", "strategy=looking", "seed=0,1", *SHORT[1:]),
            *("hydra.job.chdir=true", "+hydra.job.env_set.SAID=this", "hydra.sweep.dir=s"),
            "hydra.job.name=mine",
        ]
    )

    assert code == 0
    jobs = sorted((workplace / "s").glob("looking*"))
    seen = [json.loads((job / "seen.json").read_text()) for job in jobs]
    assert seen == [
        {"cwd": str(job), "env": "this", "number": number} for number, job in enumerate(jobs)
    ]
    assert "printed" in (jobs[0] / "mine.log").read_text()
    assert "completed" in (jobs[0] / "mine.log").read_text()


def test_a_file_that_would_have_hydra_run_code_is_refused(tmp_path: Path):
    [job] = written_sweep(tmp_path, [["seed=1"]])
    logging = {"handlers": {"x": {"()": "os.system", "command": "touch canary"}}}
    node = {"hydra": {"job": {"name": "clrun"}, "job_logging": logging}}
    (tmp_path / "multirun.yaml").write_text(yaml.safe_dump(node))
    events: list[Event] = []

    Worker(tmp_path, 1, SweepOptions(), events.append).run()

    outcome = read_outcome(tmp_path, job.number)
    assert outcome is not None
    assert outcome.status == "failed"
    assert outcome.exit_code == 2
    assert "hydra.job_logging" in str(outcome.reason)


@pytest.mark.parametrize("text", ["hydra: 3", "[1]", "", "hydra: {job: {", "other: {}"])
def test_a_damaged_file_is_named(text: str, tmp_path: Path):
    (tmp_path / "multirun.yaml").write_text(text)

    with trusting(Trust(everything=True)), pytest.raises(ConfigError, match=r"multirun\.yaml"):
        HydraPart.of_sweep(tmp_path)
