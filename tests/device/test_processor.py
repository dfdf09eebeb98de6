from __future__ import annotations

import sys

import pytest
import torch

from clrun.device import processor
from clrun.device.processor import computes_bf16, missing_compiler, name

X86 = "processor\t: {n}\nmodel name\t: Old Xeon\nflags\t\t: fpu sse2 avx2 {flags}\n\n"
ARM = "processor\t: {n}\nFeatures\t: fp asimd {flags}\nCPU part\t: 0xd0c\n\n"


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """Have Linux say this of two cores."""

    def write(core: str, flags: str) -> None:
        path = tmp_path / "cpuinfo"
        path.write_text("".join(core.format(n=n, flags=flags) for n in range(2)))
        monkeypatch.setattr(processor, "CPUINFO", path)

    return write


@pytest.mark.parametrize(
    ("core", "flags", "native"),
    [
        (X86, "avx512f avx512_vnni", False),
        (X86, "avx512_bf16", True),
        (X86, "amx_bf16 amx_tile", True),
        (ARM, "asimddp", False),
        (ARM, "asimddp bf16", True),
        (X86, "", False),
    ],
)
def test_native_bf16_is_read_from_the_processors_flags(cpuinfo, core, flags, native):
    cpuinfo(core, flags)

    assert computes_bf16() == native


def test_without_the_file_pytorch_tells_of_bf16_and_of_the_name(tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "none")
    abilities = getattr(torch.cpu, "get_capabilities", dict)()  # 2.10 has none

    assert computes_bf16() == any(bool(abilities.get(f)) for f in processor.BF16_FLAGS)
    assert name()


def test_the_processor_is_named_as_its_maker_does(cpuinfo):
    cpuinfo(X86, "")

    assert name() == "Old Xeon"


@pytest.mark.skipif(sys.platform == "darwin", reason="the compiler is clang++ there")
def test_a_missing_compiler_is_told_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)

    missing = missing_compiler("cpu")

    assert missing is not None
    assert missing.startswith("needs a C++ compiler, and there is no g++.")
    assert "CXX" in missing
    assert "device.compile=false" in missing


def test_the_compiler_that_the_environment_names_is_the_one_looked_for(tmp_path, monkeypatch):
    (tmp_path / "mycxx").write_text("#!/bin/sh\n")
    (tmp_path / "mycxx").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    monkeypatch.setenv("CXX", "mycxx -O2")
    found = missing_compiler("cpu")
    monkeypatch.setenv("CXX", "theirs")
    missing = missing_compiler("cpu")

    assert found is None or "Python.h" in found
    assert "there is no theirs" in str(missing)


def test_headers_of_python_are_needed_too(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", sys.executable)
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))

    missing = missing_compiler("cpu")

    assert missing == "needs Python.h. Install python3-dev, or use device.compile=false"
