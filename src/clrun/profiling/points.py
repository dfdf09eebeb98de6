"""Which functions are measured as which part, and how they are made to tell.

Nothing of this is in place unless a run is profiled: functions are exchanged for timed ones for
that time. A name that is not there costs its part of the table, not the run; a test names it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal, NamedTuple

from clrun.profiling.clocks import Clocks

Kind = Literal["phase", "part", "whole", "returned"]


class Point(NamedTuple):
    """A function and the name of the time spent in it."""

    where: str
    """module:name, or module:Class.name"""
    name: str
    kind: Kind = "part"
    """`whole`: a part that is not divided further; `returned`: what is returned is the part"""


def _points(name: str, kind: Kind, *where: str) -> list[Point]:
    return [Point(place, name, kind) for place in where]


PLUGIN_METHODS = (
    "before_experience",
    "penalty",
    "before_update",
    "after_update",
    "after_experience",
)


LOADING = _points("data", "phase", "clrun.runner.prepare:Prepared.data")

RUNNING = [
    *_points("setup", "phase", "clrun.runner.run:Run.__init__"),
    *_points("train", "phase", "clrun.runner.run:Run._learn"),
    *_points(
        "write",
        "phase",
        "clrun.records.raw_log:RawLog.write",
        "clrun.records.results:Results.save",
        "clrun.records.run_folder:RunFolder.__init__",
        "clrun.records.run_folder:RunFolder.update",
        "clrun.records.run_folder:RunFolder.keep_config",
        "clrun.records.run_folder:RunFolder.point_latest",
    ),
    *_points("log", "part", "clrun.runner.run:Run._log", "clrun.runner.meter:Meter.add"),
    *_points(
        "images",
        "part",
        "clrun.images.transforms:Transform.draw",
        "clrun.images.transforms:Transform.training",
        "clrun.images.transforms:Transform.evaluation",
    ),
    *_points("forward", "returned", "clrun.device.device:Device.runnable"),
    *_points("backward", "part", "torch.autograd:backward"),
    *_points("optimizer", "part", "clrun.strategies.descent:Descent.update"),
    *_points(
        "loss",
        "part",
        "clrun.strategies.updater:criterion",
        "clrun.strategies.ar1:criterion",
    ),
    *_points(
        "order",
        "part",
        "clrun.strategies.replay:plan_epoch",
        "clrun.strategies.ar1:plan_epoch",
        "clrun.memory.minibatches:EpochPlan.__getitem__",
    ),
    *_points(
        "latents",
        "whole",
        "clrun.strategies.latent_source:LatentSource.begin",
        "clrun.strategies.latent_source:LatentSource.end",
        "clrun.strategies.latent_source:LatentSource.training",
        "clrun.strategies.latent_source:LatentSource.kept",
        "clrun.strategies.latent_source:LatentSource.evaluation",
        "clrun.memory.latent_memory:LatentMemory.latents",
    ),
    *_points(
        "store",
        "part",
        "clrun.memory.replay_memory:ReplayMemory.offer",
        "clrun.memory.latent_memory:LatentMemory.store",
    ),
    *_points("features", "whole", "clrun.strategies.updater:extract_features"),
    *_points(
        "head",
        "part",
        "clrun.strategies.cwr_star:CWRStar.begin",
        "clrun.strategies.cwr_star:CWRStar.consolidate",
    ),
    *_points(  # AR1 makes this one itself: `strategy.plugins` does not list it
        "plugins",
        "whole",
        *(
            f"clrun.strategies.synaptic_intelligence:SynapticIntelligence.{method}"
            for method in PLUGIN_METHODS
        ),
    ),
]


def of_class(cls: type, methods: Sequence[str], name: str, kind: Kind) -> list[Point]:
    """Points for methods of a class that the configuration chose."""
    return [Point(f"{cls.__module__}:{cls.__qualname__}.{m}", name, kind) for m in methods]


@contextmanager
def measured(points: Sequence[Point], clocks: Clocks) -> Iterator[None]:
    """The functions tell of themselves inside. What belongs to modules not imported is not run."""
    with ExitStack() as back:
        for point in points:
            found = owner_of(point.where) if point.where.partition(":")[0] in sys.modules else None
            if found is not None:
                owner, name = found
                exchange(back, owner, name, _timed(_as_defined(owner, name), point, clocks))
        yield


def owner_of(where: str) -> tuple[Any, str] | None:
    """The module or class that has the name, and the name in it; None where there is none."""
    module, _, path = where.partition(":")
    *outer, name = path.split(".")
    owner: Any = sys.modules[module]
    for attribute in outer:
        owner = getattr(owner, attribute, None)
    return (owner, name) if hasattr(owner, name) else None


def exchange(back: ExitStack, owner: Any, name: str, other: Any) -> None:
    """Set an attribute, and have `back` put it as it was."""
    if name in vars(owner):
        back.callback(setattr, owner, name, vars(owner)[name])
    else:  # it was inherited
        back.callback(delattr, owner, name)
    setattr(owner, name, other)


def _as_defined(owner: Any, name: str) -> Any:
    """The attribute as it was written: a property itself, not its value."""
    places = owner.__mro__ if isinstance(owner, type) else (owner,)
    return next(vars(place)[name] for place in places if name in vars(place))


def _timed(found: Any, point: Point, clocks: Clocks) -> Any:
    if isinstance(found, property):
        assert found.fget is not None
        return property(_timed(found.fget, point, clocks))
    if point.kind == "returned":
        return _with_timed_result(found, point, clocks)
    is_phase, whole = point.kind == "phase", point.kind == "whole"

    @functools.wraps(found)
    def timed(*args: Any, **kwargs: Any) -> Any:
        if is_phase:
            clocks.begin_phase(point.name)
        else:
            clocks.begin(point.name, whole=whole)
        try:
            return found(*args, **kwargs)
        finally:
            if is_phase:
                clocks.end_phase()
            else:
                clocks.end()

    return timed


def _with_timed_result(make: Any, point: Point, clocks: Clocks) -> Callable[..., Any]:
    @functools.wraps(make)
    def made(*args: Any, **kwargs: Any) -> Any:
        result = make(*args, **kwargs)

        def timed(*inputs: Any, **more: Any) -> Any:
            clocks.begin(point.name)
            try:
                return result(*inputs, **more)
            finally:
                clocks.end()

        return timed

    return made
