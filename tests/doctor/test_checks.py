"""Each check finds what it is for in a folder where that is so, and nothing where it is not."""

from __future__ import annotations

import re

import pytest

from clrun.doctor.checks import CHECKS
from clrun.doctor.evidence import evidence


def status(word, error=None):
    return lambda files: files.record.update(status=word, error=error)


def failed(error):
    def change(files):
        files.record |= {"status": "failed", "error": error}
        files.results = {}

    return change


def epochs(*numbers):
    """Losses and accuracies of the second experience's two epochs."""

    def change(files):
        for line, (loss, accuracy) in zip(files.epochs[2:], numbers, strict=True):
            line |= {"loss": loss, "accuracy": accuracy}

    return change


def last(accuracy, classes=(0.8, 0.9, 0.9, 1.0)):
    """The last evaluation."""
    return lambda files: files.evals[2].update(accuracy=accuracy, class_accuracy=list(classes))


def vitals(*values):
    """Those of the two experiences."""

    def change(files):
        for line, found in zip(files.experiences, values, strict=True):
            line["vitals"] = found

    return change


def penalties(*values):
    return vitals(*({"penalties": {"SynapticIntelligence": value}} for value in values))


def bounds(*values):
    """r_max, d_max and the share of clipped channels after each experience."""
    names = ("r_max", "d_max", "clipped")
    found = [{**dict(zip(names, v, strict=True)), "layer": "end.bn1"} for v in values]
    return vitals(*({"renormalisation": each} for each in found))


def held(counts):
    return lambda files: files.memory[-1].update(rows=sum(counts.values()), per_class=counts)


def images(mean, std, normalize=True):
    def change(files):
        files.record["data"]["inputs"] = {"mean": mean, "std": std}
        files.record["config"]["nodes"]["benchmark"]["values"]["normalize"] = normalize

    return change


def weights(pretrained, normalize):
    def change(files):
        nodes = files.record["config"]["nodes"]
        nodes["model"] = {"option": "torchvision", "values": {"pretrained": pretrained}}
        nodes["benchmark"]["values"]["normalize"] = normalize

    return change


def seconds(train, evaluating):
    wall = {"train": train, "memory": 0.5, "eval": evaluating}
    return lambda files: files.results["cost"].update(wall_seconds=wall)


def rows(*counts):
    return lambda files: files.results.update(experiences=[{"test_rows": n} for n in counts])


def final(accuracy):
    return lambda files: files.results["metrics"].update(acc_pooled=accuracy)


def skip(files):
    files.record["config"]["nodes"]["strategy"]["values"]["on_nan"] = "skip"


def skipped(count):
    return lambda files: files.epochs[-1].update(skipped_updates=count)


def both(*changes):
    def change(files):
        for each in changes:
            each(files)

    return change


def without_a_memory(files):
    del files.record["config"]["nodes"]["strategy"]["values"]["mem_size"]


def latents(files):
    without_a_memory(files)
    files.record["config"]["nodes"]["strategy"]["values"]["rm_sz"] = 189


INTERRUPTED = "interrupted by SIGTERM. 1 of 2 experiences were finished."
NAN = "NonFiniteLoss: the loss is nan in experience 1"
CAPS = r"r_max 1\.020 of 1\.25 and d_max 0\.040 of 0\.5"
FIRES = [
    ("end of the run", status("interrupted", INTERRUPTED), "by SIGTERM", "clrun resume /"),
    ("end of the run", status("running"), "died .* 2 experiences were learnt", "clrun resume /"),
    ("end of the run", status("odd"), "damaged", "Run it again"),
    ("end of the run", failed(NAN), "2 experiences .* loss is nan", "smaller strategy.lr"),
    ("end of the run", both(skip, failed(NAN)), "loss is nan", "smaller strategy.lr, and"),
    ("end of the run", failed("StorageError: No space"), "No space", "Free space.*clrun resume"),
    ("end of the run", failed("RuntimeError: a\nb"), "RuntimeError: a b", "traceback.*clrun.log"),
    ("updates left out", skipped(3), "3 of 40 updates", "damaged images"),
    ("diverging loss", epochs((2, 0.6), (9, 0.7)), "from 2 to 9 in experience 2", "lr than 0.1"),
    ("nothing learnt", epochs((1.4, 0.2), (1.38, 0.26)), r"2: .* 0\.260 and loss 1\.38", "lr"),
    ("statistics of the images", images([-1.8], [0.97]), r"mean -1\.80", "normalize=data"),
    ("statistics of the images", images([0, 0.1], [1, 4]), r"deviation 4\.00", "normalize=data"),
    ("statistics of the images", images([0], [0]), r"deviation 0\.00", "normalize=data"),
    ("statistics of the weights", weights(True, "data"), "=data gives", "normalize=model"),
    ("statistics of the weights", weights(True, True), "=true gives", "normalize=model"),
    (
        "learnt but not recalled",
        last([0.8, 0.5]),
        r"experience 2 are.* 0\.500, and 0\.900",
        "batches",
    ),
    ("final accuracy", final(0.26), r"0\.260: .* 4 classes gives 0\.250", "strategy=joint"),
    ("classes never recalled", last([1, 1], (1, 1, 0, 1)), "Class cat is never", "preview"),
    ("classes never recalled", last([1, 1], (1, 1, 0, 0)), "Classes cat, dog are", "preview"),
    ("forgetting", last([0, 0.95]), r"1 earlier .* from 0\.950 .* to 0\.000", "than 200"),
    ("forgetting", both(without_a_memory, last([0, 0.95])), "1 earlier", "strategy=replay rem"),
    ("penalty", penalties(0.0, 0.0), "SynapticIntelligence was 0", "ewc_lambda"),
    ("bounds of BatchReNorm", bounds((1.02, 0.04, 1), (1.02, 0.04, 0)), CAPS, "than 4.1e-05"),
    ("drift of BatchReNorm", bounds((1.2, 0.4, 0), (1.2, 0.4, 0.7)), "70%.* 2, .*bn1", "rate"),
    ("balance of the memory", held({"0": 99, "1": 90, "2": 5, "3": 5}), "99 .* ant and 5", "bal"),
    ("balance of the memory", held({"0": 99, "1": 90}), "cat, dog are .* holds 189", "balanced"),
    (
        "balance of the memory",
        both(latents, held({"0": 99, "1": 90})),
        "cat, dog",
        "larger .*rm_sz",
    ),
    ("cost of evaluation", seconds(10.0, 31.0), r"31\.0 s and training 10\.5 s", "eval=seen"),
    ("number of test rows", rows(7, 9), r"2 of 2 .* fewest 7\): .* 14%", "seed"),
]


