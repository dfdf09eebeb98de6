"""What is true of every storage policy's keys. Read without torch."""

from __future__ import annotations

from collections.abc import Iterator

from clrun.config.bases import declared
from clrun.config.keys import Keys, Known


class PolicyKeys(Keys):
    """What the `Config` of every storage policy says."""

    def all_conflicts(self, known: Known) -> Iterator[str]:
        """Besides, a policy that ignores a selection refuses one.

        Random selection is none: it is what a policy does that never asks which rows are best.
        """
        yield from self.conflicts(known)
        policy, selection = known.nodes["storage_policy"], known.nodes.get("selection")
        if selection is None or not declared(selection, "ranks_rows"):
            return
        if not declared(policy, "uses_selection"):
            yield (
                f"selection={selection.option}: storage_policy={policy.option} does not ask which "
                "rows are best. Use selection=random, or storage_policy=class_balanced."
            )
