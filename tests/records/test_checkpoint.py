from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import random
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from clrun.errors import ClrunError, FolderError, NoCheckpoint, StorageError
from clrun.records.checkpoint import Checkpoints


def state_of(number: int) -> dict[str, object]:
    generator = torch.Generator().manual_seed(number)
    return {
        "step": number,
        "weights": {0: torch.rand(5, 7, generator=generator), "b": torch.full((3,), number)},
        "rows": [1.5 * number, None, float("inf")],
    }


def facts_of(number: int) -> dict[str, object]:
    return {"experience": number, "device": "cpu", "names": ["ü", "b"]}


def is_state(found: object, number: int) -> bool:
    """Whether what was loaded is exactly the state with this number."""
    wanted = state_of(number)
    return (
        isinstance(found, dict)
        and list(found) == list(wanted)
        and (found["step"], found["rows"]) == (wanted["step"], wanted["rows"])
        and list(found["weights"]) == [0, "b"]
        and all(torch.equal(found["weights"][key], wanted["weights"][key]) for key in (0, "b"))
    )


def saved(folder: Path, count: int, keep: int = 2) -> Checkpoints:
    checkpoints = Checkpoints(folder, keep)
    for number in range(1, count + 1):
        checkpoints.save(state_of(number), facts_of(number))
    return checkpoints


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_a_state_and_its_facts_are_loaded_as_they_were_saved(tmp_path):
    path = saved(tmp_path / "checkpoints", 1).save(state_of(2), facts_of(2))

    found = Checkpoints(tmp_path / "checkpoints").newest()

    assert path == tmp_path / "checkpoints" / "state-000000002.safetensors"
    assert path.is_file()
    assert found is not None
    assert is_state(found.state, 2)
    assert (found.number, found.facts) == (2, facts_of(2))


@pytest.mark.parametrize(("keep", "kept"), [(1, [4]), (2, [3, 4]), (9, [1, 2, 3, 4])])
def test_the_newest_states_are_kept_and_older_ones_removed(tmp_path, keep, kept):
    saved(tmp_path, 4, keep)

    assert names(tmp_path) == sorted(
        f"state-{number:09}.{suffix}" for number in kept for suffix in ("json", "safetensors")
    )


def test_before_the_first_state_there_is_none_and_no_folder(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints")

    assert checkpoints.newest() is None
    assert names(tmp_path) == []


def test_numbers_go_on_in_another_process(tmp_path):
    saved(tmp_path, 3)

    Checkpoints(tmp_path).save(state_of(4), facts_of(4))

    found = Checkpoints(tmp_path).newest()
    assert found is not None
    assert found.number == 4


def test_a_file_is_as_open_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        path = saved(tmp_path, 0).save(state_of(1), {})
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_was_left_unfinished_is_removed_and_nothing_else(tmp_path):
    saved(tmp_path, 1)
    kept = [*names(tmp_path), "model.safetensors", ".hidden", ".state-notes", "state-1.json"]
    for name in kept[2:]:
        (tmp_path / name).write_text("")
    (tmp_path / ".state-000000002.safetensors.a1b2_c3d").write_text("half")
    (tmp_path / ".state-000000002.json.abcdefgh").write_text("")

    Checkpoints(tmp_path)

    assert names(tmp_path) == sorted(kept)


def test_what_cannot_be_saved_is_one_line_and_leaves_nothing(tmp_path):
    checkpoints = saved(tmp_path, 1)
    before = names(tmp_path)

    with pytest.raises(ClrunError, match="state/strategy/seen: a set cannot be saved") as failed:
        checkpoints.save({"strategy": {"seen": {1, 2}}}, {})

    assert failed.value.exit_code == 1
    assert names(tmp_path) == before


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "model.safetensors").write_text("mine")

    saved(tmp_path, 4)

    assert (tmp_path / "model.safetensors").read_text() == "mine"


# -- damage ----------------------------------------------------------------------------------------


