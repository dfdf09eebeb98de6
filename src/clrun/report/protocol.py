"""What was done, in words for a paper: from the configuration that runs saved, without torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from clrun.config.sources import options
from clrun.metrics.table import all_metrics
from clrun.records.alike import Method
from clrun.records.past_run import PastRun
from clrun.records.task_ids import TRAINED, WITHOUT, use_of_task_ids
from clrun.report.said import Said, amount, listed, numbers

SCENARIOS = {
    "nc": "each brings new classes",
    "ni": "each brings new images of all classes",
    "nic": "after the first each brings images of one class",
    "online": "each is one step of a stream that is seen once",
    "blurry": "each brings new classes, some of whose images come in the others",
    "long_tailed": "each brings new classes, later ones with fewer images",
    "repetition": "classes come back",
    "permuted": "each has the pixels in an order of its own",
    "rotated": "each has the images turned by an angle of its own",
    "given": "as the data say",
}
OPTIMIZERS = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW"}
LABELS = {
    "within_experience": "a label is the place of a class among those of its experience",
    "per_experience": "each experience has labels of its own",
}
DESCENT = (
    *("lr", "momentum", "l2", "train_epochs", "train_mb_size", "optimizer", "criterion"),
    *("schedule", "schedule_milestones", "schedule_factor", "eval_mb_size", "eval_every"),
    *("on_nan", "optimizer_state", "train_iterations", "updates_per_minibatch", "drop_last"),
)
"""Keys of a strategy that stand in sentences of their own, or change no number."""


def protocol(methods: Sequence[Method], metrics: Sequence[str]) -> list[str]:
    """The sentences, of runs that completed; `metrics` are those whose definitions are given."""
    runs = [run for method in methods for run in method.done or method.runs]
    return [
        *_each(runs, "benchmark", _stream),
        *_each(runs, "strategy", _strategy),
        *_each(runs, "strategy", _descent),
        *_each(runs, "strategy", _memory),
        *_each(runs, "model", _model),
        *_seeds(methods),
        *_evaluation(Said(runs)),
        *_definitions(metrics),
        *_software(runs),
    ]


def _each(
    runs: Sequence[PastRun], group: str, sentence: Callable[[str, Said], str]
) -> Iterator[str]:
    """A sentence for the runs with each option of a group, once where they are the same."""
    names = list(dict.fromkeys(run.options.get(group, "") for run in runs))
    found = {
        name: sentence(name, Said([run for run in runs if run.options.get(group, "") == name]))
        for name in names
    }
    for said in dict.fromkeys(text for text in found.values() if text):
        own = [name for name in names if found[name] == said]
        is_of_all = len(own) == len([name for name in names if found[name]]) == len(names)
        yield said if is_of_all or said.startswith(own[0]) else f"{listed(own)}: {said}"


def _stream(name: str, said: Said) -> str:
    """What comes, in which order."""
    experiences = _experiences(said)
    parts = [f"The stream is {name or 'not known'}"]
    if experiences:
        rows = [
            sum(each.get(key) or 0 for each in experiences) for key in ("train_rows", "test_rows")
        ]
        parts.append(
            f", {len(experiences)} experiences of {_classes(experiences)}, with {rows[0]:,} "
            f"training and {rows[1]:,} test images in all"
        )
    words = [SCENARIOS.get(str(value), str(value)) for value in said.all("benchmark.scenario")]
    if words:
        parts.append(f"; {listed(words, 'or')}")
    if not said.is_always("benchmark.labels", "global"):
        words = [LABELS.get(str(v), "a label is a class") for v in said.all("benchmark.labels")]
        parts.append(f"; {listed(words, 'or')}")
    return f"{''.join(parts)}. {_order(said)}{_images(said)}".strip()


def _experiences(said: Said) -> Sequence[Mapping[str, Any]]:
    """Those of the first run, if all have as many."""
    found = [run.results.get("experiences") or () for run in said.runs]
    return found[0] if found and len({len(each) for each in found}) == 1 else ()


def _classes(experiences: Sequence[Mapping[str, Any]]) -> str:
    counts = [len(each.get("classes") or ()) for each in experiences]
    if len(set(counts)) == 1:
        return f"{counts[0]} class{'' if counts[0] == 1 else 'es'} each"
    if len(set(counts[1:])) == 1:
        return f"{counts[0]} classes at first and {counts[1]} later"
    return f"{min(counts)} to {max(counts)} classes"


def _order(said: Said) -> str:
    """In which order classes come."""
    key = "benchmark.class_order"
    if not said.all(key):
        return ""
    if said.is_always(key, "fixed"):
        return "Classes come in their own order."
    if said.is_always(key, "shuffled"):
        seeds = [seed for seed in said.all("benchmark.class_order_seed") if seed is not None]
        by = f"class_order_seed ({numbers(seeds)})" if seeds else "the run's seed"
        return f"The order of classes is drawn by {by}."
    return f"The order of classes is {said[key]}."


def _images(said: Said) -> str:
    """What of the images is used, and how."""
    parts = [
        _unless(said, "benchmark.image_size", "Images are resized to {} pixels a side.", None),
        _unless(said, "benchmark.limit_per_class", "At most {} rows of a class are used.", None),
        _unless(said, "benchmark.augment", "Training images are augmented by {}.", "none"),
        _unless(said, "first_experiences", "The first {} experiences alone are learnt.", None),
        _unless(
            said, "benchmark.validation_fraction", "A share of {} of the rows is held out.", 0.0, 0
        ),
    ]
    return "".join(f" {part}" for part in parts if part)


def _unless(said: Said, key: str, sentence: str, *usual: Any) -> str:
    """A sentence with a key's value, unless it always has the usual one."""
    return "" if said.is_always(key, *usual) else sentence.format(said[key])


