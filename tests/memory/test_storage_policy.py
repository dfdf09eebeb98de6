from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.errors import ConfigError
from clrun.memory.storage_policy import (
    ClassBalancedStoragePolicy,
    ExperienceBalancedStoragePolicy,
    LatentReplacementStoragePolicy,
    Order,
    ReservoirStoragePolicy,
    StoragePolicy,
)
from clrun.memory.table import Table, select_from_both
from clrun.memory.table import empty as no_rows


def by_experience(total: int | None = None) -> StoragePolicy:
    return ExperienceBalancedStoragePolicy(
        ExperienceBalancedStoragePolicy.Config(adaptive_size=total is None, num_experiences=total)
    )


def by_class(total: int | None = None) -> StoragePolicy:
    return ClassBalancedStoragePolicy(
        ClassBalancedStoragePolicy.Config(adaptive_size=total is None, total_num_classes=total)
    )


def reservoir() -> StoragePolicy:
    return ReservoirStoragePolicy(ReservoirStoragePolicy.Config())


def by_key(pool: Table, k: int) -> torch.Tensor:
    return pool.key.argsort(descending=True, stable=True)[:k]


def scripted(*indices: int) -> Order:
    return lambda _pool, k: torch.tensor(indices)[:k]


def offer(classes: dict[int, int], experience: int, seed: int = 0) -> Table:
    """So many rows of each class, shuffled; the pixel is the class."""
    y = torch.tensor([c for c, n in classes.items() for _ in range(n)], dtype=torch.int64)
    rng = torch.Generator().manual_seed(seed + 1000 * experience)
    y = y[torch.randperm(len(y), generator=rng)]
    key = torch.rand(len(y), generator=rng, dtype=torch.float64)
    x = y.to(torch.uint8).reshape(-1, 1, 1, 1)
    return Table(y, torch.full_like(y, experience), key, {"x": x})


def empty() -> Table:
    return no_rows(x=torch.empty((0, 1, 1, 1), dtype=torch.uint8))


def kept(policy: StoragePolicy, held: Table, new: Table, mem_size: int, order: Order) -> Table:
    """The rows that the policy names."""
    return select_from_both(held, new, policy.keep(held, new, mem_size, order))


def values(classes: dict[int, list[int]]) -> Table:
    """Rows told apart by their pixel, class after class."""
    y = torch.tensor([c for c, pixels in classes.items() for _ in pixels])
    x = torch.tensor([p for pixels in classes.values() for p in pixels], dtype=torch.uint8)
    key = torch.zeros(len(y), dtype=torch.float64)
    return Table(y, torch.zeros_like(y), key, {"x": x.reshape(-1, 1, 1, 1)})


def stored(held: Table) -> dict[int, list[int]]:
    result: dict[int, list[int]] = {}
    for y, x in zip(held.y.tolist(), held.x.flatten().tolist(), strict=True):
        result.setdefault(y, []).append(x)
    return result


def stream(policy: StoragePolicy, offers: Sequence[Table], mem_size: int) -> list[Table]:
    """What the memory holds after each offer."""
    held, history = empty(), []
    for new in offers:
        held = kept(policy, held, new, mem_size, by_key)
        history.append(held)
    return history


def per_experience(held: Table) -> dict[int, int]:
    return dict(Counter(held.experience.tolist()))


def per_class(held: Table) -> dict[int, int]:
    return dict(Counter(held.y.tolist()))


def entries(held: Table) -> list[tuple[float, ...]]:
    """All that is known of each row."""
    columns = [column.flatten().tolist() for column in held.columns.values()]
    return list(zip(*columns, strict=True))


def identities(held: Table) -> list[float]:
    return held.key.tolist()


