from __future__ import annotations

import pytest
import torch

from clrun.memory.greedy_balanced import GreedyBalancedStoragePolicy
from clrun.memory.table import Table

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

POLICY = GreedyBalancedStoragePolicy(GreedyBalancedStoragePolicy.Config())
offers = st.lists(st.lists(st.integers(0, 4), max_size=40), min_size=1, max_size=4)


def table(labels: list[int], seed: int, first: int = 0) -> Table:
    """Rows of these classes, each with a number."""
    y = torch.tensor(labels, dtype=torch.int64)
    keys = torch.rand(len(y), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return Table(y, torch.zeros_like(y), keys, {"number": torch.arange(first, first + len(y))})


def kept(held: Table, new: Table, mem_size: int) -> Table:
    """What the policy keeps, as a memory holds it then."""
    numbers = POLICY.keep(held, new, mem_size, None)  # it asks for no order
    both = {name: torch.cat([held.columns[name], new.columns[name]]) for name in held.columns}
    found = {name: column[numbers] for name, column in both.items()}
    assert len(set(numbers.tolist())) == len(numbers) <= mem_size
    return Table(found["y"], found["experience"], found["key"], {"number": found["number"]})


def filled(pieces: list[list[int]], mem_size: int) -> Table:
    held, first = table([], 0), 0
    for seed, labels in enumerate(pieces):
        held = kept(held, table(labels, seed, first), mem_size)
        first += len(labels)
    return held


def one_by_one(pieces: list[list[int]], mem_size: int) -> list[int]:
    """The numbers of the rows in memory, by the algorithm written out for one row after another."""
    memory: list[tuple[int, float, int]] = []
    for seed, labels in enumerate(pieces):
        start = sum(map(len, pieces[:seed]))
        rows = table(labels, seed, start)
        for label, key, number in zip(
            labels, rows.key.tolist(), rows["number"].tolist(), strict=True
        ):
            counts = {
                c: sum(row[0] == c for row in memory) for c in {label, *(r[0] for r in memory)}
            }
            if counts[label] >= mem_size // len(counts):
                continue
            if len(memory) == mem_size:
                most = [row for row in memory if counts[row[0]] == max(counts.values())]
                memory.remove(min(most, key=lambda row: row[1]))
            memory.append((label, key, number))
    return sorted(row[2] for row in memory)


@settings(max_examples=25, deadline=None)
@given(offers, st.integers(5, 30))
def test_the_memory_is_that_of_the_algorithm_written_out(pieces, mem_size):
    assert filled(pieces, mem_size)["number"].tolist() == one_by_one(pieces, mem_size)


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)), st.integers(1, 5), st.integers(5, 37))
def test_classes_with_enough_rows_have_equal_shares_within_one(order, classes, mem_size):
    held = filled([[c] * 50 for c in order[:classes]], mem_size)

    counts = held.y.unique(return_counts=True)[1]
    assert len(counts) == classes
    assert counts.max() - counts.min() <= 1


def test_the_first_rows_of_each_class_are_stored_in_their_order():
    assert filled([[0, 1, 0, 0, 1, 1, 0]], 4)["number"].tolist() == [0, 1, 2, 4]


def test_a_class_with_few_rows_leaves_its_places_free():
    held = filled([[0] * 2 + [1] * 50], 10)

    assert held.y.tolist() == [0] * 2 + [1] * 5


def test_rows_that_go_are_drawn_among_all_of_the_largest_class():
    gone = set()
    for seed in range(40):
        held = kept(table([], 0), table([0] * 4, seed), 4)
        held = kept(held, table([1] * 2, seed, 4), 4)
        gone |= {0, 1, 2, 3} - set(held["number"].tolist())

    assert gone == {0, 1, 2, 3}


@pytest.mark.parametrize("names", [(3, 0, 4, 1, 2)])
def test_the_numbers_that_classes_have_do_not_matter(names):
    pieces = [[0, 1] * 20, [2] * 30, [1, 3] * 30, [4, 0] * 9]

    other = filled([[names[c] for c in labels] for labels in pieces], 17)

    assert other["number"].tolist() == filled(pieces, 17)["number"].tolist()
