"""What is searched, from Hydra's words for sweeps to values that are typed."""

from __future__ import annotations

import math

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from clrun.errors import ConfigError
from clrun.sweep.tuning.space import Dimension, points, space_size
from clrun.sweep.tuning.swept_words import dimension_of


def dimension(word: str) -> Dimension:
    return dimension_of(OverridesParser.create().parse_override(word))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a.b=0,0.9", {"choices": ("0", "0.9"), "size": 2}),
        ("a.b=choice(sgd,adam)", {"choices": ("sgd", "adam"), "size": 2}),
        ("a.b=1,1,2", {"choices": ("1", "2"), "size": 2}),
        ("a.b=[1,2],[3]", {"choices": ("[1,2]", "[3]"), "size": 2}),
        ("a.b=interval(0.001,0.5)", {"low": 0.001, "high": 0.5, "size": math.inf}),
        ("a.b=tag(log,interval(0.001,1))", {"low": 0.001, "is_log": True}),
        ("a.b=int(interval(1,9))", {"low": 1, "high": 9, "is_whole": True, "size": 9}),
        ("a.b=range(1,10,3)", {"low": 1, "high": 7, "step": 3, "is_whole": True, "size": 3}),
        ("a.b=range(10,1,-3)", {"low": 4, "high": 10, "step": 3, "size": 3}),
        ("a.b=range(0,1,0.25)", {"low": 0, "high": 0.75, "step": 0.25, "size": 4}),
    ],
)
def test_a_word_says_which_values(word, expected):
    found = dimension(word)

    assert found.key == "a.b"
    assert found.typed == word.partition("=")[2]
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("a=interval(1,0)", "first end must be below"),
        ("a=interval(0,inf)", "both finite"),
        ("a=tag(log,interval(0,1))", "both ends are above 0"),
        ("a=tag(logarithm,interval(1,2))", "tag logarithm means nothing"),
        ("a=tag(log,range(1,9))", "a range has steps"),
        ("a=tag(log,choice(1,2))", "no scale"),
        ("a=range(3,3)", "no value"),
    ],
)
def test_words_without_values(word, said):
    with pytest.raises(ConfigError, match=said):
        dimension(word)


@given(st.data())
def test_what_is_drawn_is_a_value_however_it_is_rounded(data):
    low = data.draw(st.floats(1e-6, 10))
    high = data.draw(st.floats(low * 1.001, 1e3))
    found = Dimension(key="a", typed="", low=low, high=high)

    text = found.text(data.draw(st.floats(low, high)))

    assert found.holds(text)
    assert low <= float(text) <= high
    assert found.text(found.number(text)) == text


@pytest.mark.parametrize(
    "word", ["a=range(1,10,3)", "a=range(0,1,0.1)", "a=x,y", "a=range(5,1,-2)"]
)
def test_every_value_that_is_listed_is_held(word):
    found = dimension(word)

    values = list(found.values())

    assert len(set(values)) == len(values) == found.size
    assert all(found.holds(text) for text in values)
    assert not found.holds("99")
    assert not found.holds("nothing")


def test_every_point_of_a_space():
    space = (dimension("a=1,2"), dimension("b=range(3)"))

    found = list(points(space))

    assert len(found) == space_size(space) == 6
    assert found[:2] == [{"a": "1", "b": "0"}, {"a": "1", "b": "1"}]
