import pytest
import torch
from torch import Tensor

from clrun.errors import ClrunError
from clrun.memory.selection import (
    ClosestToCenterSelectionStrategy,
    Extract,
    FeatureBasedExemplarsSelectionStrategy,
    HerdingSelectionStrategy,
    RandomExemplarsSelectionStrategy,
    unit_length,
)
from clrun.memory.table import Table

BOTH = pytest.mark.parametrize("cls", [HerdingSelectionStrategy, ClosestToCenterSelectionStrategy])


def pool(pixels: list[int], keys: list[float] | None = None) -> Table:
    x = torch.tensor(pixels, dtype=torch.uint8).reshape(-1, 1, 1, 1)
    y = torch.zeros(len(pixels), dtype=torch.int64)
    key = torch.tensor(keys or [0.5] * len(pixels), dtype=torch.float64)
    return Table(y, y, key, {"x": x})


def strategy(
    cls: type[FeatureBasedExemplarsSelectionStrategy],
    layer_name: str | None = None,
    normalize: bool = False,
) -> FeatureBasedExemplarsSelectionStrategy:
    return cls(cls.Config(layer_name=layer_name, normalize=normalize, model="current"))


def features_are(rows: list[list[float]]) -> Extract:
    return lambda _x, _layer: torch.tensor(rows)


def no_features(_x: Tensor, _layer: str | None) -> Tensor:
    raise AssertionError("random selection needs no features")


def random() -> RandomExemplarsSelectionStrategy:
    return RandomExemplarsSelectionStrategy(RandomExemplarsSelectionStrategy.Config())


def test_random_selection_follows_the_keys_and_needs_no_features():
    table = pool([1, 2, 3, 4], keys=[0.2, 0.9, 0.1, 0.9])

    assert random().make_sorted_indices(table, no_features).tolist() == [1, 3, 0, 2]
    assert random().make_sorted_indices(table, no_features, 2).tolist() == [1, 3]


@pytest.mark.parametrize(
    ("cls", "expected"),
    [(HerdingSelectionStrategy, [1, 0, 2]), (ClosestToCenterSelectionStrategy, [1, 2, 0])],
)
def test_rows_are_ranked_by_their_features_not_by_their_pixels(cls, expected):
    inputs = torch.tensor([0.0, -4.0, 5.0]).reshape(-1, 1)

    order = strategy(cls).make_sorted_indices(pool([9, 9, 9]), lambda _x, _layer: inputs.abs())

    assert order.tolist() == expected
    assert order.dtype == torch.int64


@BOTH
def test_features_are_asked_for_the_stored_rows_at_the_configured_layer(cls):
    asked = []

    def extract(x: Tensor, layer_name: str | None) -> Tensor:
        asked.append((x, layer_name))
        return x.flatten(1).float()

    strategy(cls, "features.3").make_sorted_indices(pool([1, 5, 9]), extract)

    ((x, layer_name),) = asked
    assert layer_name == "features.3"
    assert x.dtype == torch.uint8
    assert x.flatten().tolist() == [1, 5, 9]


@BOTH
def test_feature_maps_are_flattened(cls):
    flat = torch.rand(6, 12, generator=torch.Generator().manual_seed(0))

    as_maps = strategy(cls).make_sorted_indices(pool([0] * 6), lambda _x, _l: flat.view(6, 3, 2, 2))

    assert as_maps.tolist() == strategy(cls).make_sorted_indices_from_features(flat)


@BOTH
def test_only_the_first_are_given_when_asked(cls):
    rows = [[0.0], [4.0], [5.0]]

    first = strategy(cls).make_sorted_indices(pool([0] * 3), features_are(rows), 2)

    assert first.tolist() == strategy(cls).make_sorted_indices_from_features(torch.tensor(rows))[:2]


def test_normalizing_looks_at_directions_only():
    rows = [[1.0, 0.0], [0.0, 100.0], [3.0, 3.1]]

    plain = strategy(ClosestToCenterSelectionStrategy)
    directions = strategy(ClosestToCenterSelectionStrategy, normalize=True)

    assert plain.make_sorted_indices(pool([0] * 3), features_are(rows)).tolist()[0] == 2
    assert plain.make_sorted_indices(pool([0] * 3), features_are(rows)).tolist()[-1] == 1
    assert directions.make_sorted_indices(pool([0] * 3), features_are(rows)).tolist() == [2, 1, 0]


def test_a_row_of_zeros_has_no_direction_and_stays_zero():
    unit = unit_length(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))

    torch.testing.assert_close(unit, torch.tensor([[0.0, 0.0], [0.6, 0.8]], dtype=torch.float64))


@BOTH
@pytest.mark.parametrize("normalize", [False, True])
def test_features_of_a_diverged_model_are_refused(cls, normalize):
    diverged = strategy(cls, normalize=normalize)

    with pytest.raises(ClrunError, match="1 of 2 rows"):
        diverged.make_sorted_indices(pool([0, 0]), features_are([[1.0], [float("nan")]]))
