"""The saved states of a run: each a file of its state and a small record that makes it valid.

A state is written in this order, each step on the disk before the next one: the state's file under
another name, its name, the record under another name, its name. Until the last step the states
before it are the newest ones, after it this one is; then older ones are removed. A crash at any
moment leaves one or the other, and a record whose checksum says whether the bytes are still those
that were written. No torch before a state is saved or loaded.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

from clrun.disk.files import storage_errors, sync_folder, unfinished, whole_file
from clrun.disk.opening import open_unlinked
from clrun.errors import FolderError, NoCheckpoint, StorageError, Unsavable

FORMAT = 1
LARGEST_RECORD = 16 * 2**20
"""Bytes of a record; more than that is read of none."""

note = logging.getLogger("clrun.note")


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A state that was saved, as it was."""

    number: int
    """states are counted up, over all processes of a run"""
    state: dict[str, Any]
    facts: dict[str, Any]
    """what was said about it; lists where tuples were"""


class Checkpoints:
    """The states in one folder, `<run>/checkpoints`, for the process that holds the run's lock.

    Raises:
        FolderError: the folder is a link or a file.
        StorageError: it cannot be read.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        """`keep` is how many valid states stay. What a killed process left unfinished is removed;
        the folder itself is made with the first state."""
        self.folder, self.keep = folder, keep
        self._looked_at: dict[int, bool] = {}  # states known to be whole or damaged
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise FolderError(f"{folder}: is no folder of this run.")
        with storage_errors(folder):
            for path in unfinished(folder, "state-*"):
                _remove(path)

    def save(self, state: Mapping[str, Any], facts: Mapping[str, Any]) -> Path:
        """Save a state, what `RunState.plain` gives; its file. `facts` are values of JSON.

        Raises:
            StorageError: the disk is full, read-only or broken; the states before it are intact.
            Unsavable: the state holds something that cannot be saved; the line names it.
        """
        if not self.folder.is_dir():
            with storage_errors(self.folder):
                self.folder.mkdir()
                sync_folder(self.folder.parent)
        number = max(self._numbers(), default=0) + 1
        data, record = self._data(number), self._record(number)
        try:
            size, digest = _write_data(data, state)
            with whole_file(record) as write:
                write(_record_text(number, size, digest, facts))
        except BaseException:
            with suppress(OSError):  # the record first: without it the rest is no state
                record.unlink(missing_ok=True)
                data.unlink(missing_ok=True)
            raise
        self._looked_at[number] = True
        self._prune()
        return data

    def newest(self) -> Saved | None:
        """The newest state that is whole; None where none was saved yet.

        Damaged ones are passed over, with a note.

        Raises:
            NoCheckpoint: states were saved and none is whole.
            StorageError: the folder cannot be read.
        """
        numbers = sorted(self._numbers(), reverse=True)
        if not self._was_saved(numbers):
            return None
        for number in numbers:
            try:
                return self._loaded(number)
            except _NotWhole as problem:
                note.warning("%s is passed over: %s", problem.path, problem)
        raise NoCheckpoint(f"{self.folder}: states were saved, and none of them is whole.")

    def _was_saved(self, numbers: list[int]) -> bool:
        """Whether a save ever ended: a crash in the first one leaves at most a file without its
        record."""
        return len(numbers) > 1 or any(self._record(number).exists() for number in numbers)

    def _loaded(self, number: int) -> Saved:
        """One state, after looking at every byte of it."""
        from clrun.records.state_file import Damaged, read_state

        path, record, content = self._data(number), *self._whole(number)
        try:
            state = read_state(content)
        except Damaged as error:
            raise _NotWhole(path, f"cannot be read: {error}") from error
        return Saved(number=number, state=state, facts=record["facts"])

    def _whole(self, number: int) -> tuple[dict[str, Any], bytes]:
        """A state's record, and its file as it was written."""
        path, record = self._data(number), self._read_record(number)
        content = _read(path, record["bytes"])
        if len(content) != record["bytes"]:
            raise _NotWhole(path, f"has {len(content)} bytes or more instead of {record['bytes']}")
        if hashlib.sha256(content).hexdigest() != record["sha256"]:
            raise _NotWhole(path, "its content changed after it was written")
        return record, content

    def _is_whole(self, number: int) -> bool:
        """Whether a state is as it was written; one of an earlier process is looked at once."""
        if number not in self._looked_at:
            try:
                self._whole(number)
                self._looked_at[number] = True
            except _NotWhole:
                self._looked_at[number] = False
        return self._looked_at[number]

    def _read_record(self, number: int) -> dict[str, Any]:
        path = self._record(number)
        content = _read(path, LARGEST_RECORD)
        try:
            record = json.loads(content)
            fields = [record[field] for field in ("bytes", "sha256", "facts", "format")]
            is_whole = content == _record_text(number, *fields)
            size, _, _, form = fields
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _NotWhole(path, "is no record of a state") from error
        if not is_whole or not isinstance(size, int):
            raise _NotWhole(path, "its content changed after it was written")
        if form != FORMAT:
            raise _NotWhole(path, f"its format is {form}, and {FORMAT} can be read")
        return cast(dict[str, Any], record)

    def _prune(self) -> None:
        """Remove all but the newest valid states; what cannot be removed stays."""
        try:
            numbers = sorted(self._numbers(), reverse=True)
        except StorageError as error:
            note.warning("no older state is removed: %s", error)
            return
        kept = set(islice(filter(self._is_whole, numbers), self.keep))
        for number in set(numbers) - kept:
            _remove(self._record(number))
            _remove(self._data(number))

    def _numbers(self) -> set[int]:
        """The numbers of all states that have left a file."""
        if not self.folder.is_dir():
            return set()
        with storage_errors(self.folder):
            found = map(_NAME.fullmatch, os.listdir(self.folder))
            return {int(name[1]) for name in found if name}

    def _data(self, number: int) -> Path:
        return self.folder / f"state-{number:09}.safetensors"

    def _record(self, number: int) -> Path:
        return self.folder / f"state-{number:09}.json"