def damaged(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def a_bit_flipped(chance: random.Random) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        changed = bytearray(content)
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
        return bytes(changed)

    return change


def a_zero_tail(chance: random.Random) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        keep = chance.randrange(len(content.rstrip(b"\0")))
        return content[:keep] + bytes(len(content) - keep)

    return change


DAMAGE: dict[str, Callable[[random.Random], Callable[[bytes], bytes]]] = {
    "a bit flipped": a_bit_flipped,
    "cut off": lambda chance: lambda content: content[: chance.randrange(len(content))],
    "a tail of zeros": a_zero_tail,
    "longer": lambda chance: lambda content: content + chance.randbytes(chance.randint(1, 99)),
    "a space more": lambda _: lambda content: content + b" ",
    "empty": lambda _: lambda _content: b"",
    "garbage": lambda chance: lambda content: chance.randbytes(len(content)),
    "huge header": lambda _: lambda content: (2**62).to_bytes(8, "little") + content[8:],
    "of another time": lambda _: lambda content: content.replace(b"2", b"1"),
}
CORRUPTIONS = [*DAMAGE, "gone"]


@pytest.fixture
def notes(caplog) -> Callable[[], list[str]]:
    caplog.set_level(logging.WARNING, logger="clrun.note")
    return lambda: [r.getMessage() for r in caplog.records if r.name == "clrun.note"]


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_a_damaged_newest_state_falls_back_to_the_one_before_and_says_so(
    tmp_path, kind, suffix, notes
):
    """Fifteen of each kind on each file: 300."""
    for seed in range(15):
        folder = tmp_path / str(seed)
        saved(folder, 2)
        path = folder / f"state-000000002.{suffix}"
        if kind == "gone":
            path.unlink()
        else:
            damaged(path, DAMAGE[kind](random.Random(seed)))

        found = Checkpoints(folder).newest()

        assert found is not None
        assert is_state(found.state, 1)
        assert found.facts == facts_of(1)
        assert len(notes()) == seed + 1
        assert str(path) in notes()[-1]


def test_no_whole_state_is_an_error_of_its_own_and_never_a_new_start(tmp_path):
    saved(tmp_path, 2)
    for path in tmp_path.glob("*.safetensors"):
        damaged(path, lambda content: content[:-1])

    with pytest.raises(NoCheckpoint, match="states were saved, and none of them is whole") as found:
        Checkpoints(tmp_path).newest()

    assert found.value.exit_code == 4


def test_the_only_state_damaged_is_an_error_too(tmp_path):
    saved(tmp_path, 1)
    (tmp_path / "state-000000001.safetensors").unlink()

    with pytest.raises(NoCheckpoint):
        Checkpoints(tmp_path).newest()


def test_a_first_save_that_a_crash_ended_is_no_state(tmp_path, notes):
    saved(tmp_path, 1)
    (tmp_path / "state-000000001.json").unlink()

    assert Checkpoints(tmp_path).newest() is None
    assert notes() == []


@pytest.mark.parametrize("suffix", ["json", "safetensors"])
def test_a_damaged_state_does_not_count_among_those_kept(suffix, tmp_path):
    """A run that goes on saves with other `Checkpoints` than those that found its newest state."""
    saved(tmp_path, 2)
    damaged(tmp_path / f"state-000000002.{suffix}", lambda content: content[:-1])

    Checkpoints(tmp_path).save(state_of(3), facts_of(3))

    assert [name for name in names(tmp_path) if name.endswith("json")] == [
        "state-000000001.json",
        "state-000000003.json",
    ]


def a_link(path: Path) -> None:
    copy = path.parent.parent / f"copy-{path.name}"
    path.rename(copy)
    path.symlink_to(copy)


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("made", [a_link, a_pipe, a_folder])
def test_only_regular_files_are_opened(tmp_path, made, suffix, notes):
    saved(tmp_path / "checkpoints", 2)
    made(tmp_path / "checkpoints" / f"state-000000002.{suffix}")

    found = Checkpoints(tmp_path / "checkpoints").newest()

    assert found is not None
    assert is_state(found.state, 1)
    assert len(notes()) == 1


@pytest.mark.parametrize("content", ['{"a": ' * 100_000, "[]", "1", "null", "\xff", " " * 2**25])
def test_a_record_that_is_none_is_damaged(tmp_path, content, notes):
    saved(tmp_path, 2)
    (tmp_path / "state-000000002.json").write_text(content, encoding="latin-1")

    found = Checkpoints(tmp_path).newest()

    assert found is not None
    assert is_state(found.state, 1)
    assert len(notes()) == 1


def test_a_record_of_a_later_format_says_so(tmp_path, notes):
    saved(tmp_path, 2)
    path = tmp_path / "state-000000002.json"
    record = json.loads(path.read_text())
    del record["record_sha256"]
    record["format"] = 2
    checksum = hashlib.sha256(json.dumps(record).encode()).hexdigest()
    path.write_text(json.dumps({**record, "record_sha256": checksum}, indent=2) + "\n")

    Checkpoints(tmp_path).newest()

    assert "its format is 2, and 1 can be read" in notes()[0]


def test_a_folder_that_leads_elsewhere_is_refused(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    saved(elsewhere, 1)
    (elsewhere / ".state-000000002.json.abcdefgh").write_text("not ours")
    (tmp_path / "checkpoints").symlink_to(elsewhere)

    with pytest.raises(FolderError, match="checkpoints: is no folder of this run"):
        Checkpoints(tmp_path / "checkpoints")

    assert len(names(elsewhere)) == 3


def test_a_run_folder_that_vanished_is_a_storage_error(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints")

    with pytest.raises(StorageError, match=r"checkpoints: No such file or directory\."):
        checkpoints.save(state_of(1), {})


# -- a crash at every step of a save ---------------------------------------------------------------

STEPS = ("mkdir", "open", "chmod", "write", "fsync", "replace", "unlink", "close")


@contextmanager
def counted_calls(at: int, then: Callable[[], None]) -> Iterator[list[str]]:
    """Let the system calls that change the disk count themselves, and `then` come before one."""
    calls: list[str] = []
    before = {name: getattr(os, name) for name in STEPS}

    def counting(name: str) -> Callable[..., object]:
        def call(*args: object, **keywords: object) -> object:
            calls.append(name)
            if len(calls) - 1 == at:
                then()
            return before[name](*args, **keywords)

        return call

    for name in STEPS:
        setattr(os, name, counting(name))
    try:
        yield calls
    finally:
        for name, function in before.items():
            setattr(os, name, function)


def steps_of_a_save(folder: Path, count: int) -> list[str]:
    """The calls of the save that comes after so many, that of the first one includes mkdir."""
    checkpoints = saved(folder, count)
    with counted_calls(-1, lambda: None) as calls:
        checkpoints.save(state_of(count + 1), facts_of(count + 1))
    return calls


@pytest.fixture(scope="module")
def steps(tmp_path_factory) -> dict[int, list[str]]:
    folder = tmp_path_factory.mktemp("steps")
    return {count: steps_of_a_save(folder / str(count), count) for count in (0, 3)}


def test_a_save_is_on_the_disk_before_it_counts_and_older_ones_go_last(steps):
    essential = [step for step in steps[3] if step in ("write", "fsync", "replace", "unlink")]

    data, record = essential.index("replace"), len(essential) - essential[::-1].index("replace") - 1
    assert essential[data - 1 : data + 2] == ["fsync", "replace", "fsync"]
    assert essential[record - 2 : record + 2] == ["write", "fsync", "replace", "fsync"]
    assert essential[record + 2 :] == ["unlink", "unlink"]
    assert "unlink" not in essential[: record + 2]


def test_the_folder_of_the_first_state_is_on_the_disk_before_there_is_something_in_it(steps):
    essential = [step for step in steps[0] if step in ("mkdir", "write", "fsync")]

    assert essential[:3] == ["mkdir", "fsync", "write"]


def newest_number(folder: Path) -> int:
    """The number of the newest state, after looking that it is that state; 0 for none."""
    found = Checkpoints(folder).newest()
    if found is None:
        return 0
    assert is_state(found.state, found.number)
    assert found.facts == facts_of(found.number)
    return found.number


@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_an_error_at_any_step_leaves_the_old_state_or_the_new_one(tmp_path, steps, count, code):
    def fail() -> None:
        raise OSError(code, os.strerror(code))

    for at, step in enumerate(steps[count]):
        folder = tmp_path / str(at)
        checkpoints = saved(folder, count)
        failed = ""
        with counted_calls(at, fail):
            try:
                checkpoints.save(state_of(count + 1), facts_of(count + 1))
            except StorageError as error:
                failed = str(error)

        left = names(folder) if folder.exists() else []
        assert not [name for name in left if name.startswith(".")], step
        assert newest_number(folder) == (count if failed else count + 1), step
        assert os.strerror(code) in failed or step in ("unlink", "close"), step
        checkpoints.save(state_of(count + 1), facts_of(count + 1))
        Checkpoints(folder).newest()


@pytest.mark.parametrize("count", [0, 3])
def test_a_process_that_ends_at_any_step_leaves_the_old_state_or_the_new_one(
    tmp_path, steps, count
):
    """Each step in a child that ends before it, without any cleaning up."""
    reached = []
    for at, step in enumerate(steps[count]):
        folder = tmp_path / str(at)
        saved(folder, count)

        with warnings.catch_warnings(action="ignore"):  # threads, which the child has no use for
            child = os.fork()
        if child == 0:
            with counted_calls(at, lambda: os._exit(9)):
                Checkpoints(folder).save(state_of(count + 1), facts_of(count + 1))
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, step

        reached.append(newest_number(folder))
        assert reached[-1] in (count, count + 1), step
        left = names(folder) if folder.exists() else []
        assert not [name for name in left if name.startswith(".")], step

        Checkpoints(folder).save(state_of(count + 2), facts_of(count + 2))
        found = Checkpoints(folder).newest()
        assert found is not None
        assert is_state(found.state, count + 2)
    assert reached == sorted(reached)
    assert set(reached) == {count, count + 1}


def test_an_older_state_that_cannot_be_removed_is_a_warning(tmp_path, notes):
    checkpoints = saved(tmp_path, 2)
    unlink, kept = os.unlink, []

    def refuse(path: os.PathLike[str], **keywords: object) -> None:
        kept.append(path)
        raise PermissionError(errno.EPERM, "Operation not permitted")

    os.unlink = refuse
    try:
        checkpoints.save(state_of(3), facts_of(3))
    finally:
        os.unlink = unlink

    assert newest_number(tmp_path) == 3
    assert [note.split(" ", 1)[1] for note in notes()] == [
        "cannot be removed: Operation not permitted"
    ] * len(kept)


def test_a_state_larger_than_the_disk_s_room_leaves_the_one_before(tmp_path):
    program = """
import resource, sys, torch
from pathlib import Path
from clrun.errors import StorageError
from clrun.records.checkpoint import Checkpoints

checkpoints = Checkpoints(Path(sys.argv[1]))
checkpoints.save({"a": torch.ones(10)}, {})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    checkpoints.save({"a": torch.ones(100_000)}, {})
except StorageError as error:
    print(error, error.exit_code)
checkpoints.save({"a": torch.ones(20)}, {})
print(len(checkpoints.newest().state["a"]))
"""

    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )

    path = tmp_path / "state-000000002.safetensors"
    assert done.stdout == f"{path}: File too large. 5\n20\n"
    assert len(names(tmp_path)) == 4


def test_a_folder_that_cannot_be_listed_is_a_storage_error(tmp_path, monkeypatch):
    checkpoints = saved(tmp_path, 1)

    def fail(_path: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "listdir", fail)

    for use in (lambda: Checkpoints(tmp_path), checkpoints.newest):
        with pytest.raises(StorageError, match=r": Input/output error\."):
            use()