def _strategy(name: str, said: Said) -> str:
    """The method in the words of its own file, where that is at hand."""
    known = {option.name: option.summary for option in options("strategy")}
    own = said.keys("strategy", DESCENT)
    keys = f" Its keys are {', '.join(own)}." if own else ""
    return f"{name}: {known.get(name, 'a strategy of another package.')}{keys}"


def _descent(name: str, said: Said) -> str:
    """How it optimises; empty for a strategy without descent."""
    if not said.all("strategy.lr"):
        return ""
    by = [OPTIMIZERS.get(str(each), str(each)) for each in said.all("strategy.optimizer")]
    momentum = _unless(said, "strategy.momentum", ", momentum {}", 0.0, 0)
    decay = _unless(said, "strategy.l2", ", weight decay {}", 0.0, 0)
    schedule = _unless(said, "strategy.schedule", ", {} over an experience", "constant")
    passes = _unless(said, "strategy.updates_per_minibatch", ", {} updates on each", 1)
    return (
        f"An experience is learnt in {_length(said)}, in minibatches "
        f"of {said['strategy.train_mb_size']} rows{passes}, "
        f"by {listed(by, 'or') or 'descent'} with step "
        f"size {said['strategy.lr']}{momentum}{decay}{schedule}, on "
        f"{said['strategy.criterion'].replace('_', ' ')}."
    )


def _length(said: Said) -> str:
    """How long an experience is learnt."""
    counts = [count for count in said.all("strategy.train_iterations") if count is not None]
    if counts:
        return f"{listed([f'{count:,}' for count in counts], 'or')} updates"
    epochs = said["strategy.train_epochs"]
    return f"{epochs} pass{'' if epochs == '1' else 'es'} over its rows"


