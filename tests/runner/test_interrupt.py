from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import clrun
from clrun.errors import ClrunError
from clrun.profiling.activity import doing, watch
from clrun.records.raw_log import read_raw_log
from clrun.records.run_folder import RunFolder
from clrun.runner.interrupt import (
    LOOK_SECONDS,
    SIGNALS,
    Interrupted,
    noted_signals,
    stopped_by_signals,
    unhurried,
)
from clrun.runner.prepare import prepare
from clrun.runner.run import run
from clrun.runner.state import RunState
from clrun.strategies.learner import Learner


def handlers() -> list:
    return [signal.getsignal(number) for number in SIGNALS]


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted_and_kills_nothing(number):
    with noted_signals() as received:
        send(number)

    assert received == [number]


@pytest.mark.parametrize("first", SIGNALS)
def test_a_second_ctrl_c_stops_at_once(first, monkeypatch):
    monkeypatch.setattr("clrun.runner.interrupt.SAME_SECONDS", 0)

    def twice() -> None:
        with noted_signals():
            send(first)
            send(signal.SIGINT)
            time.sleep(10)

    with pytest.raises(Interrupted, match=r"interrupted by SIGINT\.") as stopped:
        twice()

    assert stopped.value.exit_code == 130


@pytest.mark.parametrize("number", SIGNALS)
def test_the_echo_of_a_signal_is_the_same_signal(number):
    with noted_signals() as received:
        send(number)
        send(number)

    assert received == [number]


@pytest.mark.parametrize("second", SIGNALS[1:])
def test_what_comes_later_and_is_no_ctrl_c_hurries_nothing(second, monkeypatch):
    monkeypatch.setattr("clrun.runner.interrupt.SAME_SECONDS", 0)

    with noted_signals() as received:
        send(signal.SIGTERM)
        send(second)

    assert received == [signal.SIGTERM]


def test_what_is_stoppable_is_left_at_once():
    def waiting() -> None:
        with noted_signals(), doing("choosing exemplars"):
            send(signal.SIGTERM)
            time.sleep(10)

    with pytest.raises(Interrupted, match="SIGTERM"):
        waiting()


def test_what_becomes_stoppable_after_the_signal_is_left_soon():
    def waiting() -> None:
        with noted_signals():
            send(signal.SIGTERM)
            with doing("choosing exemplars"):
                time.sleep(10)

    start = time.monotonic()
    with pytest.raises(Interrupted, match="SIGTERM"):
        waiting()

    assert time.monotonic() - start < 5


def test_what_is_not_stoppable_has_its_time():
    with noted_signals() as received, doing("evaluating", stoppable=False):
        send(signal.SIGTERM)
        time.sleep(3 * LOOK_SECONDS)

    assert received == [signal.SIGTERM]


def test_a_state_that_is_saved_has_all_the_time_it_needs(monkeypatch):
    monkeypatch.setattr("clrun.runner.interrupt.GRACE_SECONDS", 0)

    with noted_signals() as received, unhurried(), doing("saving"):
        send(signal.SIGTERM)
        time.sleep(3 * LOOK_SECONDS)

    assert received == [signal.SIGTERM]


def test_only_a_second_ctrl_c_ends_the_saving_of_a_state(monkeypatch):
    monkeypatch.setattr("clrun.runner.interrupt.SAME_SECONDS", 0)

    def impatient() -> None:
        with noted_signals(), unhurried():
            send(signal.SIGINT)
            send(signal.SIGINT)
            time.sleep(10)

    with pytest.raises(Interrupted, match="SIGINT"):
        impatient()


