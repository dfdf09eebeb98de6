"""A process with torch loaded: `clrun` on a page is a child of it, there within milliseconds.

`python -m doc_blocks.warm SOCKET` serves until its standard input ends. A client sends one line of
JSON (what, words, folder, environment) with its three standard files, and gets two lines: the
number of the child and its exit code. Nothing is computed here, so that there are no threads.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

LOADED = (
    *("clrun.cli.job", "clrun.cli.hydra_app", "clrun.cli.own_sweep", "clrun.cli.profile_job"),
    *(
        "clrun.cli.preview",
        "clrun.compare.compared",
        "clrun.console.display",
        "clrun.watch.entries",
    ),
    *(
        "clrun.report.page",
        "clrun.report.run_page",
        "clrun.report.sweep_page",
        "clrun.sweep.holder",
    ),
    *("clrun.strategies.learner", "clrun.records.state_file", "hydra._internal.logging_config"),
)
ADDRESS = "CLRUN_OF_PAGES"
"""Environment variable of a page's commands: where this process listens."""

CHECKS = "CLRUN_IS_CHECKED"
"""Environment variable: the words are checked, and nothing is done."""

CLIENT = """\
#!{python} -IS
import json, os, signal, socket, sys
link = socket.socket(socket.AF_UNIX)
link.connect(os.environ["{address}"])
asked = {{"what": "clrun", "words": sys.argv[1:], "folder": os.getcwd(), "env": dict(os.environ)}}
socket.send_fds(link, [b"\\n"], [0, 1, 2])
link.sendall(json.dumps(asked).encode() + b"\\n")
answers = link.makefile()
child = int(answers.readline())
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, lambda number, _: os.kill(child, number))
sys.exit(int(answers.readline() or 1))
"""


@contextmanager
def warm(folder: Path) -> Any:
    """A process that serves, with a `clrun` in `folder`/bin that asks it; where it listens."""
    address = folder / "socket"
    client = folder / "bin" / "clrun"
    client.parent.mkdir(parents=True)
    client.write_text(CLIENT.format(python=sys.executable, address=ADDRESS), encoding="utf-8")
    client.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-m", "doc_blocks.warm", str(address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        start_new_session=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        if not server.stdout.readline():
            raise RuntimeError("the process that runs the pages' commands did not start.")
        yield address
    finally:
        server.stdin.close()
        server.stdout.close()
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def ask(address: Path, request: Mapping[str, Any], files: tuple[int, int, int]) -> socket.socket:
    """Let a child do something; the connection on which it says its number, and its exit code."""
    link = socket.socket(socket.AF_UNIX)
    link.connect(str(address))
    socket.send_fds(link, [b"\n"], list(files))
    link.sendall(json.dumps(request).encode() + b"\n")
    return link


def serve(address: str) -> None:
    """Serve until standard input ends."""
    for name in LOADED:
        import_module(name)
    import_module("torch").set_num_threads(1)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    print("ready", flush=True)
    while True:
        ready, _, _ = select.select([listener, 0], [], [])
        if 0 in ready:
            return
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _attend(link)
        link.close()
        while any(os.waitpid(-1, os.WNOHANG)):
            pass


def _attend(link: socket.socket) -> NoReturn:
    """Have a child do what is asked, and say how it ended; it ends with who asked."""
    _, files, _, _ = socket.recv_fds(link, 1, 3)
    text = b""
    while not text.endswith(b"\n"):
        text += link.recv(1 << 16)
    child = os.fork()
    if child == 0:
        link.close()
        _become(json.loads(text), files)
    for file in files:
        os.close(file)
    link.sendall(f"{child}\n".encode())
    ended = os.pidfd_open(child)
    if link in select.select([ended, link], [], [])[0]:
        os.kill(child, signal.SIGTERM)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        link.sendall(f"{code if code >= 0 else 128 - code}\n".encode())
    finally:
        os._exit(0)


def _become(request: Mapping[str, Any], files: list[int]) -> NoReturn:
    """Be the process that was asked for."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["env"])
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    # lines, so that those of both streams stand in the order in which they were written
    for name, number in (("stdout", 1), ("stderr", 2)):
        stream = open(number, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = ["clrun", *request["words"]]
    if request["what"] == "python":
        sys.path.insert(0, "")
        import_module("doc_blocks.namespace").serve()
        sys.exit(0)
    if CHECKS in os.environ:
        sys.exit(import_module("doc_blocks.checking").checked(request["words"]))
    sys.exit(import_module("clrun.cli.main").command())


if __name__ == "__main__":
    serve(sys.argv[1])
