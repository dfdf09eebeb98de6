from __future__ import annotations

import pytest
import torch

from clrun.device.at_once import at_once


@pytest.mark.parametrize(
    ("most", "side", "device", "expected"),
    [
        (512, 28, "cpu", 512),
        (512, 32, "cpu", 512),
        (512, 128, "cpu", 32),
        (8, 128, "cpu", 8),
        (512, 2000, "cpu", 1),
        (512, 128, "cuda", 512),
    ],
)
def test_large_images_go_together_in_smaller_numbers_on_a_cpu(most, side, device, expected):
    images = torch.empty(1, 3, side, side, dtype=torch.uint8)

    assert at_once(most, images, torch.device(device)) == expected
