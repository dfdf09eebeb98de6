import os
import signal
import subprocess
import sys

from clrun.images.locks import locked

HOLD = """
import sys, time
from pathlib import Path
from clrun.images.locks import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_leaves_no_file(tmp_path):
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").exists()

    assert not list(tmp_path.iterdir())


def test_a_lock_dies_with_its_holder_and_the_waiting_one_is_told_meanwhile(tmp_path):
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
