from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.disk.json_text import json_pieces

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)  # fmt: skip


def text(value: object) -> str:
    return "".join(json_pieces(value))


@given(VALUES)
@settings(deadline=None, max_examples=200)
def test_the_text_reads_as_the_value(value):
    assert json.loads(text(value)) == value


def test_a_row_of_a_matrix_takes_one_line():
    value = {"matrix": [[0.5, None], [], [1, 2]], "names": ["a", "b"], "cost": {"steps": 3}}

    assert text(value).splitlines() == [
        "{",
        '  "matrix": [',
        "    [0.5, null],",
        "    [],",
        "    [1, 2]",
        "  ],",
        '  "names": ["a", "b"],',
        '  "cost": {',
        '    "steps": 3',
        "  }",
        "}",
    ]


@pytest.mark.parametrize("value", [{}, [], {"a": {}}, [[], {}], "x", None, (1, (2,))])
def test_what_has_nothing_in_it_is_as_short_as_anywhere(value):
    assert text(value).replace("\n", "").replace(" ", "") == json.dumps(value).replace(" ", "")


@pytest.mark.parametrize("key", [1, True, None, 2.5, 'a "b"\n'])
def test_a_key_is_what_json_makes_of_it(key):
    assert json.loads(text({key: 0})) == json.loads(json.dumps({key: 0}))


@pytest.mark.parametrize("value", [math.nan, math.inf, [1, math.nan], {"a": [[-math.inf]]}])
def test_a_number_without_a_word_in_json_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        text(value)
