"""Latents that several runs have in common: computed by the first of them, mapped by the others.

Each piece is a file of a folder, named after all that its bits follow from, written whole under a
lock. The folder has a largest size: what was not asked for longest goes first, which those that
have it mapped do not notice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from clrun.device.rows import Rows
from clrun.disk import locks
from clrun.disk.files import storage_errors, whole_file
from clrun.errors import StorageError
from clrun.images.content import content_digest
from clrun.images.lazy_rows import AT_ONCE, LazyRows
from clrun.memory.row_order import is_channels_last

HEADER = 4096
"""Bytes before the latents, so that these begin at a page; what they are, as a line of JSON."""
LARGEST = 64 * 2**30
"""Bytes of all latents of a folder."""
SHARE = 0.5
"""Most of a disk's free bytes that one file may take."""

log = logging.getLogger("clrun")


@dataclass(frozen=True)
class SharedLatents:
    """Latents in a folder, for runs that are the same in `facts` and in what each piece adds."""

    folder: Path
    facts: str
    """whatever the bits of latents may follow from beside lower weights and images: the device with
    all its keys, threads, the processor, versions and sources"""
    largest: int = LARGEST

    def latents(self, *what: str | bytes, compute: Callable[[], Tensor]) -> Tensor:
        """The latents that `what` names, mapped, or computed and kept. -> [N, ...]

        They may be written to: nobody else sees it. What cannot be kept is given as computed.
        """
        digest = hashlib.sha256(self.facts.encode())
        for part in what:
            digest.update(b"\0" + (part.encode() if isinstance(part, str) else part))
        path = self.folder / f"{digest.hexdigest()[:32]}.latents"
        found = _mapped(path)
        if found is not None:
            return found
        with storage_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
        with locks.locked(path.with_suffix(".lock")):  # another one may be computing them
            found = _mapped(path)
            if found is not None:
                return found
            computed = compute()
            kept = self._kept(path, computed)
            return computed if kept is None or computed.device.type != "cpu" else kept

    def _kept(self, path: Path, latents: Tensor) -> Tensor | None:
        try:
            if not self._has_room(latents.nbytes):
                return None
            _write(path, latents)
        except (StorageError, OSError) as error:
            log.info("latents are not shared: %s", error)
            return None
        return _mapped(path)

    def _has_room(self, nbytes: int) -> bool:
        """Whether so many bytes may be kept, after what was asked for longest ago has gone."""
        if nbytes > min(self.largest, SHARE * shutil.disk_usage(self.folder).free):
            return False
        files = [(entry.stat(), entry.path) for entry in os.scandir(self.folder)]
        kept = sorted((s.st_mtime, s.st_size, p) for s, p in files if p.endswith(".latents"))
        total = sum(size for _, size, _ in kept)
        for _, size, old in kept:
            if total + nbytes <= self.largest:
                break
            Path(old).unlink(missing_ok=True)
            total -= size
        return True


def weights_digest(module: nn.Module) -> str:
    """What tells a module from others: its layers as they print themselves, and all its tensors,
    those too that no file of weights has."""
    digest = hashlib.sha256(repr(module).encode())
    digest.update(str(getattr(module, "code", "")).encode())  # of a traced one
    for name, value in {**dict(module.named_buffers()), **module.state_dict()}.items():
        if not isinstance(value, Tensor):  # a state of its own
            digest.update(f"{name} {value!r}".encode())
            continue
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(_bytes(value))
    return digest.hexdigest()


def rows_digest(x: Rows) -> bytes:
    """The same for the same images, in any process; reads those of a file that says no checksum."""
    if isinstance(x, Tensor):
        return content_digest(x)
    digest = hashlib.blake2b(f"{tuple(x.shape)}".encode(), digest_size=16)
    if isinstance(x, LazyRows) and x.checksum is not None:
        digest.update(x.checksum.encode() + x.chosen.numpy().tobytes())
    else:
        for rows in x.split(AT_ONCE):
            digest.update(_bytes(rows.to("cpu")))
    return digest.digest()


def _mapped(path: Path) -> Tensor | None:
    """The latents in a file; None where there are none, or they are none of ours."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.read(HEADER))
            size = os.fstat(file.fileno()).st_size
            dtype = getattr(torch, header["dtype"])
            shape = header["shape"]
            if size != HEADER + prod(shape) * dtype.itemsize:
                return None
            if size == HEADER:  # NumPy 1 maps no file without a byte
                return torch.empty(shape, dtype=dtype)
            raw = np.memmap(file, dtype=np.uint8, mode="c", offset=HEADER)
        with suppress(OSError):
            os.utime(path)
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return None
    flat = torch.from_numpy(raw).view(dtype)
    if not header["channels_last"]:
        return flat.view(*shape)
    count, channels, height, width = shape
    return flat.view(count, height, width, channels).permute(0, 3, 1, 2)


def _write(path: Path, latents: Tensor) -> None:
    order = is_channels_last(latents)
    facts = {
        "dtype": str(latents.dtype).removeprefix("torch."),
        "shape": list(latents.shape),
        "channels_last": order,
    }
    with whole_file(path) as write:
        write(json.dumps(facts).encode().ljust(HEADER))
        for rows in latents.split(AT_ONCE):
            write(_bytes(rows.permute(0, 2, 3, 1) if order else rows))


def _bytes(x: Tensor) -> memoryview:
    """The values in their order."""
    return x.detach().contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data