def _memory(name: str, said: Said) -> str:
    """What is kept of the past, in rows and bytes."""
    rows = [run.memory.get("rows") or 0 for run in said.runs]
    sizes = [run.memory.get("bytes") or 0 for run in said.runs]
    if not any(sizes):
        return "No past row is stored."
    chosen = ""
    if said.all("strategy.mem_size"):
        policies, selections = (
            listed(list(dict.fromkeys(run.options.get(group, "?") for run in said.runs)), "or")
            for group in ("storage_policy", "selection")
        )
        chosen = f", shared out by {policies} and chosen by {selections}"
    return (
        f"The memory of the past has {_range(rows, '{:,.0f}'.format)} rows in the end, "
        f"{_range(sizes, amount)}{chosen}."
    )


def _range(values: Sequence[float], words: Callable[[float], str]) -> str:
    low, high = words(min(values)), words(max(values))
    return low if low == high else f"{low} to {high}"


def _model(name: str, said: Said) -> str:
    keys = said.keys("model", ("pretrained",))
    described = f" ({', '.join(keys)})" if keys else ""
    begins = "random weights" if said.is_always("model.pretrained", False) else "trained weights"
    return f"The model is {name}{described}, which begins with {begins}."


def _seeds(methods: Sequence[Method]) -> Iterator[str]:
    """How often each method ran, and what that gives."""
    seeds = [run.seed for method in methods for run in method.done if run.seed is not None]
    counts = sorted({len(method.done) for method in methods})
    if not seeds:
        return
    runs = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    if counts[-1] == 1:
        yield f"Each method ran once, with seed {numbers(seeds)}."
        return
    is_each = all(len({run.seed for run in each.done}) == len(each.done) for each in methods)
    how_often = f"ran {runs} times, " if is_each else f"has {runs} runs, "
    yield (
        f"Each method {how_often}with seeds {numbers(seeds)}, from which every random number "
        "follows; given is the mean, with half of its 95 % interval by Student's t."
    )


def _evaluation(said: Said) -> Iterator[str]:
    """When the model was scored, on what."""
    stream, which = said["eval.stream"], said["eval.experiences"]
    if not stream:
        return
    limit = _unless(said, "eval.limit_per_experience", " ({} rows of each)", None)
    of = "all experiences, also those to come" if which == "all" else "the experiences so far"
    yield f"After each experience the model is scored on the {stream} images of {of}{limit}."
    used = [use for run in said.runs if (use := use_of_task_ids(run.values)) != WITHOUT]
    if used:
        own = "the same predictions are scored among the outputs of a row's own experience too"
        tested = f": {own}" if any(use != TRAINED for use in used) else ""
        yield f"Runs were {listed(list(dict.fromkeys(used)), 'or')}{tested}."
    if not said.is_always("eval.every_steps", None):
        subset = _unless(said, "eval.subset", ", on {} rows of each", None)
        yield f"Inside experiences it is scored every {said['eval.every_steps']} updates{subset}."


def _definitions(metrics: Sequence[str]) -> Iterator[str]:
    """Each metric by its formula and where that is from."""
    found = [all_metrics()[key] for key in metrics if key in all_metrics()]
    if not found:
        return
    yield (
        "R[i, j] is the accuracy on experience j after learning experience i, of T, both counted "
        "from 1."
    )
    for metric in found:
        label = metric.label[0].upper() + metric.label[1:]
        yield f"{label} is the {metric.meaning}: {metric.formula} ({metric.source})."


def _software(runs: Sequence[PastRun]) -> Iterator[str]:
    """What it ran on."""
    versions = [run.record.get("versions") or {} for run in runs]
    said = [
        f"{label} {listed(found, 'or')}"
        for label, key in (("clrun", "clrun"), ("PyTorch", "torch"), ("Python", "python"))
        if (found := list(dict.fromkeys(str(each[key]) for each in versions if key in each)))
    ]
    devices = list(
        dict.fromkeys(str(run.record["device"]) for run in runs if "device" in run.record)
    )
    precision = Said(runs)["device.precision"]
    if said:
        where = f", on {listed(devices, 'or')} in {precision}" if devices and precision else ""
        yield f"The runs were made with {listed(said)}{where}."