def test_a_hang_up_that_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with noted_signals() as received, stopped_by_signals():
            send(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert received == []


def test_an_interrupt_that_a_shell_ignores_for_its_background_jobs_is_noted():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with noted_signals() as received:
            send(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)

    assert received == [signal.SIGINT]


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_what_a_program_around_a_run_does_at_a_signal_it_goes_on_doing(name):
    number, theirs = getattr(signal, name), []
    before = signal.signal(number, lambda *_: theirs.append(name))
    try:
        with noted_signals() as received:
            send(number)
    finally:
        signal.signal(number, before)

    assert (received, theirs) == ([], [name])


def test_within_noted_signals_they_are_noted_once():
    with noted_signals() as outside, noted_signals() as inside:
        send(signal.SIGTERM)

    assert outside == inside == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_what_takes_longer_than_the_grace_is_stopped_too(monkeypatch):
    monkeypatch.setattr("clrun.runner.interrupt.GRACE_SECONDS", 0.05)

    def slow() -> None:
        with noted_signals():
            send(signal.SIGTERM)
            time.sleep(10)

    with pytest.raises(Interrupted, match=r"interrupted by SIGTERM\."):
        slow()


@pytest.mark.parametrize("number", SIGNALS)
def test_outside_of_a_run_a_signal_stops_at_once(number):
    before = handlers()

    def around() -> None:
        with stopped_by_signals():
            send(number)
            time.sleep(10)

    with pytest.raises(Interrupted) as stopped:
        around()

    assert stopped.value.number == number
    assert handlers() == before


def test_a_signal_that_came_too_late_for_a_run_stops_what_is_around_it():
    def around_a_run() -> None:
        with stopped_by_signals() as signals:
            with noted_signals():
                send(signal.SIGINT)
            signals.raise_late()

    with pytest.raises(Interrupted, match="SIGINT"):
        around_a_run()


def test_handlers_are_put_back():
    before = handlers()

    with noted_signals():
        inside = handlers()
    with pytest.raises(Interrupted), noted_signals():
        raise Interrupted(signal.SIGINT)

    assert inside != before
    assert handlers() == before


def test_in_another_thread_signals_are_left_to_the_main_one():
    before, inside = handlers(), []

    def note() -> None:
        with noted_signals() as received:
            inside.append((handlers(), list(received)))

    thread = threading.Thread(target=note)
    thread.start()
    thread.join()

    assert inside == [(before, [])]


class Signalling:
    """A display that sends signals to its own process after some updates, or an evaluation."""

    def __init__(self, number: int, *, at: str) -> None:
        self.number, self.at = number, at

    def title(self, text: str) -> None: ...

    def step(self, pace) -> None:
        if self.at == "step" and pace.experience == 1:
            send(self.number)

    def evaluated(self, experience, experiences, row) -> None:
        if self.at == "evaluation" and experience == 1:
            send(self.number)

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("number", "name", "exit_code"),
    [(number, number.name, 128 + number) for number in SIGNALS],
)
@pytest.mark.parametrize(("at", "finished"), [("step", 1), ("evaluation", 2)])
def test_an_interrupted_run_stops_after_an_update_and_says_so(
    number, name, exit_code, at, finished, config_of, tmp_path
):
    folder = tmp_path / "run"

    with pytest.raises(Interrupted) as stopped:
        run(prepare(config_of("log_every=1")), folder, Signalling(number, at=at))

    record = json.loads((folder / "run.json").read_text())
    last = read_raw_log(folder / "metrics.jsonl")[-1]
    assert isinstance(stopped.value, ClrunError)
    assert stopped.value.exit_code == exit_code
    assert record["status"] == "interrupted"
    assert record["error"].startswith(f"interrupted by {name}. {finished} of 5 experiences")
    assert record["error"] == str(stopped.value)
    assert record["ended"] is not None
    assert (last["kind"], last["experience"]) == (("step", 1) if at == "step" else ("resource", 1))


@pytest.fixture
def at_activity():
    """Sends a signal as a run begins to do this or that, and keeps all that was done."""
    done: list[str] = []

    def send_at(what: str, number: int) -> list[str]:
        def see(begins: str | None) -> None:
            done.append(begins or "updating")
            if begins == what:
                send(number)

        watch(see)
        return done

    yield send_at
    watch(None)


AR1 = (
    *("strategy=ar1", "model=mlp", "strategy.latent_layer=features.relu0"),
    *("benchmark.limit_per_class=20", "strategy.train_epochs=1"),
)


LONG = pytest.mark.parametrize(
    ("what", "overrides"),
    [
        ("evaluating", ("strategy=naive",)),
        ("choosing exemplars", ("selection=herding",)),
        ("computing latents", AR1),
        ("storing latents", AR1),
    ],
)
"""what a run does besides updates that takes long, and a run that does it"""


@LONG
@pytest.mark.parametrize("number", SIGNALS)
def test_what_takes_long_besides_updates_is_not_waited_for(
    what, overrides, number, at_activity, config_of, tmp_path
):
    done = at_activity(what, number)

    with pytest.raises(Interrupted) as stopped:
        run(prepare(config_of(*overrides)), tmp_path / "run")

    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert stopped.value.exit_code == 128 + number
    assert record["status"] == "interrupted"
    assert done.count(what) == 1
    assert not any(does in ("evaluating", what) for does in done[done.index(what) + 1 :])


def results_in(folder: Path) -> dict[str, Any]:
    results = json.loads((folder / "results.json").read_text())
    of_the_process = ("wall_seconds", "cpu_seconds", "peak_rss_bytes")
    results["cost"] = {k: v for k, v in results["cost"].items() if k not in of_the_process}
    return results


@LONG
def test_what_was_not_waited_for_is_done_when_the_run_goes_on(
    what, overrides, at_activity, config_of, finished, tmp_path
):
    at_activity(what, signal.SIGTERM)
    with pytest.raises(Interrupted):
        run(prepare(config_of(*overrides)), tmp_path / "run")
    watch(None)

    clrun.resume(tmp_path / "run")

    assert results_in(tmp_path / "run") == results_in(finished(*overrides).folder)


