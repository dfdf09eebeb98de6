from __future__ import annotations

import numpy as np

from clrun.metrics import matrix_of_rows

NAN = np.nan


def test_what_a_row_leaves_off_was_not_measured():
    matrix = matrix_of_rows([[], [0.5, None], [0.25, 0.5, 1.0]], 3)

    wanted = np.array([[NAN, NAN, NAN], [0.5, NAN, NAN], [0.25, 0.5, 1.0]])
    assert np.array_equal(matrix, wanted, equal_nan=True)


def test_a_matrix_without_rows_has_its_columns():
    assert matrix_of_rows([], 3).shape == (0, 3)
