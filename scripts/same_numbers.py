"""Compare results.json and all losses of two commits; see scripts/same_numbers."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NOT_COMPARED = ("config_hash", "wall_seconds", "peak_rss_bytes", "peak_device_bytes")
"""Fields that two runs of one commit differ in, and the hash of keys, whose number grows."""
SHORT = "strategy.train_epochs=3"
ADAM = "strategy=naive strategy.lr=0.001 strategy.optimizer=adam"
CNN = f"model=cnn model.channels=[8,16] model.norm=batch {SHORT}"
AR1 = "experiment=ar1_digits strategy.train_epochs=2"
AR1_CNN = f"{AR1} model=cnn model.channels=[8,16] model.norm=batch"
FEW = "benchmark.limit_per_class=200"
NIC = "benchmark.n_experiences=6 benchmark.limit_per_class=60 strategy.train_epochs=1"
THREE = f"benchmark.n_experiences=3 {SHORT}"
ONLINE = "strategy.memory_update=minibatch strategy.train_epochs=1"
FIXED = {
    "default": "",
    "naive": f"strategy=naive {SHORT}",
    "cumulative": f"strategy=cumulative {SHORT}",
    "joint": f"strategy=joint {SHORT}",
    "adam": f"{ADAM} {SHORT}",
    "adamw bce": f"{ADAM}w strategy.criterion=binary_cross_entropy {SHORT}",
    "momentum": f"strategy=naive strategy.momentum=0.9 strategy.lr=0.02 strategy.l2=0.001 {SHORT}",
    "si": f"strategy=naive strategy.plugins=[{{name:si,ewc_lambda:1}}] {SHORT}",
    "dropout augment": f"model.dropout=0.3 benchmark.augment=crop_flip {SHORT}",
    "eval every epoch": f"strategy.eval_every=1 eval=seen {SHORT}",
    "cnn": f"strategy=naive {CNN}",
    "cnn replay": f"strategy=replay {CNN}",
    "replay bf16": f"device.precision=bf16 {SHORT}",
    "slim_resnet18": "model=slim_resnet18 model.width=8 benchmark.limit_per_class=30 "
    "strategy.train_epochs=1",
    "online stream": "strategy=naive benchmark.scenario=online "
    "benchmark.rows_per_experience=200 strategy.train_epochs=1",
    "blurry": f"benchmark.scenario=blurry benchmark.blur=0.2 {SHORT}",
    "permuted": f"benchmark.scenario=permuted {THREE}",
    "rotated": f"benchmark.scenario=rotated {THREE}",
    "repetition": f"benchmark.scenario=repetition benchmark.repetition_p=0.3 {SHORT}",
    "long_tailed": f"benchmark.scenario=long_tailed benchmark.imbalance=10 {SHORT}",
    "ni": f"benchmark.scenario=ni {SHORT}",
    "validation": f"benchmark.validation_fraction=0.2 eval.stream=validation {SHORT}",
    "replay add longest": f"strategy.mix=add strategy.epoch_length=longest {SHORT}",
    "replay by class": f"strategy.balance=class storage_policy=class_balanced {SHORT}",
    "ar1_digits": "experiment=ar1_digits",
    "ar1 bn": f"{AR1_CNN} strategy.norm=bn",
    "ar1 brn": f"{AR1_CNN} strategy.norm=brn",
    "ar1 uint8": f"{AR1} strategy.latent_dtype=uint8",
    "ar1 float16": f"{AR1} strategy.latent_dtype=float16",
    "ar1 si": f"{AR1} strategy.ewc_lambda=1",
    "ar1 plain head": f"{AR1} strategy.head=plain",
    "ar1 augmented": f"{AR1} benchmark.augment=crop strategy.latent_cache=off",
    "ar1 adam": f"{AR1} strategy.optimizer=adam strategy.lr=0.001 strategy.momentum=0",
    "ar1 mobilenet_v1": "strategy=ar1 benchmark.limit_per_class=16 benchmark.n_experiences=2 "
    "strategy.train_epochs=1 strategy.train_mb_size=16 strategy.rm_sz=20 "
    "eval.limit_per_experience=20",
    "fashion er recipe": f"experiment=er_split_fashion_mnist {FEW}",
    "fashion online recipe": f"experiment=online_replay_split_fashion_mnist {FEW}",
    "fashion ar1 recipe": f"experiment=ar1_fashion_mobilenet_v2 {NIC} eval.limit_per_experience=10",
    "fashion naive recipe": f"experiment=naive_fashion_mobilenet_v2 {NIC} "
    "eval.limit_per_experience=10",
    "core50 ar1free recipe": "experiment=core50_nicv2_391_ar1free",
    "core50 ar1free caffe recipe": "experiment=core50_nicv2_391_ar1free_caffe",
}
"""Name of each experiment -> its overrides; those of `cases` come on top."""


def cases() -> dict[str, list[str]]:
    """Name of each experiment -> its overrides, every policy with every selection among them."""
    found = dict(FIXED)
    for policy in ("experience_balanced", "class_balanced", "reservoir"):
        for selection in ("random", "herding", "closest_to_center"):
            if policy == "reservoir" and selection != "random":
                continue  # it keeps rows at random
            words = f"storage_policy={policy} selection={selection} strategy.mem_size=60"
            found[f"replay {policy} {selection}"] = f"{words} {SHORT}"
            found[f"online {policy} {selection}"] = f"{words} {ONLINE}"
    return {name: words.split() for name, words in found.items()}


def main() -> int:
    args = _arguments()
    chosen = {n: w for n, w in cases().items() if not args.only or n in args.only}
    if args.list:
        print("\n".join(f"{name}: {' '.join(words)}" for name, words in chosen.items()))
        return 0
    if args.side is not None:
        _run_side(chosen, Path(args.side), args.data_root)
        return 0
    if args.rev is None:
        sys.exit("same_numbers: name a commit to compare with.")
    commit = _git("rev-parse", f"{args.rev}^{{commit}}")
    kept = Path(tempfile.gettempdir()) / "clrun-same-numbers" / commit[:12]
    with tempfile.TemporaryDirectory(prefix="clrun-numbers-") as here:
        before = {} if args.fresh else _known(kept, chosen)
        missing = [name for name in chosen if name not in before]
        if missing:
            with tempfile.TemporaryDirectory(prefix="clrun-rev-") as tree:
                _git("worktree", "add", "--detach", "--quiet", tree, commit)
                try:
                    _start_side(Path(tree), kept, missing, args.data_root)
                finally:
                    _git("worktree", "remove", "--force", tree)
            before = _known(kept, chosen)
        _start_side(ROOT, Path(here), list(chosen), args.data_root)
        return _report(chosen, before, _known(Path(here), chosen), args.rev)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition(";")[0])
    parser.add_argument("rev", nargs="?", help="the commit to compare this checkout with")
    parser.add_argument("--data-root", help="folder that holds FashionMNIST/raw")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these cases only")
    parser.add_argument("--fresh", action="store_true", help="run REV's side again")
    parser.add_argument("--list", action="store_true", help="print the cases; runs nothing")
    parser.add_argument("--side", help=argparse.SUPPRESS)  # where a child writes its results
    return parser.parse_args()


def _start_side(tree: Path, folder: Path, names: list[str], data_root: str | None) -> None:
    """Run the cases with the code of `tree`, in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, __file__, "--side", str(folder), "--only", *names]
    if data_root:
        words += ["--data-root", str(Path(data_root).resolve())]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "OMP_NUM_THREADS": "1"}
    subprocess.run(words, env=environment, check=True, cwd=folder)


