import torch

from clrun.memory.counts import counts, summary


def test_ids_are_counted_in_their_order():
    found = counts(torch.tensor([3, 1, 3, 0, 3]))

    assert list(found.items()) == [(0, 1), (1, 1), (3, 3)]
    assert counts(torch.empty(0, dtype=torch.int64)) == {}


def test_stored_rows_are_summed_up_by_class_and_by_experience():
    y, experience = torch.tensor([4, 4, 2]), torch.tensor([0, 1, 1])

    assert summary(y, experience, 99) == {
        "rows": 3,
        "bytes": 99,
        "per_class": {2: 1, 4: 2},
        "per_experience": {0: 1, 1: 2},
    }
