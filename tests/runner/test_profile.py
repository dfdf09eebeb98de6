from __future__ import annotations

import csv
import gzip
import importlib
import io
import json
import os
import signal
import sys
import threading
import time
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace

import pytest

from clrun.errors import NonFiniteLoss
from clrun.profiling.clocks import REST, Clocks
from clrun.profiling.imports import timed_imports
from clrun.profiling.operators import OUTSIDE, Operator, as_csv, operators
from clrun.profiling.peaks import rss_bytes, sampled_memory
from clrun.profiling.points import LOADING, RUNNING, Point, measured, owner_of
from clrun.profiling.profile import Profile
from clrun.profiling.window import Window
from clrun.runner.interrupt import Interrupted
from clrun.runner.prepare import prepare
from clrun.runner.run import run as run_prepared

MEGABYTE = 2**20


def window(**changed) -> Window:
    plain = Window(experience=4, warm_up=2, steps=6, shapes=False, memory=False, stacks=False)
    return plain._replace(**changed)


def profiled(config, folder: Path, told=None, **changed):
    """A measured run in `folder`; its profile and summary."""
    clocks = Clocks()
    with timed_imports(clocks) as imports, clocks.phase("other"):
        profile = Profile(prepare(config), window(**changed), clocks)
        with profile.measuring():
            run_prepared(profile.prepared, folder, told)
    return profile, profile.save(folder, imports)


@pytest.fixture(scope="module")
def replay(config_of, tmp_path_factory):
    """A profiled replay run, made once: folder, profile, summary."""
    folder = tmp_path_factory.mktemp("profiled") / "run"
    return folder, *profiled(config_of(), folder)


