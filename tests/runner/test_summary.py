from __future__ import annotations

import json

from clrun.runner.prepare import prepare
from clrun.runner.summary import json_keys, nothing


def test_what_was_not_evaluated_has_a_place_for_every_experience_and_class(config_of):
    scores = nothing(prepare(config_of()).data)

    assert scores.experiences == [None] * 5
    assert scores.classes == [None] * 10


def test_maps_survive_json_as_they_are():
    rows = {"rows": 3, "per_class": {0: 1, 10: 2}, "per_experience": {}}

    keyed = json_keys(rows)

    assert json.loads(json.dumps(keyed)) == keyed
    assert keyed == {"rows": 3, "per_class": {"0": 1, "10": 2}, "per_experience": {}}
