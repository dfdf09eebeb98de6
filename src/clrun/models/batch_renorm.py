"""Batch renormalisation: batch normalisation that trusts its running statistics while training.

Ioffe 2017 (https://arxiv.org/abs/1702.03275, algorithm 1), with AR1's schedule: the bounds r_max
and d_max rise with every pattern seen. What differs from the code AR1 was published with: all state
is in the state dict, the running standard deviation includes eps as the minibatch's does, and the
rising bounds stop exactly at their caps.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import batch_norm

SCHEDULE = ("r_max", "d_max", "momentum", "r_d_max_inc_step")
"""Buffers that no other layout of these layers has."""
NO_EPS = torch.finfo(torch.float32).tiny
"""Lost in any sum with a variance that is larger than 1e-30: PyTorch 2.10 and 2.11 refuse 0."""


class BatchRenorm2D(nn.Module):
    """Normalise each channel of [B, C, H, W]; y = gamma * ((x - mean) / std * r + d) + beta.

    r = std / running_avg_std within [1/r_max, r_max] and d = (mean - running_avg_mean) /
    running_avg_std within [-d_max, d_max] are constants of the backward pass. `momentum` is the
    weight of the minibatch in the running statistics, `r_d_max_inc_step` what each row adds to
    r_max and d_max up to `max_r_max` and `max_d_max`; a bound set beyond its cap stays. Evaluation,
    and a minibatch with a single value per channel, use the running statistics and change nothing.
    """

    only_written: ClassVar[tuple[str, ...]] = ("corrected",)
    running_avg_mean: Tensor
    running_avg_std: Tensor
    """[C] includes eps: sqrt(variance + eps)"""
    r_max: Tensor
    d_max: Tensor
    momentum: Tensor
    r_d_max_inc_step: Tensor

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.01,
        r_d_max_inc_step: float = 1e-4,
        r_max: float = 1.0,
        d_max: float = 0.0,
        max_r_max: float = 3.0,
        max_d_max: float = 5.0,
    ) -> None:
        super().__init__()
        self.num_features, self.eps = num_features, eps
        self.max_r_max, self.max_d_max = max_r_max, max_d_max
        self.gamma = nn.Parameter(torch.ones(num_features))
        self.beta = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_avg_mean", torch.zeros(num_features))
        self.register_buffer("running_avg_std", torch.ones(num_features))
        for name, value in zip(SCHEDULE, (r_max, d_max, momentum, r_d_max_inc_step), strict=True):
            self.register_buffer(name, torch.tensor(float(value)))
        self.corrected: tuple[Tensor, Tensor] | None = None
        """r and d of the last minibatch, [C] each"""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or x.numel() <= x.shape[1]:  # one value has no variance
            variance = self.running_avg_std.square()
            return batch_norm(x, self.running_avg_mean, variance, self.gamma, self.beta, eps=NO_EPS)
        mean, var, r, d = self._observe(x)
        if not torch.compiler.is_compiling():
            self.corrected = r, d
        return _Renormalise.apply(x, self.gamma, self.beta, mean, var, r, d, self.eps)

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What evaluation multiplies each channel with and then adds, [C] each."""
        scale = self.gamma / self.running_avg_std
        return scale, self.beta - self.running_avg_mean * scale

    def _observe(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean, variance, r and d of a minibatch, [C] each; then the running values move on."""
        schedule = (self.r_max, self.d_max, self.momentum, self.r_d_max_inc_step)
        running = (self.running_avg_mean, self.running_avg_std)
        options = (self.eps, self.max_r_max, self.max_d_max)
        observe = _observed_in_graph if torch.compiler.is_compiling() else _observed
        with torch.no_grad():
            return observe(x.detach(), *running, *schedule, *options)

    def extra_repr(self) -> str:
        caps = f"max_r_max={self.max_r_max}, max_d_max={self.max_d_max}"
        return f"{self.num_features}, eps={self.eps}, {caps}"

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Also takes the tensors of torch's BatchNorm2d, and gamma and beta as [1, C, 1, 1]."""
        if f"{prefix}running_var" in state_dict:
            self._translate_batch_norm(state_dict, prefix)
        elif f"{prefix}gamma" in state_dict and state_dict[f"{prefix}gamma"].dim() == 4:
            self._translate_reference(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def _translate_batch_norm(self, state: dict[str, Any], prefix: str) -> None:
        names = {"weight": "gamma", "bias": "beta", "running_mean": "running_avg_mean"}
        for theirs, ours in names.items():
            if f"{prefix}{theirs}" in state:
                state[f"{prefix}{ours}"] = state.pop(f"{prefix}{theirs}")
        variance = state.pop(f"{prefix}running_var")
        state[f"{prefix}running_avg_std"] = (variance + self.eps).sqrt()
        state.pop(f"{prefix}num_batches_tracked", None)
        self._keep_schedule(state, prefix)

    def _translate_reference(self, state: dict[str, Any], prefix: str) -> None:
        for name in ("gamma", "beta", "running_avg_mean", "running_avg_std"):
            if f"{prefix}{name}" in state:
                state[f"{prefix}{name}"] = state[f"{prefix}{name}"].flatten()
        std = f"{prefix}running_avg_std"
        if std in state:  # converted there without eps, so it may be 0
            state[std] = state[std].clamp(min=self.eps**0.5)
        self._keep_schedule(state, prefix)

    def _keep_schedule(self, state: dict[str, Any], prefix: str) -> None:
        for name in SCHEDULE:
            state.setdefault(f"{prefix}{name}", getattr(self, name))


BOUND = 1e-3
"""As near to a bound is at it."""


def _observed(
    x: Tensor,
    running_mean: Tensor,
    running_std: Tensor,
    r_max: Tensor,
    d_max: Tensor,
    momentum: Tensor,
    inc_step: Tensor,
    eps: float,
    max_r_max: float,
    max_d_max: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, var = _moments(x, dtype=running_mean.dtype)
    std = (var + eps).sqrt()
    r = (std / running_std).clamp(1 / r_max, r_max)
    d = ((mean - running_mean) / running_std).clamp(-d_max, d_max)
    running_mean.lerp_(mean, momentum)
    running_std.lerp_(std, momentum)
    step = inc_step * len(x)
    for bound, cap in ((r_max, max_r_max), (d_max, max_d_max)):
        bound.copy_(torch.maximum(bound, (bound + step).clamp(max=cap)))
    return mean, var, r, d


# one operation of the graph: taken apart, the backward pass of a compiled model would compute r
# and d afresh, from statistics that have moved on
_observed_in_graph = torch.library.custom_op(
    "clrun::observed",
    _observed,
    mutates_args=("running_mean", "running_std", "r_max", "d_max"),
)


@_observed_in_graph.register_fake
def _(x: Tensor, running_mean: Tensor, *rest: Tensor | float) -> tuple[Tensor, ...]:
    return tuple(torch.empty_like(running_mean) for _ in range(4))


class _Renormalise(torch.autograd.Function):
    """gamma * ((x - mean) / std * r + d) + beta in one pass, keeping x and vectors of C.

    It is batch normalisation with scale gamma * r and shift gamma * d + beta, in both directions.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        gamma: Tensor,
        beta: Tensor,
        mean: Tensor,
        var: Tensor,
        r: Tensor,
        d: Tensor,
        eps: float,
    ) -> Tensor:
        ctx.save_for_backward(x, gamma, mean, var, r, d)
        ctx.eps = eps
        scale, shift = gamma * r, torch.addcmul(beta, gamma, d)
        return batch_norm(x, mean, var, scale, shift, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, mean, var, r, d = ctx.saved_tensors
        to_x, to_gamma, to_beta = ctx.needs_input_grad[:3]
        dx, dscale, dshift = torch.ops.aten.native_batch_norm_backward(
            *(dy, x, gamma * r, mean, var, mean, (var + ctx.eps).rsqrt(), True, ctx.eps),
            [to_x, to_gamma, to_gamma or to_beta],
        )
        dgamma = torch.addcmul(dscale * r, dshift, d) if to_gamma else None
        return (dx if to_x else None, dgamma, dshift if to_beta else None, *[None] * 5)


def _moments(x: Tensor, *, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel, [C] in `dtype`, whatever the precision of x."""
    if x.device.type in ("cpu", "cuda"):
        unused = torch.zeros(2, x.shape[1], dtype=dtype, device=x.device)  # they set the precision
        mean, var = torch.batch_norm_update_stats(x, unused[0], unused[1], 0.0)
        return mean, var
    var, mean = torch.var_mean(x.to(dtype), dim=(0, 2, 3), correction=0)
    return mean, var


@torch.no_grad()
def renormalisation(model: nn.Module) -> dict[str, Any]:
    """The bounds of the BatchRenorm2D layers that learn, and how many of their channels were at
    them in the last minibatch: `clipped`, in [0, 1], most in `layer`. Empty without any."""
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, BatchRenorm2D) and module.training and module.corrected is not None
    }
    if not layers:
        return {}
    shares = torch.stack([_at_bounds(layer) for layer in layers.values()])
    bounds = torch.stack([torch.stack([layer.r_max, layer.d_max]) for layer in layers.values()])
    r_max, d_max = bounds.amax(0).tolist()
    most = list(layers)[int(shares.argmax())]
    return {"r_max": r_max, "d_max": d_max, "clipped": shares.mean().item(), "layer": most}


def _at_bounds(layer: BatchRenorm2D) -> Tensor:
    """The share of channels whose r or d is at its bound, which allows for something."""
    assert layer.corrected is not None
    r, d = layer.corrected
    r_max, d_max = layer.r_max * (1 - BOUND), layer.d_max * (1 - BOUND)
    is_far = ((r >= r_max) | (r <= 1 / r_max)) & (layer.r_max > 1)
    is_off = (d.abs() >= d_max) & (layer.d_max > 0)
    return (is_far | is_off).float().mean()


def change_brn_pars(model: nn.Module, *, momentum: float, r_max: float, d_max: float) -> None:
    """Set these of every BatchRenorm2D in `model`; r_max and d_max then stay constant."""
    values = dict(zip(SCHEDULE, (r_max, d_max, momentum, 0.0), strict=True))
    for module in model.modules():
        if isinstance(module, BatchRenorm2D):
            for name, value in values.items():
                getattr(module, name).fill_(value)


def replace_bn_with_brn(
    model: nn.Module,
    *,
    momentum: float = 0.1,
    r_d_max_inc_step: float = 1e-4,
    r_max: float = 1.0,
    d_max: float = 0.0,
    max_r_max: float = 3.0,
    max_d_max: float = 5.0,
) -> nn.Module:
    """Put a BatchRenorm2D with the same values in the place of every BatchNorm2d inside `model`."""
    options = {"momentum": momentum, "r_d_max_inc_step": r_d_max_inc_step}
    options |= {"r_max": r_max, "d_max": d_max, "max_r_max": max_r_max, "max_d_max": max_d_max}
    beside = next(iter([*model.parameters(), *model.buffers()]), torch.empty(0))
    made: dict[nn.Module, BatchRenorm2D] = {}  # a layer used in two places stays one layer
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, nn.BatchNorm2d):
            assert name, "the model is itself a normalisation layer"
            made.setdefault(module, _renormalising(module, options, beside))
            model.set_submodule(name, made[module])
    return model


def _renormalising(bn: nn.BatchNorm2d, options: dict[str, float], beside: Tensor) -> BatchRenorm2D:
    """A BatchRenorm2D that evaluates as `bn` does, on its device, trainable where it is.

    A `bn` without tensors has no device; it is that of `beside`, another tensor of the model.
    """
    brn = BatchRenorm2D(bn.num_features, eps=bn.eps, **options)
    state = bn.state_dict()
    brn.to(next(iter(state.values()), beside))
    plain = {"weight": brn.gamma, "bias": brn.beta, "running_mean": brn.running_avg_mean}
    brn.load_state_dict({"running_var": torch.ones_like(brn.gamma), **plain, **state})
    brn.gamma.requires_grad_(bn.weight is not None and bn.weight.requires_grad)
    brn.beta.requires_grad_(bn.bias is not None and bn.bias.requires_grad)
    return brn.train(bn.training)
