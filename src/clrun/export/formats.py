"""The formats of an exported model: how a file is made, and how what is in it is run."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from clrun.errors import ClrunError, ConfigError
from clrun.export.whole import INPUT, OUTPUTS, Whole

Answers = Callable[[Tensor], tuple[Tensor, Tensor]]
"""uint8 images [B, C, H, W] -> probabilities and logits."""

BATCH, HEIGHT, WIDTH = "batch", "height", "width"
"""Names of sizes that a file leaves open."""
OPSET = 18
"""The version of ONNX: the first that resizes with antialiasing, so that older runtimes can read
the file."""
LARGEST = 2**31 - 2**20
"""Bytes of weights in one file of ONNX: protobuf has no longer message."""


class Format(NamedTuple):
    """One kind of file."""

    made: Callable[[Whole, Mapping[str, str]], bytes]
    """a file's content, with these texts by name in its metadata"""
    opened: Callable[[bytes], Answers]
    """runs such a content"""
    runtime: str
    """what that is called"""


def _onnx_bytes(whole: Whole, texts: Mapping[str, str]) -> bytes:
    size = sum(p.nbytes for p in whole.parameters())
    if size > LARGEST:
        raise ConfigError(
            f"clrun export: a file of ONNX holds at most {LARGEST:,} bytes of weights, and the "
            f"model has {size:,}. Use --format torch."
        )
    program = torch.onnx.export(
        _program(whole),
        dynamo=True,
        verbose=False,
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        opset_version=OPSET,
    )
    assert program is not None
    model = program.model_proto
    _strip(model)
    for name, text in texts.items():
        model.metadata_props.add(key=name, value=text)
    model.producer_name = "clrun"
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _strip(model: Any) -> None:
    """Leave out where in whose code each operation stood; give the sizes that are open names."""
    graph = model.graph
    graph.ClearField("value_info")  # of what is in between, in the exporter's own names
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for value in (*graph.input, *graph.output):
        for size, name in zip(
            value.type.tensor_type.shape.dim, (BATCH, "", HEIGHT, WIDTH), strict=False
        ):
            if size.dim_param:
                size.dim_param = name


def _onnx_answers(content: bytes) -> Answers:
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])

    def answers(images: Tensor) -> tuple[Tensor, Tensor]:
        found = session.run(list(OUTPUTS), {INPUT: np.ascontiguousarray(images.numpy())})
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])

    return answers


def _torch_bytes(whole: Whole, texts: Mapping[str, str]) -> bytes:
    program = _program(whole)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # where in whose code it stood
    file = io.BytesIO()
    extra = {f"{name}.json": text for name, text in texts.items()}
    torch.export.save(program, file, extra_files=extra)
    return file.getvalue()


def _torch_answers(content: bytes) -> Answers:
    module = torch.export.load(io.BytesIO(content)).module()

    def answers(images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            probabilities, logits = module(images)
        return probabilities, logits

    return answers


def _program(whole: Whole) -> torch.export.ExportedProgram:
    """The computation for any number of images and, where they are resized, of any size."""
    free, (channels, height, width) = {0: BATCH}, whole.image_shape
    if whole.side is not None:
        free |= {2: HEIGHT, 3: WIDTH}
        height, width = height + 3, width + 5  # sizes that nothing takes for a constant
    example = torch.zeros(2, channels, height, width, dtype=torch.uint8)
    sizes = {place: torch.export.Dim(name) for place, name in free.items()}
    with torch.no_grad():
        return torch.export.export(whole, (example,), dynamic_shapes={INPUT: sizes})


FORMATS = {
    "onnx": Format(_onnx_bytes, _onnx_answers, "onnxruntime"),
    "torch": Format(_torch_bytes, _torch_answers, "torch.export"),
}


@contextmanager
def quiet(name: str) -> Iterator[None]:
    """Whatever the exporters say of themselves is no user's business; what they raise is a line.

    Raises:
        ClrunError: the model cannot be had in this format.
    """
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exporter.setLevel(logging.ERROR)
            yield
    except ClrunError:
        raise
    except Exception as error:  # whatever a model of somebody's, or an exporter, raises
        text = " ".join(str(error).split()) or type(error).__name__
        raise ClrunError(
            f"clrun export: the model cannot be had as {name}: {text[:300].rstrip('.')}."
        ) from error
    finally:
        exporter.setLevel(level)
