import pytest
import torch
from pydantic import TypeAdapter

from clrun.config.option_file import read_option
from clrun.streams.torchvision_split import TorchvisionSplit


def split(**changed: object) -> TorchvisionSplit:
    values = {key.path: key.value for key in read_option("benchmark", "torchvision").keys.values()}
    config = TypeAdapter(TorchvisionSplit.Config).validate_python({**values, **changed})
    return TorchvisionSplit(config)


def test_a_set_becomes_a_stream():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    fake = split(dataset="FakeData")

    fake.check()
    benchmark = fake.load(seed=0)

    assert torch.equal(torch.get_rng_state(), before)
    assert benchmark.shape == fake.shape()
    assert [e.classes for e in benchmark] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert sum(len(e.train.y) for e in benchmark) == 200
    assert benchmark.experiences[0].train.x.shape[1:] == (3, 32, 32)
    assert benchmark.transform.mean == pytest.approx((0.5, 0.5, 0.5), abs=0.02)


def test_keys_are_checked_against_the_sets_classes_before_anything_is_read():
    with pytest.raises(ValueError, match="n_experiences=5: does not divide 43 classes"):
        split(dataset="GTSRB", image_size=32)


def test_images_of_many_sizes_need_one():
    with pytest.raises(ValueError, match="image_size=null: the images of dataset=Food101 differ"):
        split(dataset="Food101", n_experiences=101)
