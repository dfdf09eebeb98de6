"""Every shipped model can be exported; `export` itself compares the file with the model."""

from __future__ import annotations

from pathlib import Path

import pytest

import clrun
from clrun.export.writing import export
from clrun.models.batch_renorm import BatchRenorm2D

pytest.importorskip("onnxscript")
onnx = pytest.importorskip("onnx")

QUICK = ("device=cpu", "strategy.train_epochs=1", "benchmark.limit_per_class=6")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ("strategy=naive", "model=mlp", "model.dropout=0.2"),
        ("strategy=naive", "model=slim_resnet18"),
        ("strategy=ar1", "strategy.rm_sz=10", "strategy.train_mb_size=8"),
        ("strategy=naive", "model=torchvision", "benchmark.image_size=32"),
    ],
    ids=["mlp", "slim_resnet18", "ar1 on mobilenet_v1", "torchvision"],
)
def test_every_model_gives_its_answers_from_one_file(words, tmp_path: Path):
    clrun.run(clrun.compose([*QUICK, *words]), tmp_path / "run")
    trained = clrun.load(tmp_path / "run", device={"kind": "cpu", "precision": "fp32"})

    found = export(trained, tmp_path / "model.onnx")

    assert found.difference.other_classes == 0
    assert found.difference.probabilities < 1e-4
    assert found.size == (tmp_path / "model.onnx").stat().st_size
    assert found.milliseconds > 0
    kinds = {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}
    assert "Dropout" not in kinds
    if any(isinstance(layer, BatchRenorm2D) for layer in trained.model.modules()):
        assert "BatchNormalization" not in kinds  # they are in the convolutions' weights
