"""What the fork server loads before it forks; imported nowhere else.

It computes nothing here, so that there are no threads of torch's, which no fork survives.
"""

from __future__ import annotations

import gc
import os
from importlib import import_module

from clrun.sweep.watching import die_with_parent

die_with_parent()  # before the seconds that torch takes
if hasattr(os, "setsid"):
    os.setsid()  # a Ctrl-C of the terminal goes to the worker, which hands it on
gc.disable()
for name in ("clrun.runner.run", "clrun.runner.resume"):
    import_module(name)
import_module("torch").set_num_threads(1)
gc.enable()
gc.freeze()  # what a search for garbage touches is copied to the process that searches
