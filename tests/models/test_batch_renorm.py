from copy import deepcopy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clrun.models.batch_renorm import (
    NO_EPS,
    BatchRenorm2D,
    change_brn_pars,
    renormalisation,
    replace_bn_with_brn,
)
from clrun.models.layers import BatchNorm2d

X = torch.tensor([1.0, 2, 3, 5, 0, 4, -1, 2]).view(2, 2, 1, 2)


def worked_example(**options) -> BatchRenorm2D:
    """Running standard deviations are given as such: how eps enters them is another test's."""
    layer = BatchRenorm2D(2, r_d_max_inc_step=4.1e-5, **options)
    with torch.no_grad():
        layer.gamma.copy_(torch.tensor([1.0, 2.0]))
        layer.beta.copy_(torch.tensor([0.0, 0.1]))
    layer.running_avg_mean.copy_(torch.tensor([0.5, -1.0]))
    layer.running_avg_std.copy_(torch.tensor([2.0, 0.5]))
    return layer


def randomised(channels: int, seed: int, **options) -> BatchRenorm2D:
    """A layer in the midst of training, with bounds that some channels reach and some do not."""
    layer = BatchRenorm2D(channels, r_max=1.3, d_max=0.4, momentum=0.2, **options)
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layer.gamma.copy_(torch.randn(channels, generator=rng))
        layer.beta.copy_(torch.randn(channels, generator=rng))
    layer.running_avg_mean.copy_(torch.randn(channels, generator=rng))
    layer.running_avg_std.copy_(0.5 + torch.rand(channels, generator=rng))
    return layer


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def written_out(layer: BatchRenorm2D, x: torch.Tensor) -> torch.Tensor:
    """The paper's formula with autograd's own backward pass."""

    def broad(vector: torch.Tensor) -> torch.Tensor:
        return vector[:, None, None]

    mean = x.mean((0, 2, 3))
    std = (x.var((0, 2, 3), correction=0) + layer.eps).sqrt()
    r_max, d_max = layer.r_max.item(), layer.d_max.item()
    r = (std / layer.running_avg_std).clamp(1 / r_max, r_max).detach()
    d = ((mean - layer.running_avg_mean) / layer.running_avg_std).clamp(-d_max, d_max).detach()
    normalised = (x - broad(mean)) / broad(std) * broad(r) + broad(d)
    return broad(layer.gamma) * normalised + broad(layer.beta)


def gradients(layer: nn.Module, x: torch.Tensor, compute) -> list[torch.Tensor]:
    """Output, and gradients of x and the parameters; upstream weights are all different."""
    x = x.clone().requires_grad_()
    y = compute(x)
    upstream = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
    return [y, *torch.autograd.grad(y, [x, *layer.parameters()], upstream)]


def test_the_worked_example_with_r_1_and_d_0():
    layer = worked_example(momentum=0.01)

    y = layer(X).flatten().tolist()

    expected = [-0.5070914, 0.1690305, 0.7928196, 2.6403384]
    expected += [-1.1832132, 1.5212742, -2.9022184, -0.1309399]
    assert y == pytest.approx(expected, abs=1e-6)
    assert layer.running_avg_mean.tolist() == pytest.approx([0.5125, -0.9675], abs=1e-6)
    assert layer.running_avg_std.tolist() == pytest.approx([1.9947902, 0.5166507], abs=1e-6)
    assert layer.r_max.item() == pytest.approx(1.000082, abs=1e-7)
    assert layer.d_max.item() == pytest.approx(8.2e-5, abs=1e-9)


def test_the_worked_example_with_wide_bounds_and_its_gradients():
    layer = worked_example(momentum=5e-5, r_max=1.25, d_max=0.5, max_r_max=1.25, max_d_max=0.5)
    x = X.clone().requires_grad_()

    y = layer(x)
    y.backward(torch.arange(8.0).view_as(x))

    expected = [0.0943269, 0.6352243, 1.9660245, 4.2754230]
    expected += [-0.4465706, 1.7170194, -2.6527729, 0.8113252]
    dx = [-1.1436126, -0.8808898, -2.3555877, 0.2155399]
    dx += [1.2981520, 0.7263510, -0.5696468, 2.7096949]
    assert y.flatten().tolist() == pytest.approx(expected, abs=1e-6)
    assert x.grad.flatten().tolist() == pytest.approx(dx, abs=2e-6)
    assert layer.gamma.grad.tolist() == pytest.approx([7.4340391, 2.3604803], abs=2e-6)
    assert layer.beta.grad.tolist() == [10, 18]
    assert layer.running_avg_mean.tolist() == pytest.approx([0.5000625, -0.9998375], abs=1e-7)
    assert layer.running_avg_std.tolist() == pytest.approx([1.9999739, 0.5000833], abs=1e-7)
    assert (layer.r_max.item(), layer.d_max.item()) == (1.25, 0.5)


