"""Options that are fine alone and contradict each other: told before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from clrun.config.run_config import Node

Values = Mapping[str, Mapping[str, Any]]
"""group -> its keys; a group that did not pass its own check is empty."""
Rule = Callable[[Values], Iterator[str]]
"""Tells of every contradiction of its kind."""


def contradictions(nodes: Mapping[str, Node]) -> list[str]:
    """A line for each pair of options that cannot both be meant."""
    return _broken(RULES, _values(nodes))


def too_many_experiences(nodes: Mapping[str, Node], count: int) -> list[str]:
    """A line for each option that has no room for so many experiences.

    For benchmarks that have no key for their number, or learn it from their data.
    """
    values = _values(nodes)
    told = {**values["benchmark"], "n_experiences": count}
    return _broken((_groups_fit_in_a_minibatch, _fixed_quotas_fit), {**values, "benchmark": told})


def _values(nodes: Mapping[str, Node]) -> Values:
    values = {name: {"option": node.option, **node.values} for name, node in nodes.items()}
    groups = ("strategy", "benchmark", "eval", "storage_policy", "selection")
    return {group: values.get(group, {}) for group in groups}


def _broken(rules: Iterable[Rule], values: Values) -> list[str]:
    return [line for rule in rules for line in rule(values)]


def _momentum_is_sgds(v: Values) -> Iterator[str]:
    strategy = v["strategy"]
    if strategy.get("optimizer") in ("adam", "adamw") and strategy.get("momentum"):
        yield (
            f"strategy.momentum={strategy['momentum']:g}: {strategy['optimizer']} has no such "
            "momentum. Use strategy.momentum=0, or strategy.optimizer=sgd."
        )


def _reservoir_selects_at_random(v: Values) -> Iterator[str]:
    is_reservoir = v["storage_policy"].get("option") == "reservoir"
    if is_reservoir and v["selection"].get("option", "random") != "random":
        yield (
            f"selection={v['selection']['option']}: storage_policy=reservoir keeps rows at random. "
            "Use selection=random, or storage_policy=class_balanced."
        )


def _groups_fit_in_a_minibatch(v: Values) -> Iterator[str]:
    strategy, groups = v["strategy"], v["benchmark"].get("n_experiences") or 1
    shares = strategy.get("mix") == "split" and strategy.get("balance") == "experience"
    by_epoch = strategy.get("memory_update", "experience") == "experience"
    size = strategy.get("train_mb_size", groups)
    if not (shares and by_epoch and strategy.get("memory_mb_size") is None):
        return
    if v["benchmark"].get("scenario") == "online":  # how many, only the data know: always many
        yield (
            "strategy.balance=experience: with benchmark.scenario=online experiences are too many "
            "to share a minibatch. Use strategy.balance=none, or strategy.memory_update=minibatch."
        )
    elif size < groups:
        yield (
            f"strategy.train_mb_size={size}: fewer rows than the {groups} experiences that share a "
            f"minibatch. Use at least {groups}, strategy.balance=none, or strategy.mix=add."
        )


def _fixed_quotas_fit(v: Values) -> Iterator[str]:
    policy, mem_size = v["storage_policy"], v["strategy"].get("mem_size")
    for key, needed in (
        ("num_experiences", v["benchmark"].get("n_experiences") or 0),
        ("total_num_classes", 0),  # how many there are, only the benchmark knows: runner.prepare
    ):
        total = policy.get(key)
        if total is None or mem_size is None:
            continue
        if total < needed:
            yield (
                f"storage_policy.{key}={total}: the benchmark has {needed}. Use at least {needed}."
            )
        elif total > mem_size:
            yield (
                f"strategy.mem_size={mem_size}: no row for each of storage_policy.{key}={total}. "
                f"Use at least {total}."
            )


def _validation_exists(v: Values) -> Iterator[str]:
    fraction = v["benchmark"].get("validation_fraction")
    if v["eval"].get("stream") == "validation" and fraction == 0:
        yield (
            "eval.stream=validation: benchmark.validation_fraction=0 holds nothing out. "
            "Use e.g. benchmark.validation_fraction=0.1, or eval.stream=test."
        )


RULES: tuple[Rule, ...] = (
    _momentum_is_sgds,
    _reservoir_selects_at_random,
    _groups_fit_in_a_minibatch,
    _fixed_quotas_fit,
    _validation_exists,
)
