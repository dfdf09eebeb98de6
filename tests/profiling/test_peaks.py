from __future__ import annotations

import os
import time

import pytest
import torch

from clrun.profiling.clocks import Clocks
from clrun.profiling.peaks import peak_bytes, rss_bytes, sampled_memory

MEGABYTE = 2**20


@pytest.mark.skipif(rss_bytes() is None, reason="the system does not show resident memory")
def test_a_phase_has_the_peak_of_what_was_held_in_it():
    clocks = Clocks()

    with sampled_memory(clocks), clocks.phase("other"):
        with clocks.phase("large"):
            held = bytearray(os.urandom(1)) * (256 * MEGABYTE)
            time.sleep(0.05)
            del held
        with clocks.phase("small"):
            time.sleep(0.05)

    large, small = clocks.phases["large"].peak_rss, clocks.phases["small"].peak_rss
    assert large is not None
    assert small is not None
    assert large - small > 200 * MEGABYTE


def test_the_peak_of_the_process_is_in_bytes_and_never_falls():
    before = peak_bytes()
    x = torch.ones(200 * 2**20, dtype=torch.uint8)
    del x

    after = peak_bytes()

    assert before > 2**24  # an interpreter with torch
    assert after >= before
