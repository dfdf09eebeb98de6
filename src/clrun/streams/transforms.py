"""The place of `clrun.images.transforms` until 2026: benchmarks written for it name it here."""

from clrun.images.transforms import Draws, Transform, resize

__all__ = ["Draws", "Transform", "resize"]