def test_the_worked_example_evaluated():
    layer = worked_example().eval()
    before = deepcopy(layer.state_dict())

    y = layer(X).flatten().tolist()

    assert y == pytest.approx([0.25, 0.75, 16.1, 24.1, -0.25, 1.75, 0.1, 12.1], abs=1e-5)
    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)


def test_a_converted_layer_evaluates_as_batch_normalisation_eps_included():
    bn = nn.BatchNorm2d(2).eval()
    bn.load_state_dict(
        {
            "weight": torch.tensor([1.0, 2.0]),
            "bias": torch.tensor([0.0, 0.1]),
            "running_mean": torch.tensor([0.5, -1.0]),
            "running_var": torch.tensor([4.0, 0.25]),
            "num_batches_tracked": torch.tensor(7),
        }
    )
    brn = replace_bn_with_brn(nn.Sequential(bn))

    y = brn(X)

    by_hand = 2 * (3 + 1) / (0.25 + 1e-5) ** 0.5 + 0.1  # 16.09968; without eps it would be 16.1
    assert y.flatten()[2].item() == pytest.approx(by_hand, abs=1e-6)
    torch.testing.assert_close(y, bn(X))


def test_the_bounds_rise_with_every_row_and_stop_at_their_caps():
    layer = BatchRenorm2D(1, r_d_max_inc_step=4.1e-5, max_r_max=1.25, max_d_max=0.5)
    x = images(128, 1, 1, 2)

    r_max, d_max = [], []
    for _ in range(97):
        layer(x)
        r_max.append(layer.r_max.item())
        d_max.append(layer.d_max.item())

    # unclamped, they would pass their caps: 1.251904 at iteration 48 and 0.503808 at 96
    assert r_max[46] == pytest.approx(1.246656, abs=1e-5)
    assert r_max[47:] == [1.25] * 50
    assert d_max[94] == pytest.approx(95 * 128 * 4.1e-5, abs=1e-5)
    assert d_max[95:] == [0.5, 0.5]


def test_a_bound_beyond_its_cap_stays_where_it_was_put():
    layer = BatchRenorm2D(1, r_max=4.0, d_max=7.0)

    layer(images(8, 1, 2, 2))

    assert (layer.r_max.item(), layer.d_max.item()) == (4, 7)


def test_changed_parameters_stay_constant_through_training():
    model = nn.Sequential(BatchRenorm2D(2), nn.Sequential(BatchRenorm2D(2)))

    change_brn_pars(model, momentum=0.5, r_max=1.25, d_max=0.5)
    model(images(8, 2, 2, 2))

    for layer in (model[0], model[1][0]):
        assert (layer.r_max.item(), layer.d_max.item()) == (1.25, 0.5)
    mean = images(8, 2, 2, 2).mean((0, 2, 3))
    torch.testing.assert_close(model[0].running_avg_mean, 0.5 * mean)


@given(
    rows=st.integers(1, 4),
    channels=st.integers(1, 4),
    height=st.integers(1, 4),
    width=st.integers(2, 4),
    channels_last=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=40)
def test_outputs_and_gradients_are_those_of_the_written_out_formula(
    rows, channels, height, width, channels_last, seed
):
    layer = randomised(channels, seed).double()
    x = images(rows, channels, height, width, seed=seed, dtype=torch.float64)
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    expected = gradients(layer, x, lambda x: written_out(layer, x))

    actual = gradients(layer, x, layer)

    torch.testing.assert_close(actual, expected)


