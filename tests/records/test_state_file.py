from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from torch import Tensor

from clrun.records.state_file import DTYPES, TREE, CannotBeSaved, Damaged, read_state, write_state


def written(state: object) -> bytes:
    pieces: list[bytes] = []
    write_state(state, lambda piece: pieces.append(bytes(piece)))
    return b"".join(pieces)


def there_and_back(state: object) -> object:
    return read_state(written(state))


def described(value: object) -> object:
    """A value with the types and bits of all that is in it, as what can be compared."""
    if isinstance(value, Tensor):
        dense = value.detach().contiguous().reshape(-1)
        return (value.dtype, tuple(value.shape), bytes(dense.view(torch.uint8).tolist()))
    if isinstance(value, dict):
        return ("dict", [(key, described(item)) for key, item in value.items()])
    if isinstance(value, list | tuple):
        return (type(value), [described(item) for item in value])
    return (type(value), repr(value))


dtypes = st.sampled_from(sorted(DTYPES, key=str))
shapes = st.lists(st.integers(0, 3), max_size=3)


@st.composite
def tensors(draw) -> Tensor:
    dtype, shape = draw(dtypes), draw(shapes)
    size = torch.empty(shape, dtype=dtype).numel() * dtype.itemsize
    values = 2 if dtype == torch.bool else 256
    content = draw(st.lists(st.integers(0, values - 1), min_size=size, max_size=size))
    bits = torch.tensor(content, dtype=torch.uint8)
    tensor = bits.view(dtype).reshape(shape)
    return tensor.transpose(0, -1) if len(shape) > 1 and draw(st.booleans()) else tensor


