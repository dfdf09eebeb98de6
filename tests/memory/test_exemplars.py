import torch

from clrun.memory.exemplars import Exemplars, concatenate, empty, select_from_both


def rows(*ids: int) -> Exemplars:
    """One-pixel exemplars that can be told by their pixel."""
    x = torch.tensor(ids, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    y = torch.tensor(ids)
    return Exemplars(x, y, y % 3, y.double() / 256)


def pixels(exemplars: Exemplars) -> list[int]:
    assert exemplars.x.flatten().tolist() == exemplars.y.tolist(), "a row lost its label"
    return exemplars.y.tolist()


def test_selecting_takes_the_rows_in_the_order_asked_for():
    chosen = rows(5, 6, 7).select(torch.tensor([2, 0]))

    assert pixels(chosen) == [7, 5]
    assert chosen.key.tolist() == [7 / 256, 5 / 256]


def test_selected_rows_are_copies():
    table = rows(5, 6, 7)

    chosen = table.select(torch.arange(3))

    assert chosen.x.untyped_storage().data_ptr() != table.x.untyped_storage().data_ptr()


def test_a_part_without_rows_does_not_matter_when_joining():
    assert pixels(concatenate([empty(), rows(1, 2), rows(3)])) == [1, 2, 3]
    assert concatenate([empty(), empty()]).num_rows == 0


def test_rows_are_chosen_from_two_tables_as_if_they_were_one():
    held, new = rows(1, 2, 3), rows(4, 5)
    index = torch.tensor([4, 0, 2, 3, 1])

    assert pixels(select_from_both(held, new, index)) == [5, 1, 3, 4, 2]
    assert pixels(select_from_both(empty(), new, torch.tensor([1, 0]))) == [5, 4]
    assert pixels(select_from_both(held, empty(new), torch.tensor([2]))) == [3]


def test_no_rows_can_be_shaped_like_others():
    nothing = empty(like=rows(1, 2))

    assert nothing.x.shape == (0, 1, 1, 1)
    assert nothing.x.dtype == torch.uint8
    assert nothing.nbytes == 0


def test_bytes_are_those_of_all_fields():
    assert rows(1, 2).nbytes == 2 * (1 + 8 + 8 + 8)
