"""Whether clrun, what it stands on and the folders it writes to are as they should be."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from clrun.disk.folders import chosen_or_cached, user_cache
from clrun.disk.opening import read_text
from clrun.doctor.finding import Finding

LITTLE_SPACE = 10**9
"""Bytes free below which a data set or a few runs fill the disk."""
SLOW_DISK = 20.0
"""MB/s below which saving the state of a run is felt."""
WRITTEN = 16 * 2**20
MOST_FILES = 20_000
"""Files whose sizes are added up; a folder of more takes long to walk through."""


@dataclass(frozen=True)
class Fact:
    """Something that was looked at."""

    name: str
    value: str
    finding: Finding | None = None
    """what is wrong with it, if anything is"""


def facts() -> Iterator[Fact]:
    """Everything that is looked at, in order; PyTorch, which takes its time, is imported late."""
    yield Fact("python", f"{platform.python_version()} on {platform.platform(terse=True)}")
    yield from packages()
    yield from extras(_declared())
    yield from folders()
    yield disk_speed(Path.cwd())
    yield from image_caches(chosen_or_cached("CLRUN_CACHE", "images"))
    yield from hardware()


def packages() -> Iterator[Fact]:
    """What clrun needs, against what it declares."""
    declared = _declared()
    if not declared:
        yield Fact("packages", "clrun is not installed, so that what it needs is not declared here")
    wanted = [text for text in declared if "extra ==" not in text]
    shown, wrong = [], []
    for text in wanted:
        name, bounds = requirement(text)
        try:
            found = version(name)
        except PackageNotFoundError:
            wrong.append(Fact(name, "not installed", _reinstall(f"{name} is not installed.")))
            continue
        if not satisfies(found, bounds):
            said = f"{name} {found} is installed, and clrun needs {bounds}."
            wrong.append(Fact(name, found, _reinstall(said)))
        else:
            shown.append(f"{name} {found}")
    if shown:
        yield Fact("packages", f"{len(shown)} of {len(wanted)} as declared: {', '.join(shown)}")
    yield from wrong


def extras(declared: Sequence[str]) -> Iterator[Fact]:
    """What of the extras is installed, each for a need of its own, and how to get the others."""
    found: dict[str, list[str]] = {}
    for text in declared:
        extra = re.search(r"""extra == ['"]([\w-]+)['"]""", text)
        if extra and extra[1] != "dev":
            found.setdefault(extra[1], []).append(requirement(text)[0])
    there = [extra for extra, names in found.items() if all(map(_is_installed, names))]
    missing = [extra for extra in found if extra not in there]
    hint = f"; not installed: {', '.join(missing)} (pip install 'clrun[NAME]')" if missing else ""
    if found:
        yield Fact("extras", f"{', '.join(there) or 'none'}{hint}")


def _declared() -> Sequence[str]:
    try:
        return requires("clrun") or []
    except PackageNotFoundError:
        return []


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def requirement(text: str) -> tuple[str, str]:
    """The name and the bounds of a declared dependency such as "torch>=2.10,<3"."""
    name, bounds = re.fullmatch(r"([\w.-]+)\s*(.*)", text.partition(";")[0].strip()).groups()  # type: ignore[union-attr]
    return name, bounds.strip("() ")


def satisfies(found: str, bounds: str) -> bool:
    """Whether a version keeps to bounds such as ">=2.10,<3"; other kinds of bounds are passed
    over."""
    for bound in filter(None, bounds.split(",")):
        sign, number = re.match(r"\s*([<>=!~]+)\s*(.*)", bound).groups()  # type: ignore[union-attr]
        length = len(_numbers(number))
        ours, theirs = _numbers(found)[:length], _numbers(number)
        ours += (0,) * (length - len(ours))
        if (sign == ">=" and ours < theirs) or (sign == "<" and ours >= theirs):
            return False
    return True


def hardware() -> Iterator[Fact]:
    """PyTorch, the devices on which a tensor can be made, and the threads of this process."""
    start = time.monotonic()
    try:
        torch = import_module("torch")
    except Exception as error:
        said = f"PyTorch cannot be imported: {type(error).__name__}: {error}"
        yield Fact("torch", "broken", _reinstall(said))
        return
    build = torch.version.cuda or torch.version.hip
    kind = f"CUDA {build}" if torch.version.cuda else f"ROCm {build}" if build else "CPU alone"
    seconds = time.monotonic() - start
    is_unused = not build and (shutil.which("nvidia-smi") or Path("/proc/driver/nvidia").exists())
    yield Fact(
        "torch",
        f"{torch.__version__}, built for {kind}; imported in {seconds:.1f} s",
        Finding(
            "This machine has an NVIDIA GPU, and PyTorch is built for CPUs alone.",
            "Install PyTorch with CUDA (README, Install).",
        )
        if is_unused
        else None,
    )
    yield from devices()
    yield threads(torch.get_num_threads())


