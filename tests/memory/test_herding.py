import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from clrun.errors import ClrunError
from clrun.memory import herding as herding_module
from clrun.memory.herding import closest_to_center, herding
from oracles.herding import by_definition

SINES = torch.sin(1.7 * torch.arange(24, dtype=torch.float64)).reshape(8, 3)


def by_exact_definition(integers: Tensor) -> list[int]:
    """The definition in integers, where ties are ties: distances times n (t + 1)."""
    f, n = integers.long(), len(integers)
    total, picked, order = f.sum(0), torch.zeros(f.shape[1], dtype=torch.int64), []
    for t in range(n):
        distances = ((n * (picked + f) - (t + 1) * total) ** 2).sum(1)
        distances[order] = torch.iinfo(torch.int64).max
        order.append(int(distances.argmin()))
        picked += f[order[-1]]
    return order


def features(kind: str, n: int, d: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    normal = torch.randn(n, d, generator=rng)
    return {
        "normal": normal,
        "relu": normal.relu(),
        "duplicates": normal[torch.randint(n, (n,), generator=rng)],
        "far from zero": 0.1 * normal + 100,
        "small integers": torch.randint(-2, 3, (n, d), generator=rng).float(),
        "bits": torch.randint(0, 2, (n, d), generator=rng).float(),
        "all equal": normal[:1].expand(n, d),
    }[kind]


CONTINUOUS = ["normal", "relu", "duplicates", "far from zero"]
INTEGERS = ["small integers", "bits"]
KINDS = [*CONTINUOUS, *INTEGERS, "all equal"]
BOTH_WAYS = pytest.mark.parametrize("gram_bytes", [2**30, 0], ids=["all products", "one by one"])


def herding_with(gram_bytes: int, table: Tensor) -> list[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(herding_module, "GRAM_BYTES", gram_bytes)
        return herding(table).tolist()


@pytest.mark.parametrize(
    ("rows", "herded", "closest"),
    [
        ([[0], [4], [5]], [1, 0, 2], [1, 2, 0]),
        ([[0, 0], [1, 0], [0, 1], [1, 1], [4, 4], [2, 0]], [3, 5, 2, 1, 4, 0], [3, 1, 5, 2, 0, 4]),
        (
            [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10], [2, 1], [0, 5]],
            [1, 2, 6, 3, 5, 4, 0],
            [1, 2, 6, 0, 3, 5, 4],
        ),
        ([[1, 0], [-1, 0], [0, 1], [0, -1]], [0, 1, 2, 3], [0, 1, 2, 3]),
        ([[1], [1], [3], [3]], [0, 2, 1, 3], [0, 1, 2, 3]),
        ([[7, 7]], [0], [0]),
        (SINES.tolist(), [6, 3, 0, 2, 5, 7, 4, 1], [6, 0, 1, 2, 5, 7, 3, 4]),
    ],
    ids=["line", "plane", "seven", "ties", "duplicates", "one row", "sines"],
)
def test_known_orders(rows, herded, closest):
    table = torch.tensor(rows, dtype=torch.float64)

    assert herding(table).tolist() == herded
    assert closest_to_center(table).tolist() == closest


@BOTH_WAYS
@pytest.mark.parametrize("kind", CONTINUOUS)
@settings(max_examples=8, deadline=None)
@example(n=4, d=31, seed=17)  # two pairs of equal rows: both are as far from the mean
@given(n=st.integers(1, 120), d=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_herding_picks_what_the_definition_picks(kind, gram_bytes, n, d, seed):
    table = features(kind, n, d, seed)

    assert herding_with(gram_bytes, table) == by_definition(table)


@BOTH_WAYS
@pytest.mark.parametrize("kind", INTEGERS)
@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 120), d=st.integers(1, 10), seed=st.integers(0, 10**6))
def test_herding_breaks_ties_as_exact_arithmetic_does(kind, gram_bytes, n, d, seed):
    table = features(kind, n, d, seed)

    assert herding_with(gram_bytes, table) == by_exact_definition(table)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 120), d=st.integers(1, 10), seed=st.integers(0, 10**6))
def test_distances_from_the_centre_tie_as_in_exact_arithmetic(n, d, seed):
    table = features("small integers", n, d, seed)

    exact = ((n * table.long() - table.long().sum(0)) ** 2).sum(1)
    assert closest_to_center(table).tolist() == exact.argsort(stable=True).tolist()


@pytest.mark.parametrize("kind", CONTINUOUS)
def test_herding_picks_what_the_definition_picks_of_five_hundred_rows(kind):
    table = features(kind, 500, 64, seed=1)

    assert herding(table).tolist() == by_definition(table)


@pytest.mark.parametrize("kind", INTEGERS)
def test_herding_of_five_hundred_rows_breaks_ties_as_exact_arithmetic_does(kind):
    table = features(kind, 500, 6, seed=1)

    assert herding(table).tolist() == by_exact_definition(table)


def test_faster_matrix_products_elsewhere_do_not_change_the_picks():
    table = features("relu", 400, 256, seed=3)
    precision = torch.get_float32_matmul_precision()

    torch.set_float32_matmul_precision("medium")
    try:
        order = herding(table, 40).tolist()
    finally:
        torch.set_float32_matmul_precision(precision)

    assert order == by_definition(table)[:40]


def test_equal_rows_are_picked_in_their_order():
    assert herding(features("all equal", 40, 5, seed=0)).tolist() == list(range(40))


@settings(max_examples=30, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(1, 60),
    k=st.integers(0, 70),
    seed=st.integers(0, 10**6),
)
def test_the_first_picks_are_a_prefix_of_the_whole_order(kind, n, k, seed):
    table = features(kind, n, 8, seed)

    assert herding(table, k).tolist() == herding(table).tolist()[:k]
    assert closest_to_center(table, k).tolist() == closest_to_center(table).tolist()[:k]


@settings(max_examples=30, deadline=None)
@given(kind=st.sampled_from(KINDS), n=st.integers(0, 60), seed=st.integers(0, 10**6))
def test_a_whole_order_names_every_row_once(kind, n, seed):
    table = features(kind, max(n, 1), 5, seed)[:n]

    for order in (herding(table), closest_to_center(table)):
        assert order.dtype == torch.int64
        assert sorted(order.tolist()) == list(range(n))


def test_herded_rows_have_a_mean_closer_to_the_groups_than_random_rows():
    table = features("relu", 300, 16, seed=2)

    chosen = table[herding(table, 10)].mean(0)

    random = [
        table[torch.randperm(300, generator=torch.Generator().manual_seed(s))[:10]].mean(0)
        for s in range(50)
    ]
    distances = (torch.stack([chosen, *random]) - table.mean(0)).norm(dim=1)
    assert distances[0] < 0.5 * distances[1:].min()


@pytest.mark.parametrize("rank", [herding, closest_to_center])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_no_numbers_are_refused_in_one_line(rank, value):
    table = features("normal", 9, 3, seed=0)
    table[4, 1] = value

    with pytest.raises(ClrunError, match=r"features of 1 of 9 rows are NaN.*selection=random"):
        rank(table)


def test_no_rows_have_an_order_too():
    assert herding(torch.empty(0, 4)).tolist() == []
    assert closest_to_center(torch.empty(0, 4)).tolist() == []


def test_ranking_leaves_the_features_alone():
    table = features("normal", 9, 3, seed=0).double()
    before = table.clone()

    herding(table)
    closest_to_center(table)

    assert torch.equal(table, before)
