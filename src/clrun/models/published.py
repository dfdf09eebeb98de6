"""Published weights in the folder that TORCH_HOME names: fetched once, known again on every use.

Such a folder is often shared, and whoever may write to it may put other weights there. So a file's
SHA-256 is compared each time. For most files torchvision publishes its first eight digits, which
can be met by trying for an hour; what such a file was when it was first used is therefore kept in
full in the user's own cache folder, where those who may change the file cannot.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import torch

from clrun.disk.files import storage_errors, write_text
from clrun.disk.folders import user_cache
from clrun.disk.opening import read_text
from clrun.errors import ClrunError, ConfigError, StorageError
from clrun.images.download import fetch
from clrun.models.state_files import KEY, StateFile, read_state

SHA256 = {
    "mobilenet_v2-b0353104.pth": "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
}
"""In full, of the files that we have seen."""
FIRST_DIGITS = re.compile(r"-([0-9a-f]{8,64})\.\w+$")
"""How a file's name ends: with the first digits of its SHA-256, as torch.hub has it."""


def published_state(url: str, name: str) -> StateFile:
    """The weights at `url`, which `model.pretrained` calls `name`.

    Raises:
        ConfigError: they are not to be had, or the file is not the published one or not the one
            that was used before.
    """
    file = Path(urlsplit(url).path).name
    path = Path(torch.hub.get_dir()) / "checkpoints" / file
    published = _published_digits(file)
    if not path.exists():
        _fetch(url, path, published, name)
    state = read_state(path, _require(path, published, name))
    if file not in SHA256:
        _pin(path, state.sha256)
    return state


def pin_of(path: Path) -> Path:
    """Where it is kept what a file was when it was first used."""
    return user_cache() / "weights" / f"{path.name}.sha256"


def _published_digits(file: str) -> str:
    found = FIRST_DIGITS.search(file)
    assert file in SHA256 or found, f"{file}: nothing is read that cannot be checked"
    return SHA256.get(file) or (found[1] if found else "")


def _require(path: Path, published: str, name: str) -> Callable[[str], None]:
    """A check of the file's SHA-256."""

    def check(found: str) -> None:
        place = f"{KEY}={name}: {path}"
        if not found.startswith(published):
            raise ConfigError(
                f"{place} is damaged or not the published file (SHA-256 {found[:12]}..., "
                f"expected {published[:12]}). Delete it, and it is downloaded again."
            )
        first = _pinned(path)
        if first is not None and first != found:
            raise ConfigError(
                f"{place} is not the file that was first used here (SHA-256 {found[:12]}..., then "
                f"{first[:12]}...). Delete it, and it is downloaded again; or {pin_of(path)}, if "
                "you trust the file."
            )

    return check


def _pinned(path: Path) -> str | None:
    if path.name in SHA256:
        return None
    try:
        return read_text(pin_of(path), most=4096).strip()
    except (OSError, UnicodeDecodeError):
        return None


def _pin(path: Path, sha256: str) -> None:
    """Keep the sum; where that cannot be, the next use is a first one too."""
    pin = pin_of(path)
    if _pinned(path) is None:
        with suppress(StorageError), storage_errors(pin):
            pin.parent.mkdir(parents=True, exist_ok=True)
            write_text(pin, f"{sha256}\n")


def _fetch(url: str, path: Path, published: str, name: str) -> None:
    try:
        fetch(url, path, sha256=published)
    except ClrunError as error:
        raise ConfigError(
            f"{KEY}={name}: {path.name} is neither in {path.parent} nor to be had "
            f"({str(error).rstrip('.')}). Put it there, set TORCH_HOME, or use "
            f"{KEY}=false."
        ) from error
