import pytest
from pydantic import TypeAdapter

from clrun.config.option_file import read_option
from clrun.streams.own_keys import OwnKeys


def keys(**changed: object) -> OwnKeys:
    values = {key.path: key.value for key in read_option("benchmark", "npz").keys.values()}
    del values["source"], values["test_fraction"]  # keys of the source
    return TypeAdapter(OwnKeys).validate_python({**values, **changed})


@pytest.mark.parametrize(
    ("changed", "given", "scenario", "experiences"),
    [
        ({}, None, "nc", 6),
        ({}, 4, "given", 4),
        ({"n_experiences": 4}, 4, "given", 4),
        ({"scenario": "nc"}, 4, "nc", 6),
        ({"n_experiences": 3}, None, "nc", 3),
        ({"first_experience_classes": 4}, None, "nc", 3),
        ({"classes_per_experience": [4, 2]}, None, "nc", 2),
        ({"scenario": "ni", "n_experiences": 9}, None, "ni", 9),
        ({"scenario": "blurry", "blur": 0.1}, None, "blurry", 6),
    ],
)
def test_what_is_left_open_is_settled_by_the_data(changed, given, scenario, experiences):
    settled = keys(**changed).resolved(6, given)

    assert (settled.scenario, settled.n_experiences) == (scenario, experiences)


@pytest.mark.parametrize(
    ("changed", "given", "message"),
    [
        ({"scenario": "given"}, None, "scenario=given: the data do not say"),
        ({"n_experiences": 3}, 4, "n_experiences=3: the data have 4 experiences"),
        ({"class_order": "shuffled"}, 4, "class_order=shuffled: the data say"),
        ({"class_order": [1, 0]}, 4, r"class_order=\[1,0\]: the data say"),
        ({"first_experience_classes": 2}, 4, "first_experience_classes=2: the data say"),
        ({"classes_per_experience": [3, 3]}, 4, r"classes_per_experience=\[3,3\]: the data say"),
        ({"class_order_seed": 3}, 4, "class_order_seed=3: the data say"),
        ({"n_experiences": 4}, None, "n_experiences=4: does not divide 6 classes"),
    ],
)
def test_what_contradicts_the_data_is_refused(changed, given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        keys(**changed).resolved(6, given)


@pytest.mark.parametrize("scenario", ["ni", "nic", "permuted", "rotated"])
def test_scenarios_without_a_natural_count_need_one(scenario):
    with pytest.raises(ValueError, match=f"n_experiences=null: scenario={scenario} needs it"):
        keys(scenario=scenario)
