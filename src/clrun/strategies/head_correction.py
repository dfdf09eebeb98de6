"""What is done to the head when an experience is over, as it favours the classes that are new.

The classes of the first experience that has them are new in it; from the second experience on

    wa   rows of new classes, weight and bias, are multiplied by
         mean norm of the old classes' weights / mean norm of the new classes'
    bic  logits of new classes become alpha * logit + beta, by two numbers that are fitted on rows
         which were not trained on, every class with the same weight

Weight aligning is by Zhao et al. 2020, "Maintaining Discrimination and Fairness in Class
Incremental Learning", https://arxiv.org/abs/1911.07053; a bias is scaled too here, so that the
logit is. Bias correction is by Wu et al. 2019, "Large Scale Incremental Learning",
https://arxiv.org/abs/1905.13260, whose distillation is another matter: this is its second stage,
for any strategy with a memory of images. Mammoth fits with 250 epochs of Adam, FACIL with 200 of
descent and a pull of 0.05 beta^2; here it is the minimum itself, of the cross-entropy over all
classes seen and 0.0005 ((alpha - 1)^2 + beta^2), without which rows that are all told apart would
have none. Both corrections are written into the head: what is saved and exported has them, and the
next experience starts from there, where the published code trains rows that are not scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from clrun.device.rows import Rows, rows_at_once
from clrun.errors import ConfigError
from clrun.memory.table import table
from clrun.models.cosine_head import is_cosine
from clrun.models.features import head
from clrun.strategies.descent_keys import DescentKeys
from clrun.strategies.held_out import HeldOut
from clrun.strategies.strategy import Parts
from clrun.streams.experience import Experience

PULL = 0.001
"""Weight of the squared distance of alpha and beta from 1 and 0, halved."""


def require_correctable(keys: DescentKeys, model: nn.Module) -> None:
    """Refuse a head that the correction cannot be written into.

    Raises:
        ConfigError: there is none, its logits are cosines, or bic has no bias to write to.
    """
    if keys.head_correction != "none" and is_cosine(head(model)[1]):
        raise ConfigError(
            f"strategy.head_correction={keys.head_correction}: the logits of {type(model).__name__}"
            " are cosines, which have neither norms nor a bias to correct. Use "
            "strategy.head_correction=none, or a linear head."
        )
    if keys.head_correction == "bic" and (last := head(model))[1].bias is None:
        raise ConfigError(
            f"strategy.head_correction=bic: {last[0]}, the head of {type(model).__name__}, has no "
            "bias. Use strategy.head_correction=wa, or a model whose head has one."
        )


class HeadCorrection:
    """Which classes were seen, and what the head's rows of new ones are multiplied by."""

    def __init__(self, keys: DescentKeys, parts: Parts, predict: Callable[[Rows], Tensor]) -> None:
        self._keys, self._parts, self._predict = keys, parts, predict
        self.seen: list[int] = []
        """classes of the experiences that are over, ascending"""
        self.held_out = HeldOut(keys.held_out_places, parts.seed)
        self.found: dict[str, float] = {}
        """what the last correction came to, by name"""

    def left_to_learn(self, experience: Experience) -> Experience:
        """The experience without the rows that `bic` holds out of it."""
        if self._keys.head_correction != "bic":
            return experience
        return self.held_out.left(experience, self.seen)

    @torch.no_grad()
    def correct(self, experience: Experience) -> None:
        """Correct the head now that the experience is learnt."""
        new = [c for c in experience.classes if c not in self.seen]
        if self._keys.head_correction != "none" and self.seen and new:
            self._correct(new)
        self.seen = sorted({*self.seen, *experience.classes})
        if self._keys.head_correction == "bic":
            self.held_out.end(self.seen)

    def _correct(self, new: list[int]) -> None:
        last = head(self._parts.model)[1]
        if self._keys.head_correction == "wa":
            alpha, beta = _aligning(last.weight, self.seen, new), 0.0
            self.found = {"scale": alpha}
        else:
            alpha, beta = self._fitted(new)
            self.found = {"alpha": alpha, "beta": beta}
        for parameter in last.parameters(recurse=False):
            parameter[new] *= alpha
        if beta:
            last.bias[new] += beta

    def _fitted(self, new: list[int]) -> tuple[float, float]:
        """Alpha and beta by the rows that are held out; 1 and 0 where there are none."""
        rows, known = self.held_out.all, [*self.seen, *new]
        if not len(self.held_out.current) or not len(self.held_out.rows):
            return 1.0, 0.0
        size = rows_at_once(self._keys.eval_mb_size, rows.x, self._parts.device.torch)
        logits = torch.cat([self._predict(x).cpu().double() for x in rows.x.split(size)])
        place = torch.zeros(logits.shape[1], dtype=torch.int64)
        place[known] = torch.arange(len(known))
        is_new = torch.tensor([c in new for c in known])
        return fitted(logits[:, known], place[rows.y], is_new)

    def state_dict(self) -> dict[str, Any]:
        """All but rows: these are `rows_state`, which a strategy saves where it has its memory."""
        return {"seen": list(self.seen), "found": dict(self.found)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen, self.found = list(state["seen"]), dict(state["found"])

    def rows_state(self) -> dict[str, Tensor]:
        return self.held_out.rows.columns

    def load_rows(self, state: dict[str, Tensor]) -> None:
        self.held_out.rows = table(state)


def _aligning(weight: Tensor, old: list[int], new: list[int]) -> float:
    """The factor that gives new classes' weights the old ones' mean norm; 1 where they are 0."""
    norms = weight.norm(dim=1)
    ratio = float(norms[old].mean() / norms[new].mean())
    return ratio if 0 < ratio < float("inf") else 1.0


def fitted(logits: Tensor, y: Tensor, is_new: Tensor) -> tuple[float, float]:
    """Alpha and beta at the minimum, for logits [N, K] float64 of rows of the classes y [N] < K.

    The loss is convex in both: Newton's method, with steps that are halved until it falls.
    """
    weight = (1 / torch.bincount(y, minlength=logits.shape[1]).double())[y]
    weight = weight / weight.sum()
    slopes = torch.stack([logits, torch.ones_like(logits)], 2) * is_new[None, :, None]  # [N, K, 2]
    start = torch.tensor([1.0, 0.0], dtype=torch.float64)

    def loss(p: Tensor) -> Tensor:
        corrected = torch.where(is_new, p[0] * logits + p[1], logits)
        picked = corrected.log_softmax(1).gather(1, y[:, None])[:, 0]
        return -(weight * picked).sum() + PULL / 2 * (p - start).square().sum()

    p = start.clone()
    for _ in range(100):
        shares = torch.where(is_new, p[0] * logits + p[1], logits).softmax(1)
        mean = (shares[:, :, None] * slopes).sum(1)  # [N, 2]
        own = slopes[torch.arange(len(y)), y]
        gradient = (weight[:, None] * (mean - own)).sum(0) + PULL * (p - start)
        spread = torch.einsum("nk,nki,nkj->nij", shares, slopes, slopes)
        spread = spread - mean[:, :, None] * mean[:, None]
        hessian = (weight[:, None, None] * spread).sum(0) + PULL * torch.eye(2, dtype=p.dtype)
        step, now = torch.linalg.solve(hessian, gradient), loss(p)
        if gradient.norm() < 1e-10:
            break
        while loss(p - step) > now and step.norm() > 1e-12:
            step = step / 2
        p = p - step
    return float(p[0]), float(p[1])
