"""Training once on the whole stream at a time: the upper bound without a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.naive import Naive


class Joint(Naive):
    """Naive training on the experiences merged into one."""

    whole_stream: ClassVar[bool] = True

    @dataclass(frozen=True, kw_only=True)
    class Config(DescentKeys):
        pass
