"""What the fork server loads before it forks; imported nowhere else.

It computes nothing here, so that there are no threads of torch's, which no fork survives.
"""

from __future__ import annotations

import gc
import os
from importlib import import_module

from clrun.sweep.watching import STARTER, die_with_starter

die_with_starter()  # before the seconds that torch takes
os.environ[STARTER] = str(os.getpid())
if hasattr(os, "setsid"):
    os.setsid()  # a Ctrl-C of the terminal goes to the worker, which hands it on
gc.disable()
for name in (
    "clrun.sweep.holder",
    "clrun.strategies.learner",
    "clrun.records.state_file",
    *("filelock", "hydra._internal.logging_config", "numpy.ctypeslib", "numpy.random"),
    *("pydantic.dataclasses", "torch.nested._internal.nested_tensor"),  # found out by a first run
):
    import_module(name)
import_module("torch").set_num_threads(1)
for module, known in (
    *(("run_record", "versions"), ("run_record", "git_commit"), ("identity", "sources")),
    ("trained_model", "facts_adapter"),
):
    getattr(import_module(f"clrun.records.{module}"), known)()  # kept for every job's record
gc.enable()
gc.freeze()  # what a search for garbage touches is copied to the process that searches
