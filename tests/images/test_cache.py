import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch

from clrun.disk.fingerprints import fingerprint
from clrun.disk.folders import user_cache
from clrun.errors import ConfigError, StorageError
from clrun.images import cache as cache_module
from clrun.images.cache import cache_folder, cached_images, cached_rows

SHAPE = (1, 2, 3)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def files(tmp_path) -> list[Path]:
    """100 files of six bytes each."""
    (tmp_path / "data").mkdir()
    paths = [tmp_path / "data" / f"{k:03}" for k in range(100)]
    for k, path in enumerate(paths):
        path.write_bytes(bytes([k] * 6))
    return paths


def read(path: Path) -> np.ndarray:
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(SHAPE)


def copied_over(file: Path) -> None:
    """A copy takes the file's place, as it does when a folder is fetched anew."""
    shutil.copy2(file, file.with_name("copy"))
    file.with_name("copy").replace(file)


BUILD = """
import resource, sys, time
from pathlib import Path
import numpy as np
from clrun.errors import StorageError
from clrun.images.cache import cached_images

folder, log, largest_file = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def decode(path):
    with log.open("a") as file:
        file.write(path.name + " ")
    time.sleep(0.01)
    return np.frombuffer(path.read_bytes(), np.uint8).reshape(1, 2, 3)

log.write_text("")
resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
try:
    cached_images("test", sorted(folder.iterdir()), (1, 2, 3), decode)
except StorageError as error:
    sys.exit(str(error))
"""