def test_an_evaluation_is_left_between_two_minibatches(config_of, tmp_path, monkeypatch):
    """Not inside one, where a strategy may have changed something for the time being."""
    predict, steps = Learner.predict, []

    def slowly(self: Learner, x: Any) -> Any:
        steps.append("begun")
        send(signal.SIGTERM)
        time.sleep(2 * LOOK_SECONDS)
        steps.append("over")
        return predict(self, x)

    monkeypatch.setattr(Learner, "predict", slowly)
    with pytest.raises(Interrupted, match="SIGTERM"):
        run(prepare(config_of("strategy=naive", "strategy.eval_mb_size=100")), tmp_path / "run")

    assert steps == ["begun", "over"]


def test_a_second_ctrl_c_in_an_evaluation_saves_no_state_that_may_be_half_done(
    config_of, tmp_path, monkeypatch
):
    monkeypatch.setattr("clrun.runner.interrupt.SAME_SECONDS", 0)

    def twice(begins: str | None) -> None:
        if begins == "evaluating":
            send(signal.SIGINT)
            send(signal.SIGINT)

    watch(twice)
    try:
        with pytest.raises(Interrupted) as stopped:
            run(prepare(config_of("eval.initial=false", "strategy=naive")), tmp_path / "run")
    finally:
        watch(None)

    assert stopped.value.exit_code == 130
    assert list(tmp_path.glob("run/checkpoints/state-*")) == []


def test_an_interrupted_run_keeps_the_results_of_its_finished_experiences(
    config_of, finished, tmp_path
):
    folder, whole = tmp_path / "run", finished("log_every=1").results

    with pytest.raises(Interrupted, match=r"2 of 5 experiences were finished\. Their results: "):
        run(prepare(config_of("log_every=1")), folder, Signalling(signal.SIGINT, at="evaluation"))

    results = json.loads((folder / "results.json").read_text())
    assert results["partial"]
    assert not whole["partial"]
    for key in ("accuracy_matrix", "class_accuracy"):
        assert results[key] == whole[key][:2]
    assert results["metrics"] == dict.fromkeys(whole["metrics"])
    reason = "interrupted: 2 of 5 experiences were finished"
    assert {results["notes"][key] for key in whole["metrics"]} == {reason}
    assert len((folder / "accuracy_matrix.csv").read_text().splitlines()) == 3


def test_a_run_that_finished_no_experience_has_no_results_and_names_its_folder(config_of, tmp_path):
    def at_once(_: RunState) -> None:
        send(signal.SIGINT)

    folder = tmp_path / "run"
    with pytest.raises(Interrupted) as stopped:
        run(prepare(config_of()), folder, at_pause=at_once)

    assert str(stopped.value).endswith(
        f"0 of 5 experiences were finished. The run's folder: {folder}. "
        f"To go on: clrun resume {folder}"
    )
    assert not (folder / "results.json").exists()


def test_a_run_of_somebodys_code_says_how_it_goes_on(tmp_path, monkeypatch):
    option = tmp_path / "conf" / "strategy" / "mine.yaml"
    option.parent.mkdir(parents=True)
    option.write_text("# Mine.\ndefaults: [naive, _self_]\ntarget: clrun_goes_on:Mine\n")
    code = "from clrun.strategies.naive import Naive\n\n\nclass Mine(Naive):\n    pass\n"
    (tmp_path / "clrun_goes_on.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["device=cpu", "strategy=mine"]
    config = clrun.compose(words, config_dirs=[tmp_path / "conf"], trust=True)

    with pytest.raises(Interrupted) as stopped:
        run(prepare(config), tmp_path / "run", at_pause=lambda _: send(signal.SIGINT))

    assert str(stopped.value).endswith(f"To go on: clrun resume {tmp_path / 'run'} --trust")


def test_a_joint_run_counts_itself_as_one_experience(config_of, tmp_path):
    with pytest.raises(Interrupted, match=r"0 of 1 experience was finished\."):
        run(
            prepare(config_of("strategy=joint")),
            tmp_path / "run",
            at_pause=lambda _: send(signal.SIGINT),
        )


def test_an_interrupted_run_gives_its_lock_and_the_handlers_back(config_of, tmp_path):
    folder, before = tmp_path / "run", handlers()

    with pytest.raises(Interrupted):
        run(prepare(config_of()), folder, Signalling(signal.SIGTERM, at="step"))

    (folder / "run.json").unlink()
    RunFolder(folder).close()
    assert handlers() == before


class FromAnotherThread(Signalling):
    """Lets another thread send the signal, once."""

    def step(self, pace) -> None:
        if pace.experience == 1 and self.at == "step":
            self.at = "sent"
            threading.Thread(target=send, args=[self.number]).start()


def test_a_signal_from_another_thread_stops_the_run_too(config_of, tmp_path):
    prepared = prepare(config_of("strategy.train_epochs=50"))

    with pytest.raises(Interrupted):
        run(prepared, tmp_path / "run", FromAnotherThread(signal.SIGTERM, at="step"))

    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "interrupted"
