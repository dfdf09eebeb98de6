"""`clrun preview`: a stream before anything is trained on it. Its help imports no torch."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from clrun.cli.parser import OneLineParser
from clrun.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from clrun.config.run_config import RunConfig
    from clrun.preview.facts import Preview

WHERE = ("--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn")
"""Hydra's options that say where configuration comes from; the others concern a run."""


def main(argv: Sequence[str]) -> int:
    """Print the preview of the configuration that these words compose; write its picture."""
    parser = _parser()
    arguments, words = parser.parse_known_args(list(argv))
    config = _composed(words)
    if arguments.png is not None:
        _require_place(arguments.png)
    found = _preview(config, needs_pixels=arguments.png is not None)
    if arguments.png is not None:
        from clrun.preview.picture import write_picture  # matplotlib takes half a second

        write_picture(arguments.png, found)
    _tell(found, arguments.png, as_json=arguments.json)
    return 0


def _parser() -> OneLineParser:
    parser = OneLineParser(
        prog="clrun preview",
        usage="clrun preview [GROUP=OPTION | KEY=VALUE ...] [--json] [--png FILE]",
        description="Show the stream of a configuration: the classes of each experience with "
        "their counts, sizes, and how many updates the strategy would make. Trains nothing.",
        epilog="Also taken, as for a run: --config-dir DIR, --config-path DIR, --config-name NAME.",
        allow_abbrev=False,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--png", metavar="FILE", type=Path, help="also draw the stream, with sample images"
    )
    return parser


def _composed(words: Sequence[str]) -> RunConfig:
    """The checked configuration, with mistakes reported as those of a run."""
    from clrun.cli.request import parse
    from clrun.config.compose import compose
    from clrun.config.hydra_errors import explained_errors

    for word in words:
        name = word.partition("=")[0]
        if word.startswith("-") and name not in WHERE:
            guess = did_you_mean(name, ("--json", "--png", "--help", *WHERE))
            raise ConfigError(
                f"{word}: preview has no such option.{guess} See clrun preview --help."
            )
    with explained_errors():
        request = parse(words)
        return compose(request.overrides, **request.where())


def _preview(config: RunConfig, *, needs_pixels: bool) -> Preview:
    """Read the stream and count; downloads are shown on standard error.

    Images that are not shown need not be there, where a benchmark can do without them.
    """
    from clrun.console.downloads import Downloads
    from clrun.console.visible_console import VisibleConsole
    from clrun.preview.facts import preview
    from clrun.runner.building import benchmark_source, build, stream_of

    node, stream = config.nodes["benchmark"], None
    with Downloads(VisibleConsole(stderr=True)) as downloads:
        if not needs_pixels and (outline := getattr(build(node), "outline", None)):
            stream = outline(config.seed, downloads)
        if stream is None:
            stream = stream_of(node, benchmark_source(node), config.seed, downloads)
    return preview(config, stream)


def _tell(found: Preview, png: Path | None, *, as_json: bool) -> None:
    for note in found.stream.notes:
        print(f"clrun: note: {note}", file=sys.stderr)
    if as_json:
        print(json.dumps(found.as_dict(), indent=2, allow_nan=False))
        return
    from clrun.console.display import make_console
    from clrun.preview.table import print_preview

    print_preview(make_console(), found)
    if png is not None:
        print(f"picture: {png.absolute()}")


def _require_place(path: Path) -> None:
    """Refuse a file that cannot be written, before any data are read."""
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--png={path}: the picture is a PNG. Name a file that ends in .png.")
    if path.is_dir():
        raise ConfigError(f"--png={path}: is a folder. Name a file.")
    if not path.parent.is_dir():
        raise ConfigError(f"--png={path}: there is no folder {path.parent.absolute()}.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigError(f"--png={path}: {path.parent.absolute()} is not writable.")
