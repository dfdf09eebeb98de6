import pytest

from clrun.sources.sides import side_of


@pytest.mark.parametrize(
    ("side", "names"),
    [
        ("train", ["train", "Train", "TRAINING", "training_set", "train2017", "train-data"]),
        ("validation", ["val", "Valid", "validation", "dev", "val2017", "valid set"]),
        ("test", ["test", "Test", "testing", "test_set", "test1", "eval", "evaluation"]),
        (
            None,
            ["trainer", "testudo", "valley", "device", "a train", "cat", "", "contest", "evalu"],
        ),
    ],
)
def test_words_in_any_case_mean_a_side_and_longer_ones_do_not(side, names):
    assert {side_of(name) for name in names} == {side}
