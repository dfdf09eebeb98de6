from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest

from clrun.compare.judged import Judged, judged

COMPARISONS, SEEDS = 2000, 10
DIFFERENCE = 0.03

Values = Sequence[float]


def scores(**methods: Values) -> Mapping[str, Mapping[int, float]]:
    """The values of methods by seed."""
    return {name: dict(enumerate(values)) for name, values in methods.items()}


def simulated(difference: float, methods: int = 2, comparisons: int = COMPARISONS) -> list[Judged]:
    """Comparisons of methods whose runs owe a part to their seed and a part to themselves; the
    first one is better by this much than the others."""
    generator = np.random.default_rng(14)
    common = generator.normal(0.8, 0.1, (comparisons, 1, SEEDS))
    values = common + generator.normal(0, 0.05, (comparisons, methods, SEEDS))
    values[:, 0] += difference
    return [judged(scores(**dict(zip("abcd", each, strict=False)))) for each in values]


def share(found: Sequence[Judged], holds: Callable[[Judged], bool]) -> float:
    return sum(map(holds, found)) / len(found)


@pytest.fixture(scope="module")
def alike() -> list[Judged]:
    return simulated(0.0)


def test_a_known_difference_is_in_the_interval_of_about_95_in_100_comparisons():
    found = simulated(DIFFERENCE)

    def covers(each: Judged) -> bool:
        comparison = each.duels[0].comparison
        return comparison.low <= DIFFERENCE <= comparison.high

    assert 0.93 <= share(found, covers) <= 0.97


def test_a_verdict_calls_one_of_two_equal_methods_better_in_about_5_of_100_comparisons(alike):
    assert 0.035 <= share(alike, lambda each: "is better than" in each.verdict) <= 0.065


def test_every_other_verdict_says_that_it_cannot_tell_and_what_would_settle_it(alike):
    others = [each.verdict for each in alike if "is better than" not in each.verdict]

    assert all(text.startswith("Cannot tell a from b: ") for text in others)
    assert all(
        "would settle it." in text or "seeds would: it is at most" in text for text in others
    )


def test_of_several_methods_the_verdict_says_which_cannot_be_told_and_which_are_worse():
    found = judged(
        scores(
            a=[0.60, 0.61, 0.62, 0.60, 0.61, 0.62, 0.60, 0.63],
            b=[0.61, 0.60, 0.63, 0.59, 0.62, 0.61, 0.61, 0.61],
            c=[0.40, 0.41, 0.42, 0.42, 0.41, 0.40, 0.41, 0.40],
        )
    )

    assert found.verdict == (
        "Cannot tell a from b: a is ahead of b by 0.0013 in final accuracy (p = 1, n = 8); no "
        "reasonable number of seeds would: it is at most 0.0117 either way; a is better than c."
    )


def test_among_four_equal_methods_false_alarms_are_as_rare_as_among_two():
    found = simulated(0.0, methods=4, comparisons=400)

    alarms = share(found, lambda each: any(duel.winner for duel in each.duels))

    assert alarms <= 0.065
