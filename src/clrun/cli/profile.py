"""`clrun profile`: one run as always, and where its time went. No torch here."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from clrun.cli.parser import count, natural, verb_parser
from clrun.config.sources import REPEATS
from clrun.errors import ConfigError, did_you_mean
from clrun.fast.garbage import no_search
from clrun.profiling.clocks import Clocks
from clrun.profiling.peaks import Sampler, sampled_memory
from clrun.profiling.report import OTHER
from clrun.profiling.spans import phase, recorded_by, span

if TYPE_CHECKING:
    from clrun.cli.profile_job import ProfiledRun

EPILOG = """\
The run is the one of `clrun KEY=VALUE ...`, with the same numbers, in a run
folder of its own. There, profile/ has summary.json (seconds and peak memory of
each phase and its parts), operators.csv and trace.json.gz, which
https://ui.perfetto.dev, chrome://tracing and TensorBoard show.

Every moment counts for one phase and one part only, so they add up. The traced
updates are a phase of their own: tracing slows them down. On a GPU the parts
are the host's time, and the operators have the device's."""


def main(argv: Sequence[str]) -> int:
    """Run what the words ask for under measurement; the exit code.

    Raises:
        ClrunError: bad input, or a run that failed.
    """
    arguments = _parsed(argv)
    if arguments.memory:  # or PyTorch, at its import, warns of memory older than the trace
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    clocks = Clocks()
    with recorded_by(clocks), phase(OTHER), sampled_memory(clocks) as sampler:
        job = _run(arguments, clocks, sampler)
    _report(job, arguments.top)
    return 0


def _run(arguments: argparse.Namespace, clocks: Clocks, sampler: Sampler) -> ProfiledRun:
    """The measured run. What can be wrong is found before its folder is made."""
    with phase("start-up"):
        with span("import hydra"):
            from clrun.cli import profile_app
        composed = profile_app.composed(arguments)
        with span("import torch"), no_search(tricks=composed.config.tricks):
            from clrun.cli.profile_job import ProfiledRun
    with phase("setup"):
        job = ProfiledRun(composed, arguments, clocks)
    job.watch_device(sampler)
    job.run()
    return job


def _report(job: ProfiledRun, top: int) -> None:
    from clrun.cli.profile_tables import print_profile
    from clrun.console.display import make_console

    summary = job.save()
    print_profile(make_console(), summary, job.operators[:top], job.folder / "profile")


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The words as arguments of this verb.

    Raises:
        ConfigError: an option that does not exist, or a sweep.
    """
    parser = _parser()
    known = [option for action in parser._actions for option in action.option_strings]
    for word in argv:
        name = word.partition("=")[0]
        if name in ("-m", "--multirun"):
            raise ConfigError(f"{name}: clrun profile measures one run. Give each key one value.")
        if name in REPEATS:
            raise ConfigError(f"{word}: clrun profile measures one run. Leave it out.")
        if word.startswith("-") and name not in known and not re.fullmatch(r"-[\d.]+", word):
            guess = did_you_mean(name, known)
            raise ConfigError(f"{word}: there is no such option.{guess} See {parser.prog} --help.")
    return parser.parse_intermixed_args(list(argv))


def _parser() -> argparse.ArgumentParser:
    parser = verb_parser(
        "profile",
        usage="clrun profile [OPTION ...] [GROUP=OPTION | KEY=VALUE ...]",
        description="Run one experiment and show where its time goes.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help="as for clrun itself")
    add("--steps", type=count, default=20, metavar="N", help="updates to trace (20)")
    add("--warm-up", type=natural, default=5, metavar="N", help="updates before them (5)")
    add("--experience", type=natural, metavar="K", help="trace in experience K, from 0 (the last)")
    add("--top", type=count, default=12, metavar="N", help="operators to show (12)")
    add("--shapes", action="store_true", help="one line for each operator and shape of its inputs")
    add("--memory", action="store_true", help="what each operator allocates")
    add("--stacks", action="store_true", help="which Python lines call them; slow, large files")
    add("--config-dir", "-cd", metavar="DIR", help="a folder of configurations of your own")
    add("--config-path", "-cp", metavar="DIR", help="instead of clrun's own, e.g. RUN/.hydra")
    add("--config-name", "-cn", metavar="NAME", help="the primary configuration's name")
    return parser
