from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from clrun.memory import sorted_rows
from clrun.memory.sorted_rows import SortedRows

CHANGES = st.lists(st.tuples(st.sampled_from(["add", "remove", "last"]), st.integers(0, 9)))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=20), CHANGES)
def test_entries_are_where_a_sorted_list_has_them(first, changes):
    sorted_rows.BLOCK = 3  # many blocks
    expected = sorted((float(number), slot, slot) for slot, number in enumerate(first))
    rows = SortedRows(expected)
    for step, (change, number) in enumerate(changes, 100):
        if change == "add":
            expected = sorted([*expected, (float(number), step, step)])
            rows.add((float(number), step, step))
        elif expected and change == "remove":
            rows.remove(expected.pop(number % len(expected)))
        elif expected:
            assert rows.pop_last() == expected.pop()

        assert list(rows) == expected
        assert [rows[place] for place in range(len(rows))] == expected
        assert not expected or rows.last == expected[-1]
    sorted_rows.BLOCK = 512
