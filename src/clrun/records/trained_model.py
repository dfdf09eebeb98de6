"""model.safetensors: a trained model in one file, its tensors and all that is needed to use them.

The facts are JSON text in the file's metadata. Among them is a SHA-256 of the whole file with the
place of that sum zeroed: safetensors has no checksum, and a flipped bit would be a wrong weight in
silence. The same content gives the same bytes. Reading executes nothing and imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from clrun.config.bounds import Count, Natural, Positive
from clrun.config.trust import is_trusted
from clrun.disk.files import storage_errors, whole_file
from clrun.disk.opening import open_regular
from clrun.disk.secrets import hidden, revealed
from clrun.errors import ConfigError
from clrun.records.run_folder import read_record, run_status, several_runs

PLACE = Path("checkpoints", "model.safetensors")
"""Where a run folder has it."""
ZEROS = "0" * 64
SUM = re.compile(rb'\\"sha256\\": \\"([0-9a-f]{64})\\"')
"""in the header, where quotes of the facts are escaped once, and those in a text of them thrice"""
ENDED = {"interrupted": "was interrupted", "died": "has died", "failed": "has failed"}
"""What is said of a run that ended before its stream did."""
HEADER_BYTES = 8
"""of the number, little-endian, that says how long the header is"""
LONGEST_HEADER = 100_000_000
"""bytes; safetensors reads no longer one"""


@dataclass(frozen=True, kw_only=True)
class Component:
    """A component as a configuration names it: its class and the values of its `Config`."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    option: str
    target: str
    values: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of a trained model beside its tensors."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    sha256: str = ZEROS
    """of the file that has zeros here"""
    schema: Literal[1] = 1
    label: str
    """strategy, benchmark and seed of the run"""
    config_hash: str
    class_names: Annotated[list[str], Field(min_length=1)]
    """of classes 0, 1, 2, ...: those that the data have, whatever order they were learnt in"""
    image_shape: tuple[Count, Count, Count]
    """channels, height and width of an image as the model is given it"""
    mean: list[float]
    """of each channel, pixels in [0, 1]: an image is (x / 255 - mean) / std"""
    std: list[Positive]
    seed: Natural
    """what modules that draw in evaluation draw from"""
    model: Component
    is_own_model: bool
    """It was given from Python: `model` says its class, and cannot be made from that."""
    strategy: Component | None
    """None where the model alone predicts, else what the strategy puts around it"""
    benchmark: Component
    is_own_benchmark: bool
    evaluation: dict[str, Any]
    """how the run was scored: the keys of `eval`"""
    first_experiences: Count | None = None
    """what it learnt of its stream; None: all"""
    eval_mb_size: Count
    device: dict[str, Any]
    """where the run was computed, and how: the keys of `device`"""
    proof: list[list[float | None]]
    """logits of images that everybody can make (`runner.proof`); None is no finite number"""
    shared: dict[str, str]
    """name of a tensor that is another one too -> the name that this has in the file"""
    versions: dict[str, str]


class TrainedFile(NamedTuple):
    """A model.safetensors that was read whole, its sum compared."""

    path: Path
    facts: Facts
    content: bytes
    """the file, for `safetensors.torch.load`"""


def write_model(path: Path, facts: Facts, tensors: Mapping[str, Any]) -> None:
    """Write tensors of PyTorch, which are on the CPU, contiguous and share no memory.

    Raises:
        StorageError: the disk is full, read-only or broken.
        ConfigError: the facts are none.
        SafetensorError, KeyError, ValueError: safetensors holds no such tensors.
    """
    from safetensors.torch import save

    text = json.dumps(hidden(asdict(replace(facts, sha256=ZEROS))), allow_nan=False)
    _facts(path, text)  # what could not be read is not written
    # one entry: safetensors writes several in an order that changes from file to file
    content = bytearray(save(dict(tensors), metadata={"clrun": text}))
    place = _place_of_sum(content)
    assert place is not None, "the facts begin with it"
    content[place : place + len(ZEROS)] = hashlib.sha256(content).hexdigest().encode()
    with storage_errors(path):
        path.parent.mkdir(exist_ok=True)
    with whole_file(path) as write:
        write(memoryview(content))


