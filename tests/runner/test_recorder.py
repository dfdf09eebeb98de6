from __future__ import annotations

import json
from contextlib import closing

import pytest
import torch

from clrun.errors import NonFiniteLoss
from clrun.records.raw_log import RawLog, read_raw_log
from clrun.runner.cost import Cost
from clrun.runner.recorder import Recorder
from clrun.strategies.step import Step


class Lines:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.lines: list[dict] = []

    def write(self, line) -> None:
        self.lines.append(dict(line))


@pytest.fixture
def raw_log(tmp_path):
    with closing(RawLog(tmp_path / "metrics.jsonl")) as log:
        yield log


def recorder(raw_log, display, *sinks, log_every: int = 2) -> Recorder:
    return Recorder(
        raw_log, display, Cost(), experiences=2, epochs=3, log_every=log_every, sinks=sinks
    )


def train(recorder: Recorder, losses: list[float], experience: int = 0) -> None:
    """One epoch with an update of 10 rows for each loss, half of them right."""
    steps = (
        Step(torch.tensor(loss), torch.tensor(5), 10, 0, 0, iteration, len(losses))
        for iteration, loss in enumerate(losses)
    )
    for step in recorder.cost.steps(steps):
        recorder.update(experience, step)


def test_every_so_many_updates_and_each_epoch_s_end_are_written(raw_log, noted):
    train(recorder(raw_log, noted), [1.0, 2.0, 3.0])

    lines = read_raw_log(raw_log.path)
    assert [(x["kind"], x["iteration"], x["loss"]) for x in lines] == [
        *(("step", 2, 1.5), ("step", 3, 3.0), ("epoch", 3, 2.0))
    ]
    assert [line["accuracy"] for line in lines] == [0.5] * 3
    assert [(pace.loss, pace.images) for pace in noted.paces] == [(1.5, 20), (3.0, 30)]


def test_sinks_get_each_line_as_the_raw_log_has_it(raw_log, noted):
    sinks = [Lines(), Lines()]
    records = recorder(raw_log, noted, *sinks)

    records.write("eval", None, stream="test", accuracy=[0.25, None])
    train(records, [1.0, 2.0])

    assert len(sinks[0].lines) == 3
    assert sinks[0].lines == sinks[1].lines == read_raw_log(raw_log.path)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_the_first_loss_that_is_no_number_is_named_and_nothing_is_written(raw_log, noted, bad):
    with pytest.raises(NonFiniteLoss, match=rf"{bad} in experience 2, epoch 1, iteration 3\."):
        train(recorder(raw_log, noted, log_every=100), [1.0, 1.0, bad, float("nan"), 1.0], 1)

    assert raw_log.path.read_text() == ""


def test_a_state_with_a_loss_that_is_no_number_cannot_be_saved(raw_log, noted):
    records = recorder(raw_log, noted, log_every=100)
    step = Step(torch.tensor(float("nan")), torch.tensor(5), 10, 0, 0, 0, 2)
    records.update(0, next(records.cost.steps(iter([step]))))

    with pytest.raises(NonFiniteLoss, match="iteration 1"):
        records.state_dict()


def test_a_recorder_that_goes_on_from_a_state_writes_the_same_lines(raw_log, noted, tmp_path):
    losses = [0.1, 0.7, 1.3, 0.9, 0.2]
    train(recorder(raw_log, noted, log_every=3), losses)
    whole = read_raw_log(raw_log.path)

    with closing(RawLog(tmp_path / "cut.jsonl")) as cut:
        one, other = (recorder(cut, noted, log_every=3) for _ in range(2))
        steps = [
            Step(torch.tensor(x), torch.tensor(5), 10, 0, 0, i, 5) for i, x in enumerate(losses)
        ]
        one.time_left.evaluated()
        for step in one.cost.steps(iter(steps[:2])):
            one.update(0, step)
        other.load_state_dict(json.loads(json.dumps(one.state_dict())))
        other.cost.load_state_dict(one.cost.state_dict())
        for step in other.cost.steps(iter(steps[2:])):
            other.update(0, step)

    again = read_raw_log(tmp_path / "cut.jsonl")
    assert other.time_left.made == 1
    assert [{**x, "seconds": 0} for x in again] == [{**x, "seconds": 0} for x in whole]


def test_progress_goes_by_updates_where_their_number_is_known(raw_log, noted):
    counted = Recorder(raw_log, noted, Cost(), experiences=2, epochs=3, log_every=1, updates=8)

    train(counted, [1.0, 1.0])
    train(counted, [1.0] * 6, experience=1)

    assert [pace.done for pace in noted.paces] == [n / 8 for n in range(1, 9)]


def test_progress_goes_by_experiences_where_their_number_is_not_known(raw_log, noted):
    train(recorder(raw_log, noted, log_every=1), [1.0, 1.0])

    assert [pace.done for pace in noted.paces] == pytest.approx([1 / 12, 1 / 6])


def test_more_updates_than_were_expected_are_no_more_than_all(raw_log, noted):
    counted = Recorder(raw_log, noted, Cost(), experiences=1, epochs=1, log_every=1, updates=1)

    train(counted, [1.0, 1.0])

    assert [pace.done for pace in noted.paces] == [1.0, 1.0]
