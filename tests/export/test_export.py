"""`clrun export`: the file answers as the run's model does, without clrun and without torch."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import clrun
from clrun.cli.main import main
from clrun.errors import ClrunError
from clrun.export.writing import export

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

CLASSES = ("ant", "bee <b>", "cat")
DOCS = Path(__file__).resolve().parents[2] / "docs" / "guides" / "export.md"
SIDE = 12


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/ of several sizes, a finished run on them and its model.onnx."""
    folder = tmp_path_factory.mktemp("export")
    rng = np.random.default_rng(0)
    for k, name in enumerate(CLASSES):
        for part, count in (("train", 8), ("test", 5)):
            (folder / "photos" / part / name).mkdir(parents=True)
            for n in range(count):
                x = rng.integers(0, 120, (SIDE + n, 17, 3), dtype=np.uint8)
                x[..., k] += rng.integers(20, 100, dtype=np.uint8)
                Image.fromarray(x).save(folder / "photos" / part / name / f"{n}.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CLRUN_CACHE", str(folder / "cache"))
        words = ("device=cpu", "strategy=ar1", "strategy.train_epochs=1", "strategy.rm_sz=6")
        model = ("model=cnn", "model.norm=batch", "model.dropout=0.3", "model.channels=[8,8]")
        data = ("benchmark=folder", "benchmark.data_root=photos", f"benchmark.image_size={SIDE}")
        assert main([*words, *model, *data, "hydra.run.dir=run"]) == 0
        assert main(["export", "run", "--onnx", "model.onnx"]) == 0
    return folder


@pytest.fixture
def at_place(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(place)
    monkeypatch.setenv("CLRUN_CACHE", str(place / "cache"))
    return place


@pytest.fixture
def session(place: Path):
    return onnxruntime.InferenceSession(place / "model.onnx", providers=["CPUExecutionProvider"])


def images(count: int, height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    rng = torch.Generator().manual_seed(1)
    size = (count, 3, height, width)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=rng)


def said(session, x: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    return session.run(["probabilities", "logits"], {"images": x.numpy()})


@pytest.mark.parametrize("count", [1, 2, 31])
def test_onnxruntime_gives_the_predictions_of_the_model(count, place, session):
    trained = clrun.load(place / "run")

    probabilities, logits = said(session, images(count))

    expected = trained.predict(images(count))
    np.testing.assert_allclose(probabilities, expected.probabilities, atol=1e-5)
    np.testing.assert_allclose(logits, trained.logits(images(count)), rtol=1e-4, atol=1e-5)
    assert [CLASSES[k] for k in probabilities.argmax(1)] == expected.classes
    assert (probabilities.dtype, logits.dtype) == (np.float32, np.float32)


@pytest.mark.parametrize("size", [(19, 12), (40, 31), (5, 7)])
def test_images_of_other_sizes_are_resized_as_the_run_s_were(size, session):
    x = images(4, *size)
    files = [Image.fromarray(row.permute(1, 2, 0).numpy()) for row in x]
    resized = [f.resize((SIDE, SIDE), Image.Resampling.BILINEAR) for f in files]
    rows = torch.from_numpy(np.stack([np.asarray(f).transpose(2, 0, 1) for f in resized]))

    given, expected = said(session, x)[1], said(session, rows)[1]

    # at most one level of 255 apart
    np.testing.assert_allclose(given, expected, atol=0.02 * np.abs(expected).max())


def test_the_file_says_what_it_is_and_nothing_of_the_machine_that_made_it(place, session):
    metadata = session.get_modelmeta().custom_metadata_map
    provenance = json.loads(metadata["clrun"])

    assert json.loads(metadata["class_names"]) == list(CLASSES)
    assert provenance["run"] == "ar1-folder-s0"
    assert provenance["input"]["shape"] == [3, SIDE, SIDE]
    assert set(provenance["versions"]) >= {"clrun", "torch"}
    assert [(i.name, i.type, i.shape) for i in session.get_inputs()] == [
        ("images", "tensor(uint8)", ["batch", 3, "height", "width"])
    ]
    assert [(o.name, o.shape) for o in session.get_outputs()] == [
        ("probabilities", ["batch", 3]),
        ("logits", ["batch", 3]),
    ]
    content = (place / "model.onnx").read_bytes()
    for text in (str(place), str(Path(clrun.__file__).parent), "site-packages", os.sep + "tmp"):
        assert text.encode() not in content


def test_the_example_of_the_docs_says_what_clrun_predict_says(at_place, monkeypatch, capsys):
    code = re.search(r"```python\n(# python classify\.py.*?)```", DOCS.read_text(), re.DOTALL)[1]
    names = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    files = sorted(str(path) for path in Path("photos/test").rglob("*.png"))
    monkeypatch.setattr(sys, "argv", ["classify.py", "model.onnx", *files])
    exec(compile(code, "classify.py", "exec"), {})
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]

    assert main(["predict", "run", *files, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    assert names == {"json", "sys", "numpy", "onnxruntime", "Image"} - {"Image"} | {"PIL"}
    assert [(path, name) for path, name, _ in lines] == [
        (each["image"], each["class"]) for each in expected
    ]
    for (_, name, share), each in zip(lines, expected, strict=True):
        assert float(share) == pytest.approx(each["probabilities"][name], abs=6e-4)


def test_torch_export_is_the_other_format(at_place, tmp_path, capsys):
    path = tmp_path / "model.pt2"

    assert main(["export", "run", "--format", "torch", str(path)]) == 0

    assert "17 random and 15 test images: the same classes" in capsys.readouterr().out
    extra = {"class_names.json": "", "clrun.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    probabilities, logits = module(images(3))
    expected = clrun.load("run").logits(images(3))
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(probabilities, expected.softmax(1))
    assert json.loads(extra["class_names.json"]) == list(CLASSES)


def test_a_file_that_answers_otherwise_is_not_written(at_place, tmp_path):
    trained = clrun.load("run")
    trained.model = nn.Sequential(trained.model, nn.Linear(3, 3))  # `logits` has the one before

    with pytest.raises(ClrunError, match=r"model\.pt2: on random images: gives other") as raised:
        export(trained, tmp_path / "model.pt2", "torch")

    assert raised.value.exit_code == 1
    assert list(tmp_path.iterdir()) == []


class Deciding(nn.Module):
    """What it computes follows from the values of the images: no graph has that."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3)) if float(x.sum()) > 0 else x.amax((2, 3))


def test_a_model_that_no_graph_holds_is_one_line(at_place, tmp_path):
    trained = clrun.load("run")
    trained.model = Deciding()

    with pytest.raises(ClrunError, match="the model cannot be had as torch: ") as raised:
        export(trained, tmp_path / "model.pt2", "torch")

    assert len(str(raised.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
