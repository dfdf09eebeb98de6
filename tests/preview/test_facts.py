from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import torch

from clrun.preview.facts import Preview

ALL = (
    (),
    ("benchmark.scenario=ni",),
    ("benchmark.scenario=nic", "benchmark.n_experiences=20", "benchmark.class_order_seed=3"),
    ("benchmark.class_order=shuffled", "benchmark.validation_fraction=0.2"),
)


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_counts_are_those_of_the_rows(
    words: tuple[str, ...], previewed: Callable[..., Preview]
) -> None:
    found = previewed("strategy=naive", *words)

    for facts, experience in zip(found.experiences, found.stream, strict=True):
        expected = torch.bincount(experience.train.y, minlength=10)
        assert found.counts()[facts.index].tolist() == expected.tolist()
        assert tuple(facts.classes) == experience.classes
        assert facts.train == sum(facts.classes.values()) == len(experience.train.x)
        assert facts.test == sum(facts.test_classes.values()) == len(experience.test.x)
        assert facts.bytes == facts.train * 64
    assert found.train + (found.validation or 0) == 1442


def test_the_title_says_what_was_typed_of_the_stream(previewed: Callable[..., Preview]) -> None:
    found = previewed(
        "benchmark.scenario=blurry",
        "benchmark.blur=0.1",
        "benchmark.blur=0.2",
        "benchmark.data_root=here",
        "strategy=naive",
    )

    assert found.title == "benchmark=digits benchmark.scenario=blurry benchmark.blur=0.2 seed=0"


def test_a_class_is_new_once(previewed: Callable[..., Preview]) -> None:
    found = previewed("benchmark.scenario=nic", "benchmark.n_experiences=20", "strategy=naive")

    new = [label for experience in found.experiences for label in experience.new_classes]
    assert sorted(new) == list(range(10))
    assert found.experiences[0].new_classes == tuple(found.experiences[0].classes)


def test_held_out_rows_are_told(previewed: Callable[..., Preview]) -> None:
    without = previewed("strategy=naive")
    held_out = previewed("strategy=naive", "benchmark.validation_fraction=0.25")

    assert without.validation is None
    assert without.experiences[0].validation is None
    assert held_out.validation is not None
    assert 0.2 < held_out.validation / 1442 < 0.3


def test_a_test_set_that_all_experiences_share_counts_once(
    preview_of: Callable[..., Preview],
) -> None:
    apart = preview_of([[3, 0], [0, 5]])

    shared = apart.stream.experiences[0].test
    for experience in apart.stream:
        object.__setattr__(experience, "test", shared)

    assert apart.test == 3


def test_the_json_has_every_experience_with_its_classes(
    previewed: Callable[..., Preview],
) -> None:
    found = json.loads(json.dumps(previewed("strategy=naive").as_dict(), allow_nan=False))

    assert found["benchmark"] == "digits"
    assert found["image_shape"] == [1, 8, 8]
    assert [e["train"] for e in found["experiences"]] == [289, 289, 291, 289, 284]
    assert found["experiences"][1]["classes"] == {"2": 142, "3": 147}
    assert sum(e["steps"] for e in found["experiences"]) == found["steps"]
    assert found["bytes"] == {"memory": 1797 * (64 + 8), "disk": 0}


def test_a_stream_learnt_at_once_has_updates_in_all_only(
    previewed: Callable[..., Preview],
) -> None:
    found = previewed("strategy=joint").as_dict()

    assert found["steps"] == 20 * 46
    assert {experience["steps"] for experience in found["experiences"]} == {None}
