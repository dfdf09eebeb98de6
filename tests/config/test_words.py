from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from clrun.config.bounds import Count, Fraction, Natural, NonNegative, Positive
from clrun.config.words import in_words


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Natural, "whole number, at least 0"),
        (Count | None, "whole number, at least 1, or null"),
        (Positive, "number, above 0"),
        (NonNegative, "number, at least 0"),
        (Fraction, "number, at least 0, below 1"),
        (bool, "true | false"),
        (str | None, "text | null"),
        (Literal["a", "b"], "a | b"),
        (Literal["auto"] | Literal[1, 2], "auto | 1 | 2"),
        (Literal["auto"] | Literal["a", "auto"], "auto | a"),
        (Literal["fixed"] | list[int], "fixed | list of: whole number"),
        (
            Annotated[list[Count], Field(min_length=1)],
            "list of: whole number, at least 1, at least 1 long",
        ),
        (list[dict[str, Any]], "list of: mapping"),
        (Any, "Any"),
        (complex, "complex"),
    ],
)
def test_types_are_said_in_words(hint, words):
    assert in_words(hint) == words
