"""Avalanche's forgetting, backward and forward transfer, as its metrics come by them.

It keeps them while a run goes on, by dictionaries that each evaluation writes to, and never sees a
matrix. Written from its documented behaviour (Avalanche 0.6).
"""

from __future__ import annotations

from collections.abc import Sequence


class Evaluator:
    """Is told of every evaluation of an experience, with the experience that was learnt last."""

    def __init__(self) -> None:
        self.at_first: dict[int, float] = {}
        """accuracy in the very first evaluation, before training"""
        self.when_learnt: dict[int, float] = {}
        self.last: dict[int, float] = {}
        self.just_before: dict[int, float] = {}
        """accuracy when the experience before was learnt last"""
        self.matrix: list[list[float]] = []

    def evaluated(self, learnt: int | None, accuracies: Sequence[float]) -> None:
        """An evaluation of the whole stream after learning this experience, or none yet."""
        self.last = {}
        if learnt is not None:
            self.matrix.append([])
        for experience, accuracy in enumerate(accuracies):
            if learnt is None:
                self.at_first[experience] = accuracy
                continue
            self.matrix[-1].append(accuracy)
            if learnt == experience:
                self.when_learnt[experience] = accuracy
            else:
                self.last[experience] = accuracy
            if learnt == experience - 1:
                self.just_before[experience] = accuracy

    def forgetting(self, experience: int) -> float | None:
        """None unless it was evaluated when it was learnt and again, in the last evaluation."""
        if experience not in self.when_learnt or experience not in self.last:
            return None
        return self.when_learnt[experience] - self.last[experience]

    def stream_forgetting(self) -> float:
        """The mean over those experiences that have one, 0 if none has."""
        found = [self.forgetting(experience) for experience in self.when_learnt]
        known = [value for value in found if value is not None]
        return sum(known) / len(known) if known else 0.0

    def stream_bwt(self) -> float:
        """The same with the other sign."""
        return -self.stream_forgetting()

    def stream_forward_transfer(self) -> float:
        """The mean over experiences that were evaluated when the one before was learnt."""
        gains = [value - self.at_first[k] for k, value in self.just_before.items()]
        return sum(gains) / len(gains) if gains else 0.0
