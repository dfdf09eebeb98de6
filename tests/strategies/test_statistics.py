from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import clrun
from clrun.errors import ConfigError
from clrun.images.patterns import Patterns
from clrun.images.transforms import Transform
from clrun.models.features import extract_features
from clrun.strategies.heads.keys import StatisticsKeys
from clrun.strategies.statistics import Statistics
from clrun.streams.experience import StreamShape
from tests.strategies.test_statistics_heads import NONE

SHAPE = StreamShape(channels=1, height=4, width=4, num_classes=6, num_experiences=3)
NORMALISED = Transform((0.3,), (0.7,), "none")


@pytest.fixture
def statistics(parts_of):
    """A strategy with a head, its keys changed as given."""

    def make(head: str = "slda", *, parts: dict[str, Any] | None = None, **changes: Any):
        keys = {**NONE, "projection": "none", "eval_mb_size": 8, **changes}
        return Statistics(Statistics.Config(head=head, **keys), parts_of(**(parts or {})))  # type: ignore[arg-type]

    return make


def learn(strategy, *experiences) -> list:
    return [step for experience in experiences for step in strategy.learn(experience)]


def as_one(experiences) -> Any:
    """Their rows as one experience."""
    x, y = (torch.cat([e.train[k] for e in experiences]) for k in (0, 1))
    return replace(experiences[0], train=Patterns(x, y))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("ncm", {}),
        ("slda", {}),
        ("ridge", {"ridge_lambda": 1.0, "projection": "random", "projection_dim": 30}),
        ("fecam", {"beta": 1.0}),
    ],
)
def test_experiences_and_seeds_change_no_prediction(head, words, statistics, numbered):
    stream = [numbered(k, rows=40) for k in range(3)]
    x = numbered(5).train.x
    one, several = statistics(head, **words), statistics(head, **words, eval_mb_size=3)

    learn(one, as_one(stream))
    learn(several, *reversed(stream))

    torch.testing.assert_close(one.predict(x), several.predict(x), rtol=1e-5, atol=1e-5)


def test_the_features_are_those_of_the_layer_in_evaluation_mode(statistics, numbered):
    x = numbered(0).train.x
    for name in (None, "features.1", "features"):
        strategy = statistics(layer_name=name)
        model = strategy.parts.model
        expected = extract_features(
            model, x, strategy.parts.transform, layer_name=name, batch_size=9, device="cpu"
        )
        torch.testing.assert_close(strategy.features(x), expected)


def test_pixels_are_what_the_image_has_however_it_is_normalised(statistics, numbered):
    x = numbered(0).train.x
    strategy = statistics(layer_name="pixels", parts={"transform": NORMALISED})

    assert torch.equal(strategy.features(x), x.flatten(1) / 255)


