"""CORe50's files below benchmark.data_root: found, checked and fetched.

MD5 sums are those that Avalanche lists; their publishers give no others. The images are fetched
by https, though the set's page names them with http, so that what is fetched is checked twice.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clrun.disk.fingerprints import fingerprint
from clrun.images.archives import unpack
from clrun.images.cache import cached_images, cached_rows
from clrun.images.download import Progress
from clrun.images.files import (
    DamagedFile,
    Remote,
    bad_root,
    check_present,
    check_published,
    check_root,
    fetch_missing,
    named_root,
)
from clrun.images.mapped_rows import MappedRows
from clrun.sources.core50_images import FromArchive, FromFolder
from clrun.sources.core50_lists import list_names

LISTS = {
    "ni": "batches_filelists/NI_inc",
    "nc": "batches_filelists/NC_inc",
    "nic": "batches_filelists/NIC_inc",
    "nicv2_79": "NIC_v2_79",
    "nicv2_196": "NIC_v2_196",
    "nicv2_391": "NIC_v2_391",
}
"""The folder of each scenario's lists; run0 to run9 are in it."""
PAGE = "https://vlomonaco.github.io/core50/data"
LIST_ARCHIVES = (
    Remote(f"{PAGE}/batches_filelists.zip", None, None, "e3297508a8998ba0c99a83d6b36bde62"),
    Remote(f"{PAGE}/batches_filelists_NICv2.zip", None, None, "460f980a6c85b86b1ec8e7c6067bb7a3"),
)
IMAGE_ARCHIVES = {
    128: Remote(
        "https://bias.csr.unibo.it/maltoni/download/core50/core50_128x128.zip",
        None,
        None,
        "745f3373fed08d69343f1058ee559e13",
    ),
    32: Remote(
        "https://vps.continualai.org/data/core50_32x32.zip",
        None,
        None,
        "d89d34cdc0281fa84074430e9a22b728",
    ),
}


@dataclass(frozen=True)
class Core50Files:
    """The files that one scenario's run at one image size needs; laid out as Avalanche does."""

    root: Path
    """as the user named it"""
    side: int
    """pixels, 128 or 32"""
    scenario: str
    run: int
    num_experiences: int

    @property
    def folder(self) -> Path:
        """`root` or root/core50, whichever holds some of the set; root/core50 if none does."""
        known = (self._image_name, f"{self._image_name}.zip", *LISTS.values())
        known += tuple(archive.name for archive in LIST_ARCHIVES)
        folders = (self.root / "core50", self.root)
        return next((f for f in folders if any((f / n).exists() for n in known)), folders[0])

    @property
    def lists(self) -> Path:
        """The folder of the run's lists."""
        return self.folder / LISTS[self.scenario] / f"run{self.run}"

    def check(self, *, download: bool) -> None:
        """Raise ConfigError if files are missing and cannot be fetched; reads no image."""
        check_root(self.root, download=download)
        folder = self.folder
        images, archive = folder / self._image_name, folder / f"{self._image_name}.zip"
        if not images.is_dir() and not archive.is_file():
            check_present(self.root, folder, [archive.name], download=download)
        self.check_lists(download=download)

    def check_lists(self, *, download: bool) -> None:
        """Raise ConfigError if lists are missing and cannot be fetched; asks for no image."""
        check_root(self.root, download=download)
        if self.lists.is_dir():
            self._check_lists()
        elif not (self.folder / self._list_archive.name).is_file():
            lists = [f"{LISTS[self.scenario]}/run{self.run}"]
            check_present(self.root, self.folder, lists, download=download)

    def fetch_lists(self, *, download: bool, on_progress: Progress | None) -> None:
        """Unpack the run's lists, fetching them if need be."""
        if self.lists.is_dir():
            return
        self._fetch(self._list_archive, download, on_progress)
        with named_root(self.root):
            self._unpack_lists(on_progress)
        self._check_lists()

    def images(
        self, names: Sequence[str], *, download: bool, on_progress: Progress | None
    ) -> MappedRows:
        """The named images, decoded by the first run and read from its cache by later ones."""
        key, shape = f"core50_{self.side}px", (3, self.side, self.side)
        tree = self.folder / self._image_name
        if tree.is_dir():
            with named_root(self.root):
                files = [f"{tree}/{name}" for name in names]
                return cached_images(key, files, shape, FromFolder(tree, self.side), on_progress)
        remote = IMAGE_ARCHIVES[self.side]
        self._fetch(remote, download, on_progress)
        archive = self.folder / remote.name
        with named_root(self.root):
            source, from_archive = fingerprint([archive]), FromArchive(archive, remote, self.side)
            return cached_rows(
                key, source, names, shape, from_archive, on_progress, names="".join(names)
            )

    @property
    def _image_name(self) -> str:
        return f"core50_{self.side}x{self.side}"

    @property
    def _list_archive(self) -> Remote:
        return LIST_ARCHIVES["nicv2" in self.scenario]

    def _fetch(self, remote: Remote, download: bool, on_progress: Progress | None) -> None:
        """Have the archive in the folder, from the network if that is allowed."""
        if not (self.folder / remote.name).exists():
            check_present(self.root, self.folder, [remote.name], download=download)
            fetch_missing(self.root, self.folder, [remote], on_progress)

    def _unpack_lists(self, on_progress: Progress | None) -> None:
        archive = self.folder / self._list_archive.name
        check_published(archive, md5=self._list_archive.md5)
        unpack(archive, self.folder, on_progress)
        if not self.lists.is_dir():
            raise DamagedFile(f"{archive.name} has no {LISTS[self.scenario]}/run{self.run}")

    def _check_lists(self) -> None:
        there = set(os.listdir(self.lists))
        missing = [name for name in list_names(self.num_experiences) if name not in there]
        if missing:
            wanted = (self.lists / missing[0]).relative_to(self.root)
            others = f" and {len(missing) - 1} more are" if len(missing) > 1 else " is"
            way_out = f"Delete {wanted.parent} and run with benchmark.download=true"
            raise bad_root(self.root, f"{wanted}{others} missing", way_out)