@pytest.mark.parametrize(
    ("mem_size", "expected"),
    [
        (100, [[100], [50, 50], [33, 33, 34], [25] * 4, [20] * 5, [16, 16, 17, 17, 17, 17]]),
        (25, [[25], [12, 13], [8, 8, 9], [6, 6, 6, 7], [5] * 5, [4, 4, 4, 4, 4, 5]]),
        (10, [[10], [5, 5], [3, 3, 4], [2, 2, 3, 3], [2] * 5, [1, 1, 2, 2, 2, 2]]),
        (5, [[5], [2, 3], [1, 2, 2], [1, 1, 1, 2], [1] * 5, [0, 1, 1, 1, 1, 1]]),
        (3, [[3], [1, 2], [1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1]]),
    ],
)
def test_experiences_share_the_memory_equally(mem_size, expected):
    offers = [offer({2 * i: 60, 2 * i + 1: 60}, i) for i in range(6)]

    history = stream(by_experience(), offers, mem_size)

    counts = [per_experience(held) for held in history]
    assert [[c.get(i, 0) for i in range(n + 1)] for n, c in enumerate(counts)] == expected


def test_a_short_experience_leaves_its_places_to_the_others():
    offers = [offer({0: 60}, 0), offer({1: 200}, 1), offer({2: 10}, 2), offer({3: 200}, 3)]

    history = stream(by_experience(), offers, 100)

    assert [per_experience(held) for held in history] == [
        {0: 60},
        {0: 50, 1: 50},
        {0: 45, 1: 45, 2: 10},
        {0: 30, 1: 30, 2: 10, 3: 30},
    ]


@pytest.mark.parametrize(
    ("mem_size", "offers", "expected"),
    [
        (100, [{0: 5, 1: 200}, {2: 10, 3: 200}], {0: 5, 1: 42, 2: 10, 3: 43}),
        (20, [{0: 3, 1: 3}], {0: 3, 1: 3}),
        (20, [{0: 3, 1: 3}, {2: 50}], {0: 3, 1: 3, 2: 14}),
        (100, [{0: 200, 1: 200}, {2: 200, 3: 200}], {0: 25, 1: 25, 2: 25, 3: 25}),
        (100, [{c: 200} for c in range(6)], {0: 16, 1: 16, 2: 17, 3: 17, 4: 17, 5: 17}),
        (10, [{0: 5, 1: 5}, {2: 50, 3: 50}], {0: 2, 1: 2, 2: 3, 3: 3}),
        (10, [{7: 9, 5: 9, 6: 9}, {1: 9}], {5: 2, 6: 2, 7: 3, 1: 3}),
        (3, [{c: 9 for c in range(5)}], {2: 1, 3: 1, 4: 1}),
        (3, [{0: 9, 1: 9}], {0: 1, 1: 2}),
    ],
)
def test_classes_share_the_memory_equally(mem_size, offers, expected):
    experiences = [offer(classes, i) for i, classes in enumerate(offers)]

    held = stream(by_class(), experiences, mem_size)[-1]

    assert per_class(held) == expected


def test_fixed_shares_keep_room_for_classes_to_come():
    offers = [offer({0: 50, 1: 50}, 0), offer({2: 50}, 1), offer({3: 4}, 2)]

    history = stream(by_class(total=10), offers, 103)

    assert [per_class(held) for held in history] == [
        {0: 10, 1: 10},
        {0: 10, 1: 10, 2: 10},
        {0: 10, 1: 10, 2: 10, 3: 4},
    ]


def test_fixed_shares_refuse_one_experience_too_many():
    offers = [offer({0: 50}, i) for i in range(6)]

    assert per_experience(stream(by_experience(total=5), offers[:5], 103)[-1]) == dict.fromkeys(
        range(5), 20
    )
    with pytest.raises(ConfigError, match=r"^storage_policy\.num_experiences=5: .*number 6"):
        stream(by_experience(total=5), offers, 103)


def test_a_class_that_comes_back_keeps_its_age():
    offers = [offer({4: 9}, 0), offer({2: 9}, 1), offer({4: 9}, 2)]

    history = stream(by_class(), offers, 5)

    assert per_class(history[1]) == {4: 2, 2: 3}
    assert per_class(history[2]) == {4: 2, 2: 3}


def test_a_class_that_lost_all_its_rows_is_new_when_it_comes_back():
    offers = [offer({c: 9}, i) for i, c in enumerate([0, 1, 2, 0])]

    history = stream(by_class(), offers, 2)

    assert [set(per_class(held)) for held in history] == [{0}, {0, 1}, {1, 2}, {2, 0}]


