"""AR1's model: cut at the latent layer, its lower part frozen from some experience on."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from clrun.errors import ConfigError
from clrun.models.batch_renorm import change_brn_pars, replace_bn_with_brn
from clrun.models.copies import copy_of
from clrun.models.cut import Cut, cut, cut_before_head, require_whole
from clrun.models.dropout import idle_dropout
from clrun.models.features import head
from clrun.models.freezing import NORMS, freeze_below
from clrun.models.mobilenet_v1 import MobilenetV1
from clrun.strategies.split_model_keys import SplitModelKeys

MOBILENET_LAYERS = {"latent_layer_num": 19, "freeze_below_layer": "lat_features.19.bn.beta"}
"""The keys' defaults, which mean layers of MobilenetV1. For other models they mean nothing: the
cut is before the head, and everything below it is frozen."""


class SplitModel:
    """A model as a lower part that is frozen and an upper part that goes on learning.

    From experience `freeze_from` on, unless that is `never`, everything below `freeze_below_layer`
    is frozen: by default the whole lower part, and what of it lies above that layer goes on
    learning, so that latents stored before age. The normalisation of the lower part always uses the
    statistics it came with, as in the reference; that of a frozen layer of the upper part does too
    from then on.

    Raises:
        ConfigError: a layer that a key names does not exist or cannot be cut at, or the head is to
            be frozen.
    """

    def __init__(self, model: nn.Module, keys: SplitModelKeys) -> None:
        self.model, self.keys = model, keys
        if keys.norm == "brn":
            replace_bn_with_brn(
                model,
                momentum=keys.init_update_rate,
                r_d_max_inc_step=keys.inc_step,
                max_r_max=keys.max_r_max,
                max_d_max=keys.max_d_max,
            )
        _move_mobilenet_cut(model, keys)
        self.cut: Cut = _cut(model, keys)
        self.head_name, self.head = head(model)
        _require_head_above(self.cut, self.head, keys)
        lower = [p for p in self.cut.lower.parameters() if p.requires_grad]
        self._to_freeze = _to_freeze(model, self.cut, self.head, keys)
        self._learning = [*lower, *self._to_freeze]  # until they are frozen
        below = {id(parameter) for parameter in self._to_freeze}
        self._frozen_norms = [m for m in model.modules() if isinstance(m, NORMS) and _all(m, below)]
        self._freezes_lower = all(id(parameter) in below for parameter in lower)
        self._learns_below = bool(lower)

    def require_whole(self, image_shape: Sequence[int]) -> None:
        """Refuse a model whose parts do not do all that it does for images [C, H, W].

        Raises:
            ConfigError: see `cut.require_whole`.
        """
        named = f"strategy.latent_layer={self.keys.latent_layer or 'null'}"
        require_whole(self.model, self.cut, image_shape, key=named)

    def idle_dropout(self) -> list[str]:
        """Names of dropout layers that never act, since the lower part always evaluates."""
        return idle_dropout(self.cut.lower)

    def frozen(self, experience: int) -> bool:
        """Nothing in the lower part learns in this experience."""
        return not self._learns_below or (self.freezes(experience) and self._freezes_lower)

    def freezes(self, experience: int) -> bool:
        """What is to be frozen is frozen in this experience."""
        return self.keys.freeze_from != "never" and experience >= self.keys.freeze_from

    def enter(self, experience: int) -> None:
        """Modes and frozen parameters of an experience, also of one that is continued."""
        self.model.train()
        for parameter in self._learning:
            parameter.requires_grad_(True)
        if self.freezes(experience):
            for parameter in self._to_freeze:
                parameter.requires_grad_(False)
            for layer in self._frozen_norms:
                layer.eval()
        self.cut.lower.eval()

    def slow_statistics(self) -> None:
        """What BatchReNorm is set to after the first experience."""
        keys = self.keys
        change_brn_pars(
            self.model,
            momentum=keys.inc_update_rate,
            r_max=keys.max_r_max,
            d_max=keys.max_d_max,
        )


def copied(model: nn.Module, keys: SplitModelKeys) -> SplitModel:
    """The split of a copy, to see whether `keys` suit a model that must stay as it is."""
    return SplitModel(copy_of(model), keys)


def _move_mobilenet_cut(model: nn.Module, keys: SplitModelKeys) -> None:
    """Give `lat_features` the layers up to `latent_layer_num`; layers are named after their part.

    Raises:
        ConfigError: the model has no numbered layers, or its own key asks for another cut.
    """
    number, usual = keys.latent_layer_num, MOBILENET_LAYERS["latent_layer_num"]
    if keys.latent_layer is not None:
        return
    if not isinstance(model, MobilenetV1):
        if number != usual:
            raise ConfigError(
                f"strategy.latent_layer_num={number}: only mobilenet_v1 has numbered layers, and "
                f"this is {type(model).__name__}. Use strategy.latent_layer=NAME."
            )
        return
    built = len(model.lat_features) - 1
    if built not in (number, usual):
        raise ConfigError(
            f"strategy.latent_layer_num={number}: model.latent_layer_num={built} cuts the model "
            f"elsewhere. Use strategy.latent_layer_num={built}, or leave the model's at {usual}."
        )
    layers = [*model.lat_features, *model.end_features]
    model.lat_features = nn.Sequential(*layers[: number + 1])
    model.end_features = nn.Sequential(*layers[number + 1 :])


def _cut(model: nn.Module, keys: SplitModelKeys) -> Cut:
    if keys.latent_layer is not None:
        return cut(model, keys.latent_layer)
    if isinstance(model, MobilenetV1):
        return cut(model, "lat_features", key="strategy.latent_layer_num")
    return cut_before_head(model, key="strategy.latent_layer=null")


def _require_head_above(parts: Cut, last: nn.Linear, keys: SplitModelKeys) -> None:
    if any(parameter is last.weight for parameter in parts.lower.parameters()):
        raise ConfigError(
            f"strategy.latent_layer={keys.latent_layer}: leaves nothing above it to learn. "
            "Name a layer before the head."
        )


def _all(module: nn.Module, frozen: set[int]) -> bool:
    """Whether it has parameters, all of them among these."""
    parameters = list(module.parameters())
    return bool(parameters) and all(id(parameter) in frozen for parameter in parameters)


def _to_freeze(
    model: nn.Module, parts: Cut, last: nn.Linear, keys: SplitModelKeys
) -> list[nn.Parameter]:
    """The parameters below `freeze_below_layer`: up to a parameter, including it, or up to a layer,
    leaving it out; all of the lower part where the key is null."""
    name = keys.freeze_below_layer
    if name == MOBILENET_LAYERS["freeze_below_layer"] and not isinstance(model, MobilenetV1):
        name = None
    if name is None:
        return [p for p in parts.lower.parameters() if p.requires_grad]
    _require_mobilenet_layer_below(model, name)
    trainable = [p for p in model.parameters() if p.requires_grad]
    modes = [(module, module.training) for module in model.modules()]
    modules = {path for path, _ in model.named_modules()}
    freeze_below(model, name, inclusive=name not in modules, keep_norm=False)
    found = [parameter for parameter in trainable if not parameter.requires_grad]
    for parameter in found:
        parameter.requires_grad_(True)
    for module, mode in modes:
        module.training = mode
    if any(parameter is last.weight for parameter in found):
        raise ConfigError(
            f"strategy.freeze_below_layer={name}: would freeze the head, which has to learn. "
            "Name a layer before it."
        )
    return found


def _require_mobilenet_layer_below(model: nn.Module, name: str) -> None:
    """Say what is wrong with a numbered layer that is not in the lower part of this cut."""
    part, _, rest = name.partition(".")
    number = rest.partition(".")[0]
    if not isinstance(model, MobilenetV1) or part != "lat_features" or not number.isdigit():
        return
    last = len(model.lat_features) - 1
    if last < int(number) < last + 1 + len(model.end_features):
        raise ConfigError(
            f"strategy.freeze_below_layer={name}: lies above the latent layer, which is "
            f"{last} (strategy.latent_layer_num). Use e.g. lat_features.{last}, or null for all of "
            "the lower part."
        )
