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
