"""Going on with a run that did not finish: to the same bits, or not at all unless it is forced."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from clrun.config.problems import read
from clrun.config.run_config import Node, RunConfig
from clrun.errors import ConfigError, FolderError, NoCheckpoint
from clrun.images.download import Progress
from clrun.records.checkpoint import Checkpoints
from clrun.records.identity import code_of, differences
from clrun.records.run_folder import SAVED, RunFolder
from clrun.records.run_record import continued, versions
from clrun.records.unfinished import Unfinished
from clrun.runner.building import build
from clrun.runner.prepare import LoadedStream, Prepared, ready
from clrun.runner.run import content_record
from clrun.streams.experience import Benchmark

note = logging.getLogger("clrun.note")


@dataclass(frozen=True)
class Continuation:
    """A run that is ready to go on."""

    prepared: Prepared
    state: dict[str, Any] | None
    """what `RunState.plain` gave; None where the run begins anew"""


def continuation(
    run: Unfinished,
    on_progress: Progress | None = None,
    *,
    force: bool = False,
    benchmark: Benchmark | None = None,
    model: nn.Module | None = None,
    stream: LoadedStream | None = None,
) -> Continuation:
    """Prepare a run where and as it was, with its newest state; its record says that it goes on.

    `benchmark` and `model` are what the run was given from Python, `stream` its data where they
    were read already.

    Raises:
        ConfigError, DownloadError: as for any run.
        FolderError: something is not as it was, so that the numbers would be others.
        NoCheckpoint: there are no states, or no whole one.
    """
    record, path = run.folder.record, run.folder.path
    # the folder is there, and the one that run folders go to need not be
    config = replace(run.config, root=replace(run.config.root, output_root=str(path)))
    device = _device_as_it_was(run, force=force)
    prepared = ready(
        config, on_progress, benchmark=benchmark, model=model, device=device, stream=stream
    )
    now = _identity(prepared)
    unknown = {key: now[key] for key in now if key not in record}  # it ended before it was written
    different = differences({**record, **unknown}, now)
    if different and not force:
        raise FolderError(
            f"{path}: to go on would not give the numbers of this run. {'; '.join(different)}. "
            "With --force it goes on nevertheless."
        )
    state = _newest(run.folder, config)
    run.folder.update(**continued(record, different), **(now if different else unknown))
    return Continuation(prepared, state)


def _identity(prepared: Prepared) -> dict[str, Any]:
    """What the numbers follow from, as run.json has it."""
    return {
        "config_hash": prepared.config.hash(),
        "versions": versions(),
        "code": code_of(prepared.config),
        **prepared.machine,
        **content_record(prepared),
    }


def _newest(folder: RunFolder, config: RunConfig) -> dict[str, Any] | None:
    """The newest whole state; None where none was ever saved.

    Raises:
        NoCheckpoint: there were some, or there can be none.
    """
    saved = Checkpoints(folder.path / "checkpoints", config.checkpoint.keep).newest()
    states = folder.record.get("states")
    if saved is not None:
        return saved.state
    if states == SAVED:
        raise NoCheckpoint(f"{folder.path}/checkpoints: states were saved, and none is there.")
    if states is not None:
        raise NoCheckpoint(f"{folder.path}: its state {states}. Run it again in another folder.")
    note.warning("no state was saved yet: the run begins anew.")
    return None


def _device_as_it_was(run: Unfinished, *, force: bool) -> Node | None:
    """The device's node with what was chosen when the run started; None where that is not there.

    Raises:
        FolderError: it is not there, and not forced.
    """
    record = {"device": None, "threads": None, "channels_last": None, **run.folder.record}
    return device_as_recorded(record, run.config.nodes["device"], run.folder.path, force=force)


def device_as_recorded(
    record: Mapping[str, Any], node: Node, folder: Path, *, force: bool
) -> Node | None:
    """The device's node with what a record in this folder says of it: `device`, `threads` and
    `channels_last`, if they are in it. None where there is no such device.

    Raises:
        FolderError: there is none, and it is not forced.
    """
    chosen: dict[str, Any] = {k: record[k] for k in ("threads", "channels_last") if k in record}
    if "device" in record:
        found = re.match(r"(cpu|cuda|mps)(?::(\d+))?", str(record["device"]))
        kind, index = found.groups() if found else (None, None)
        chosen |= {"kind": kind, "index": int(index or 0)}
    values = {**node.values, **{key: chosen[key] for key in chosen if key in node.values}}
    config, problems = read(f"{folder}/run.json: device.", values, type(node.config))
    if problems and force:
        return None
    if problems:
        raise ConfigError(problems)
    there = replace(node, config=config)
    try:
        build(there)
    except ConfigError as error:
        if force:
            return None
        was = f"was run on {record['device']}. " if record.get("device") else ""
        raise FolderError(
            f"{folder}: {was}{error} With --force it goes on where device={node.option} leads now."
        ) from None
    return there