class Deciding(nn.Module):
    """Looks at its input, so that it cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(16, 8), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1) if float(x.sum()) >= 0 else x
        return self.output(self.hidden(x).relu())


def test_a_model_that_cannot_be_traced_is_watched(statistics, numbered):
    model, x = Deciding(), numbered(0).train.x
    strategy = statistics(parts={"model": model})

    expected = model.hidden(x.flatten(1) / 255).relu()
    torch.testing.assert_close(strategy.features(x), expected.detach())


def test_nothing_of_the_model_changes_and_each_row_is_counted_once(statistics, numbered):
    strategy = statistics()
    before = deepcopy(strategy.parts.model.state_dict())

    steps = learn(strategy, numbered(0), numbered(1))

    assert all(map(torch.equal, before.values(), strategy.parts.model.state_dict().values()))
    assert sum(step.patterns for step in steps) == 160
    assert strategy.state_dict()["held"]["counts"].tolist() == [40, 40, 40, 40, 0, 0]
    assert strategy.train_macs == 160 * 16 * 8  # up to the head's input


def test_the_features_of_training_rows_are_computed_once(statistics, numbered):
    strategy, rows = statistics(), []
    strategy.features.module.register_forward_hook(lambda _m, x, _y: rows.append(len(x[0])))
    chunk = strategy.features._latents._chunk

    learn(strategy, numbered(0))

    assert len(rows) == -(-80 // chunk)


def test_what_the_log_has_as_loss_and_accuracy_is_about_class_means(statistics, numbered):
    strategy, experience = statistics(eval_mb_size=80), numbered(0)

    (step,) = learn(strategy, experience)

    g, y = strategy.features(experience.train.x).double(), experience.train.y
    means = torch.stack([g[y == c].mean(0) for c in (0, 1)])
    assert float(step.loss) == pytest.approx(float((g - means[y]).square().mean()), rel=1e-5)
    assert int(step.correct) == int((torch.cdist(g, means).argmin(1) == y).sum())


@pytest.mark.parametrize("layer_name", [None, "pixels"])
@pytest.mark.parametrize("head", ["ncm", "slda", "ridge", "fecam"])
def test_the_saved_predictor_gives_what_the_strategy_predicts(
    head, layer_name, statistics, numbered, parts_of
):
    words = {"layer_name": layer_name, "projection": "random", "projection_dim": 20}
    strategy = statistics(head, **words, parts={"transform": NORMALISED})
    learn(strategy, numbered(0), numbered(2))
    x = numbered(4).train.x

    rebuilt = Statistics.predictor(strategy.config, parts_of().model, SHAPE)
    rebuilt.load_state_dict(strategy.trained_predictor().state_dict())

    expected = strategy.predict(x)
    found = rebuilt.eval()(NORMALISED.evaluation(x)).float()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert set(expected.argmax(1).tolist()) <= {0, 1, 4, 5}


def test_a_class_that_comes_back_is_averaged_by_counts(statistics, numbered):
    strategy = statistics("ncm", normalize=False)
    many, few = numbered(0, rows=80), numbered(1, rows=10, classes=[0, 1])
    learn(strategy, many, few)

    g = strategy.features(torch.cat([many.train.x, few.train.x])).double()
    y = torch.cat([many.train.y, few.train.y])
    head, _ = strategy._head
    torch.testing.assert_close(head.means()[0], g[y == 0].mean(0))


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["strategy=slda", "strategy.beta=1"], "belongs to strategy.head=fecam, and this is slda"),
        (["strategy=ncm", "strategy.update=exact"], "Use strategy.head=slda, or strategy.update="),
        (["strategy=slda", "strategy.projection_dim=9"], "Use strategy.projection=random"),
        (["strategy=slda", "strategy.lr=0.1"], "strategy.lr=0.1: there is no such key"),
        (["strategy=slda", "strategy.train_epochs=2"], "train_epochs=2: there is no such key"),
        (["strategy=ranpac", "strategy.ridge_lambda=0"], "must be above 0 or must be one of auto"),
        (["strategy=slda", "strategy.shrinkage=0"], "strategy.shrinkage=0"),
    ],
)
def test_a_key_that_does_nothing_is_refused_in_one_line(words, line):
    with pytest.raises(ConfigError) as caught:
        clrun.compose(words)

    assert len(caught.value.problems) == 1
    assert line in caught.value.problems[0]


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"layer_name": "hidden"}, "strategy.layer_name=hidden: Softmax has no such layer"),
        ({"head": "fecam"}, "strategy.beta=0.5: the layer gives negative features"),
        (
            {"head": "ridge", "projection": "random", "projection_dim": 10**7},
            "strategy.projection_dim=10000000: what head=ridge keeps of 10,000,000 features",
        ),
    ],
)
def test_features_that_a_head_cannot_have_are_refused_before_anything_starts(
    changes, line, parts_of
):
    keys = {"head": "slda", "projection": "none", "eval_mb_size": 8, **NONE, **changes}

    with pytest.raises(ConfigError, match=line.split(":")[0]) as caught:
        Statistics.check(StatisticsKeys(**keys), parts_of().model, SHAPE)

    assert line in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "accuracy"),
    [
        (("strategy=ncm", "strategy.normalize=false", "strategy.distance=euclidean"), 0.6768),
        (("strategy=slda",), 0.8149),
    ],
)
def test_fashion_mnist_in_pixels(words, accuracy, real_fashion_mnist, tmp_path):
    config = clrun.compose(
        [
            *(*words, "strategy.layer_name=pixels", "benchmark=split_fashion_mnist"),
            *(f"benchmark.data_root={real_fashion_mnist}", "device=cpu", "report=false"),
        ]
    )

    results = clrun.run(config, tmp_path / "run")

    assert results.metrics["acc_final"] == pytest.approx(accuracy, abs=0.003)
