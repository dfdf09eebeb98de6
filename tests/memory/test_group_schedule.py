import torch

from clrun.memory.group_schedule import (
    GroupSchedule,
    fixed,
    rotating,
    scheduled_rows,
    shuffled_cycles,
)
from clrun.seeds import generator


def cycled(rows: torch.Tensor, counts: list[int], totals: list[int]) -> torch.Tensor:
    return shuffled_cycles(rows, torch.tensor(counts), torch.tensor(totals), generator(0, "order"))


def equal_groups(groups: int, rows: int, size: int, extra: int) -> GroupSchedule:
    schedule = fixed([torch.arange(rows)] * groups, [size] * groups)
    return schedule._replace(extra=extra)


def test_every_pass_over_the_rows_is_a_fresh_permutation():
    rows = torch.arange(100, 130)

    first, second, rest = cycled(rows, [30], [70]).split(30)

    assert first.sort().values.tolist() == second.sort().values.tolist() == rows.tolist()
    assert len(set(rest.tolist())) == 10
    assert not torch.equal(first, second)


def test_each_group_cycles_through_its_own_rows():
    rows = torch.cat([torch.arange(4), torch.arange(10, 17), torch.arange(20, 21)])

    four, seven, none, one = cycled(rows[[*range(11), 11, 11]], [4, 7, 1, 1], [6, 7, 0, 3]).split(
        [6, 7, 0, 3]
    )

    assert sorted(four[:4].tolist()) == [0, 1, 2, 3]
    assert set(four[4:].tolist()) < {0, 1, 2, 3}
    assert sorted(seven.tolist()) == list(range(10, 17))
    assert none.tolist() == []
    assert one.tolist() == [20, 20, 20]


def test_groups_draw_one_after_the_other():
    rows = torch.arange(9)
    rng = generator(0, "order")

    together = cycled(rows, [5, 4], [10, 4])

    alone = [
        shuffled_cycles(rows[:5], torch.tensor([5]), torch.tensor([10]), rng),
        shuffled_cycles(rows[5:], torch.tensor([4]), torch.tensor([4]), rng),
    ]
    assert torch.equal(together, torch.cat(alone))


def test_extra_rows_go_round_among_the_groups():
    schedule = equal_groups(groups=3, rows=4, size=1, extra=2)

    assert schedule.sizes(3).tolist() == [[2, 2, 1], [2, 1, 2], [1, 2, 2]]


def test_a_schedule_says_after_how_many_minibatches_all_rows_are_used():
    assert fixed([torch.arange(300)], [64]).iterations() == 5
    assert fixed([torch.arange(300), torch.arange(9)], [64, 1]).iterations() == 9
    assert equal_groups(groups=3, rows=4, size=0, extra=1).iterations() == 12


def test_no_group_is_always_the_first_to_get_an_extra_row():
    rows, counts = torch.arange(6), torch.tensor([2, 2, 2])

    found = [rotating(rows, counts, 1, generator(seed, "order")) for seed in range(30)]

    assert {int(each.turn[0]) for each in found} == {0, 1, 2}


def test_no_groups_make_empty_minibatches():
    schedule = fixed([], [])

    minibatches = scheduled_rows(schedule, schedule.sizes(3), generator(0, "order"))

    assert [rows.tolist() for rows in minibatches] == [[], [], []]
