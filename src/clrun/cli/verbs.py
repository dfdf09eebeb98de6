"""The verbs of `clrun`: what each is for and which module does it."""

from __future__ import annotations

from typing import NamedTuple


class Verb(NamedTuple):
    """A word that may come first on the command line, with a parser of its own."""

    module: str
    """its `main` takes the rest of the words; imported only when it is asked for"""
    summary: str
    options: tuple[str, ...] = ()
    """what its parser takes, for the Tab key"""


WHERE = ("--config-dir", "--config-path", "--config-name")

VERBS = {
    "compare": Verb(
        "clrun.cli.compare",
        "which of several methods is better, by how much, and how sure that is",
        ("--by", "--metric", "--baseline", "--anyway", "--json", "--format", "--html"),
    ),
    "doctor": Verb(
        "clrun.cli.doctor",
        "what went wrong in a run; without one, whether clrun is well",
        ("--json",),
    ),
    "evaluate": Verb(
        "clrun.cli.evaluate",
        "the accuracies of a trained model on the data of its run, or on others",
        ("--all", "--json", "--device", *WHERE),
    ),
    "export": Verb(
        "clrun.cli.export",
        "a trained model as one file for programs without clrun (ONNX)",
        ("--onnx", "--format"),
    ),
    "help": Verb("clrun.cli.explain", "an option's keys with comment, type and bounds", WHERE[:1]),
    "list": Verb("clrun.cli.list_options", "what can be chosen, one line each", WHERE[:1]),
    "metrics": Verb(
        "clrun.cli.metrics",
        "all metrics of a run computed again, also of one that did not finish",
        ("--joint", "--naive", "--json"),
    ),
    "plot": Verb(
        "clrun.cli.plot",
        "a figure for a paper from runs that are done: matrix, curves, Pareto front",
        ("--what", "--output", "--size", "--against", "--metric"),
    ),
    "predict": Verb(
        "clrun.cli.predict",
        "what a trained model says of images",
        ("--top", "--csv", "--json", "--device"),
    ),
    "preview": Verb(
        "clrun.cli.preview",
        "the stream before anything is trained on it",
        ("--json", "--png", *WHERE),
    ),
    "profile": Verb(
        "clrun.cli.profile",
        "a run, and where its time goes",
        (
            "--steps",
            "--warm-up",
            "--experience",
            "--top",
            "--shapes",
            "--memory",
            "--stacks",
            *WHERE,
        ),
    ),
    "report": Verb(
        "clrun.cli.report",
        "a page of what a run or a sweep found, in one file; or a table for a paper",
        ("--against", "--naive", "--joint", "--format", "--output", "--anyway"),
    ),
    "resume": Verb(
        "clrun.cli.resume",
        "go on with a run or a sweep that did not finish",
        ("--force", "--retry-failed"),
    ),
    "runs": Verb(
        "clrun.cli.runs",
        "the runs and sweeps in a folder, newest first; --rm removes failed ones",
        ("--status", "--where", "--since", "--limit", "--json", "--rm", "--yes"),
    ),
    "status": Verb(
        "clrun.cli.status",
        "what of a sweep is queued, running, done, failed and why",
        ("--json", "--failed", "--stuck-after"),
    ),
    "tune": Verb(
        "clrun.cli.tune",
        "search the best values of keys, with an honest protocol",
        (
            "--trials",
            "--experiences",
            "--metric",
            "--sampler",
            "--seed",
            "--at-once",
            "--run",
            "--seeds",
            "--force",
            *WHERE,
        ),
    ),
    "version": Verb("clrun.cli.version", "versions of clrun and what it stands on"),
    "watch": Verb(
        "clrun.cli.watch",
        "a run or a sweep live in the terminal, also a finished one",
        ("--every", "--once"),
    ),
    "worker": Verb(
        "clrun.cli.worker",
        "do what is missing of a sweep, beside any other workers",
        ("--slots", "--retry-failed"),
    ),
}
