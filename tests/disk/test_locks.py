import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from clrun.disk.locks import LockedElsewhere, locked, require_free, take

HOLD = """
import sys, time
from pathlib import Path
from clrun.disk.locks import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_leaves_no_file(tmp_path):
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()

    assert not list(tmp_path.iterdir())


def test_a_lock_dies_with_its_holder_and_the_waiting_one_hears_of_it_meanwhile(tmp_path):
    command = [sys.executable, "-c", HOLD, tmp_path / "lock"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        waited = []

        def kill() -> None:
            waited.append(True)
            os.kill(holder.pid, signal.SIGKILL)
            holder.wait(60)

        with locked(tmp_path / "lock", kill):
            pass

    assert waited == [True]
    assert holder.returncode == -signal.SIGKILL


COUNT = """
import sys
from pathlib import Path
from clrun.disk.locks import locked

lock, counter = Path(sys.argv[1]), Path(sys.argv[2])
for _ in range(10):
    with locked(lock):
        counter.write_text(str(int(counter.read_text()) + 1))
"""


def test_processes_that_take_a_lock_in_turn_never_meet(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNT, tmp_path / "lock", counter]

    processes = [subprocess.Popen(command) for _ in range(4)]
    codes = [process.wait(60) for process in processes]

    assert codes == [0] * 4
    assert counter.read_text() == "40"


def test_a_lock_that_is_held_is_refused_by_its_holders_name(tmp_path):
    lock = take(tmp_path / "lock")

    with pytest.raises(LockedElsewhere, match=rf"^process {os.getpid()} on .+ since 2"):
        take(tmp_path / "lock")

    lock.release()
    take(tmp_path / "lock").release()


def test_looking_at_a_lock_changes_nothing_of_it(tmp_path):
    require_free(tmp_path / "lock")
    assert not list(tmp_path.iterdir())

    lock = take(tmp_path / "lock")
    before = (tmp_path / "lock").read_bytes(), (tmp_path / "lock").stat().st_mtime_ns
    with pytest.raises(LockedElsewhere, match=f"^process {os.getpid()} on"):
        require_free(tmp_path / "lock")
    lock.release()
    require_free(tmp_path / "lock")

    assert ((tmp_path / "lock").read_bytes(), (tmp_path / "lock").stat().st_mtime_ns) == before


@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS])
def test_a_disk_without_locks_is_refused_and_no_file_takes_the_place_of_a_lock(
    number, tmp_path, monkeypatch
):
    def no_locks(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)

    with pytest.raises(OSError, match="No locks available"):
        take(tmp_path / "lock")
