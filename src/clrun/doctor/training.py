"""Whether anything was learnt: losses, penalties, normalisation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from clrun.doctor.evidence import Evidence
from clrun.doctor.finding import Finding, listed

GREW = 1.5
"""An experience's loss is this many times what it was in its first epoch: it diverges."""
NEAR_CHANCE = 1.25
"""Accuracy up to this many times that of guessing is no better than guessing."""
NEAR_LOSS = 0.9
"""So is a loss from this share of that of guessing on."""
LEARNT = 0.8
"""Training accuracy from which an experience counts as learnt."""
ENOUGH_ROWS = 10
"""Accuracy on fewer test rows than this says little."""
CLIPPED = 0.5
"""Share of channels at BatchReNorm's bounds from which its statistics are another data set's."""
RISEN = 0.5
"""How far r_max and d_max should have come from where they start in the first experience."""
FAR_MEAN, FAR_STD = 1.0, 2.0
"""Normalised images have mean 0 and deviation 1; further off than this they are not."""


def diverged(run: Evidence) -> Iterator[Finding]:
    """The loss grew while an experience was learnt."""
    grown = []
    for experience, lines in run.epochs():
        first, last = lines[0]["loss"], lines[-1]["loss"]
        if last > GREW * first and last > _loss_of_guessing(run):
            grown.append((last / first, experience, first, last))
    if grown:
        _, experience, first, last = max(grown)
        yield Finding(
            f"The loss grew from {first:.3g} to {last:.3g} in experience {experience + 1}"
            f"{_others(len(grown))}.",
            f"Use a smaller strategy.lr than {run.key('strategy.lr')}.",
        )


def at_chance(run: Evidence) -> Iterator[Finding]:
    """An experience was trained on and its rows are still guessed."""
    guessed = []
    for experience, lines in run.epochs():
        classes = len(run.learnt[experience]) if experience < len(run.learnt) else 0
        accuracy, loss = lines[-1]["accuracy"], lines[-1]["loss"]
        known = _classes_seen(run, experience) if classes > 1 else 1
        if known > 1 and accuracy <= NEAR_CHANCE / known and loss >= NEAR_LOSS * math.log(known):
            guessed.append((experience, accuracy, loss))
    if guessed:
        experience, accuracy, loss = guessed[0]
        yield Finding(
            f"Nothing was learnt in experience {experience + 1}{_others(len(guessed))}: training "
            f"ends with accuracy {accuracy:.3f} and loss {loss:.3g}, as guessing does.",
            "Use another strategy.lr (try 10 times less, and more), or more strategy.train_epochs.",
        )


def not_recalled(run: Evidence) -> Iterator[Finding]:
    """An experience was learnt, and right afterwards its test rows are guessed."""
    lost = []
    for experience, lines in run.epochs():
        place = (experience, experience)
        if experience >= min(run.accuracy.shape) or len(run.accuracy) < len(run.learnt):
            continue
        if run.test_rows and run.test_rows[experience] < ENOUGH_ROWS:
            continue
        chance = NEAR_CHANCE / max(len(run.learnt[experience]), 2)
        if lines[-1]["accuracy"] >= LEARNT and run.accuracy[place] <= chance:
            lost.append((experience, lines[-1]["accuracy"], float(run.accuracy[place])))
    if lost:
        experience, trained, tested = lost[0]
        yield Finding(
            f"The test images of experience {experience + 1}{_others(len(lost))} are not "
            f"recognised right after it was learnt: accuracy {tested:.3f}, and {trained:.3f} in "
            "training.",
            "Look at the test images (clrun preview). A model with BatchNorm: larger minibatches, "
            "or several classes in each.",
        )


def penalty_zero(run: Evidence) -> Iterator[Finding]:
    """A plugin's penalty never weighed anything, though there was something to hold on to."""
    found: dict[str, list[float | None]] = {}
    for line in run.of_kind("experience"):
        if line["experience"] > 0:
            for name, value in _vitals(line).get("penalties", {}).items():
                found.setdefault(name, []).append(value)
    has_weight = any(weight > 0 for weight in run.weights())
    idle = [
        name
        for name, values in found.items()
        if not any(values) and (has_weight or None not in values)
    ]
    if idle:
        yield Finding(
            f"The penalty of {listed(idle)} was 0 in all updates from the second experience on.",
            "Raise its weight (ewc_lambda or mas_lambda), and see that the layers it looks after "
            "can learn.",
        )


