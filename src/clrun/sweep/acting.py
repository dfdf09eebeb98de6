"""From when on each key of a job acts, read from its plain configuration. No torch here."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from clrun.config.moment import BEGINNING, Moment
from clrun.config.nodes import read_node
from clrun.config.run_config import UNNAMED
from clrun.config.schema import source_of, split_target
from clrun.errors import ConfigError

MEMORY = ("storage_policy", "selection")
"""Groups that a strategy may name, since it is what asks them."""


class Acting(NamedTuple):
    """What a key is set to in a job, as a text of JSON, and from when on it acts."""

    value: str
    moment: Moment


def acting(plain: Mapping[str, Any]) -> dict[str, Acting]:
    """Every key that says what is computed, of `RunConfig.plain`."""
    nodes, plugins = dict(plain["nodes"]), list(plain["plugins"])
    strategy = nodes.pop("strategy")
    declared = _declared("strategy", strategy)
    found = {k: Acting(_text(v), BEGINNING) for k, v in plain["root"].items() if k not in UNNAMED}
    if declared is None:  # nothing is known of how it learns
        rest = {"strategy": strategy, "plugins": plugins, **nodes}
        return found | {name: Acting(_text(node), BEGINNING) for name, node in rest.items()}
    evaluation = nodes.pop("eval")
    evaluated = _declared("eval", evaluation) or {}
    # there is no evaluation before this moment, whatever its keys are
    first = min(evaluated.get("stream", BEGINNING), declared.get("eval_every", BEGINNING))
    bounds = {"eval_mb_size": first}
    found |= _keys("strategy", strategy, declared, bounds)
    found |= _keys("eval", evaluation, evaluated, dict.fromkeys(evaluated, first))
    for number, plugin in enumerate(plugins):
        found |= _keys(f"plugins[{number}]", plugin, _declared("plugin", plugin) or {})
    for group, node in nodes.items():
        moment = declared.get(group, BEGINNING) if group in MEMORY else BEGINNING
        found[group] = Acting(_text({**node, "option": None}), moment)
    last = _last(plain)
    return {name: Acting(act.value, min(act.moment, last)) for name, act in found.items()}


def _last(plain: Mapping[str, Any]) -> Moment:
    """The last moment that a run has for sure; of a stream whose length is unknown, any."""
    node = plain["nodes"]["benchmark"]
    known = None if node.get("own") else _experiences(str(node["target"]), _text(node["values"]))
    given = [n for n in (known, plain["root"].get("first_experiences")) if n is not None]
    return Moment(min(given) - 1, at_end=True) if given else Moment(sys.maxsize)


@cache
def _experiences(target: str, values: str) -> int | None:
    try:
        node, _ = read_node("benchmark", target, target, json.loads(values))
    except ConfigError:
        return None
    return None if node is None else node.config.experiences_by_keys()


def _keys(
    name: str,
    node: Mapping[str, Any],
    declared: Mapping[str, Moment],
    bounds: Mapping[str, Moment] | None = None,
) -> Iterator[tuple[str, Acting]]:
    """The keys of a component, none acting later than its bound."""
    yield f"{name}.target", Acting(_text(node["target"]), BEGINNING)
    for key, value in node["values"].items():
        if (name, key) == ("strategy", "plugins"):
            continue  # listed with all their keys elsewhere
        moment = declared.get(key, BEGINNING)
        yield f"{name}.{key}", Acting(_text(value), min(moment, (bounds or {}).get(key, moment)))


def _declared(group: str, node: Mapping[str, Any]) -> Mapping[str, Moment] | None:
    """What a component declares; None where it declares nothing, or inherits what it says."""
    if node.get("own") is True:
        return None
    return _read(group, str(node["target"]), _text(node["values"]))


@cache
def _read(group: str, target: str, values: str) -> Mapping[str, Moment] | None:
    try:
        if not _says_it_itself(target):
            return None
        node, problems = read_node(group, target, target, json.loads(values))
    except ConfigError:  # a class that is not trusted here, or is gone: its job says so
        return None
    return None if node is None or problems else node.config.acts_from()


@cache
def _says_it_itself(target: str) -> bool:
    """Whether `acts_from` stands in the `Config` that stands in this class."""
    module_name, class_name = split_target(target)
    path = source_of(module_name)
    tree = ast.parse(path.read_text(encoding="utf-8")) if path else ast.Module([], [])
    cls = _inner(tree.body, class_name)
    config = None if cls is None else _inner(cls.body, "Config")
    return config is not None and any(
        isinstance(node, ast.FunctionDef) and node.name == "acts_from" for node in config.body
    )


def _inner(body: list[ast.stmt], name: str) -> ast.ClassDef | None:
    classes = (node for node in body if isinstance(node, ast.ClassDef))
    return next((node for node in classes if node.name == name), None)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
