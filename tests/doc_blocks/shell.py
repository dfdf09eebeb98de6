"""The terminal of a page: one bash, to which commands are given one after another."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

SECONDS = 300.0
"""What one command may take."""

BEGIN = 'set -o pipefail; scripts/run() { clrun "$@"; }'
CHECKING = """\
of_page=$PATH; PATH=${PATH%%:*}; export CLRUN_IS_CHECKED=1
cd() { :; }; command_not_found_handle() { :; }; eval() { :; }
"""
DOING = "unset -f cd command_not_found_handle eval; unset CLRUN_IS_CHECKED; PATH=$of_page\n"
LEFT = 141
"""The exit code of a pipe whose reader left, as `head` does."""


class Shell:
    """Bash in a folder. `private` is where scripts and outputs lie."""

    def __init__(self, folder: Path, private: Path, env: Mapping[str, str]) -> None:
        self._private = private
        self._count = 0
        self._codes, write = os.pipe()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env=dict(env),
            pass_fds=[write],
            start_new_session=True,
        )
        os.close(write)
        self._write = write
        self._send(BEGIN)

    def __enter__(self) -> Shell:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.close()
        os.killpg(self._bash.pid, signal.SIGKILL)
        self._bash.wait()
        os.close(self._codes)

    def run(self, text: str, *, checks: bool = False) -> tuple[int | None, str]:
        """Run a command; its exit code, None where it did not end, and what it printed.

        With `checks`, `clrun` checks its words, and other commands are passed over.
        """
        self._count += 1
        script = self._private / f"{self._count}.sh"
        output = script.with_suffix(".out")
        script.write_text(text, encoding="utf-8")
        say = f"echo $? >&{self._write}"
        before, after = (CHECKING, DOING) if checks else ("", "")
        do = f'builtin eval "$(<"{script}")" >"{output}" 2>&1 </dev/null; {say}'
        # $(<...) is read by bash itself, so that it needs no PATH
        self._send(f"{before}{do}\n{after}")
        ready, _, _ = select.select([self._codes], [], [], SECONDS)
        said = os.read(self._codes, 100) if ready else b""
        printed = output.read_text(encoding="utf-8") if output.exists() else ""
        return (int(said) if said else None), printed

    def _send(self, text: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(text.encode() + b"\n")
        self._bash.stdin.flush()