def building(files: list[Path], log: Path, largest_file: int = 1 << 20) -> subprocess.Popen[str]:
    """A process that builds the cache slowly, notes what it decodes and has a small disk."""
    command = [sys.executable, "-c", BUILD, files[0].parent, log, str(largest_file)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def expected(files: list[Path]) -> torch.Tensor:
    return torch.stack([torch.full(SHAPE, k, dtype=torch.uint8) for k in range(len(files))])


def contents(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_row_i_is_file_i_decoded(files):
    rows = cached_images("test", files, SHAPE, read)

    assert torch.equal(rows.read(), expected(files))


def keeping_times(file: Path, change: Callable[[Path], object]) -> None:
    """Change a file as an archive or `cp -p` does: its size and time stay."""
    seen = file.stat()
    change(file)
    os.utime(file, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def test_a_second_call_opens_no_file(files, monkeypatch):
    cached_images("test", files, SHAPE, read)

    with monkeypatch.context() as patch:
        patch.setattr(cache_module, "contents_of", None)
        patch.setattr(cache_module, "content_of", None)
        rows = cached_images("test", files, SHAPE, None)

    assert torch.equal(rows.read(), expected(files))


def test_new_pixels_of_the_same_size_and_time_are_read(files, cache):
    cached_images("test", files, SHAPE, read)
    keeping_times(files[3], lambda file: file.write_bytes(bytes([77] * 6)))

    rows = cached_images("test", files, SHAPE, read)

    assert rows.read()[3].unique().tolist() == [77]
    assert len(list(cache.iterdir())) == 1  # in the place of the old ones
    assert torch.equal(cached_images("test", files, SHAPE, None).read(), rows.read())


@pytest.mark.parametrize("touch", [lambda file: file.chmod(0o600), copied_over])
def test_touched_files_that_hold_the_same_are_read_once_and_not_decoded(files, touch, monkeypatch):
    cached_images("test", files, SHAPE, read)
    for file in files:
        keeping_times(file, touch)

    rows = cached_images("test", files, SHAPE, None)

    assert torch.equal(rows.read(), expected(files))
    monkeypatch.setattr(cache_module, "contents_of", None)
    assert torch.equal(cached_images("test", files, SHAPE, None).read(), expected(files))


def test_an_interrupted_change_of_the_rows_leaves_nothing_that_is_trusted(files, cache):
    cached_images("test", files, SHAPE, read)
    old = files[3].read_bytes()
    keeping_times(files[3], lambda file: file.write_bytes(b"short!"))

    def interrupted(path: Path) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached_images("test", files, SHAPE, interrupted)
    keeping_times(files[3], lambda file: file.write_bytes(old))

    assert "manifest.json" not in contents(cache)
    assert torch.equal(cached_images("test", files, SHAPE, read).read(), expected(files))


def test_a_touched_archive_is_decoded_again(files):
    items = list(range(len(files)))

    def member(item: int) -> np.ndarray:
        return read(files[item])

    cached_rows("test", fingerprint(files[:1]), items, SHAPE, member, names="abc")
    keeping_times(files[0], lambda file: file.write_bytes(bytes([9] * 6)))

    rows = cached_rows("test", fingerprint(files[:1]), items, SHAPE, member, names="abc")

    assert rows.read()[0].unique().tolist() == [9]


def rewrite(files):
    files[3].write_bytes(bytes([77] * 6))
    os.utime(files[3], ns=(1, 1))


@pytest.mark.parametrize(
    ("key", "change"),
    [
        pytest.param("other", lambda files: None, id="decoded in another way"),
        pytest.param("test", rewrite, id="a file was rewritten"),
        pytest.param("test", lambda files: files.pop(), id="a file was taken away"),
        pytest.param("test", lambda files: files.reverse(), id="another order"),
    ],
)
def test_rows_of_something_else_are_not_reused(files, key, change):
    cached_images("test", files, SHAPE, read)
    change(files)

    rows = cached_images(key, files, SHAPE, read)

    assert torch.equal(rows.read(), torch.stack([torch.tensor(read(path)) for path in files]))


def test_the_file_is_one_that_numpy_opens_and_the_manifest_says_what_it_holds(files, cache):
    cached_images("test", files, SHAPE, read)

    (folder,) = cache.iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert np.array_equal(np.load(folder / "rows.npy", mmap_mode="r"), expected(files).numpy())
    assert (manifest["count"], manifest["shape"]) == (100, [1, 2, 3])
    assert contents(cache) == {"rows.npy", "manifest.json"}


@pytest.mark.parametrize("damage", ["no manifest", "half a manifest", "another version", "cut"])
def test_what_is_not_whole_is_built_again(files, cache, damage):
    cached_images("test", files, SHAPE, read)
    (folder,) = cache.iterdir()
    manifest = folder / "manifest.json"
    with (folder / "rows.npy").open("r+b") as file:  # so that it shows where they are reused
        file.seek(-1, os.SEEK_END)
        file.write(bytes([255 - int(expected(files)[-1].flatten()[-1])]))
    if damage == "no manifest":
        manifest.unlink()
    elif damage == "half a manifest":
        manifest.write_text(manifest.read_text()[:30])
    elif damage == "another version":
        manifest.write_text(manifest.read_text().replace('"version": 2', '"version": 1'))
    else:
        os.truncate(folder / "rows.npy", 300)

    rows = cached_images("test", files, SHAPE, read)

    assert torch.equal(rows.read(), expected(files))


def test_progress_is_counted_in_images_up_to_the_end(files):
    reported = []

    def note(name, done, total, /, *, unit="bytes"):
        reported.append((name, done, total, unit))

    cached_images("test", files, SHAPE, read, note)

    assert reported[-1] == ("building the image cache", 100, 100, "images")


def test_a_failure_to_decode_comes_out_and_leaves_no_file(files, cache):
    files[70].write_bytes(b"short")

    with pytest.raises(ValueError, match="reshape"):
        cached_images("test", files, SHAPE, read)

    assert contents(cache) == set()


def test_two_processes_on_a_cold_cache_decode_each_file_once(files, tmp_path):
    logs = [tmp_path / "log1", tmp_path / "log2"]

    with building(files, logs[0]) as first, building(files, logs[1]) as second:
        assert (first.wait(60), second.wait(60)) == (0, 0)

    decoded = [name for log in logs for name in log.read_text().split()]
    assert sorted(decoded) == [path.name for path in files]


def test_a_process_killed_half_way_leaves_nothing_that_is_trusted(files, cache, tmp_path):
    log = tmp_path / "log"
    with building(files, log) as process:
        while process.poll() is None and not (log.exists() and len(log.read_text()) > 4 * 70):
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert "manifest.json" not in contents(cache)

    rows = cached_images("test", files, SHAPE, read)

    assert torch.equal(rows.read(), expected(files))
    assert contents(cache) == {"rows.npy", "manifest.json"}


def test_a_full_disk_is_told_in_one_line_and_leaves_nothing(files, cache, tmp_path):
    with building(files, tmp_path / "log", largest_file=400) as process:
        message = process.communicate(timeout=60)[1]

    assert message.endswith("rows.npy: File too large.\n")
    assert message.count("\n") == 1
    assert contents(cache) == set()


def test_more_than_the_disk_has_is_refused_before_decoding(files, cache):
    with pytest.raises(StorageError, match=r"to be written.*CLRUN_CACHE"):
        cached_rows("test", fingerprint(files), files, (10**9, 10**3, 10**3), read)

    assert contents(cache) == set()


def test_a_folder_that_cannot_be_is_told_with_the_variable_that_names_it(files, cache):
    cache.write_text("a file")

    with pytest.raises(ConfigError, match=rf"CLRUN_CACHE={cache}: .*Not a directory"):
        cached_images("test", files, SHAPE, read)


def test_the_folder_is_the_users_unless_the_environment_says_otherwise(monkeypatch):
    monkeypatch.setenv("CLRUN_CACHE", "~/elsewhere")
    chosen = cache_folder()

    monkeypatch.delenv("CLRUN_CACHE")

    assert (chosen, cache_folder()) == (Path.home() / "elsewhere", user_cache() / "images")


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-7] ^= 1
    file.write_bytes(content)


def test_a_flipped_byte_is_noticed_and_the_rows_are_built_again(files, cache, caplog):
    rows = cached_images("test", files, SHAPE, read).file.path
    keeping_times(rows, flip_a_byte)

    again = cached_images("test", files, SHAPE, read)

    assert torch.equal(again.read(), expected(files))
    assert [r.getMessage() for r in caplog.records] == [
        f"{rows} is not what was written there, and is built again."
    ]
    assert caplog.records[0].name == "clrun.note"


def test_a_flipped_byte_in_a_copied_cache_is_noticed(files, cache, monkeypatch, tmp_path):
    rows = cached_images("test", files, SHAPE, read).file.path
    keeping_times(rows, flip_a_byte)
    shutil.copytree(cache, tmp_path / "copy")
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "copy"))

    assert torch.equal(cached_images("test", files, SHAPE, read).read(), expected(files))


