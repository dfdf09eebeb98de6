"""`clrun evaluate`: the accuracies of a trained model on data. Wrong words cost no torch."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clrun.cli.parser import OneLineParser
from clrun.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

    from clrun.config.run_config import Node
    from clrun.records.trained_model import Facts
    from clrun.runner.evaluating import Evaluated

WHERE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
GROUP = "benchmark"


def main(argv: Sequence[str]) -> int:
    """Print the accuracies of the model on the data of its run, or on those that words name."""
    parser = _parser()
    arguments, words = parser.parse_known_args(list(argv))
    _refuse_options(words)
    from clrun.records.trained_model import model_file, read_model

    file = read_model(model_file(arguments.run))
    node, is_other = _benchmark(file.facts, str(file.path), words)
    _tell(_evaluated(arguments, node, is_other=is_other), arguments, is_other=is_other)
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="clrun evaluate",
        usage="clrun evaluate RUN [benchmark=OPTION] [benchmark.KEY=VALUE ...] [--all] [--json]",
        description="Score the trained model of a run, by class and on all images together: on the "
        "test images of its run, or on other data whose classes have the same names.",
        epilog="E.g. clrun evaluate outputs/latest benchmark=folder benchmark.data_root=photos. "
        "Images are decoded and resized as those of the run unless a key says otherwise. "
        "Also taken, as for a run: --config-dir DIR, --config-path DIR, --config-name NAME.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the folder of a finished run, e.g. outputs/latest")
    add("--all", action="store_true", help="score all images, not only those to test on")
    add("--json", action="store_true", help="print JSON instead of a table")
    add("--device", choices=("cpu", "cuda", "mps"), help="where to compute (as the run)")
    return parser


def _refuse_options(words: Sequence[str]) -> None:
    for word in words:
        name = word.partition("=")[0]
        if word.startswith("-") and name not in WHERE:
            guess = did_you_mean(name, ("--all", "--json", "--device", "--help", *WHERE))
            raise ConfigError(
                f"{word}: evaluate has no such option.{guess} See clrun evaluate --help."
            )


def _benchmark(facts: Facts, place: str, words: Sequence[str]) -> tuple[Node, bool]:
    """The benchmark that the words name, and whether it is another one than the run's."""
    from clrun.cli.request import parse
    from clrun.config.composing import parsed
    from clrun.config.hydra_errors import explained_errors

    with explained_errors():
        request = parse(words)
        overrides = parsed(request.overrides)
        _refuse_other_keys(overrides)
        if any(override.key_or_group == GROUP for override in overrides):
            from clrun.config.compose import compose

            composed = compose(request.overrides, **request.where()).nodes[GROUP]
            return _as_in_the_run(composed, facts, overrides), True
        return _of_the_run(facts, place, overrides), False


def _refuse_other_keys(overrides: Sequence[Override]) -> None:
    for override in overrides:
        key = override.key_or_group
        if key.partition(".")[0] != GROUP or override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line}: evaluate takes one value of keys of {GROUP}, e.g. "
                f"{GROUP}=folder {GROUP}.data_root=photos."
            )


def _as_in_the_run(node: Node, facts: Facts, overrides: Sequence[Override]) -> Node:
    """The benchmark with images as the run had them, where no word says otherwise."""
    channels, height, width = facts.image_shape
    usual = {
        "image_size": height if height == width else None,
        "channels": channels if channels in (1, 3) else None,
        "damaged": facts.benchmark.values.get("damaged"),
    }
    said = {override.key_or_group.partition(".")[2] for override in overrides}
    changed = {
        key: value
        for key, value in usual.items()
        if key in node.values and key not in said and value is not None
    }
    return _read(node.option, node.target, {**node.values, **changed})


def _of_the_run(facts: Facts, place: str, overrides: Sequence[Override]) -> Node:
    """The run's benchmark, with the values that the words give."""
    if facts.is_own_benchmark:
        raise ConfigError(
            f"{place}: the run's data were given from Python. Name others, e.g. {GROUP}=folder "
            f"{GROUP}.data_root=photos."
        )
    given = {override.key_or_group.partition(".")[2]: override.value() for override in overrides}
    from clrun.records.trained_model import require_known

    part = facts.benchmark
    require_known(part.target, place, trust=False)
    return _read(part.option, part.target, {**part.values, **given})


def _read(option: str, target: str, values: Mapping[str, Any]) -> Node:
    from clrun.config.nodes import read_node

    node, problems = read_node(GROUP, option, target, values)
    if node is None:
        raise ConfigError(problems)
    return node


def _evaluated(arguments: argparse.Namespace, node: Node, *, is_other: bool) -> Evaluated:
    from clrun.console.downloads import Downloads
    from clrun.console.visible_console import VisibleConsole
    from clrun.console.waiting import waiting
    from clrun.fast.garbage import no_search

    with waiting("loading PyTorch"), no_search(tricks=True):
        from clrun.runner.evaluating import evaluated
        from clrun.runner.loading import load

    trained = load(arguments.run, device=arguments.device)
    with Downloads(VisibleConsole(stderr=True)) as downloads:
        return evaluated(
            trained,
            node,
            as_the_run=not is_other,
            every_row=arguments.all,
            on_progress=downloads,
        )


def _tell(found: Evaluated, arguments: argparse.Namespace, *, is_other: bool) -> None:
    if is_other and not arguments.all:
        rows = sum(found.experience_rows)
        print(
            f"clrun: note: scored on the {rows:,} images that the benchmark has to test on; --all "
            "scores every image.",
            file=sys.stderr,
        )
    if arguments.json:
        print(json.dumps(asdict(found), indent=2, allow_nan=False))
        return
    from clrun.console.display import make_console
    from clrun.console.evaluated import print_evaluated

    print(f"{found.label} on {found.data}")
    pooled = found.metrics["acc_pooled"]
    print_evaluated(
        make_console(), found.class_names, found.class_rows, found.class_accuracy, pooled
    )