def renormalisation_idle(run: Evidence) -> Iterator[Finding]:
    """BatchReNorm's bounds hardly rose, so that it used running statistics alone."""
    caps = run.key("strategy.max_r_max"), run.key("strategy.max_d_max")
    found = _renormalisation(run)
    if not found or None in caps:
        return
    r_max, d_max = found[0]["r_max"], found[0]["d_max"]
    if caps[1] > 0 and d_max < RISEN * caps[1]:
        yield Finding(
            f"BatchReNorm's bounds ended the first experience at r_max {r_max:.3f} of {caps[0]:g} "
            f"and d_max {d_max:.3f} of {caps[1]:g}: it saw too few rows.",
            f"Use a larger strategy.inc_step than {run.key('strategy.inc_step'):g}.",
        )


def renormalisation_drift(run: Evidence) -> Iterator[Finding]:
    """BatchReNorm's running statistics are far from those of what it is given."""
    later = [
        (line["clipped"], place, line["layer"])
        for place, line in enumerate(_renormalisation(run))
        if place > 0 and line["clipped"] >= CLIPPED
    ]
    if later:
        share, experience, layer = max(later)
        yield Finding(
            f"BatchReNorm's running statistics drift: {share:.0%} of the channels are at its "
            f"bounds at the end of experience {experience + 1}, most of them in {layer}.",
            "Use a larger strategy.inc_update_rate, or a wider strategy.max_r_max and max_d_max.",
        )


def other_statistics(run: Evidence) -> Iterator[Finding]:
    """Images are normalised by what fits other images."""
    inputs = run.record.get("data", {}).get("inputs")
    normalize = run.key("benchmark.normalize")
    if not inputs or normalize in (False, "model"):
        return
    mean = max(inputs["mean"], key=abs)
    std = max(inputs["std"], key=lambda value: abs(math.log(max(value, 1e-9))))
    least = 1 / FAR_STD if normalize is not None else 0.0  # else they may be pixels in [0, 1]
    if abs(mean) > FAR_MEAN or not least <= std <= FAR_STD:
        yield Finding(
            f"Images reach the model with mean {mean:.2f} and deviation {std:.2f}, not 0 and 1: "
            "the statistics are those of another data set.",
            "Use benchmark.normalize=data, or a transform made for these images.",
        )


def other_weights(run: Evidence) -> Iterator[Finding]:
    """Published weights meet images that are normalised in another way."""
    normalize, pretrained = run.key("benchmark.normalize"), run.key("model.pretrained")
    if pretrained is True and normalize in (True, "data") and run.option("model") == "torchvision":
        yield Finding(
            "The pretrained weights know images with the statistics of their own training set, and "
            f"benchmark.normalize={str(normalize).lower()} gives them others.",
            "Use benchmark.normalize=model.",
        )


def _vitals(line: Mapping[str, Any]) -> Mapping[str, Any]:
    found = line.get("vitals")
    return found if isinstance(found, dict) else {}


def _renormalisation(run: Evidence) -> list[Mapping[str, Any]]:
    """What is recorded of BatchReNorm, of each experience that has it."""
    found = (_vitals(line).get("renormalisation") for line in run.of_kind("experience"))
    return [line for line in found if line]


def _classes_seen(run: Evidence, experience: int) -> int:
    """How many classes training could tell apart by then: memory holds those of before."""
    has_memory = any(line.get("rows") for line in run.of_kind("memory"))
    seen = run.learnt[: experience + 1] if has_memory else [run.learnt[experience]]
    return max(len({label for classes in seen for label in classes}), 2)


def _loss_of_guessing(run: Evidence) -> float:
    return math.log(max(len(run.class_names), 2))


def _others(count: int) -> str:
    """ " and 3 others", of as many in all."""
    return f" and {count - 1} other{'s' if count > 2 else ''}" if count > 1 else ""