def test_every_moment_belongs_to_one_phase_and_one_part_of_it(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    clocks = Clocks()

    def work(seconds: float) -> None:
        now[0] += seconds

    with clocks.phase("outer"):
        work(1)
        with clocks.part("a"):
            work(2)
            with clocks.part("b"):
                work(4)
            with clocks.phase("inner"), clocks.part("a"):
                work(8)
        work(16)

    outer, inner = clocks.phases["outer"], clocks.phases["inner"]
    assert {name: part.wall for name, part in outer.parts.items()} == {"a": 2, "b": 4, REST: 17}
    assert {name: part.wall for name, part in inner.parts.items()} == {"a": 8, REST: 0}
    assert (outer.wall, inner.wall) == (23, 8)


def test_a_whole_part_is_not_divided():
    clocks = Clocks()

    with clocks.phase("train"):
        clocks.begin("latents", whole=True)
        with clocks.part("forward"), clocks.part("images"):
            pass
        clocks.end()
        with clocks.part("forward"):
            pass

    calls = {name: part.calls for name, part in clocks.phases["train"].parts.items()}
    assert calls == {"latents": 1, "forward": 1, REST: 1}


def test_a_phase_may_get_its_name_when_it_ends():
    clocks = Clocks()

    clocks.begin_phase("train")
    with clocks.part("store"):
        pass
    clocks.end_phase("memory")

    assert list(clocks.phases) == ["memory"]
    assert clocks.phases["memory"].parts["store"].calls == 1


def test_other_threads_do_not_disturb_the_clocks():
    clocks = Clocks()

    with clocks.phase("train"):
        thread = threading.Thread(target=lambda: clocks.begin("backward"))
        thread.start()
        thread.join()

    assert list(clocks.phases["train"].parts) == [REST]


@pytest.mark.parametrize("point", [*LOADING, *RUNNING], ids=lambda point: point.where)
def test_every_point_that_is_measured_exists(point):
    importlib.import_module(point.where.partition(":")[0])

    assert owner_of(point.where) is not None


def test_what_was_exchanged_for_measuring_is_put_back():
    class Base:
        def work(self):
            return 3

        @property
        def data(self):
            return 4

    class Heir(Base):
        pass

    module = SimpleNamespace(Base=Base, Heir=Heir)
    sys.modules["measured_here"] = module  # type: ignore[assignment]
    before, clocks = dict(vars(Base)), Clocks()
    points = [Point("measured_here:Heir.work", "work"), Point("measured_here:Base.data", "data")]
    try:
        with clocks.phase("run"), measured([*points, Point("measured_here:No.one", "no")], clocks):
            answers = Heir().work(), Heir().data, Base().work()
    finally:
        del sys.modules["measured_here"]

    assert answers == (3, 4, 3)
    calls = {name: part.calls for name, part in clocks.phases["run"].parts.items()}
    assert calls == {"work": 1, "data": 1, REST: 1}
    assert dict(vars(Base)) == before
    assert "work" not in vars(Heir)


def test_imports_are_told_by_package_and_belong_to_their_phase(tmp_path, monkeypatch):
    (tmp_path / "slow_outer.py").write_text("import time, slow_inner\ntime.sleep(0.05)\n")
    (tmp_path / "slow_inner.py").write_text("import time\ntime.sleep(0.1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    clocks = Clocks()

    with timed_imports(clocks) as imports, clocks.phase("setup"):
        importlib.import_module("slow_outer")

    assert imports.packages()["slow_inner"] == pytest.approx(0.1, abs=0.05)
    assert imports.packages()["slow_outer"] == pytest.approx(0.05, abs=0.05)
    [told] = imports.modules()
    assert (told["module"], told["phase"]) == ("slow_outer", "setup")
    assert told["wall_seconds"] == pytest.approx(0.15, abs=0.1)
    assert clocks.phases["setup"].parts["imports"].wall == pytest.approx(0.15, abs=0.1)
    assert not any(type(finder).__name__ == "TimedImports" for finder in sys.meta_path)


@pytest.mark.skipif(rss_bytes() is None, reason="the system does not tell resident memory")
def test_a_phase_has_the_peak_of_what_was_held_in_it():
    clocks = Clocks()

    with sampled_memory(clocks), clocks.phase("other"):
        with clocks.phase("large"):
            held = bytearray(os.urandom(1)) * (256 * MEGABYTE)
            time.sleep(0.05)
            del held
        with clocks.phase("small"):
            time.sleep(0.05)

    large, small = clocks.phases["large"].peak_rss, clocks.phases["small"].peak_rss
    assert large is not None
    assert small is not None
    assert large - small > 200 * MEGABYTE


def test_operators_are_told_slowest_first_with_their_share():
    def event(key, self_us, *, annotation=False):
        return SimpleNamespace(
            key=key,
            count=2,
            self_cpu_time_total=self_us,
            cpu_time_total=2 * self_us,
            self_device_time_total=0,
            device_time_total=0,
            self_cpu_memory_usage=0,
            self_device_memory_usage=0,
            input_shapes=[],
            stack=[],
            is_user_annotation=annotation,
        )

    events = [
        event("aten::add", 10.0),
        event("aten::mm", 60.0),
        event("forward", 20.0, annotation=True),
        event("backward", 10.0, annotation=True),
    ]

    found = operators(events)

    assert [(o.name, o.self_cpu_us) for o in found] == [
        ("aten::mm", 60.0),
        (OUTSIDE, 30.0),
        ("aten::add", 10.0),
    ]
    rows = list(csv.DictReader(io.StringIO(as_csv(found))))
    assert [float(row["self_cpu_share"]) for row in rows] == [0.6, 0.3, 0.1]


def test_without_operators_the_table_has_its_header_alone():
    assert as_csv([]).strip().split(",")[:2] == list(Operator.__dataclass_fields__)[:2]


def without_clocks(results: dict) -> dict:
    kept = deepcopy(results)
    del kept["cost"]["wall_seconds"], kept["cost"]["peak_rss_bytes"]
    return kept


@pytest.mark.parametrize("strategy", ["replay", "naive", "joint"])
def test_profiling_changes_no_numbers(strategy, replay, config_of, finished, tmp_path):
    words = [] if strategy == "replay" else [f"strategy={strategy}"]
    folder = replay[0] if strategy == "replay" else tmp_path / "run"
    if strategy != "replay":
        profiled(config_of(*words), folder, experience=0)

    results = json.loads((folder / "results.json").read_text())
    assert without_clocks(results) == without_clocks(finished(*words).results)


def test_phases_and_their_parts_add_up(replay):
    _, _, summary = replay

    assert set(summary["phases"]) >= {"setup", "train", "memory", "eval", "write", "trace", "other"}
    for key in ("wall_seconds", "cpu_seconds"):
        total = sum(phase[key] for phase in summary["phases"].values())
        assert total == pytest.approx(summary[key], abs=1e-4)
        for phase in summary["phases"].values():
            parts = sum(part[key] for part in phase["parts"].values())
            assert parts == pytest.approx(phase[key], abs=1e-4)
    assert sum(phase["share"] for phase in summary["phases"].values()) == pytest.approx(1, abs=1e-4)


def test_the_parts_of_training_are_those_of_an_update(replay, finished):
    _, _, summary = replay
    steps = finished().results["cost"]["train_steps"]

    train, trace = (summary["phases"][name]["parts"] for name in ("train", "trace"))

    for part in ("forward", "backward", "optimizer", "images", "loss", "strategy"):
        per_update = train["forward"]["calls"] and train[part]["calls"] / train["forward"]["calls"]
        assert train[part]["calls"] + trace[part]["calls"] == per_update * steps
        assert train[part]["wall_seconds"] > 0
    assert summary["phases"]["memory"]["parts"]["store"]["calls"] == 5
    assert summary["phases"]["memory"]["parts"]["selection"]["calls"] > 0
    assert summary["phases"]["eval"]["parts"]["forward"]["calls"] > 0


def test_the_trace_shows_operators_and_parts_of_the_traced_updates(replay):
    folder, profile, summary = replay

    with gzip.open(folder / "profile" / "trace.json.gz") as file:
        names = [event.get("name") for event in json.load(file)["traceEvents"]]

    assert summary["trace"] == {"experience": 4, "first_update": 2, "updates": 6}
    assert names.count("aten::cross_entropy_loss") == 6
    assert names.count("aten::addmm") >= 6
    assert {"strategy", "forward", "backward", "optimizer"} <= set(names)
    assert {"aten::addmm", OUTSIDE} <= {operator.name for operator in profile.operators}
    assert sorted(path.name for path in (folder / "profile").iterdir()) == [
        "operators.csv",
        "summary.json",
        "trace.json.gz",
    ]


def test_shapes_memory_and_stacks_are_told_when_asked_for(config_of, tmp_path):
    profile, _ = profiled(
        config_of("strategy=naive"), tmp_path / "run", shapes=True, memory=True, stacks=True
    )

    layers = [o for o in profile.operators if o.name == "aten::addmm"]
    assert any(o.shapes.startswith("[[32]") for o in layers)
    assert any(o.self_cpu_bytes > 0 for o in layers)
    assert any("linear.py" in o.stack for o in layers)


def test_a_short_experience_has_a_shorter_warm_up(config_of, tmp_path):
    _, summary = profiled(
        config_of("strategy=naive"), tmp_path / "run", experience=1, warm_up=1000, steps=3
    )

    assert summary["trace"]["updates"] == 3


def test_a_window_longer_than_the_experience_ends_with_it(config_of, tmp_path, finished):
    plain = finished("strategy=naive").of_kind("experience")[1]

    profile, summary = profiled(
        config_of("strategy=naive"), tmp_path / "run", experience=1, warm_up=0, steps=10**6
    )

    updates = 2 * -(
        -plain["train_rows"] // profile.prepared.config.nodes["strategy"].config.train_mb_size
    )
    assert summary["trace"] == {"experience": 1, "first_update": 0, "updates": updates}


def test_an_experience_of_one_update_has_no_trace_after_a_warm_up(config_of, tmp_path):
    config = config_of("strategy=naive", "strategy.train_mb_size=1000", "strategy.train_epochs=1")

    _, summary = profiled(config, tmp_path / "run")

    assert summary["trace"] == {"experience": 4, "first_update": None, "updates": 0}
    assert [path.name for path in (tmp_path / "run" / "profile").iterdir()] == ["summary.json"]


class Interrupting:
    """A display that presses Ctrl-C in the middle of the traced updates."""

    def title(self, text: str) -> None:
        pass

    def step(self, pace) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    def evaluated(self, experience, experiences, row) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("words", "told", "error", "status"),
    [
        (("log_every=3",), Interrupting(), Interrupted, "interrupted"),
        (("strategy.lr=1e20",), None, NonFiniteLoss, "failed"),
    ],
)
def test_a_run_that_stops_inside_the_window_leaves_no_profiler_behind(
    words, told, error, status, config_of, tmp_path
):
    config = config_of("strategy=naive", *words)
    clocks = Clocks()
    profile = Profile(prepare(config), window(experience=0, warm_up=0, steps=10**6), clocks)

    with pytest.raises(error), clocks.phase("other"), profile.measuring():
        run_prepared(profile.prepared, tmp_path / "run", told)

    assert clocks.mark is None
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == status
    again, summary = profiled(config_of("strategy=naive"), tmp_path / "again")
    assert summary["trace"]["updates"] == 6
    assert again.operators


def test_a_mark_is_shown_around_each_range_while_it_is_set():
    clocks, shown = Clocks(), []

    def mark(name: str):
        shown.append(name)
        return nullcontext()

    with clocks.phase("train"):
        clocks.mark = mark
        with clocks.part("forward"):
            clocks.mark = None
        with clocks.part("backward"):
            pass

    assert shown == ["forward"]
