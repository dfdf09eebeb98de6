"""Commands that end when their parent does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from clrun.sweep.engines.bound import bound

PARENT = """
import subprocess, sys, time
from clrun.sweep.engines.bound import bound
code = "import signal, time; print(signal.getsignal(signal.SIGUSR2), flush=True); time.sleep(60)"
child = subprocess.Popen(bound([sys.executable, "-c", code]), stdout=subprocess.PIPE, text=True)
print(child.stdout.readline().strip(), child.pid, flush=True)
time.sleep(60)
"""


def is_there(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent")
def test_a_command_ends_with_its_parent_however_that_ended_and_does_not_hear_sigusr2():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    handler, child = parent.stdout.readline().split()
    assert is_there(int(child))

    os.kill(int(child), signal.SIGUSR2)
    assert is_there(int(child))
    parent.kill()
    parent.wait()
    parent.stdout.close()

    deadline = time.monotonic() + 10
    while is_there(int(child)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert handler == "1"  # signal.SIG_IGN
    assert not is_there(int(child))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent")
def test_a_command_whose_parent_has_gone_does_not_begin():
    words = bound([sys.executable, "-c", "print('begun')"])
    words[3] = "1"  # not the process that starts it

    ran = subprocess.run(words, capture_output=True, text=True, check=False)

    assert (ran.returncode, ran.stdout) == (128 + signal.SIGTERM, "")
