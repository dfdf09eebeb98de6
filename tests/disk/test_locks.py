import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

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


def by_hand(path: Path) -> None:
    take(path).release()


def in_a_block(path: Path) -> None:
    with locked(path):
        pass


@pytest.mark.parametrize("lock", [by_hand, in_a_block])
@pytest.mark.parametrize("plant", [os.symlink, os.link])
def test_a_link_in_a_lock_s_place_is_refused_and_what_it_leads_to_stays(lock, plant, tmp_path):
    (tmp_path / "victim").write_text("mine")
    plant(tmp_path / "victim", tmp_path / "lock")

    with pytest.raises(OSError, match="link"):
        lock(tmp_path / "lock")

    assert (tmp_path / "victim").read_text() == "mine"


@pytest.mark.parametrize("lock", [by_hand, in_a_block])
def test_a_link_in_a_lock_s_place_makes_no_file(lock, tmp_path):
    (tmp_path / "lock").symlink_to("made")

    with pytest.raises(OSError, match="is a link, which is not followed"):
        lock(tmp_path / "lock")

    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("lock", [by_hand, in_a_block])
def test_a_fifo_in_a_lock_s_place_is_refused_and_not_waited_for(lock, tmp_path):
    os.mkfifo(tmp_path / "lock")

    with pytest.raises(OSError, match="is a FIFO"):
        lock(tmp_path / "lock")
