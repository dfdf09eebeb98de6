import os

import pytest
import torch

from clrun.sources import statistics
from clrun.sources.statistics import (
    Facts,
    FactsKey,
    channel_statistics,
    facts_key,
    recall,
    remember,
)

KEY = FactsKey("key", "now")
FACTS = Facts(channels=1, height=2, width=3, mean=(0.25,), std=(0.5,))


@pytest.fixture(autouse=True)
def cache_in(tmp_path, monkeypatch):
    monkeypatch.setenv("CLRUN_CACHE", str(tmp_path / "cache"))


def test_mean_and_deviation_are_those_of_the_whole_whatever_the_blocks(monkeypatch):
    x = torch.randint(256, (50, 3, 5, 4), generator=torch.Generator().manual_seed(0)).byte()
    monkeypatch.setattr(statistics, "BLOCK_BYTES", 7 * 60)

    mean, std = channel_statistics(x)

    pixels = x.double().div(255).transpose(0, 1).flatten(1)
    assert mean == pytest.approx(pixels.mean(1).tolist())
    assert std == pytest.approx(pixels.std(1, correction=0).tolist())


def test_images_of_one_colour_can_still_be_divided_by_their_deviation():
    _, std = channel_statistics(torch.full((4, 1, 2, 2), 7, dtype=torch.uint8))

    assert std == pytest.approx((1 / 255,))


def test_facts_are_recalled_as_they_were_remembered():
    remember(KEY, FACTS)

    assert recall(KEY) == FACTS
    assert recall(FactsKey("other", "now")) is None


def test_facts_of_files_that_were_touched_since_are_not_recalled():
    remember(KEY, FACTS)

    assert recall(FactsKey("key", "later")) is None


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"channels": 1}', '{"mean": 3, "std": 4}'])
def test_broken_facts_are_none(tmp_path, content):
    remember(KEY, FACTS)
    (tmp_path / "cache" / "facts" / "key.json").write_text(content)

    assert recall(KEY) is None


def test_a_key_follows_the_files_and_what_is_made_of_them(tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(b"one")
    first = facts_key(8, files=[file])

    again = facts_key(8, files=[file])
    other_use = facts_key(9, files=[file])
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    touched = facts_key(8, files=[file])

    assert first == again
    assert len({first, other_use, touched}) == 3
