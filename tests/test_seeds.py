from __future__ import annotations

import random

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.seeds import derive, generator, isolated, seed_generators

PLACES = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["order", "memory", "weights"]),
    *[st.integers(0, 3)] * 3,
)


@pytest.mark.parametrize(
    ("place", "seed"),
    [
        ((0, "weights"), 6402386846663522670),
        ((0, "order", 1, 2), 3027465686319809543),
        ((3, "augmentation", 4, 0, 17), 8691529939841892588),
    ],
)
def test_seeds_are_the_same_in_every_version(place, seed):
    assert derive(*place) == seed


@given(st.lists(PLACES, unique=True, max_size=50))
@settings(deadline=None, max_examples=50)
def test_different_places_and_purposes_have_different_seeds(places):
    assert len({derive(*place) for place in places}) == len(places)


@given(PLACES)
@settings(deadline=None, max_examples=50)
def test_a_seed_is_a_natural_number_that_torch_takes(place):
    assert 0 <= derive(*place) < 2**63
    assert generator(*place).initial_seed() == derive(*place)


def test_numbers_do_not_run_together_between_places():
    assert derive(0, "order", 1, 11) != derive(0, "order", 11, 1)
    assert derive(1, "order", 1) != derive(11, "order", 0)


def test_a_generator_draws_the_same_whatever_was_drawn_before():
    first = torch.rand(5, generator=generator(0, "order", 2, 3))
    torch.rand(100, generator=generator(0, "order", 2, 2))
    torch.manual_seed(7)

    again = torch.rand(5, generator=generator(0, "order", 2, 3))

    assert torch.equal(first, again)


def test_library_code_draws_from_our_seed_and_the_global_generator_is_put_back():
    before = torch.get_rng_state()

    with isolated(0, "weights"):
        first = torch.rand(5)
    torch.rand(3)
    with isolated(0, "weights"):
        again = torch.rand(5)
    with isolated(1, "weights"):
        other = torch.rand(5)
    torch.set_rng_state(before)
    with isolated(0, "weights"):
        torch.rand(5)

    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_global_generator_is_put_back_after_an_error_too():
    before = torch.get_rng_state()

    with pytest.raises(RuntimeError, match="size"), isolated(0, "weights"):
        torch.rand(5) @ torch.rand(4)

    assert torch.equal(torch.get_rng_state(), before)


def test_numpy_s_and_python_s_generators_are_ours_inside_and_theirs_again_afterwards():
    def drawn() -> tuple[float, float, float]:
        return torch.rand(()).item(), numpy.random.rand(), random.random()  # noqa: NPY002

    torch.manual_seed(3), numpy.random.seed(3), random.seed(3)  # noqa: NPY002
    outside = drawn(), drawn()
    torch.manual_seed(3), numpy.random.seed(3), random.seed(3)  # noqa: NPY002

    first = drawn()
    with isolated(0, "weights"):
        inside = drawn()
    with isolated(0, "weights"):
        again = drawn()

    assert (first, drawn()) == outside
    assert inside == again
    assert set(inside).isdisjoint(outside[1])


def test_only_what_is_foreign_starts_numpy_s_generator_afresh():
    random.seed(3)
    expected = random.random()
    random.seed(3)

    seed_generators(1, foreign=False)
    first = torch.rand(3)

    assert random.random() == expected
    seed_generators(1, foreign=True)
    assert torch.equal(torch.rand(3), first)
    assert random.random() != expected
