"""A Markdown table of mean and standard deviation over seeds: table.py FOLDER_WITH_RUNS."""

from __future__ import annotations

import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from omegaconf import OmegaConf


def main(folder: Path) -> None:
    found: dict[str, list[dict[str, float]]] = defaultdict(list)
    for path in sorted(folder.rglob("results.json")):
        overrides = OmegaConf.load(path.parent / ".hydra" / "overrides.yaml")
        hidden = ("seed=", "benchmark.data_root=", "output_root=", "device.")
        name = " ".join(word for word in overrides if not word.startswith(hidden))
        results = json.loads(path.read_text())
        found[name].append(
            {**results["metrics"], "seconds": sum(results["cost"]["wall_seconds"].values())}
        )
    print("| run | seeds | final accuracy | forgetting | seconds |")
    print("| --- | --- | --- | --- | --- |")
    for name, runs in found.items():
        accuracy, forgetting = (_spread(runs, key) for key in ("acc_final", "forgetting_max"))
        seconds = statistics.median(run["seconds"] for run in runs)
        print(f"| `{name}` | {len(runs)} | {accuracy} | {forgetting} | {seconds:.0f} |")


def _spread(runs: list[dict[str, float]], key: str) -> str:
    values = [run[key] for run in runs]
    if any(value is None for value in values):
        return "-"
    return f"{statistics.mean(values):.3f} ± {statistics.stdev(values):.3f}"


main(Path(sys.argv[1]))
