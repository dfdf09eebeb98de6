"""What this machine's processor and its tools can do."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux describes the processor; elsewhere PyTorch does."""
BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
"""Instructions that multiply bfloat16 numbers, as x86 and Arm processors name them."""
LISTS = ("flags", "Features")
"""The lines of /proc/cpuinfo with all instructions, on x86 and on Arm."""


def computes_bf16() -> bool:
    """Whether the processor multiplies bfloat16 numbers itself: converting each one is slow."""
    fields = _fields()
    if fields is None:
        return any(bool(_abilities().get(flag)) for flag in BF16_FLAGS)
    return any(not BF16_FLAGS.isdisjoint(fields.get(name, "").split()) for name in LISTS)


def name() -> str:
    """The processor as its maker calls it, where that is known."""
    fields = _fields() or {}
    return fields.get("model name") or str(_abilities().get("cpu_name", "cpu"))


def missing_compiler(kind: str) -> str | None:
    """What `device.compile=true` lacks on such a device, and the way out; None if nothing."""
    if kind == "mps":
        return "PyTorch's compiler is unfinished for mps. Use device.compile=false"
    if kind == "cuda" and find_spec("triton") is None:
        return "needs the package triton. Install it, or use device.compile=false"
    cxx = os.environ.get("CXX") or ("clang++" if sys.platform == "darwin" else "g++")
    if shutil.which((cxx.split() or [cxx])[0]) is None:
        return (
            f"needs a C++ compiler, and there is no {cxx}. Install one (g++), name yours in the "
            "environment variable CXX, or use device.compile=false"
        )
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "needs Python.h. Install python3-dev, or use device.compile=false"
    return None


def _abilities() -> dict[str, Any]:
    """What PyTorch knows of the processor; 2.10 does not say."""
    import torch  # here alone: what drives a sweep asks for the name

    known: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return known


def _fields() -> dict[str, str] | None:
    """The entries for the first core; None where there is no such file."""
    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    lines = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}