def model_file(place: Path) -> Path:
    """The model.safetensors that a run folder, or a path to the file itself, means.

    Raises:
        ConfigError: there is none; where the run did not end well, with what to do.
    """
    if not place.is_dir():
        if not os.path.lexists(place):
            raise ConfigError(f"{place}: there is no such folder. Name a run's folder.")
        return place
    path = place / PLACE
    if os.path.lexists(path):
        return path
    status = run_status(place)
    if status is None:
        wrong = several_runs(place) or "is no run's folder (no run.json). Name e.g. outputs/latest."
        raise ConfigError(f"{place}: {wrong}")
    if status in ENDED:
        error = read_record(place).get("error") if status == "failed" else None
        reason = f" ({str(error).splitlines()[0].rstrip('.')})" if error else ""
        raise ConfigError(
            f"{place}: has no trained model: the run {ENDED[status]}{reason}. "
            f"clrun resume {place} goes on with it."
        )
    if status == "running":
        raise ConfigError(
            f"{place}: has no trained model yet: the run is running. Wait for its end."
        )
    raise ConfigError(
        f"{place}: has no {PLACE}, though the run is {status}. clrun.log says why, or it is a run "
        "of an earlier clrun: run it again."
    )


def is_model_file(path: Path) -> bool:
    """Whether a file says that it is such a model; nothing is looked at but its header."""
    if path.suffix != PLACE.suffix:
        return False
    try:
        with open_regular(path) as file:
            start = file.read(HEADER_BYTES)
            length = min(int.from_bytes(start, "little"), LONGEST_HEADER)
            return "clrun" in _metadata(start + file.read(length))
    except (OSError, ValueError, RecursionError):
        return False


def read_model(path: Path) -> TrainedFile:
    """The file, whole and as it was written.

    Raises:
        ConfigError: it cannot be read, is damaged, or is no model of clrun.
    """
    with _one_line(path):
        with open_regular(path) as file:
            content = file.read()
        metadata = _metadata(content)
        place = _place_of_sum(content)
        if "clrun" not in metadata or place is None:
            raise ConfigError(
                f"{path}: is a safetensors file that clrun did not write. Name a run's folder."
            )
        end = place + len(ZEROS)
        whole = hashlib.sha256(content[:place])
        whole.update(ZEROS.encode())
        whole.update(memoryview(content)[end:])
        if whole.hexdigest() != content[place:end].decode():
            raise ConfigError(
                f"{path}: is damaged (its SHA-256 differs). Restore it from a copy, or run again."
            )
        return TrainedFile(path, _facts(path, metadata["clrun"]), content)


def require_known(target: str, place: str, *, trust: bool) -> None:
    """Refuse a class that neither clrun nor an installed package of options has, unless trusted.

    Raises:
        ConfigError: it is such a class; nothing was imported.
    """
    if not (trust or is_trusted(target)):
        raise ConfigError(
            f"{place}: names code that is not clrun's ({target!r}). Only if you trust whoever made "
            "the file, add --trust (from Python: trust=True)."
        )


def _facts(path: Path, text: str) -> Facts:
    try:
        facts = facts_adapter().validate_json(text, strict=True)
        if "${oc.env:" in text:
            facts = facts_adapter().validate_python(revealed(asdict(facts)))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in detail["loc"]) or "metadata"
        raise ConfigError(
            f"{path}: is no model of this clrun ({key}: {detail['msg']}). "
            "Use the clrun that wrote it, or run again."
        ) from None
    channels = facts.image_shape[0]
    if not len(facts.mean) == len(facts.std) == channels:
        raise ConfigError(
            f"{path}: is no model of this clrun (mean and std: {len(facts.mean)} and "
            f"{len(facts.std)} values for {channels} channels). Run again."
        )
    return facts


@cache
def facts_adapter() -> TypeAdapter[Facts]:
    """What reads and writes them; making it takes some milliseconds."""
    return TypeAdapter(Facts)


def _metadata(content: bytes) -> dict[str, str]:
    """What the header says beside the tensors; safetensors itself has looked at neither.

    Raises:
        ValueError: there is no header.
    """
    length = int.from_bytes(content[:HEADER_BYTES], "little")
    header = json.loads(content[HEADER_BYTES : HEADER_BYTES + length])
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ValueError("its header holds no metadata")
    return metadata


def _place_of_sum(content: bytes | bytearray) -> int | None:
    """Where the header has the sum."""
    length = int.from_bytes(content[:HEADER_BYTES], "little")
    found = SUM.search(content, 0, HEADER_BYTES + length)
    return None if found is None else found.start(1)


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    """Whatever is wrong with the file becomes one line that begins with its place."""
    try:
        yield
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{path}: is no safetensors file, or a damaged one. Restore it from a copy, or run "
            "again."
        ) from error
