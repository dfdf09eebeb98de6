from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clrun.models.dropout import SeededDropout, reseed

ONES = torch.ones(64, 64)


def seeded(p: float = 0.5, layers: int = 1) -> nn.Sequential:
    return nn.Sequential(*(SeededDropout(p) for _ in range(layers))).train()


def mask(model: nn.Module, *place: int) -> torch.Tensor:
    reseed(model, *place)
    return model(ONES)


def test_the_same_update_drops_the_same_activations():
    model = seeded()

    assert torch.equal(mask(model, 1, 2, 3, 4), mask(model, 1, 2, 3, 4))


@pytest.mark.parametrize("other", [(9, 2, 3, 4), (1, 9, 3, 4), (1, 2, 9, 4), (1, 2, 3, 9)])
def test_another_seed_experience_epoch_or_iteration_drops_others(other):
    model = seeded()

    assert not torch.equal(mask(model, 1, 2, 3, 4), mask(model, *other))


def test_a_second_pass_in_the_same_update_drops_others():
    model = seeded()
    reseed(model, 0, 0, 0, 0)

    assert not torch.equal(model(ONES), model(ONES))


def test_each_layer_has_its_own_stream():
    model = seeded(layers=2)
    reseed(model, 0, 0, 0, 0)

    first, second = model[0](ONES), model[1](ONES)

    assert not torch.equal(first, second)


def test_a_layer_s_masks_do_not_depend_on_which_layers_ran_before():
    model = seeded(layers=2)
    reseed(model, 0, 0, 0, 0)
    model[0](ONES)
    after_the_first = model[1](ONES)
    reseed(model, 0, 0, 0, 0)

    assert torch.equal(model[1](ONES), after_the_first)


@given(st.floats(0, 0.9), st.integers(0, 1000))
@settings(deadline=None, max_examples=30)
def test_what_is_kept_is_scaled_so_that_the_mean_stays(p, seed):
    y = mask(seeded(p), seed, 0, 0, 0)

    kept = y[y != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - p)))
    assert abs(1 - kept.numel() / y.numel() - p) < 0.05  # 6 standard deviations


def test_rows_are_kept_or_dropped_as_a_whole_where_asked_for():
    model = nn.Sequential(SeededDropout(0.25, per_row=True)).train()
    reseed(model, 0, 0, 0, 0)

    y = model(torch.ones(4000, 2, 3, 3)).flatten(1)

    assert (y == y[:, :1]).all()
    assert (y[:, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.04)
    assert y.max().item() == pytest.approx(1 / 0.75)


def test_gradients_pass_through_what_was_kept_only():
    model = seeded()
    x = torch.ones(64, 64, requires_grad=True)
    reseed(model, 0, 0, 0, 0)

    y = model(x)
    y.sum().backward()

    assert torch.equal(x.grad, y.detach())


def test_evaluation_drops_nothing_and_needs_no_seed():
    model = seeded().eval()

    assert torch.equal(model(ONES), ONES)


def test_training_before_the_first_reseed_is_our_own_mistake():
    with pytest.raises(AssertionError, match="reseed"):
        seeded()(ONES)


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()

    mask(seeded(), 1, 2, 3, 4)

    assert torch.equal(torch.get_rng_state(), before)


def test_a_copied_model_continues_with_the_same_masks():
    model = seeded()
    mask(model, 1, 2, 3, 4)
    copy = deepcopy(model)

    assert torch.equal(copy(ONES), model(ONES))
    assert not list(model.state_dict())


def test_no_cuda_graph_holds_a_mask_which_would_be_the_same_for_ever():
    operation = torch.ops.clrun.dropout_mask.default

    assert torch.Tag.cudagraph_unsafe in operation.tags
