from typing import Any

import pytest
import torch
from torch import Tensor

from clrun.errors import ConfigError
from clrun.streams.partition import Assignment, Partition
from clrun.streams.split_keys import SplitKeys

hypothesis = pytest.importorskip("hypothesis")
given, settings, st = hypothesis.given, hypothesis.settings, hypothesis.strategies

CLASSES = 6
KEYS: dict[str, Any] = {
    **dict.fromkeys(SplitKeys.__dataclass_fields__),
    "labels": "global",
    "n_experiences": 3,
    "class_order": "fixed",
    "augment": "none",
    "validation_fraction": 0.0,
}
PARTITIONS: dict[str, dict[str, Any]] = {
    "nc": {"class_order": "shuffled"},
    "ni": {},
    "nic": {"n_experiences": 10, "first_experience_classes": 3},  # 2 sessions of each class
    "online": {"rows_per_experience": 7, "class_order": "shuffled"},
    "blurry": {"blur": 0.3, "first_experience_classes": 4},
    "repetition": {"repetition_p": 0.5, "classes_per_experience": [1, 3, 2]},
}

# four rows of each class at least, so that no scenario and no fraction is too much for them
more = st.lists(st.integers(0, CLASSES - 1), max_size=60)
labels = more.map(lambda extra: torch.tensor([*list(range(CLASSES)) * 4, *extra]))
seeds = st.integers(0, 2**32)
quickly = settings(max_examples=25, deadline=None)


def cut(scenario: str, train: Tensor, test: Tensor, seed: int, **keys: Any) -> Assignment:
    given = {**KEYS, "scenario": scenario, **PARTITIONS.get(scenario, {}), **keys}
    return Partition(SplitKeys(**given), CLASSES, seed, "data_root=here").rows(train, test)


def once(rows: list[Tensor], total: int) -> bool:
    return sorted(torch.cat(rows).tolist()) == list(range(total))


def as_lists(rows: Assignment) -> list[list[list[int]] | None]:
    return [None if part is None else [r.tolist() for r in part] for part in rows]


@pytest.mark.parametrize("scenario", PARTITIONS)
@given(train=labels, test=labels, seed=seeds, fraction=st.sampled_from([0.0, 0.5]))
@quickly
def test_a_partition_has_every_row_once(scenario, train, test, seed, fraction):
    rows = cut(scenario, train, test, seed, validation_fraction=fraction)

    held = rows.validation or []
    assert bool(held) == (fraction > 0)
    assert once([*rows.train, *held], len(train))
    assert once(rows.test, len(test))
    assert all(len(found) for found in rows.train)
    assert len(rows.train) == len(rows.test) == (len(held) or len(rows.train))


@pytest.mark.parametrize("scenario", [name for name in PARTITIONS if name != "blurry"])
@given(train=labels, test=labels, seed=seeds)
@quickly
def test_an_experience_is_tested_on_no_class_it_does_not_teach(scenario, train, test, seed):
    rows = cut(scenario, train, test, seed)

    for ours, theirs in zip(rows.train, rows.test, strict=True):
        assert set(test[theirs].tolist()) <= set(train[ours].tolist())


@pytest.mark.parametrize("scenario", ["permuted", "rotated"])
@given(train=labels, test=labels, seed=seeds, fraction=st.sampled_from([0.0, 0.5]))
@quickly
def test_altered_experiences_share_all_rows(scenario, train, test, seed, fraction):
    rows = cut(scenario, train, test, seed, validation_fraction=fraction)

    assert len(rows.train) == len(rows.test) == 1
    assert once([*rows.train, *(rows.validation or [])], len(train))
    assert once(rows.test, len(test))


@given(train=labels, test=labels, seed=seeds, imbalance=st.floats(1, 100))
@quickly
def test_a_long_tail_has_no_row_twice_and_all_test_rows(train, test, seed, imbalance):
    rows = cut("long_tailed", train, test, seed, imbalance=imbalance)

    used = torch.cat(rows.train)
    assert len(used) == len(used.unique())
    assert set(train[used].tolist()) == set(range(CLASSES))
    assert once(rows.test, len(test))


@pytest.mark.parametrize("scenario", [*PARTITIONS, "long_tailed"])
@given(train=labels, test=labels, seed=seeds)
@quickly
def test_a_cut_is_a_function_of_the_seed(scenario, train, test, seed):
    keys = {"imbalance": 5.0} if scenario == "long_tailed" else {"validation_fraction": 0.5}

    one, again = (cut(scenario, train, test, seed, **keys) for _ in range(2))

    assert as_lists(one) == as_lists(again)


def test_a_class_without_rows_is_told_by_the_place_they_should_be():
    train = torch.arange(60) % (CLASSES - 1)

    for scenario in ("online", "repetition", "nic"):
        with pytest.raises(ConfigError, match=r"^benchmark\.data_root=here: has no training rows"):
            cut(scenario, train, torch.arange(60) % CLASSES, 0)
