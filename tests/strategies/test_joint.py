from __future__ import annotations

from clrun.images.transforms import Transform
from clrun.strategies.joint import Joint
from clrun.strategies.naive import Naive
from clrun.streams.experience import Benchmark, StreamShape, merged


def test_joint_is_naive_training_on_the_merged_stream(descent_keys, parts_of, numbered, recording):
    benchmark = Benchmark(
        name="numbered",
        shape=StreamShape(channels=1, height=4, width=4, num_classes=6, num_experiences=3),
        class_names=tuple("abcdef"),
        experiences=[numbered(index) for index in range(3)],
        transform=Transform((0.0,), (1.0,), "none"),
    )
    joint = Joint(Joint.Config(**descent_keys), parts_of(transform=recording))
    naive = Naive(Naive.Config(**descent_keys), parts_of())

    losses = [float(step.loss) for step in joint.learn(merged(benchmark))]

    rows = [row for minibatch in recording.minibatches for row in minibatch]
    assert sorted(rows) == [1000 * index + row for index in range(3) for row in range(80)]
    assert losses == [float(step.loss) for step in naive.learn(merged(benchmark))]


def test_joint_asks_for_the_whole_stream_and_naive_does_not():
    assert Joint.whole_stream
    assert not Naive.whole_stream


def test_nothing_is_stored(descent_keys, parts_of, numbered):
    joint = Joint(Joint.Config(**descent_keys), parts_of())
    list(joint.learn(numbered(0)))

    assert joint.memory_rows() == {"rows": 0, "bytes": 0, "per_class": {}, "per_experience": {}}