def devices() -> Iterator[Fact]:
    """Each device, tried."""
    t = import_module("torch")
    names = ["cpu"]
    if t.cuda.is_available():
        names += [f"cuda:{index}" for index in range(t.cuda.device_count())]
    if t.backends.mps.is_available():
        names.append("mps")
    for name in names:
        called = f" ({t.cuda.get_device_name(name)})" if name.startswith("cuda") else ""
        try:
            assert float((t.ones(8, device=name) * 2).sum()) == 16.0
        except Exception as error:
            said = f"device {name} cannot compute: {' '.join(str(error).split())}"
            yield Fact(f"device {name}", "fails", Finding(said, "Use another: device=cpu."))
            continue
        yield Fact(f"device {name}", f"computes{called}")


def threads(used: int) -> Fact:
    """How many threads PyTorch takes, of how many processors."""
    there = processors()
    value = f"{used} of {there} processors"
    if os.environ.get("OMP_NUM_THREADS"):
        value += f" (OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']})"
    if used <= there:
        return Fact("threads", value)
    said = f"PyTorch takes {used} threads, and this process may use {there} processors."
    return Fact("threads", value, Finding(said, f"Set device.threads={there}."))


def processors() -> int:
    """How many this process may use; a container may have a share of the machine's."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="utf-8").split()
        allowed = min(allowed or 1, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        pass
    return allowed or 1


def folders() -> Iterator[Fact]:
    """The folders clrun writes to: runs, data, caches, weights."""
    hub = os.environ.get("TORCH_HOME") or "~/.cache/torch"
    places = {
        "runs": Path("outputs"),
        "data": chosen_or_cached("CLRUN_DATA", "data"),
        "image cache": chosen_or_cached("CLRUN_CACHE", "images"),
        "other caches": user_cache(),
        "weights": Path(hub).expanduser(),
    }
    for name, place in places.items():
        yield folder(name, place.absolute())


def folder(name: str, place: Path) -> Fact:
    """Whether a folder can be written to, what is in it, and how much room there is."""
    there = place
    while not there.exists() and there != there.parent:
        there = there.parent
    size = size_of(place) if place.is_dir() else None
    held = "not there yet" if size is None else size
    try:
        free = shutil.disk_usage(there).free
        _write(there, b"clrun")
    except OSError as error:
        said = f"{place} cannot be written to: {error.strerror or error}."
        return Fact(name, f"{place}: not writable", Finding(said, _other_place(name)))
    value = f"{place}: {held}, {free / 1e9:,.1f} GB free"
    if free >= LITTLE_SPACE:
        return Fact(name, value)
    said = f"The disk of {place} has {free / 1e6:,.0f} MB free."
    return Fact(name, value, Finding(said, f"Free space. {_other_place(name)}"))


def size_of(place: Path) -> str:
    """The files in a folder and their size; of very many only the first."""
    count = size = 0
    for parent, _, files in os.walk(place):
        for file in files:
            try:
                size += os.lstat(os.path.join(parent, file)).st_size
            except OSError:
                continue
            count += 1
            if count == MOST_FILES:
                return f"over {count:,} files, over {size / 1e6:,.1f} MB"
    return f"{count:,} file{'' if count == 1 else 's'}, {size / 1e6:,.1f} MB"


def disk_speed(place: Path) -> Fact:
    """How fast a state would be written here, made sure of as it is for a state."""
    start = time.monotonic()
    try:
        _write(place, bytes(WRITTEN))
    except OSError as error:
        said = f"{place} cannot be written to: {error.strerror or error}."
        return Fact("disk", "not writable", Finding(said, "Start clrun in another folder."))
    speed = WRITTEN / 2**20 / max(time.monotonic() - start, 1e-6)
    value = f"{place}: {speed:,.0f} MB/s written and made sure of"
    if speed >= SLOW_DISK:
        return Fact("disk", value)
    said = f"The disk of {place} takes {speed:.1f} MB/s: saving a run's state is felt."
    return Fact("disk", value, Finding(said, "Let output_root name a faster disk."))


def image_caches(place: Path) -> Iterator[Fact]:
    """Whether each cache of decoded images has the rows that its manifest says."""
    for manifest in sorted(place.glob("*/manifest.json")):
        name = f"cache {manifest.parent.name}"
        try:
            content = json.loads(read_text(manifest))
            needed = math.prod([content["count"], *content["shape"]])
            held = (manifest.parent / "rows.npy").stat().st_size
        except (OSError, ValueError, KeyError, TypeError):
            needed, held = 1, 0
        if held >= needed:
            yield Fact(name, f"{held / 1e6:,.1f} MB, whole")
        else:
            said = f"{manifest.parent} is not whole, and will be built again."
            yield Fact(name, "damaged", Finding(said, f"Delete it: {manifest.parent}"))


def _write(place: Path, content: bytes) -> None:
    """Write a file to the disk and remove it again."""
    path = place / f".clrun-doctor-{secrets.token_hex(4)}"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)
        path.unlink()


def _other_place(name: str) -> str:
    variables = {"data": "CLRUN_DATA", "image cache": "CLRUN_CACHE", "weights": "TORCH_HOME"}
    if name == "runs":
        return "Let output_root name another folder."
    return f"Let {variables.get(name, 'XDG_CACHE_HOME')} name another folder."


def _reinstall(said: str) -> Finding:
    return Finding(said, "Install clrun again (README, Install).")


def _numbers(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: (2, 10) of 2.10rc1+cpu."""
    found = re.match(r"\d+(\.\d+)*", text.strip())
    return tuple(int(part) for part in found[0].split(".")) if found else ()