def test_gradients_are_those_of_finite_differences_where_r_and_d_do_not_move():
    layer = randomised(3, seed=1).double()
    change_brn_pars(layer, momentum=0.0, r_max=1.0, d_max=0.0)  # at their bounds they are constant
    x = images(3, 3, 2, 2, dtype=torch.float64).requires_grad_()

    assert torch.autograd.gradcheck(
        lambda x, gamma, beta: torch.func.functional_call(
            layer, {"gamma": gamma, "beta": beta}, (x,)
        ),
        (x, layer.gamma, layer.beta),
    )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_with_r_1_and_d_0_it_is_batch_normalisation(memory_format):
    brn, bn = BatchRenorm2D(5, r_d_max_inc_step=0.0), nn.BatchNorm2d(5)
    x = images(4, 5, 6, 6).contiguous(memory_format=memory_format)

    ours, theirs = gradients(brn, x, brn), gradients(bn, x, bn)

    torch.testing.assert_close(ours, theirs)
    assert ours[0].is_contiguous(memory_format=memory_format)


def test_the_backward_pass_keeps_no_more_images_than_batch_normalisation():
    def kept(layer: nn.Module) -> list[tuple[int, ...]]:
        shapes = []

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            shapes.append(tuple(tensor.shape))
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            layer(images(4, 5, 6, 6).requires_grad_())
        return [shape for shape in shapes if len(shape) == 4]

    assert kept(BatchRenorm2D(5)) == kept(nn.BatchNorm2d(5)) == [(4, 5, 6, 6)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_inputs_get_float32_statistics(dtype):
    layer, x = randomised(3, seed=2), images(64, 3, 4, 4).to(dtype) + 4
    expected = written_out(layer, x.float()).detach()

    y = layer(x.requires_grad_())
    y.sum().backward()

    assert (y.dtype, x.grad.dtype, layer.gamma.grad.dtype) == (dtype, dtype, torch.float32)
    torch.testing.assert_close(y.float(), expected, rtol=2e-2, atol=2e-2)
    mean = 0.8 * randomised(3, seed=2).running_avg_mean + 0.2 * x.detach().float().mean((0, 2, 3))
    torch.testing.assert_close(layer.running_avg_mean, mean, rtol=1e-6, atol=1e-6)


def test_it_trains_under_autocast():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), randomised(4, seed=3))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = model(images(8, 3, 4, 4))
    y.float().square().sum().backward()

    assert y.dtype == torch.bfloat16
    assert all(p.grad.isfinite().all() and p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("frozen", [("gamma",), ("beta",), ("gamma", "beta"), ("x",)])
def test_what_is_frozen_gets_no_gradient_and_the_rest_the_same(frozen):
    layer, x = randomised(3, seed=4), images(4, 3, 2, 2)
    whole = dict(zip(("y", "x", "gamma", "beta"), gradients(layer, x, layer), strict=True))
    layer = randomised(3, seed=4)
    inputs = {"x": x.clone().requires_grad_(), "gamma": layer.gamma, "beta": layer.beta}
    for name in frozen:
        inputs[name].requires_grad_(False)

    y = layer(inputs["x"])
    y.backward(torch.linspace(-1, 1, y.numel()).view_as(y))

    for name, tensor in inputs.items():
        if name in frozen:
            assert tensor.grad is None
        else:
            torch.testing.assert_close(tensor.grad, whole[name])


def test_without_gradients_the_statistics_move_all_the_same():
    layer, twin = randomised(3, seed=5), randomised(3, seed=5)
    x = images(4, 3, 2, 2)

    with torch.no_grad():
        y = layer(x)

    assert not y.requires_grad
    torch.testing.assert_close(y, twin(x).detach(), rtol=0, atol=0)
    torch.testing.assert_close(layer.state_dict(), twin.state_dict(), rtol=0, atol=0)


def test_gradients_pass_through_evaluation_mode_to_parameters_below():
    layer, x = randomised(3, seed=6).eval(), images(4, 3, 2, 2)

    actual = gradients(layer, x, layer)

    expected = gradients(
        layer,
        x,
        lambda x: (
            layer.gamma[:, None, None]
            * (x - layer.running_avg_mean[:, None, None])
            / layer.running_avg_std[:, None, None]
            + layer.beta[:, None, None]
        ),
    )
    torch.testing.assert_close(actual, expected)


def test_a_channel_without_variance_stays_finite_in_every_mode():
    layer = BatchRenorm2D(2, r_max=3.0, d_max=5.0, momentum=1.0)
    x = torch.full((4, 2, 3, 3), 2.0, requires_grad=True)

    for _ in range(3):
        layer(x).sum().backward()
    y = layer.eval()(x)

    assert y.isfinite().all()
    assert x.grad.isfinite().all()
    assert layer.running_avg_std.tolist() == pytest.approx([1e-5**0.5] * 2)


@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (0, 3, 4, 4)])
def test_a_minibatch_without_variance_uses_the_running_statistics_and_leaves_them(shape):
    layer = randomised(3, seed=7)
    before = deepcopy(layer.state_dict())
    x = images(*shape).requires_grad_()

    y = layer(x)
    y.sum().backward()

    torch.testing.assert_close(layer.state_dict(), before, rtol=0, atol=0)
    torch.testing.assert_close(y, layer.eval()(x), rtol=0, atol=0)
    assert x.grad.isfinite().all()


