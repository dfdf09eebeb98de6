"""Each head against its definition on all rows at once, whatever the order and the minibatches."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from clrun.errors import ConfigError
from clrun.strategies.heads.fecam import FeCAM
from clrun.strategies.heads.head import Head, solved
from clrun.strategies.heads.keys import StatisticsKeys
from clrun.strategies.heads.ridge import GRID
from clrun.strategies.heads.scorer import Projection, head_of
from tests.oracles import statistics as oracle

NONE: dict[str, Any] = dict.fromkeys(
    (
        *("layer_name", "projection_dim", "normalize", "distance", "update", "shrinkage"),
        *("ridge_lambda", "beta", "a1", "a2", "covariance"),
    )
)
CLASSES, DIM = 4, 6
"""Class 2 has no row."""
SETTLED = {
    "ncm": {},
    "ncm euclidean": {"normalize": False, "distance": "euclidean"},
    "slda": {"shrinkage": 0.01},
    "ridge": {"ridge_lambda": 0.5},
    "fecam": {},
    "fecam shared": {"covariance": "shared", "beta": 1.0},
}
"""Heads whose scores do not depend on how rows come."""


def keys(name: str, **changes: Any) -> StatisticsKeys:
    head = name.split()[0]
    return StatisticsKeys(head=head, projection="none", eval_mb_size=8, **{**NONE, **changes})  # type: ignore[arg-type]


def rows(seed: int = 0, count: int = 60) -> tuple[Tensor, Tensor]:
    """Correlated features, none below 0, and classes 0, 1 and 3."""
    rng = np.random.default_rng(seed)
    y = rng.choice([0, 1, 3], count)
    y[:3] = [0, 1, 3]
    mixing = rng.normal(size=(DIM, DIM))
    x = np.abs(rng.normal(size=(count, DIM)) @ mixing + 3 * rng.normal(size=(CLASSES, DIM))[y])
    return torch.from_numpy(x), torch.from_numpy(y)


def counted(name: str, x: Tensor, y: Tensor, sizes: list[int], **changes: Any) -> Head:
    """A head that was given rows in minibatches of these sizes, one experience each."""
    head = head_of(keys(name, **changes), CLASSES, x.shape[1])
    for g, labels in zip(x.split(sizes), y.split(sizes), strict=True):
        head.add(head.prepared(g), labels, 0, len(g))
        head.end()
    return head


def assert_scores(head: Head, expected: np.ndarray, queries: Tensor) -> None:
    """Of the classes with rows; the one without is never the best."""
    found = head.scores()(queries)
    np.testing.assert_allclose(found[:, [0, 1, 3]].numpy(), expected, rtol=1e-9, atol=1e-9)
    assert (found[:, 2] < found[:, [0, 1, 3]].amin(1) - 10).all()


def test_slda_is_linear_discriminant_analysis_with_one_covariance_and_equal_priors():
    (x, y), (queries, _) = rows(), rows(1)

    head = counted("slda", x, y, [7, 1, 30, 22], shrinkage=0.01)

    assert_scores(head, oracle.discriminant(x.numpy(), y.numpy(), 0.01, queries.numpy()), queries)


@pytest.mark.parametrize("sizes", [[60], [1] * 60, [13, 47]])
def test_the_references_update_of_slda_is_its_loop_over_rows_whatever_the_minibatches(sizes):
    (x, y), (queries, _) = rows(), rows(1)

    head = counted("slda", x, y, sizes, shrinkage=0.01, update="reference")

    expected = oracle.streaming_discriminant(x.numpy(), y.numpy(), 0.01, queries.numpy())
    assert_scores(head, expected, queries)


def test_the_references_update_of_slda_is_another_one():
    x, y = rows()

    exact, reference = (counted("slda", x, y, [60], update=u) for u in ("exact", "reference"))

    assert not torch.allclose(exact.held["scatter"], reference.held["scatter"])


def test_ridge_is_regression_on_all_rows_at_once():
    (x, y), (queries, _) = rows(), rows(1)

    head = counted("ridge", x, y, [5, 55], ridge_lambda=0.5)

    assert_scores(head, oracle.ridge(x.numpy(), y.numpy(), 0.5, queries.numpy()), queries)


@pytest.mark.parametrize("beta", [0.5, 1.0])
@pytest.mark.parametrize("covariance", ["per_class", "shared"])
def test_fecam_is_the_mahalanobis_distance_by_shrunk_correlations(beta, covariance):
    (x, y), (queries, _) = rows(), rows(1)
    words = {"beta": beta, "a1": 0.7, "a2": 0.2}

    head = counted("fecam", x, y, [5, 55], covariance=covariance, **words)

    expected = oracle.mahalanobis(
        x.numpy(), y.numpy(), **words, shared=covariance == "shared", queries=queries.numpy()
    )
    assert_scores(head, expected, queries)


@pytest.mark.parametrize("normalizes", [True, False])
def test_ncm_is_the_cosine_or_the_distance_of_plain_means(normalizes):
    (x, y), (queries, _) = rows(), rows(1)
    z, q = x.numpy(), queries.numpy()
    means = oracle.class_means(oracle.unit(z) if normalizes else z, y.numpy())
    cosine = oracle.unit(q) @ oracle.unit(means).T
    ends = (oracle.unit(q), oracle.unit(means)) if normalizes else (q, means)
    distance = -((ends[0][:, None] - ends[1]) ** 2).sum(2)

    for name, expected in (("cosine", cosine), ("euclidean", distance)):
        head = counted("ncm", x, y, [5, 55], normalize=normalizes, distance=name)
        assert_scores(head, expected, queries)


@pytest.mark.parametrize("name", SETTLED)
@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 39), max_size=6, unique=True))
def test_neither_the_order_of_rows_nor_where_they_are_cut_changes_what_is_predicted(
    name, seed, cuts
):
    (x, y), (queries, _) = rows(count=40), rows(1)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    edges = [0, *sorted(cuts), 40]
    sizes = [b - a for a, b in pairwise(edges)]

    at_once = counted(name, x, y, [40], **SETTLED[name])
    in_pieces = counted(name, x[order], y[order], sizes, **SETTLED[name])

    found, expected = (head.scores()(queries) for head in (in_pieces, at_once))
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", SETTLED)
def test_other_numbers_for_classes_give_the_same_scores_under_those_numbers(name):
    (x, y), (queries, _) = rows(), rows(1)
    renamed = torch.tensor([2, 3, 0, 1])

    usual = counted(name, x, y, [60], **SETTLED[name]).scores()(queries)
    other = counted(name, x, renamed[y], [60], **SETTLED[name]).scores()(queries)

    torch.testing.assert_close(other[:, renamed], usual, rtol=1e-9, atol=1e-9)


def test_fecam_with_nothing_but_variance_is_cosine_ncm():
    (x, y), (queries, _) = rows(), rows(1)

    head = counted("fecam", x, y, [60], beta=1.0, a1=1e9, a2=0.0)

    ncm = counted("ncm", x, y, [60], normalize=False).scores()(queries)
    found = head.scores()(queries)
    torch.testing.assert_close(found[:, [0, 1, 3]], (2 * ncm - 2)[:, [0, 1, 3]])


def test_a_correlation_with_itself_is_one_also_where_nothing_varies():
    x, y = rows()
    x = torch.cat([x, torch.ones(60, 1)], 1)  # and class 2 has no row

    for a in (0.0, 1.0):
        head = counted("fecam", x, y, [60], a1=a, a2=a)
        assert isinstance(head, FeCAM)
        torch.testing.assert_close(
            head.correlations().diagonal(dim1=1, dim2=2), torch.ones(4, 7).double()
        )
        assert head.scores()(x).isfinite().all()


def test_fecam_does_not_see_the_scale_of_features():
    (x, y), (queries, _) = rows(), rows(1)

    scores = [counted("fecam", c * x, y, [60]).scores()(c * queries) for c in (1.0, 1000.0)]

    torch.testing.assert_close(*scores)


def test_negative_features_have_no_root():
    with pytest.raises(ConfigError, match=r"strategy\.beta=0\.5: .* Use strategy\.beta=1"):
        counted("fecam", -rows()[0], rows()[1], [60])


def errors(x: Tensor, y: Tensor) -> dict[float, float]:
    """The squared error of each lambda: fitted on the first 48 of 60 rows, tried on the others."""
    fit, labels, last = x[:48].numpy(), y[:48].numpy(), x[48:].numpy()
    seen = torch.eye(CLASSES, dtype=torch.float64)[y[48:]][:, [0, 1, 3]].numpy()
    return {one: float(((oracle.ridge(fit, labels, one, last) - seen) ** 2).sum()) for one in GRID}


def noisy(seed: int) -> tuple[Tensor, Tensor]:
    """Rows with more to overfit to than there is to know."""
    x, y = rows(seed)
    noise = torch.randn(60, 34, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.cat([x, noise], 1), y


def test_lambda_is_what_the_last_fifth_of_the_experience_likes_best():
    (x, y), (other, labels) = noisy(0), noisy(2)
    found = errors(x, y)
    head = head_of(keys("ridge"), CLASSES, 40)

    for first in range(0, 60, 7):
        head.add(x[first : first + 7], y[first : first + 7], first, 60)
    head.end()

    best = min(found, key=found.__getitem__)
    assert head.vitals() == {"ridge_lambda": best}
    assert best not in (GRID[0], GRID[-1])
    fixed = counted("ridge", x, y, [60], ridge_lambda=best)
    torch.testing.assert_close(head.scores()(other), fixed.scores()(other))
    head.add(other, labels, 0, 60)
    head.end()
    torch.testing.assert_close(head.held["gram"], x.T @ x + other.T @ other)


def test_an_experience_too_short_to_choose_by_leaves_lambda_as_it_is():
    x, y = rows()

    assert counted("ridge", x[:4], y[:4], [4]).vitals() == {"ridge_lambda": 1.0}


def test_an_experience_of_one_class_whose_labels_any_constant_fits_leaves_lambda_as_it_is():
    x, y = noisy(0)
    head = counted("ridge", x, y, [60])
    chosen = head.vitals()

    head.add(1 + x / 100, torch.full((60,), 3), 0, 60)
    head.end()

    assert head.vitals() == chosen
    assert head.held["counts"][3] == int((y == 3).sum()) + 60


def test_within_an_experience_lambda_is_that_of_before_and_all_rows_count():
    x, y = rows()
    head = head_of(keys("ridge"), CLASSES, DIM)

    head.add(x, y, 0, 1000)

    expected = counted("ridge", x, y, [60], ridge_lambda=1.0).scores()(x)
    torch.testing.assert_close(head.scores()(x), expected)


def test_a_singular_system_is_solved_where_it_can_be():
    x = torch.ones(3, 2, dtype=torch.float64)

    assert torch.allclose(solved(x.T @ x, x.T), torch.full((2, 3), 1 / 6, dtype=torch.float64))


def test_a_projection_is_drawn_by_the_seed_and_cut_off_at_0():
    x = torch.eye(3)

    first, again, other = (Projection(3, 1000, seed) for seed in (0, 0, 1))

    assert torch.equal(first(x), first.weight.double().clamp(min=0))
    assert torch.equal(first.weight, again.weight)
    assert not torch.equal(first.weight, other.weight)
    assert abs(float(first.weight.std()) - 1) < 0.05


@pytest.mark.parametrize(
    ("head", "numbers"),
    [
        ("ncm", 0),
        ("slda", DIM**2),
        ("ridge", DIM**2 + 1),
        ("fecam", CLASSES * DIM**2),
        ("fecam shared", DIM**2),
    ],
)
def test_what_is_kept_is_what_the_method_says_and_no_row(head, numbers):
    words = {"covariance": "shared"} if "shared" in head else {}
    found = counted(head, *rows(), [30, 30], **words)

    assert sum(t.nbytes for t in found.held.values()) == 8 * (CLASSES * (DIM + 1) + numbers)