def _run_side(chosen: dict[str, list[str]], folder: Path, data_root: str | None) -> None:
    """Run each case and write what it gave, or why it did not run, to a file of its name."""
    import clrun

    for name, words in chosen.items():
        print(f"{Path(clrun.__file__).parents[2].name}: {name}", file=sys.stderr, flush=True)
        words = [*words, "device=cpu", "device.threads=1", f"output_root={folder / 'runs'}"]
        is_fashion = any("fashion" in word for word in words)
        if is_fashion and data_root:
            words.append(f"benchmark.data_root={data_root}")
        try:
            config = clrun.compose(words)
            run = Path(tempfile.mkdtemp(dir=folder)) / "run"
            clrun.run(config, run)
            found = json.loads((run / "results.json").read_text())
            found["losses"] = _losses(run / "metrics.jsonl")
        except Exception as error:
            found = {"not run": f"{type(error).__name__}: {error}".splitlines()[0][:110]}
        (folder / f"{name}.json").write_text(json.dumps(found))


def _losses(raw_log: Path) -> list[float]:
    """Every loss of the raw log: they show a last bit that no accuracy does."""
    lines = [json.loads(line) for line in raw_log.read_text().splitlines()]
    return [line["loss"] for line in lines if "loss" in line]


def _known(folder: Path, chosen: dict[str, list[str]]) -> dict[str, Any]:
    paths = {name: folder / f"{name}.json" for name in chosen}
    return {n: json.loads(p.read_text()) for n, p in paths.items() if p.is_file()}


def _report(
    chosen: dict[str, list[str]], before: dict[str, Any], after: dict[str, Any], rev: str
) -> int:
    """Print a line for each case; 1 if a number moved."""
    moved = ran = 0
    for name in chosen:
        old, new = before[name], after[name]
        if "not run" in old and "not run" in new:
            verdict = f"not run: {new['not run']}"
        else:
            ran += 1
            differences = list(_differences(old, new))
            moved += bool(differences)
            verdict = "; ".join(differences[:2]) or "equal"
            added = sorted(set(new) - set(old))
            verdict += f" (new: {', '.join(added)})" if added and not differences else ""
        print(f"{name:40} {verdict}")
    print(f"{ran - moved} of {ran} cases equal {rev}; {len(chosen) - ran} not run.")
    return int(moved > 0)


def _differences(old: Any, new: Any, place: str = "") -> Iterator[str]:
    """Each value of `old` that `new` has otherwise or lacks."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key, value in old.items():
            if key not in NOT_COMPARED:
                yield from _differences(value, new.get(key, "missing"), f"{place}.{key}".strip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _differences(*pair, f"{place}[{index}]")
    elif old != new:
        yield f"{place}: {str(old)[:60]} -> {str(new)[:60]}"


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
