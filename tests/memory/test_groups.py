import pytest
import torch

from clrun.memory.groups import members, runs


def test_members_are_the_rows_of_each_group_in_their_order():
    found = members(torch.tensor([7, 2, 7, 2, 2]))

    assert {group: rows.tolist() for group, rows in found.items()} == {2: [1, 3, 4], 7: [0, 2]}
    assert list(found) == [2, 7]


def test_runs_come_in_the_order_they_lie():
    assert list(runs(torch.tensor([7, 7, 2])).items()) == [(7, (0, 2)), (2, (2, 3))]


def test_no_rows_are_no_groups():
    assert members(torch.arange(0)) == {}
    assert runs(torch.arange(0)) == {}


def test_a_group_in_two_places_is_a_mistake():
    with pytest.raises(AssertionError, match="side by side"):
        runs(torch.tensor([1, 2, 1]))
