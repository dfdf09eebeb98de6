"""What Python's collector searches."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

import clrun
from clrun.fast.garbage import no_search, only_new_objects_searched
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
tricks = sys.argv[1]
words = ["strategy=naive", "strategy.train_epochs=1", "device=cpu", "eval.initial=false"]
assert main([*words, f"device.tricks={tricks}"]) == 0
assert seen == [tricks == "off"] and gc.isenabled(), seen
"""


class Cycle:
    """Garbage that only a search finds."""

    def __init__(self) -> None:
        self.itself = self


def dropped_cycle() -> weakref.ref[Cycle]:
    return weakref.ref(Cycle())


@pytest.mark.parametrize("tricks", [True, False])
def test_nothing_is_searched_during_imports(tricks):
    with no_search(tricks=tricks):
        inside = gc.isenabled()

    assert inside != tricks
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with no_search(tricks=True):
            pass
        after = gc.isenabled()
    finally:
        gc.enable()

    assert not after


def test_a_run_searches_what_it_makes_and_nothing_older():
    older = dropped_cycle()
    with only_new_objects_searched(tricks=True):
        newer = dropped_cycle()
        gc.collect()

        assert newer() is None
        assert older() is not None
    gc.collect()

    assert older() is None


@pytest.mark.parametrize("tricks", ["on", "off"])
def test_a_run_leaves_older_objects_alone_while_it_goes_on_only(tricks, tmp_path, monkeypatch):
    frozen = []
    write = RawLog.write

    def noted(self, *args, **values):
        frozen.append(gc.get_freeze_count())
        write(self, *args, **values)

    monkeypatch.setattr(RawLog, "write", noted)
    words = ["strategy=naive", "strategy.train_epochs=1", "device=cpu", f"device.tricks={tricks}"]

    clrun.run(clrun.compose(words), tmp_path / "run")

    assert {count > 0 for count in frozen} == {tricks == "on"}
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("tricks", ["on", "off"])
def test_the_command_line_searches_nothing_while_torch_is_imported(tricks, tmp_path):
    command = [sys.executable, "-c", PROGRAM, tricks]

    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
