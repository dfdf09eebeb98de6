from __future__ import annotations

import pytest

from clrun.profiling.activity import doing, watch


@pytest.fixture
def seen():
    said: list[str | None] = []
    watch(said.append)
    yield said
    watch(None)


def test_what_begins_is_said_and_that_it_is_over(seen):
    with doing("evaluating"):
        assert seen == ["evaluating"]

    assert seen == ["evaluating", None]


def test_after_something_inside_what_was_around_it_goes_on(seen):
    with doing("storing latents"), doing("computing latents"):
        pass

    assert seen == ["storing latents", "computing latents", "storing latents", None]


def test_what_fails_is_over_too(seen):
    with pytest.raises(ZeroDivisionError), doing("evaluating"):
        _ = 1 / 0

    assert seen[-1] is None


def test_nobody_need_watch():
    with doing("evaluating"):
        pass
