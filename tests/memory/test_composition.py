import pytest

from clrun.errors import ConfigError
from clrun.memory.composition import Composition


@pytest.mark.parametrize(
    ("size", "memory_size", "mix", "expected"),
    [
        (128, None, "split", (64, 64)),
        (129, None, "split", (65, 64)),
        (128, 100, "split", (28, 100)),
        (128, None, "add", (128, 128)),
        (128, 200, "add", (128, 200)),
    ],
)
def test_sizes_of_the_two_parts(size, memory_size, mix, expected):
    assert Composition(size, memory_size, mix, "none", "current").two_sizes() == expected


def test_groups_split_a_minibatch_within_one():
    assert Composition(10, None, "split", "class", "current").split(4) == [3, 3, 2, 2]


def test_fewer_rows_than_groups_is_an_error_with_a_way_out():
    composition = Composition(3, None, "split", "experience", "current")

    with pytest.raises(
        ConfigError,
        match=r"^strategy\.train_mb_size=3: .* 4 groups .*\.balance=none, or strategy\.mix=add\.$",
    ):
        composition.split(4)


def test_memory_rows_must_leave_room_for_current_ones():
    with pytest.raises(ValueError, match=r"^memory_mb_size=32: .* Use fewer, or mix=add\.$"):
        Composition(32, 32, "split", "none", "current")
