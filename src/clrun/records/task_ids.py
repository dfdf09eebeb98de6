"""Whether the ids of experiences were used: what is called task-incremental is one of three things.

"Trained and tested": separate heads (`strategy.active=experience`), and a test row is told its
experience (`eval.task_ids=true`). "Tested only": trained as without, and the outputs of other
experiences are left out when the model is scored. They are no less apart in their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WITHOUT = "trained and tested without task ids"
TESTED = "tested with task ids only"
TRAINED = "trained with task ids only"
BOTH = "trained and tested with task ids"


def use_of_task_ids(values: Mapping[str, Any]) -> str:
    """What a run is called with these values of its keys (`strategy.active` and `eval.task_ids`);
    one that they are not in used none."""
    trained = values.get("strategy.active") == "experience"
    tested = values.get("eval.task_ids") is True
    if trained:
        return BOTH if tested else TRAINED
    return TESTED if tested else WITHOUT
