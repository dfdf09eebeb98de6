import torch

from clrun.memory.lanes import Lane, rotating, shuffled_cycles
from clrun.seeds import generator


def test_every_pass_over_the_rows_is_a_fresh_permutation():
    rows = torch.arange(100, 130)

    cycled = shuffled_cycles(rows, 70, generator(0, "order"))

    first, second, rest = cycled.split(30)
    assert first.sort().values.tolist() == second.sort().values.tolist() == rows.tolist()
    assert len(set(rest.tolist())) == 10
    assert not torch.equal(first, second)


def test_extra_rows_go_round_among_the_lanes():
    lanes = [Lane(torch.arange(4), 1, extra=2, groups=3, turn=turn) for turn in range(3)]

    sizes = torch.stack([lane.sizes(3) for lane in lanes])

    assert sizes.tolist() == [[2, 2, 1], [2, 1, 2], [1, 2, 2]]


def test_a_lane_knows_after_how_many_minibatches_its_rows_are_used():
    assert Lane(torch.arange(300), 64).iterations() == 5
    assert Lane(torch.arange(4), 0, extra=1, groups=3).iterations() == 12


def test_no_group_is_always_the_first_to_get_an_extra_row():
    groups = [torch.arange(2)] * 3

    lanes = [rotating(groups, 1, generator(seed, "order")) for seed in range(30)]

    assert {lane.turn for lane, *_ in lanes} == {0, 1, 2}
