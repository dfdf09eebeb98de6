"""Why a metric has no value: shown to the user, never replaced by 0 or NaN."""

from __future__ import annotations


class Undefined(ValueError):
    """A metric's definition does not cover these measurements; the message says why."""