keys = st.text(max_size=3) | st.integers()
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary()
states = st.recursive(
    leaves | tensors(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(states)
@settings(deadline=None, max_examples=150)
def test_every_state_comes_back_with_its_types_and_bits(state):
    assert described(there_and_back(state)) == described(state)


AWKWARD = {
    "nothing": {},
    "keys that look the same": {1: torch.zeros(1), "1": torch.ones(1), "a/1": 1, "a": {"1": 2}},
    "the tree's name": {TREE: torch.zeros(1), "tensor": "state", "dict": [], "tuple": {}},
    "half a character": {"\ud800": torch.ones(2), "text": "\udfff\0\x1b"},
    "no rows": torch.empty(0, 3, 5, dtype=torch.float16),
    "one number": torch.tensor(2.5, dtype=torch.bfloat16),
    "NaN with its bits": torch.tensor([0x7FC00001, -1], dtype=torch.int32).view(torch.float32),
    "infinities": [float("inf"), -float("inf"), float("nan"), -0.0, 5e-324],
    "large": [2**3000, -(2**70)],
    "expanded": torch.arange(3).expand(4, 3),
    "a part": torch.arange(40).reshape(5, 8)[1::2, ::3],
    "a gradient's": torch.ones(3, requires_grad=True) * 2,
    "negated": torch.complex(torch.ones(2), torch.ones(2)).conj().imag,
}


@pytest.mark.parametrize("name", AWKWARD)
def test_an_awkward_state_comes_back(name):
    assert described(there_and_back(AWKWARD[name])) == described(AWKWARD[name])


def test_a_tensor_laid_out_by_channels_comes_back_contiguous():
    images = torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last)

    back = there_and_back({"x": images})["x"]

    assert back.is_contiguous()
    assert torch.equal(back, images)


def test_two_names_of_one_tensor_come_back_as_two():
    weight = torch.rand(3, 3)

    back = there_and_back({"a": weight, "b": weight, "c": weight[1]})

    assert torch.equal(back["a"], weight)
    assert torch.equal(back["b"], weight)
    assert torch.equal(back["c"], weight[1])
    assert back["a"].data_ptr() != back["b"].data_ptr()


def test_a_parameter_and_a_named_tuple_come_back_plain():
    parameter = torch.nn.Parameter(torch.ones(2))

    back = there_and_back({"weight": parameter, "end": torch.Size([3])})

    assert type(back["weight"]) is Tensor
    assert type(back["end"]) is tuple


def test_a_tensor_comes_back_writable():
    back = there_and_back([torch.ones(2)])[0]

    back += 1

    assert back.tolist() == [2, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_tensor_on_a_gpu_comes_back_on_the_cpu():
    back = there_and_back([torch.arange(5, device="cuda").half()])[0]

    assert described(back) == described(torch.arange(5).half())


IMPOSSIBLE = {
    "a set": ({"memory": {"rows": [1, {2}]}}, "state/memory/rows/1: a set cannot be saved; tens"),
    "a function": ({"a": [print]}, "state/a/0: a builtin_function_or_method cannot"),
    "a generator": ([torch.Generator()], "state/0: a torch._C.Generator cannot be saved"),
    "a key": ({"a": {1.5: 2}}, r"state/a: a float as a key, 1\.5, cannot be saved; texts"),
    "a truth as a key": ({True: 2}, "state: a bool as a key, True"),
    "a sparse tensor": ({"w": torch.eye(2).to_sparse()}, "state/w: a tensor of torch.float32, tor"),
    "a tensor of nothing": ({"w": torch.ones(2, device="meta")}, "state/w: .* on meta cannot be"),
    "a complex tensor": ({"w": torch.ones(2, dtype=torch.complex64)}, "state/w: .*complex64"),
    "an endless number": ((1 << 20_000,), "state/0: an integer of 20001 bits cannot be saved"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_what_cannot_be_saved_is_named_with_its_path_before_anything_is_written(name):
    state, line = IMPOSSIBLE[name]
    pieces: list[memoryview] = []

    with pytest.raises(CannotBeSaved, match=line):
        write_state(state, pieces.append)

    assert pieces == []


def test_a_state_that_holds_itself_cannot_be_saved():
    state: dict[str, object] = {}
    state["itself"] = state

    with pytest.raises(CannotBeSaved, match="nested too deeply, or holds itself"):
        written(state)


def file_with(tree: str, **others: Tensor) -> bytes:
    return save({TREE: torch.tensor(list(tree.encode()), dtype=torch.uint8), **others})


HOSTILE = {
    "nothing": b"",
    "garbage": bytes(range(256)) * 4,
    "a header longer than the file": (10**12).to_bytes(8, "little") + b"{}",
    "the longest header": b"\xff" * 8 + b"{}",
    "a header that is none": (2).to_bytes(8, "little") + b"[]",
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "no tree": save({"a": torch.ones(2)}),
    "no text": file_with("\x00"),
    "a text that is no JSON": file_with("{"),
    "a tensor that is not there": file_with('{"tensor": "a"}'),
    "an unknown kind": file_with('{"eval": "1"}'),
    "two kinds": file_with('{"bytes": "", "tuple": []}'),
    "no kind": file_with("{}"),
    "pairs of three": file_with('{"dict": [["a", 1, 2]]}'),
    "a list as a key": file_with('{"dict": [[[], 1]]}'),
    "no list": file_with('{"dict": 1}'),
    "a tuple of nothing": file_with('{"tuple": 1}'),
    "no base64": file_with('{"bytes": "?"}'),
    "a name that is none": file_with('{"tensor": []}'),
    "a deep one": file_with("[" * 100_000 + "]" * 100_000),
    "a long number": file_with("9" * 100_000),
    "a tree of numbers": save({TREE: torch.ones(3)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_is_none_is_damaged_and_nothing_else(name):
    with pytest.raises(Damaged):
        read_state(HOSTILE[name])


def test_wide_elements_begin_at_multiples_of_their_size():
    state = [torch.ones(3, dtype=dtype) for dtype in DTYPES]
    content = written(state)
    length = int.from_bytes(content[:8], "little")

    header = json.loads(content[8 : 8 + length])

    widths = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}
    starts = [(widths.get(t["dtype"], 1), t["data_offsets"][0]) for t in header.values()]
    assert length % 8 == 0
    assert all(start % width == 0 for width, start in starts)
