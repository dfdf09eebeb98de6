"""`clrun predict`: what a trained model says of images. Wrong words cost no torch."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.cli.parser import OneLineParser, count
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from clrun.console.predictions import Named
    from clrun.sources.unlabelled import Unlabelled

SHOWN = 3
"""Classes of an image in the table, unless --top says how many."""


def main(argv: Sequence[str]) -> int:
    """Print a class and probabilities for each image at the paths."""
    arguments = _parser().parse_args(list(argv))
    for path in arguments.paths:
        if not os.path.exists(path):
            raise ConfigError(f"{path}: there is no such file or folder.")
    from clrun.records.trained_model import model_file, read_model

    read_model(model_file(arguments.run))  # whole, before torch is loaded
    _tell(_predicted(arguments), arguments)
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="clrun predict",
        usage="clrun predict RUN PATH [PATH ...] [--top K] [--csv | --json] [--device KIND]",
        description="Say what the trained model of a run makes of images: a class, by name, and "
        "its probability.",
        epilog="A PATH is an image, a folder (with all images below it), an .npz file with an "
        "array x, or a .csv table with a column path. Images are decoded and resized as those "
        "that the run was trained on.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the folder of a finished run, e.g. outputs/latest")
    add("paths", type=Path, nargs="+", metavar="PATH", help="images to look at")
    add("--top", type=count, metavar="K", help=f"classes of each image ({SHOWN}; csv, json: all)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--csv", action="store_true", help="print a comma-separated table")
    form.add_argument("--json", action="store_true", help="print JSON")
    add("--device", choices=("cpu", "cuda", "mps"), help="where to compute (as the run)")
    return parser


def _predicted(arguments: argparse.Namespace) -> list[Named]:
    """All images with their classes."""
    from clrun.console.predictions import Named
    from clrun.console.waiting import waiting
    from clrun.fast.garbage import no_search

    with waiting("loading PyTorch"), no_search(tricks=True):
        from clrun.images.image_files import ImageShape
        from clrun.runner.loading import load
        from clrun.sources.unlabelled import Unlabelled

    trained = load(arguments.run, device=arguments.device)
    values = trained.facts.benchmark.values
    images = Unlabelled(
        arguments.paths,
        ImageShape(*trained.image_shape),
        skips_damaged=values.get("damaged") == "skip",
    )
    is_short = not (arguments.csv or arguments.json)
    top = min(arguments.top or (SHOWN if is_short else 10**9), len(trained.class_names))
    found = []
    for names, x in images:
        probabilities, classes = trained.predict(x).probabilities.topk(top)
        rows = zip(names, classes.tolist(), probabilities.tolist(), strict=True)
        for name, numbers, shares in rows:
            named = [trained.class_names[number] for number in numbers]
            found.append(Named(name, list(zip(named, shares, strict=True))))
    if values.get("image_size") is None:
        _note_other_sizes(images)
    if images.damaged:
        reasons = "; ".join(map(str, images.damaged.values()))
        print(f"clrun: note: left out: {reasons}.", file=sys.stderr)
    if not found:
        raise ConfigError(f"no image can be decoded: {'; '.join(map(str, arguments.paths))}.")
    return found


def _note_other_sizes(images: Unlabelled) -> None:
    """Say how many images were resized by a model whose run resized none."""
    if images.resized:
        _, height, width = images.shape
        print(
            f"clrun: note: {images.resized} of the images had another size and were resized to "
            f"{width}x{height}.",
            file=sys.stderr,
        )


def _tell(found: Sequence[Named], arguments: argparse.Namespace) -> None:
    from clrun.console.predictions import predictions_csv, predictions_json, print_predictions

    if arguments.json:
        print(json.dumps(predictions_json(found), indent=2, allow_nan=False))
    elif arguments.csv:
        print(predictions_csv(found), end="")
    else:
        from clrun.console.display import make_console

        print_predictions(make_console(), found)