def test_a_saved_state_continues_with_the_same_bits():
    layer = randomised(3, seed=8)
    layer(images(4, 3, 2, 2))
    continued = BatchRenorm2D(3)
    continued.load_state_dict(deepcopy(layer.state_dict()))

    for twin in (layer, continued):
        twin(images(4, 3, 2, 2, seed=1))

    torch.testing.assert_close(continued.state_dict(), layer.state_dict(), rtol=0, atol=0)
    assert set(dict(layer.named_buffers())) == {
        *("running_avg_mean", "running_avg_std", "r_max", "d_max"),
        *("momentum", "r_d_max_inc_step"),
    }


def test_weights_saved_from_batch_normalisation_load_strictly():
    bn, brn = nn.Sequential(nn.BatchNorm2d(3)), nn.Sequential(BatchRenorm2D(3))
    for _ in range(5):
        bn(images(4, 3, 2, 2) * 3 + 1)

    brn.load_state_dict(bn.state_dict(), strict=True)

    x = images(4, 3, 2, 2, seed=1)
    torch.testing.assert_close(brn.eval()(x), bn.eval()(x))


@pytest.mark.parametrize("name", ["weight", "running_mean"])
def test_weights_of_batch_normalisation_that_lack_a_tensor_are_refused(name):
    state = nn.BatchNorm2d(3).state_dict()
    del state[name]

    with pytest.raises(RuntimeError, match="Missing key"):
        BatchRenorm2D(3).load_state_dict(state)


def test_weights_in_the_reference_s_layout_load_strictly():
    layer = randomised(3, seed=9)
    names = ("gamma", "beta", "running_avg_mean", "running_avg_std")
    state = {name: getattr(layer, name).detach().view(1, 3, 1, 1) for name in names}
    state["running_avg_std"][0, 1] = 0  # of a channel that never varied
    loaded = BatchRenorm2D(3, r_max=1.5)

    loaded.load_state_dict(state, strict=True)

    assert loaded.gamma.tolist() == layer.gamma.tolist()
    assert loaded.running_avg_std[1].item() == pytest.approx(1e-5**0.5)
    assert loaded.r_max.item() == 1.5
    assert loaded.eval()(images(1, 3, 2, 2)).isfinite().all()


def test_the_reference_s_layout_without_statistics_is_refused():
    state = {name: torch.ones(1, 3, 1, 1) for name in ("gamma", "beta")}

    with pytest.raises(RuntimeError, match=r"Missing key.*running_avg_mean"):
        BatchRenorm2D(3).load_state_dict(state)


@pytest.mark.parametrize("kind", [nn.BatchNorm2d, BatchNorm2d])
def test_every_batch_norm_becomes_a_batch_renorm_that_evaluates_alike(kind):
    model = nn.Sequential(kind(3), nn.Sequential(nn.Conv2d(3, 4, 1), kind(4, eps=1e-3)))
    for _ in range(3):
        model(images(4, 3, 2, 2) * 2 + 1)
    x = images(4, 3, 2, 2, seed=1)
    expected = model.eval()(x)

    replace_bn_with_brn(model, momentum=0.25, max_r_max=1.25)

    assert type(model[0]) is type(model[1][1]) is BatchRenorm2D
    assert model[1][1].eps == 1e-3
    assert model[0].momentum.item() == 0.25
    assert model[0].max_r_max == 1.25
    torch.testing.assert_close(model(x), expected)