_NAME = re.compile(r"state-(\d{9})\.(?:safetensors|json)", re.ASCII)


class _NotWhole(Exception):
    """A file is not as it was written."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def _write_data(path: Path, state: Mapping[str, Any]) -> tuple[int, str]:
    """Write the state's file; its size and checksum."""
    from clrun.records.state_file import CannotBeSaved, write_state

    size, digest = 0, hashlib.sha256()
    with whole_file(path) as write:

        def write_and_sum(piece: memoryview) -> None:
            nonlocal size
            size += len(piece)
            digest.update(piece)
            write(piece)

        try:
            write_state(state, write_and_sum)
        except CannotBeSaved as error:
            raise Unsavable(str(error)) from error
    return size, digest.hexdigest()


def _record_text(
    number: int, size: int, digest: str, facts: Mapping[str, Any], form: int = FORMAT
) -> bytes:
    """The record's content: a change of any of its bytes shows, by its own checksum or its form."""
    fields = {
        **{"format": form, "number": number, "bytes": size, "sha256": digest},
        "facts": dict(facts),
    }
    checksum = hashlib.sha256(json.dumps(fields, allow_nan=False).encode()).hexdigest()
    text = json.dumps({**fields, "record_sha256": checksum}, indent=2, allow_nan=False)
    return f"{text}\n".encode()


def _read(path: Path, most: int) -> bytes:
    """The content of a regular file, and one byte more than `most` where it has more."""
    try:
        with open_unlinked(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > most:
                raise _NotWhole(path, f"has {size} bytes, and may have {most}")
            return file.read()
    except OSError as error:
        raise _NotWhole(path, error.strerror or str(error)) from error


def _remove(path: Path) -> None:
    """Remove a file that is of no use any more; a state is not lost because that fails."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        note.warning("%s cannot be removed: %s", path, error.strerror or error)
