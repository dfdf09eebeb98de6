"""What a storage policy or a selection of a user's own answers, looked at before it is followed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from clrun.errors import ClrunError


class Asked(NamedTuple):
    """A question for row numbers."""

    of: object
    """the policy or selection"""
    method: str
    rows: int
    """how many there are: numbers are below that"""
    most: int
    exact: bool
    """as many as `most` are wanted, not fewer"""

    def answer(self, given: object) -> Tensor:
        """The row numbers that were given. [n] int64

        Ours are not looked at: tests do, and an online memory asks at every update.

        Raises:
            ClrunError: they are no row numbers, are wrong or too many, or one comes twice.
        """
        if type(self.of).__module__.startswith("clrun.") and isinstance(given, Tensor):
            return given
        problem = self._problem(given)
        if problem is not None or not isinstance(given, Tensor):
            raise ClrunError(f"{self._name} gives {problem}.")
        return given.cpu()

    @property
    def _name(self) -> str:
        cls = type(self.of)
        return f"{cls.__module__}:{cls.__qualname__}.{self.method}(...)"

    def _problem(self, given: object) -> str | None:
        if not isinstance(given, Tensor):
            return f"a {type(given).__name__}; it must give row numbers in a tensor [n] int64"
        if given.dtype != torch.int64 or given.dim() != 1:
            kind = str(given.dtype).removeprefix("torch.")
            return f"a tensor {list(given.shape)} {kind}; it must give row numbers [n] int64"
        if len(given) > self.most or (self.exact and len(given) < self.most):
            return f"{len(given)} rows; it must give {'' if self.exact else 'at most '}{self.most}"
        numbers, times = given.unique(return_counts=True)  # sorted
        if len(given) and not 0 <= int(numbers[0]) <= int(numbers[-1]) < self.rows:
            wrong = int(numbers[0]) if int(numbers[0]) < 0 else int(numbers[-1])
            return f"the row number {wrong}; there are {self.rows} rows, counted from 0"
        if len(numbers) < len(given):
            return f"the row {int(numbers[times > 1][0])} twice; it must give each row once"
        return None