def test_the_orders_first_rows_are_stored_in_its_order():
    new = values({0: [0, 1, 2, 3, 4, 5, 6]})

    held = kept(by_class(), empty(), new, 4, scripted(6, 4, 2, 0, 1, 3, 5))

    assert stored(held) == {0: [6, 4, 2, 0]}


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        ([({0: [0, 1, 2, 3]}, (2, 0, 1, 3))], {0: [2, 0, 1, 3]}),
        ([({0: [0, 1], 1: [10, 11]}, (1, 0))], {0: [1, 0], 1: [11, 10]}),
        ([({0: [0, 1, 2], 1: [10, 11, 12]}, (2, 0, 1))], {0: [2, 0], 1: [12, 10]}),
        (
            [
                ({0: [0, 1], 1: [10, 11]}, (1, 0)),
                ({2: [20, 21, 22], 3: [30, 31, 32]}, (2, 1, 0)),
            ],
            {0: [1], 1: [11], 2: [22], 3: [32]},
        ),
    ],
)
def test_classes_are_stored_as_selected_and_shrink_from_the_end(offers, expected):
    held = empty()
    for classes, order in offers:
        held = kept(by_class(), held, values(classes), 4, scripted(*order))

    assert stored(held) == expected


def test_a_group_with_new_rows_is_ranked_with_its_old_ones_first():
    pools = []

    def order(pool: Table, k: int) -> torch.Tensor:
        pools.append(pool.x.flatten().tolist())
        return torch.arange(k)

    held = kept(by_class(), empty(), values({0: [1, 2], 1: [10]}), 4, order)
    kept(by_class(), held, values({0: [3]}), 4, order)

    assert pools == [[1, 2], [10], [1, 2, 3]]


def test_a_group_without_a_place_is_not_ranked():
    asked = []

    def order(pool: Table, k: int) -> torch.Tensor:
        asked.append((int(pool.y[0]), k))
        return torch.arange(k)

    by_class().keep(empty(), values({0: [1], 1: [2], 2: [3]}), 2, order)

    assert asked == [(1, 1), (2, 1)]


CLASS_COUNTS = st.dictionaries(st.integers(0, 5), st.integers(1, 12), min_size=1, max_size=4)
STREAMS = st.lists(CLASS_COUNTS, min_size=1, max_size=6)
SIZES = st.integers(0, 40)
POLICIES = pytest.mark.parametrize("policy", [by_experience(), by_class(), reservoir()])
FEW = settings(max_examples=40, deadline=None)


@POLICIES
@FEW
@given(classes=STREAMS, mem_size=SIZES)
def test_the_memory_holds_all_it_has_seen_or_is_full(policy, classes, mem_size):
    offers = [offer(counts, i) for i, counts in enumerate(classes)]

    history = stream(policy, offers, mem_size)

    seen = torch.tensor([len(new) for new in offers]).cumsum(0).tolist()
    assert [len(held) for held in history] == [min(mem_size, n) for n in seen]


@POLICIES
@FEW
@given(classes=STREAMS, mem_size=SIZES)
def test_a_row_is_kept_once_with_its_label_and_its_experience(policy, classes, mem_size):
    offers = [offer(counts, i) for i, counts in enumerate(classes)]

    held = stream(policy, offers, mem_size)[-1]

    offered = {row for new in offers for row in entries(new)}
    still_there = entries(held)
    assert len(set(still_there)) == len(still_there)
    assert set(still_there) <= offered


@FEW
@given(classes=STREAMS, mem_size=SIZES)
def test_shares_of_experiences_differ_by_one_at_most_where_rows_allow(classes, mem_size):
    offers = [offer(counts, i) for i, counts in enumerate(classes)]

    history = stream(by_experience(), offers, mem_size)

    for before, held, new in zip([empty(), *history], history, offers, strict=False):
        available = Counter(per_experience(before)) + Counter(per_experience(new))
        counts = per_experience(held)
        assert all(
            counts.get(g, 0) >= max(counts.values(), default=0) - 1
            for g in available
            if counts.get(g, 0) < available[g]
        )


