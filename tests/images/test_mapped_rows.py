import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.errors import StorageError
from clrun.images import mapped_rows
from clrun.images.mapped_rows import MappedRows, RowFile

SHAPE = (3, 4, 5)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randint(256, (40, *SHAPE), generator=torch.Generator().manual_seed(0)).byte()


@pytest.fixture(params=["mapped", "read"])
def rows(request, images, tmp_path, monkeypatch) -> MappedRows:
    """All rows of a file, in either of the two ways to read one."""
    if request.param == "read":
        monkeypatch.setattr(mapped_rows, "MAPPED_BYTES", 0)
    return written(images, tmp_path)


def written(images, folder) -> MappedRows:
    np.save(folder / "rows.npy", images.numpy())
    return MappedRows(RowFile(folder / "rows.npy", len(images), SHAPE))


def test_a_gather_is_what_the_tensor_gives(rows, images):
    index = torch.tensor([7, 0, 39, 7])

    assert torch.equal(rows.index_select(0, index), images.index_select(0, index))
    assert rows.index_select(0, index[:0]).shape == (0, *SHAPE)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_choices_of_choices_are_the_tensors_choices(images, tmp_path_factory, data):
    rows, expected = written(images, tmp_path_factory.mktemp("rows")), images

    for _ in range(data.draw(st.integers(1, 4))):
        n = len(expected)
        index = st.lists(st.integers(0, n - 1), max_size=50) if n else st.just([])
        kind = data.draw(st.sampled_from(["numbers", "mask", "slice", "split"]))
        if kind == "numbers":
            chosen = torch.tensor(data.draw(index), dtype=torch.int64)
        elif kind == "mask":
            chosen = torch.tensor(data.draw(st.lists(st.booleans(), min_size=n, max_size=n))).bool()
        else:
            start = data.draw(st.integers(0, n))
            chosen = slice(start, data.draw(st.integers(start, n)))
        rows, expected = rows[chosen], expected[chosen]

    assert len(rows) == len(expected)
    assert rows.shape == expected.shape
    assert rows.nbytes == expected.nbytes
    assert torch.equal(rows.read(), expected)


@pytest.mark.parametrize("sizes", [7, 40, 100, [10, 0, 30]])
def test_pieces_are_the_tensors_pieces(rows, images, sizes):
    pieces = rows.split(sizes)

    assert [len(piece) for piece in pieces] == [len(piece) for piece in images.split(sizes)]
    assert torch.equal(torch.cat([piece.to("cpu") for piece in pieces]), images)


def test_moving_rows_reads_and_converts_them(rows, images):
    assert torch.equal(rows.to(torch.float32), images.float())


def test_the_identity_tells_rows_and_their_order_apart(rows):
    chosen = [torch.tensor(index) for index in ([1, 2], [2, 1], [1])]

    identities = {rows[index].identity() for index in chosen}

    assert len(identities) == 3
    assert rows[chosen[0]].identity() in identities


def test_what_a_gather_returns_may_be_changed(rows, images):
    rows.index_select(0, torch.tensor([3])).zero_()

    assert torch.equal(rows.index_select(0, torch.tensor([3])), images[3:4])


@pytest.mark.parametrize("index", [[40], [0, -1], [-41]])
def test_a_row_that_is_not_there_is_an_error(rows, index):
    with pytest.raises(IndexError):
        rows.index_select(0, torch.tensor(index))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_a_copy_reads_the_same(rows, images, copied):
    chosen = rows[torch.tensor([5, 2])]

    assert torch.equal(copied(chosen).read(), images[[5, 2]])


def test_rows_stay_readable_when_their_file_is_deleted(rows, images):
    rows.file.path.unlink()

    assert torch.equal(rows.read(), images)


def test_a_file_that_was_cut_short_is_told(images, tmp_path, monkeypatch):
    monkeypatch.setattr(mapped_rows, "MAPPED_BYTES", 0)
    rows = written(images, tmp_path)
    with (tmp_path / "rows.npy").open("r+b") as file:
        file.truncate(1000)

    with pytest.raises(StorageError, match=r"rows\.npy: was cut short"):
        rows.read()
