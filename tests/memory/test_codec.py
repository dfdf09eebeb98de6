import pytest
import torch

from clrun.memory.codec import bytes_of_latents, codec

DTYPES = ["float32", "float16", "bfloat16", "uint8"]
LARGEST_ERROR = {"float32": 0, "float16": 2**-12, "bfloat16": 2**-9, "uint8": 0.002}
VALUES = torch.rand(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_written_as_the_type_asked_for_and_read_as_float32(dtype):
    ours = codec(dtype).covering([VALUES[:4], VALUES[4:]])

    codes = ours.encode(VALUES)
    error = (ours.decode(codes) - VALUES).abs().max()

    assert codes.dtype == getattr(torch, dtype)
    assert ours.decode(codes).dtype == torch.float32
    assert (
        float(error) <= {"float32": 0, "float16": 2**-12, "bfloat16": 2**-9, "uint8": 0.002}[dtype]
    )


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_codec_of_a_saved_state_reads_the_same_codes(dtype):
    ours = codec(dtype).covering([VALUES])
    theirs = codec(dtype, ours.state_dict())

    assert torch.equal(theirs.decode(ours.encode(VALUES)), ours.decode(ours.encode(VALUES)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_codec_that_reaches_all_values_stays_what_it_is(dtype):
    ours = codec(dtype).covering([VALUES])

    assert ours.covering([VALUES / 2]) is ours
    assert (ours.covering([VALUES * 2]) is ours) == (dtype != "uint8")


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_are_those_of_codes_and_of_the_codec(dtype):
    ours = codec(dtype).covering([VALUES])

    row, fixed = bytes_of_latents((3, 2, 2), dtype)

    assert 6 * row == ours.encode(VALUES).nbytes
    assert fixed == sum(parameter.nbytes for parameter in ours.state_dict().values())


def test_a_value_far_outside_is_clipped_and_leaves_the_others_their_steps(caplog):
    usual = torch.randn(64, 3, 2, 2, generator=torch.Generator().manual_seed(0)).relu()
    values = usual.clone()
    values[5, 1, 0, 0] = 1e4

    ours = codec("uint8").covering([values])

    error = (ours.decode(ours.encode(values)) - values).abs()
    error[5, 1, 0, 0] = 0
    assert float(error.max()) < 0.2
    assert float(ours.decode(ours.encode(values))[5, 1, 0, 0]) > usual.max()
    assert "1 of 768 values lie more than 16 times outside" in caplog.text


@pytest.mark.parametrize("negative", [False, True])
def test_values_as_a_network_makes_them_are_never_clipped(negative, caplog):
    values = torch.randn(64, 4, 4, 4, generator=torch.Generator().manual_seed(0)) * 3
    values *= torch.tensor([0.01, 1.0, 100.0, 0.0]).view(1, 4, 1, 1)
    values = values if negative else values.relu()
    values[:, 2] *= torch.arange(64).view(-1, 1, 1) == 7  # a channel that one row alone has

    ours = codec("uint8").covering([values])

    step = ours.state_dict()["step"].view(1, -1, 1, 1)
    assert bool(((ours.decode(ours.encode(values)) - values).abs() <= 0.501 * step).all())
    assert not caplog.messages