@FEW
@given(classes=STREAMS, mem_size=SIZES)
def test_no_class_is_lost_while_there_is_a_place_for_each(classes, mem_size):
    offers = [offer(counts, i) for i, counts in enumerate(classes)]
    seen = {c for counts in classes for c in counts}

    held = stream(by_class(), offers, mem_size)[-1]

    assert len(per_class(held)) == len(seen) or len(seen) > mem_size


@FEW
@given(classes=STREAMS, mem_size=SIZES)
def test_groups_without_new_rows_only_lose_their_last_rows(classes, mem_size):
    offers = [offer(counts, i) for i, counts in enumerate(classes)]

    history = stream(by_class(), offers, mem_size)

    for before, held, counts in zip(history, history[1:], classes[1:], strict=False):
        for c in set(per_class(held)) - set(counts):
            left = identities(held.select((held.y == c).nonzero().flatten()))
            had = identities(before.select((before.y == c).nonzero().flatten()))
            assert left == had[: len(left)]


@POLICIES
@FEW
@given(classes=STREAMS)
def test_a_smaller_memory_can_be_made_of_a_larger_one(policy, classes):
    offers = [offer(counts, i) for i, counts in enumerate(classes)]
    held = stream(policy, offers, 30)[-1]

    smaller = kept(policy, held, empty(), 7, by_key)

    assert len(smaller) == min(7, len(held))
    assert set(identities(smaller)) <= set(identities(held))


def test_a_reservoir_does_not_depend_on_how_the_stream_is_cut():
    whole = offer({0: 300}, 0)
    pieces = [whole.span(start, start + 10) for start in range(0, 300, 10)]

    at_once = stream(reservoir(), [whole], 40)[-1]
    bit_by_bit = stream(reservoir(), pieces, 40)[-1]

    assert identities(at_once) == identities(bit_by_bit)


def test_a_reservoir_keeps_the_rows_with_the_largest_keys():
    offers = [offer({0: 30}, 0), offer({1: 30}, 1)]

    held = stream(reservoir(), offers, 10)[-1]

    keys = sorted(identities(offers[0]) + identities(offers[1]), reverse=True)
    assert identities(held) == keys[:10]


def test_every_row_of_a_returning_class_has_the_same_chance_to_stay():
    survivors = torch.zeros(5)
    for seed in range(200):
        offers = [offer({0: 20}, i, seed=10_000 * seed) for i in range(5)]
        held = stream(by_class(), offers, 10)[-1]
        survivors += torch.bincount(held.experience, minlength=5)

    expected = 200 * 10 / 5
    chi_square = float(((survivors - expected) ** 2 / expected).sum())
    assert chi_square < 18.5  # 4 degrees of freedom: passed by chance in 1 of 1000


def test_the_rows_kept_share_no_storage_with_the_rows_offered():
    new = offer({0: 9, 1: 9}, 0)

    for policy in (by_experience(), by_class(), reservoir()):
        held = kept(policy, empty(), new, 100, by_key)

        assert held.x.untyped_storage().data_ptr() != new.x.untyped_storage().data_ptr()
        assert held.x.untyped_storage().nbytes() == held.x.nbytes


def with_lots(held: Table, *lots: int) -> Table:
    return replace(held, named={**held.named, "lot": torch.tensor(lots)})


def test_ar1_s_rule_fills_free_places_first_and_then_replaces_the_rows_whose_lot_is_lowest():
    held, new = with_lots(offer({0: 4}, 0), 2, 0, 3, 1), values({1: [9] * 5})
    new = replace(new, experience=torch.ones_like(new.y))

    numbers = LatentReplacementStoragePolicy().keep(held, new, 6, scripted(3, 1, 4, 0, 2))

    # three of the new rows, 6 // 2: numbers 5, 7 and 8; two places are free
    assert numbers.tolist() == [0, 8, 2, 3, 5, 7]


def test_ar1_s_rule_leaves_every_row_that_stays_in_its_place():
    held, new = with_lots(offer({0: 4}, 0), 2, 0, 3, 1), values({1: [9] * 5})
    new = replace(new, experience=torch.ones_like(new.y))

    numbers = LatentReplacementStoragePolicy().keep(held, new, 4, scripted(3, 1, 4, 0, 2))

    assert numbers.tolist() == [0, 5, 2, 7]
