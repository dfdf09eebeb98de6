"""What Python's collector searches."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import clrun
from clrun.device.garbage import no_search, only_new_objects_searched
from clrun.records.raw_log import RawLog

PROGRAM = """
import gc, sys
seen = []
class Noting:
    def find_spec(self, name, *rest):
        if name == "torch":
            seen.append(gc.isenabled())
sys.meta_path.insert(0, Noting())
from clrun.cli.main import main
assert main(["strategy=naive", "strategy.train_epochs=1", "device=cpu", "eval.initial=false"]) == 0
assert seen == [False] and gc.isenabled(), seen
"""


class Cycle:
    """Garbage that only a search finds."""

    def __init__(self) -> None:
        self.itself = self


def dropped_cycle() -> weakref.ref[Cycle]:
    return weakref.ref(Cycle())


def test_nothing_is_searched_during_imports():
    with no_search():
        inside = gc.isenabled()

    assert not inside
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with no_search():
            pass
        after = gc.isenabled()
    finally:
        gc.enable()

    assert not after


def test_a_run_searches_what_it_makes_and_nothing_older():
    older = dropped_cycle()
    with only_new_objects_searched():
        newer = dropped_cycle()
        gc.collect()

        assert newer() is None
        assert older() is not None
    gc.collect()

    assert older() is None


def test_a_run_leaves_older_objects_alone_while_it_goes_on_only(tmp_path, monkeypatch):
    frozen = []
    write = RawLog.write

    def noted(self, *args, **values):
        frozen.append(gc.get_freeze_count())
        write(self, *args, **values)

    monkeypatch.setattr(RawLog, "write", noted)
    config = clrun.compose(["strategy=naive", "strategy.train_epochs=1", "device=cpu"])

    clrun.run(config, tmp_path / "run")

    assert min(frozen) > 0
    assert gc.get_freeze_count() == 0


def test_the_command_line_searches_nothing_while_torch_is_imported(tmp_path):
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True)

    assert done.returncode == 0, done.stderr