@pytest.mark.parametrize(("check", "change", "seen", "advice"), FIRES)
def test_what_is_wrong_is_found(check, change, seen, advice, found):
    said = found(change)[check]

    assert re.search(f"{seen}.* -> .*{advice}", said), said


def test_every_check_is_tried():
    assert {check for check, *_ in FIRES} == set(CHECKS)


def test_nothing_is_found_where_nothing_is_wrong(found):
    assert found() == {}


QUIET = [
    ("updates left out", skipped(0)),
    ("diverging loss", epochs((0.01, 1.0), (0.05, 0.99))),  # it grew, and is small
    ("nothing learnt", epochs((1.4, 0.2), (0.2, 0.2))),
    ("statistics of the images", images([0.4], [0.2], normalize=False)),
    ("statistics of the images", images([-1.8], [0.6], normalize="model")),
    ("statistics of the images", images([0.5], [0.3], normalize=None)),  # pixels, from Python
    ("statistics of the weights", weights(True, "model")),
    ("statistics of the weights", weights(False, True)),
    ("learnt but not recalled", last([0.8, 0.64])),
    ("learnt but not recalled", both(last([0.8, 0.0]), rows(70, 1))),
    ("final accuracy", final(None)),
    ("classes never recalled", last([0.8, 0.9], (0, 0.9, 0.9, 0.9))),  # it was, and is forgotten
    ("forgetting", last([0.03, 0.95])),
    ("penalty", penalties(None, None)),  # and none was asked for
    ("penalty", penalties(0.0, 1e-9)),  # in the first experience there is nothing to hold on to
    ("bounds of BatchReNorm", bounds((1.2, 0.4, 1.0), (1.25, 0.5, 0.0))),
    ("drift of BatchReNorm", bounds((1.2, 0.4, 1.0), (1.25, 0.5, 0.3))),
    ("balance of the memory", held({"0": 60, "1": 60, "2": 20, "3": 60})),
    ("balance of the memory", held({"0": 1, "1": 1})),  # no room for each class
    ("cost of evaluation", seconds(1.0, 3.0)),
    ("number of test rows", rows(100, 200, 9)),
    ("number of test rows", rows(0, 0, 500)),
]


@pytest.mark.parametrize(("check", "change"), QUIET)
def test_what_is_near_and_right_is_not_found(check, change, found):
    assert check not in found(change)


def test_a_run_of_one_experience_has_nothing_to_forget(found):
    def change(files):
        files.epochs, files.experiences = files.epochs[:2], files.experiences[:1]
        files.evals, files.memory = files.evals[:2], files.memory[:1]

    assert found(change) == {}


def test_experiences_of_one_class_cannot_be_guessed(found):
    def change(files):
        for line, classes in zip(files.experiences, ([0], [1]), strict=True):
            line["classes"] = classes
        for line in files.epochs:
            line |= {"loss": 1.4, "accuracy": 0.2}

    assert "nothing learnt" not in found(change)


def test_what_only_the_end_was_scored_for_is_no_forgetting(found):
    def change(files):
        files.evals = [files.evals[-1] | {"accuracy": [0.0, 0.95]}]

    assert found(change) == {}


def test_a_run_that_has_only_begun_is_looked_at_too(found):
    def change(files):
        files.results = {}
        files.epochs = files.experiences = files.evals = files.memory = []
        files.record |= {"status": "failed", "error": NAN}

    assert list(found(change)) == ["end of the run"]


def test_damaged_records_are_said_and_end_nothing(found):
    def change(files):
        files.epochs[0]["loss"] = "much"

    said = found(change)

    assert "The records cannot be read for this" in said["diverging loss"]
    assert "forgetting" not in said


@pytest.mark.parametrize("damaged", ["run.json", "results.json", "metrics.jsonl"])
def test_a_file_that_is_no_json_counts_as_missing(damaged, files, tmp_path):
    folder = files.write(tmp_path / "run")
    (folder / damaged).write_bytes(b'{"kind": "\xff\x00\n7\n[]\n')

    run = evidence(folder)

    assert run.status == ("unknown" if damaged == "run.json" else "completed")
    assert run.results == ({} if damaged == "results.json" else files.results)
    assert bool(run.lines) == (damaged != "metrics.jsonl")
