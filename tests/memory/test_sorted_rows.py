from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.memory import sorted_rows
from clrun.memory.sorted_rows import SortedRows

CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "first", "remove", "last"]), st.integers(0, 9))
)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=20), CHANGES)
def test_rows_are_where_a_sorted_list_has_them(first, changes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_rows, "BLOCK", 3)
        check(first, changes)


def check(first: list[int], changes: list[tuple[str, int]]) -> None:
    expected = [(float(number), slot) for slot, number in enumerate(first)]
    rows = SortedRows(expected)
    expected.sort(key=lambda row: row[0])
    for slot, (change, number) in enumerate(changes, 100):
        if change == "add":
            expected = sorted([*expected, (float(number), slot)], key=lambda row: row[0])
            rows.add(number, slot)
        elif change == "first":
            expected = sorted([(float(number), slot), *expected], key=lambda row: row[0])
            rows.add(number, slot, before_equals=True)
        elif expected and change == "remove":
            rows.remove(*expected.pop(number % len(expected)))
        elif expected:
            assert rows.pop_last() == expected.pop()

        assert list(rows) == [slot for _, slot in expected]
        assert [rows[place] for place in range(len(rows))] == list(rows)
        assert not expected or rows.last == expected[-1]
