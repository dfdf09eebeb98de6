from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.seeds import generator
from clrun.strategies.places import Place, is_last_pass, num_updates, places
from clrun.strategies.step import START, Position

KEYS = SimpleNamespace(train_epochs=3, train_iterations=None)
SIZES = [2, 3, 1]
"""updates in each epoch"""


def walk(experience, start: Position = START) -> list[tuple[Place, str]]:
    """All places, with rows that say which they are."""

    def plan(epoch: int) -> list[str]:
        return [f"{epoch}.{iteration}" for iteration in range(SIZES[epoch])]

    return list(places(experience, KEYS, plan, start))


def test_every_update_of_every_epoch_comes_in_order_with_its_rows(numbered):
    assert walk(numbered(4)) == [
        (Place(4, epoch, iteration, SIZES[epoch]), f"{epoch}.{iteration}")
        for epoch in range(3)
        for iteration in range(SIZES[epoch])
    ]


@pytest.mark.parametrize("made", range(7))
def test_a_walk_continued_anywhere_is_the_rest_of_the_whole_one(made, numbered):
    whole = walk(numbered(0))
    following = whole[made][0] if made < len(whole) else Place(0, 3, 0, 0)

    rest = walk(numbered(0), Position(following.epoch, following.iteration))

    assert rest == whole[made:]


def test_an_epoch_is_planned_when_the_one_before_is_over(numbered):
    events = []

    def plan(epoch: int) -> list[int]:
        events.append(f"plan {epoch}")
        return [0, 1]

    for place, _ in places(
        numbered(0), SimpleNamespace(train_epochs=2, train_iterations=None), plan
    ):
        events.append(f"update {place.epoch}.{place.iteration}")

    assert events == ["plan 0", "update 0.0", "update 0.1", "plan 1", "update 1.0", "update 1.1"]


def test_a_place_draws_from_a_generator_of_its_own():
    drawn = torch.rand(3, generator=Place(1, 2, 3, 9).generator(5, "dropout"))

    assert torch.equal(drawn, torch.rand(3, generator=generator(5, "dropout", 1, 2, 3)))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(1, 8), st.data())
def test_so_many_updates_are_made_whatever_an_epoch_has(in_all, in_epoch, data):
    keys = SimpleNamespace(train_epochs=3, train_iterations=in_all)
    experience, planned = SimpleNamespace(index=2), []

    def plan(epoch: int) -> list[str]:
        planned.append(epoch)
        return [f"{epoch}.{iteration}" for iteration in range(in_epoch)]

    whole = list(places(experience, keys, plan))

    assert len(whole) == in_all == num_updates(keys, plan)
    assert [place.made for place, _ in whole] == list(range(in_all))
    assert [rows for _, rows in whole] == [f"{n // in_epoch}.{n % in_epoch}" for n in range(in_all)]
    last = whole[-1][0]
    assert last.iteration == last.iterations - 1  # where an epoch is cut, there it ends
    assert planned[:-1] == list(range(-(-in_all // in_epoch)))  # the last call was num_updates

    made = data.draw(st.integers(0, in_all))
    start = Position(*whole[made][0][1:3]) if made < in_all else Position(last.epoch + 1, 0)
    assert list(places(experience, keys, plan, start)) == whole[made:]


def test_the_last_of_several_passes_is_followed_by_other_rows():
    passes = [is_last_pass(Place(0, 0, iteration, 8), 3) for iteration in range(8)]

    assert [n for n, is_last in enumerate(passes) if is_last] == [2, 5, 7]