def test_conversion_keeps_mode_precision_and_what_is_frozen():
    model = nn.Sequential(
        nn.BatchNorm2d(3).double().eval(), nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3)
    )
    model[0].weight.requires_grad_(False)

    replace_bn_with_brn(model)

    assert [layer.training for layer in model] == [False, True, True]
    assert model[0].gamma.dtype == model[0].running_avg_std.dtype == torch.float64
    trainable = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trainable == ["0.beta", "2.gamma", "2.beta"]


def test_a_layer_used_in_two_places_stays_one_layer():
    bn = nn.BatchNorm2d(3)
    model = nn.ModuleDict({"a": bn, "b": nn.Sequential(bn)})

    replace_bn_with_brn(model)

    assert isinstance(model["a"], BatchRenorm2D)
    assert model["a"] is model["b"][0]


def test_batch_norm_that_keeps_no_statistics_starts_with_neutral_ones():
    model = nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False))

    replace_bn_with_brn(model)

    assert model[0].running_avg_mean.tolist() == [0, 0, 0]
    assert model[0].running_avg_std.tolist() == pytest.approx([1, 1, 1], abs=1e-5)


@pytest.mark.filterwarnings(  # PyTorch 2.10's compiler instantiates what it looks at
    "ignore:<class 'torch.autograd.function.Function'> should not"
)
def test_a_compiled_layer_computes_the_same():
    layer, twin = randomised(3, seed=10), randomised(3, seed=10)
    x = images(4, 3, 2, 2)

    compiled = torch.compile(twin, backend="aot_eager")
    actual = gradients(twin, x, compiled)

    torch.testing.assert_close(actual, gradients(layer, x, layer))
    torch.testing.assert_close(twin.state_dict(), layer.state_dict())


def test_shapes_can_be_counted_without_data():
    layer = randomised(3, seed=11).to("meta").train()

    y = layer(torch.empty(2, 3, 4, 4, device="meta", requires_grad=True))
    y.sum().backward()

    assert y.shape == (2, 3, 4, 4)
    assert layer.gamma.grad.shape == (3,)


def test_evaluation_without_eps_is_what_a_sum_with_nothing_gives_and_never_0():
    """PyTorch 2.10 and 2.11 refuse eps=0; the smallest that there is changes no bit."""
    layer, x = BatchRenorm2D(3).eval(), torch.randn(4, 3, 5, 5)
    layer.running_avg_std.copy_(torch.tensor([1e-5**0.5, 0.7, 30.0]))
    variance = layer.running_avg_std.square()
    parts = (layer.gamma, layer.beta, layer.running_avg_mean, variance)

    expected = torch.batch_norm(x, *parts, False, 0.1, 0.0, False)

    assert NO_EPS > 0
    assert torch.equal(layer(x), expected)


def test_a_normalisation_without_tensors_goes_where_the_others_are():
    bare = nn.BatchNorm2d(3, affine=False, track_running_stats=False)
    model = nn.Sequential(nn.Conv2d(3, 3, 1, device="meta"), bare)

    replace_bn_with_brn(model)

    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}


def renormalised(scale: float, shift: float, **options: float) -> nn.Module:
    """A layer that expects mean 0 and deviation 1, after a minibatch of others."""
    layer = BatchRenorm2D(4, momentum=0.0, **options)
    x = torch.randn(64, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    layer(x * scale + shift)
    return nn.Sequential(layer)


@pytest.mark.parametrize(
    ("scale", "shift", "clipped"),
    [(1.0, 0.0, 0.0), (5.0, 0.0, 1.0), (0.1, 0.0, 1.0), (1.0, 3.0, 1.0), (1.0, -3.0, 1.0)],
)
def test_statistics_that_are_far_off_are_at_the_bounds(scale, shift, clipped):
    model = renormalised(scale, shift, r_max=1.5, d_max=0.5, r_d_max_inc_step=0.0)

    found = renormalisation(model)

    assert found == {"r_max": 1.5, "d_max": 0.5, "clipped": clipped, "layer": "0"}


def test_bounds_that_leave_no_room_are_not_counted():
    model = renormalised(5.0, 3.0, r_max=1.0, d_max=0.0, r_d_max_inc_step=0.0)

    assert renormalisation(model)["clipped"] == 0.0


def test_layers_that_do_not_learn_say_nothing():
    assert renormalisation(nn.Linear(2, 2)) == {}
    assert renormalisation(nn.Sequential(BatchRenorm2D(4))) == {}  # no minibatch yet
    assert renormalisation(renormalised(1.0, 0.0).eval()) == {}
