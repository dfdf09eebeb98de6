from typing import get_args

import pytest

from clrun.sources import NUM_CLASSES, SOURCES, SourceName


def test_every_named_source_can_be_made_and_nothing_else():
    assert set(SOURCES) == set(NUM_CLASSES) == set(get_args(SourceName))


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_known_without_the_data_fits_together(name):
    source = SOURCES[name]()

    assert source.name == name
    assert len(source.class_names) == len(set(source.class_names)) == NUM_CLASSES[name]
    assert len(source.mean) == len(source.std) == source.channels
