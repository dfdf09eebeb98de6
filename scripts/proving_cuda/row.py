"""What a part of the proof finds, and what it is given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Verdict = Literal["ok", "no", "-"]
"""`-` is a number that nothing is asked of, or something that cannot be looked at here"""


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    part: str
    what: str
    found: str
    verdict: Verdict = "-"

    def as_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def parsed(cls, line: str) -> Row | None:
        """The row of a line that `as_json` gave; None where it is another line."""
        try:
            return cls(**json.loads(line))
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True, kw_only=True)
class Where:
    """What every part is given."""

    device: str
    """cuda | cpu"""
    folder: Path
    """an empty one, for its runs"""
    data_root: Path | None
    """where Fashion-MNIST is, if it is anywhere"""

    @property
    def is_cuda(self) -> bool:
        return self.device == "cuda"


Rows = Iterator[Row]


def judged(holds: bool) -> Verdict:
    return "ok" if holds else "no"