def test_rows_are_read_for_their_checksum_once_for_each_state_of_their_file(
    files, cache, monkeypatch
):
    rows = cached_images("test", files, SHAPE, read).file.path
    looked = []
    digest = cache_module.file_digest

    def counted(path: Path, algorithm: str) -> str:
        looked.append(path)
        return digest(path, algorithm)

    monkeypatch.setattr(cache_module, "file_digest", counted)

    for _ in range(2):
        cached_images("test", files, SHAPE, None)
    assert looked == []  # as it was written

    copied_over(rows)
    for _ in range(2):
        cached_images("test", files, SHAPE, None)
    assert looked == [rows]


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["a FIFO", "a folder"])
@pytest.mark.parametrize("name", ["manifest.json", "rows.npy"])
def test_what_is_no_file_in_a_cache_is_never_waited_for(files, cache, make, name):
    folder = cached_images("test", files, SHAPE, read).file.path.parent
    (folder / name).unlink()
    make(folder / name)

    outcome = nullcontext()
    if make is Path.mkdir:  # nothing of ours, so it is not taken away
        outcome = pytest.raises(StorageError, match=re.escape(str(folder / name)))
    with outcome:
        assert torch.equal(cached_images("test", files, SHAPE, read).read(), expected(files))


def test_a_planted_part_is_not_written_through(files, cache, tmp_path):
    folder = cached_images("test", files, SHAPE, read).file.path.parent
    (folder / "manifest.json").unlink()
    (tmp_path / "victim").write_text("mine")
    (folder / "rows.part").symlink_to(tmp_path / "victim")

    with pytest.raises(StorageError, match=r"rows\.npy: is a link, which is not followed"):
        cached_images("test", files, SHAPE, read)

    assert (tmp_path / "victim").read_text() == "mine"
