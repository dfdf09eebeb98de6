"""`clrun export`: a trained model as one file for other programs. Wrong words cost no torch."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.cli.parser import OneLineParser
from clrun.errors import ConfigError

if TYPE_CHECKING:
    from clrun.export.writing import Exported

NEEDED = {"onnx": ("onnx", "onnxruntime", "onnxscript"), "torch": ()}
"""Format -> the packages that it needs beside those of clrun."""


def main(argv: Sequence[str]) -> int:
    """Write the model, and say what was seen of the file."""
    arguments = _parser().parse_intermixed_args(list(argv))
    kind, path = _asked(arguments)
    _require_packages(kind)
    from clrun.records.trained_model import model_file, read_model

    read_model(model_file(arguments.run))  # whole, before torch is loaded
    print(_said(_exported(arguments.run, path, kind)))
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="clrun export",
        usage="clrun export RUN --onnx FILE | clrun export RUN FILE [--format onnx|torch]",
        description="Write the trained model of a run as one file: uint8 images in, probabilities "
        "and logits out, with everything in between. What is in the file is run, and compared with "
        "the model, before it is written.",
        epilog="E.g. clrun export outputs/latest --onnx model.onnx. Programs need neither clrun "
        'nor PyTorch to use it: see docs/guides/export.md. Needs pip install "clrun[onnx]"; '
        "--format torch (torch.export, .pt2) needs nothing more.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="the folder of a finished run, e.g. outputs/latest")
    add("file", type=Path, nargs="?", metavar="FILE", help="the file to write")
    add("--onnx", type=Path, metavar="FILE", help="the same, in the format onnx")
    add("--format", choices=tuple(NEEDED), help="onnx, unless said otherwise")
    return parser


def _asked(arguments: argparse.Namespace) -> tuple[str, Path]:
    """The format and the file.

    Raises:
        ConfigError: there is none, or two, or it cannot be written there.
    """
    named = [path for path in (arguments.file, arguments.onnx) if path is not None]
    if len(named) != 1:
        raise ConfigError(
            "clrun export: names one file to write, e.g. --onnx model.onnx. "
            "See clrun export --help."
        )
    if arguments.onnx is not None and arguments.format not in (None, "onnx"):
        raise ConfigError(
            f"clrun export: --onnx and --format {arguments.format} are two formats. Leave one out."
        )
    path: Path = named[0]
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder. Name a file to write, e.g. {path}/model.onnx.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}.")
    return arguments.format or "onnx", path


def _require_packages(kind: str) -> None:
    missing = [package for package in NEEDED[kind] if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"clrun export: --format {kind} needs {', '.join(missing)}. Install with: "
            f'pip install "clrun[{kind}]"'
        )


def _exported(run: Path, path: Path, kind: str) -> Exported:
    from clrun.console.waiting import waiting
    from clrun.fast.garbage import no_search

    with waiting("loading PyTorch"), no_search(tricks=True):
        from clrun.export.writing import export
        from clrun.runner.loading import load
    trained = load(run, device={"kind": "cpu", "precision": "fp32"})
    with waiting(f"exporting as {kind}"):
        return export(trained, path, kind)


def _said(found: Exported) -> str:
    """What was written, and what was measured of it."""
    images = " and ".join(f"{count:,} {kind}" for kind, count in found.images.items())
    between = found.difference.other_classes
    classes = (
        f"the same classes but for {between} that were undecided"
        if between
        else ("the same classes")
    )
    return (
        f"{found.path}: {found.size:,} bytes; {found.milliseconds:.3g} ms an image, one at a time "
        f"(measured here, {found.runtime}).\n"
        f"Compared with the model on {images} images: {classes}; probabilities differ by at most "
        f"{found.difference.probabilities:.1e}, logits by {found.difference.logits:.1e}."
    )
