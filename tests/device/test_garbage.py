"""What Python's collector searches."""

from __future__ import annotations

import gc
import weakref

import clrun
from clrun.device.garbage import no_search, only_new_objects_searched
from clrun.records.raw_log import RawLog


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
