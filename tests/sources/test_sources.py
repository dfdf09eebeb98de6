import pytest

from clrun.config.schema import component_class, config_class
from clrun.sources import OWN_SOURCES, SOURCES

PUBLISHED = {name: target for name, target in SOURCES.items() if name != "torchvision"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_known_without_the_data_fits_together(name):
    cls = component_class(PUBLISHED[name])
    source = cls(cls.Config())

    assert source.name == name
    assert len(source.class_names) == len(set(source.class_names))
    assert len(source.class_names) == config_class(PUBLISHED[name])().num_classes
    assert len(source.mean) == len(source.std) == source.channels


@pytest.mark.parametrize("target", [*SOURCES.values(), *OWN_SOURCES.values()])
def test_the_config_read_without_torch_is_the_real_one(target):
    read, real = config_class(target), component_class(target).Config

    assert {f: str(v.type) for f, v in read.__dataclass_fields__.items()} == {
        f: str(v.type) for f, v in real.__dataclass_fields__.items()
    }
