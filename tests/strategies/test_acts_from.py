"""From when on each key acts: what every strategy declares of it, shown by training both ways.

Two runs that differ in one key are each made whole, and again from a beginning that one of them
trained until the declared moment. A key that acts before it shows: the run that did not train the
beginning has other weights, results or lines than its whole one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from comparing_runs import leaves, lines, results
from safetensors import safe_open

import clrun
from clrun.config.moment import FIRST_LEARNT, SECOND, Moment
from clrun.config.run_config import RunConfig
from clrun.runner.prepare import prepare
from clrun.runner.run import run, run_until
from clrun.runner.shared import Beginning
from clrun.runner.state import RunState

SMALL = (
    *("device=cpu", "device.threads=1", "model.hidden=[16]", "benchmark.limit_per_class=30"),
    *("strategy.train_epochs=2", "log_every=4", "model.dropout=0.25", "benchmark.n_experiences=3"),
    "benchmark.class_order=[0,1,2,3,4,5]",
)
