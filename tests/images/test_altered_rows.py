import copy
import pickle

import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms.functional import InterpolationMode, rotate

from clrun.images.altered_rows import (
    AlteredRows,
    Permutation,
    Resizing,
    Rotation,
    altered,
    joined,
    resized,
)
from clrun.images.lazy_rows import AT_ONCE, LazyRows, identity, stores
from clrun.images.transforms import resize
from clrun.seeds import generator


def images(n: int, channels: int = 1, height: int = 8, width: int = 8) -> torch.Tensor:
    shape = (n, channels, height, width)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator(n, "images"))


def permuted(x: torch.Tensor) -> AlteredRows:
    order = torch.randperm(x.shape[2] * x.shape[3], generator=generator(0, "permutation"))
    return AlteredRows(x, Permutation(order))


def test_a_permutation_moves_the_same_pixels_in_every_image_and_channel():
    x = torch.arange(8 * 6, dtype=torch.uint8).view(1, 1, 8, 6).expand(5, 3, -1, -1)
    order = torch.randperm(48, generator=generator(1, "permutation"))

    done = AlteredRows(x, Permutation(order)).read()

    assert done.shape == x.shape
    assert torch.equal(done.flatten(2), order.to(torch.uint8).expand(5, 3, -1))


@pytest.mark.parametrize("degrees", [30, -75, 90, 180, 360])
@pytest.mark.parametrize(("height", "width"), [(28, 28), (7, 7), (12, 20)])
def test_a_rotation_is_torchvisions_bilinear_one(degrees, height, width):
    x = images(5, 3, height, width)

    turned = AlteredRows(x, Rotation(degrees, height, width)).read()

    expected = rotate(x.float(), degrees, InterpolationMode.BILINEAR).round()
    assert_close(turned.float(), expected, atol=1, rtol=0)  # bytes on the edge of rounding
    assert (turned != expected).float().mean() < 0.01


def test_a_full_turn_changes_no_byte():
    x = images(4)

    assert torch.equal(AlteredRows(x, Rotation(360, 8, 8)).read(), x)


def test_rows_are_resized_when_they_are_read():
    x = images(10, 3)

    rows = AlteredRows(x, Resizing(12))

    assert rows.shape == (10, 3, 12, 12)
    assert torch.equal(rows.index_select(0, torch.tensor([7, 2])), resize(x, 12)[[7, 2]])


def test_every_way_to_choose_rows_gives_those_rows():
    rows = permuted(images(20))
    whole = rows.read()
    index = torch.tensor([3, 19, 3, 0])

    assert torch.equal(rows[index].read(), whole[index])
    assert torch.equal(rows[index][torch.tensor([1, 2])].read(), whole[[19, 3]])
    assert torch.equal(rows[5:15:2].read(), whole[5:15:2])
    assert torch.equal(rows[torch.arange(20) % 3 == 0].read(), whole[::3])
    assert torch.equal(rows.to("cpu"), whole)
    assert torch.equal(torch.stack(list(rows)), whole)
    for sizes in (7, [4, 16]):
        parts = rows.split(sizes)
        assert [len(part) for part in parts] == [len(part) for part in whole.split(sizes)]
        assert torch.equal(torch.cat([part.read() for part in parts]), whole)


def test_the_size_is_told_without_making_an_image():
    class Untouchable:
        shape = torch.Size((1000, 3, 8, 8))

        def __len__(self) -> int:
            return 1000

    rows = AlteredRows(Untouchable(), Resizing(16))[:10]

    assert rows.shape == (10, 3, 16, 16)
    assert rows.nbytes == 10 * 3 * 16 * 16
    assert rows.dim() == 4


def test_more_rows_than_are_altered_at_once_come_in_order():
    x = images(AT_ONCE * 2 + 3, height=2, width=2)
    rows = permuted(x)

    one_by_one = torch.cat(
        [rows.index_select(0, torch.tensor([i])) for i in (0, AT_ONCE, -1 % len(x))]
    )

    assert torch.equal(rows.read()[[0, AT_ONCE, -1]], one_by_one)


def test_alterations_can_be_put_on_top_of_one_another():
    x = images(6)

    both = AlteredRows(permuted(x), Resizing(4))

    assert torch.equal(both.read(), resize(permuted(x).read(), 4))


def test_no_rows_are_an_empty_tensor():
    rows = permuted(images(5))[:0]

    assert rows.read().shape == (0, 1, 8, 8)


@pytest.mark.parametrize("again", [copy.deepcopy, lambda rows: pickle.loads(pickle.dumps(rows))])
def test_a_copy_has_the_same_images(again):
    rows = AlteredRows(images(5), Rotation(45, 8, 8))

    assert torch.equal(again(rows).read(), rows.read())


def test_joined_rows_are_those_of_the_parts_one_after_another():
    parts = [images(5), permuted(images(7)), permuted(images(1))]

    rows = joined(parts)

    whole = torch.cat([parts[0], parts[1].read(), parts[2].read()])
    assert torch.equal(rows.to("cpu"), whole)
    assert torch.equal(
        rows.index_select(0, torch.tensor([12, 0, 5, 4, 5])), whole[[12, 0, 5, 4, 5]]
    )
    assert rows.stores() == stores(parts[0]) | parts[1].stores() | parts[2].stores()
    assert len(rows.stores()) == 3


def test_joined_tensors_are_a_tensor():
    assert torch.equal(joined([images(2), images(3)]), torch.cat([images(2), images(3)]))


def test_images_in_memory_are_resized_at_once_and_others_when_they_are_read():
    x = images(5, 3)

    assert torch.equal(resized(x, 12), resize(x, 12))
    assert resized(x, 8) is x
    later = resized(permuted(x), 12)
    assert isinstance(later, LazyRows)
    assert torch.equal(later.read(), resize(permuted(x).read(), 12))


def test_identities_tell_alterations_rows_and_joins_apart():
    x, order = images(5), torch.randperm(64, generator=generator(1, "permutation"))
    rows = [
        x,
        altered(x, Permutation(order)),
        altered(x, Permutation(order.flip(0))),
        altered(x, Rotation(30, 8, 8)),
        altered(x, Rotation(60, 8, 8)),
        altered(x, Resizing(4)),
        altered(x[:4], Resizing(4)),
        altered(x, Resizing(4))[:4],
        joined([altered(x, Resizing(4)), x]),
        joined([x, altered(x, Resizing(4))]),
    ]

    identities = [identity(some) for some in rows]

    assert len(set(identities)) == len(rows)
    assert identity(altered(x.clone(), Permutation(order.clone()))) == identities[1]
