import pytest
import torch

from clrun.errors import ConfigError
from clrun.memory.table import Table, concatenate, empty, select_from_both, table


def rows(*ids: int) -> Table:
    """One-pixel images that can be told by their pixel, each with the logits (id, -id)."""
    y = torch.tensor(ids)
    x = y.to(torch.uint8).reshape(-1, 1, 1, 1)
    logits = torch.stack([y, -y], 1).float()
    return Table(y, y % 3, y.double() / 256, {"x": x, "logits": logits})


def numbers(found: Table) -> list[int]:
    """The ids of rows of which every column is still of the same row."""
    ids = found.y.tolist()
    expected = rows(*ids).columns if ids else found.columns
    assert found.columns.keys() == expected.keys()
    assert all(torch.equal(found.columns[name], expected[name]) for name in expected)
    return ids


def test_selecting_takes_all_columns_in_the_order_asked_for():
    assert numbers(rows(5, 6, 7).select(torch.tensor([2, 0]))) == [7, 5]


def test_selected_rows_are_copies():
    found = rows(5, 6, 7)

    chosen = found.select(torch.arange(3))

    for name, column in chosen.columns.items():
        assert column.data_ptr() != found.columns[name].data_ptr()


def test_a_span_shares_its_rows_with_the_table():
    found = rows(5, 6, 7)

    part = found.span(1, 3)

    assert numbers(part) == [6, 7]
    assert part["logits"].untyped_storage().data_ptr() == (
        found["logits"].untyped_storage().data_ptr()
    )


def test_a_part_without_rows_does_not_matter_when_joining():
    assert numbers(concatenate([empty(), rows(1, 2), rows(3)])) == [1, 2, 3]
    assert len(concatenate([empty(), empty()])) == 0


def test_rows_are_chosen_from_two_tables_as_if_they_were_one():
    held, new = rows(1, 2, 3), rows(4, 5)
    index = torch.tensor([4, 0, 2, 3, 1])

    assert numbers(select_from_both(held, new, index)) == [5, 1, 3, 4, 2]
    assert numbers(select_from_both(empty(), new, torch.tensor([1, 0]))) == [5, 4]
    assert numbers(select_from_both(held, new.span(0, 0), torch.tensor([2]))) == [3]


def test_rows_without_a_column_cannot_join_rows_that_have_it():
    bare = table({name: c for name, c in rows(4).columns.items() if name != "logits"})

    with pytest.raises(AssertionError, match="logits"):
        select_from_both(rows(1), bare, torch.tensor([0, 1]))
    with pytest.raises(AssertionError):
        concatenate([rows(1), bare])


def test_a_table_can_be_made_again_of_its_columns():
    assert numbers(table(rows(8, 9).columns)) == [8, 9]


def test_a_table_without_rows_has_the_same_columns():
    nothing = rows(8, 9).without_rows()

    assert numbers(nothing) == []
    assert nothing["logits"].shape == (0, 2)
    assert nothing.x.dtype == torch.uint8


def test_rows_go_to_a_device_without_their_keys():
    elsewhere = rows(8, 9).to(torch.device("meta"))

    devices = {name: column.device.type for name, column in elsewhere.columns.items()}
    assert devices == {
        "y": "meta",
        "experience": "meta",
        "key": "cpu",
        "x": "meta",
        "logits": "meta",
    }
    assert elsewhere.key.tolist() == rows(8, 9).key.tolist()


def test_bytes_are_those_of_all_columns():
    assert rows(1, 2).nbytes == 2 * (1 + 8 + 8 + 8 + 2 * 4)


def test_every_column_can_be_read_by_its_name():
    found = rows(3, 4)

    assert found["y"].tolist() == [3, 4]
    assert found["logits"].tolist() == [[3, -3], [4, -4]]


def test_a_column_that_is_not_there_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"'loss' .* does not give.* known here: y, .*logits\.$"):
        rows(1)["loss"]


def test_a_measure_is_read_like_a_column_of_whatever_rows_are_left_and_takes_no_bytes():
    plain = rows(3, 4, 5)
    measured = Table(
        plain.y, plain.experience, plain.key, plain.named, {"double": lambda found: 2 * found.y}
    )

    assert measured["double"].tolist() == [6, 8, 10]
    assert measured.select(torch.tensor([2]))["double"].tolist() == [10]
    assert measured.span(0, 1)["double"].tolist() == [6]
    assert concatenate([measured, plain])["double"].tolist() == [6, 8, 10, 6, 8, 10]
    assert select_from_both(measured, plain, torch.tensor([0, 5]))["double"].tolist() == [6, 10]
    assert measured.nbytes == plain.nbytes
    assert "double" not in measured.columns
