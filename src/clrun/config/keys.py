"""What a component's `Config` may say beside its fields: what it must not be combined with.

A `Config` need not inherit from `Keys`; where it is read, it gets what it does not say from here.
Nothing of this imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from clrun.config.moment import Moment
from clrun.config.run_config import Node


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a run while its parts are checked against one another.

    It is more each time: at first the keys, then how many classes the benchmark has, at last, with
    the data read, how many experiences in any case.
    """

    nodes: Mapping[str, Node]
    """group -> its node, where that passed its own check"""
    experiences: int | None
    classes: int | None
    validation: bool | None
    """whether there are rows to validate on"""
    plugins: Sequence[Node] = ()
    """those that the strategy carries"""
    typed: Collection[str] = ()
    """keys that stand on the command line, as `group.key`"""
    classes_return: bool | None = None
    """whether a class occurs in more than one experience"""

    @classmethod
    def by_keys(
        cls,
        nodes: Mapping[str, Node],
        plugins: Sequence[Node] = (),
        overrides: Sequence[str] = (),
    ) -> Known:
        """What the keys alone say, and what was typed."""
        benchmark = nodes.get("benchmark")
        experiences = None if benchmark is None else benchmark.config.experiences_by_keys()
        validation = None if benchmark is None else benchmark.config.validation_by_keys()
        return cls(
            nodes=nodes,
            experiences=experiences,
            classes=None,
            validation=validation,
            plugins=plugins,
            typed={word.lstrip("+~").partition("=")[0] for word in overrides},
            classes_return=None if benchmark is None else benchmark.config.classes_return_by_keys(),
        )

    @property
    def is_online(self) -> bool:
        """Whether experiences are minibatches: many, and counted in the data alone."""
        return "benchmark" in self.nodes and self.nodes["benchmark"].config.is_online_stream()

    def value(self, key: str) -> Any:
        """The value of `group.key`; None where there is no such key."""
        group, _, name = key.partition(".")
        return self.nodes[group].values.get(name) if group in self.nodes else None

    def conflicts(self) -> list[str]:
        """A line for each key that cannot be meant together with others."""
        nodes = [*self.nodes.values(), *self.plugins]
        return [line for node in nodes for line in node.config.all_conflicts(self)]


class Keys:
    """What every `Config` says, with a default."""

    tuned: ClassVar[Mapping[str, str]] = {}
    """key -> what `clrun tune` searches where no word says it, e.g. tag(log,interval(0.001,1))"""

    def conflicts(self, known: Known) -> Iterator[str]:
        """A line for each key that cannot be meant with what is known of the run by now.

        A line is `group.key=value: reason. Way out.`; it is asked again whenever more is known.
        """
        yield from ()

    def all_conflicts(self, known: Known) -> Iterator[str]:
        """`conflicts`, and what is true of all components of the group."""
        yield from self.conflicts(known)

    def acts_from(self) -> Mapping[str, Moment]:
        """From when on each key acts that does not from the first update on; of those left out
        nothing is known.

        Runs of a sweep that agree in every key that acts before a moment train until there once,
        and go on from one saved state. So until then a key must change nothing: no weight, no line
        of metrics.jsonl, nothing of `state_dict` that a run with another value could not take over.
        Where the moment depends on the value, the state is that of a run with the latest one.
        A strategy may name the groups `storage_policy` and `selection` too, each as a whole.

        It holds for the class that `Config` stands in, and for none that inherits either: who has
        another `learn` says it anew.
        """
        return {}

    def experiences_by_keys(self) -> int | None:
        """How many experiences a benchmark will have; None where its data decide."""
        return None

    def validation_by_keys(self) -> bool | None:
        """Whether a benchmark will have rows to validate on; None where its data decide."""
        fraction = getattr(self, "validation_fraction", None)
        return None if fraction is None else bool(fraction)

    def classes_return_by_keys(self) -> bool | None:
        """Whether a class of a benchmark occurs in more than one experience; None where its data
        decide."""
        return None

    def is_online_stream(self) -> bool:
        """Whether the experiences of a benchmark are minibatches."""
        return False
