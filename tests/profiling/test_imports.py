from __future__ import annotations

import importlib
import sys

import pytest

from clrun.profiling.clocks import Clocks
from clrun.profiling.imports import timed_imports
from clrun.profiling.report import imported


def test_imports_are_reported_by_package_and_belong_to_their_phase(tmp_path, monkeypatch):
    (tmp_path / "slow_outer.py").write_text("import time, slow_inner\ntime.sleep(0.05)\n")
    (tmp_path / "slow_inner.py").write_text("import time\ntime.sleep(0.1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    clocks = Clocks()

    with timed_imports(clocks) as imports, clocks.phase("setup"):
        importlib.import_module("slow_outer")

    assert imports.packages["slow_inner"] == pytest.approx(0.1, abs=0.05)
    assert imports.packages["slow_outer"] == pytest.approx(0.05, abs=0.05)
    [module] = imported(imports)["modules"]
    assert (module["module"], module["phase"]) == ("slow_outer", "setup")
    assert module["wall_seconds"] == pytest.approx(0.15, abs=0.1)
    assert clocks.phases["setup"].parts["imports"].wall == pytest.approx(0.15, abs=0.1)
    assert not any(type(finder).__name__ == "TimedImports" for finder in sys.meta_path)


def test_modules_that_were_imported_before_are_not_timed_again(tmp_path, monkeypatch):
    (tmp_path / "imported_before.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("imported_before")
    clocks = Clocks()

    with timed_imports(clocks) as imports, clocks.phase("setup"):
        importlib.import_module("imported_before")

    assert imported(imports) == {"modules": [], "packages": {}}
