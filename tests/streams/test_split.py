import struct
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from clrun.config.nodes import read_node
from clrun.config.option_file import read_option
from clrun.config.sources import options
from clrun.errors import ConfigError
from clrun.images.lazy_rows import stores
from clrun.images.mapped_rows import MappedRows, RowFile
from clrun.images.patterns import Patterns
from clrun.runner.prepare import build
from clrun.sources.digits import Digits
from clrun.sources.source import SourceData
from clrun.streams.experience import Benchmark, StreamShape
from clrun.streams.split import Split

TARGET = "clrun.streams.split:Split"
OPTIONS = [
    option.name
    for option in options("benchmark")
    if read_option("benchmark", option.name).target == TARGET
]
NIC = {"scenario": "nic", "first_experience_classes": 2, "n_experiences": 39}  # 4 sessions
ONLINE = {"scenario": "online", "rows_per_experience": 100}
BLURRY = {"scenario": "blurry", "blur": 0.1}
REPETITION = {"scenario": "repetition", "repetition_p": 0.4}
PARTITIONS = [{"scenario": "nc"}, {"scenario": "ni"}, NIC, ONLINE, BLURRY, REPETITION]
LONG_TAILED = {"scenario": "long_tailed", "imbalance": 20}
PERMUTED = {"scenario": "permuted", "n_experiences": 3}
ROTATED = {"scenario": "rotated", "n_experiences": 3}
SCENARIOS = [*PARTITIONS, LONG_TAILED, PERMUTED, ROTATED]


def split(option: str = "digits", **changed: object) -> Split:
    """An option's benchmark, its keys checked as clrun checks them."""
    values = {key.path: key.value for key in read_option("benchmark", option).keys.values()}
    node, problems = read_node("benchmark", option, TARGET, {**values, **changed})
    if node is None:
        raise ConfigError(problems)
    return build(node)


def load(seed: int = 0, **changed: object) -> Benchmark:
    return split(**changed).load(seed)


def rows(x: Tensor) -> list[bytes]:
    return sorted(image.numpy().tobytes() for image in x)


def same(one: Benchmark, two: Benchmark) -> bool:
    return len(one) == len(two) and all(
        torch.equal(pixels(a.train), pixels(b.train))
        and torch.equal(pixels(a.test), pixels(b.test))
        for a, b in zip(one, two, strict=True)
    )


def pixels(patterns: Patterns) -> Tensor:
    """The images, also those that are made only when asked for."""
    return patterns.x.index_select(0, torch.arange(len(patterns.y)))


def counts(benchmark: Benchmark, part: str = "train") -> Tensor:
    """Rows of each class in each experience. [experiences, classes]"""
    return torch.stack([getattr(e, part).y.bincount(minlength=10) for e in benchmark])


def test_the_default_is_five_experiences_of_two_digits():
    benchmark = load()

    assert len(benchmark) == 5
    assert [e.index for e in benchmark] == [0, 1, 2, 3, 4]
    assert [e.classes for e in benchmark] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert benchmark.shape == StreamShape(
        channels=1, height=8, width=8, num_classes=10, num_experiences=5
    )
    assert all(e.validation is None and e.task_label == 0 for e in benchmark)


def test_iterating_twice_gives_the_same_experiences():
    benchmark = load()

    assert list(benchmark) == list(benchmark)


@pytest.mark.parametrize("keys", PARTITIONS, ids=lambda keys: keys["scenario"])
def test_every_row_of_the_source_is_in_one_experience(keys):
    whole = load(n_experiences=1)

    benchmark = load(**keys)

    for part in ("train", "test"):
        everything = getattr(whole.experiences[0], part)
        parts = [getattr(e, part) for e in benchmark]
        assert rows(torch.cat([p.x for p in parts])) == rows(everything.x)
        assert sum(len(p.y) for p in parts) == len(everything.y)


def test_each_experience_is_tested_on_its_own_classes():
    for experience in load(class_order="shuffled", seed=3):
        assert set(experience.test.y.tolist()) == set(experience.classes)
        assert set(experience.train.y.tolist()) == set(experience.classes)


def test_images_stay_with_their_labels():
    whole = load(n_experiences=1).experiences[0].train
    label_of = dict(zip((x.numpy().tobytes() for x in whole.x), whole.y.tolist(), strict=True))

    for experience in load(class_order="shuffled", validation_fraction=0.2):
        for patterns in (experience.train, experience.validation):
            assert [label_of[x.numpy().tobytes()] for x in patterns.x] == patterns.y.tolist()


def test_new_instances_have_all_classes_in_equal_shares_and_a_test_of_their_own():
    benchmark = load(scenario="ni", n_experiences=4)

    for part in ("train", "test"):
        counts = torch.stack([getattr(e, part).y.bincount(minlength=10) for e in benchmark])
        assert (counts.amax(0) - counts.amin(0)).max() <= 1
    assert all(e.classes == tuple(range(10)) for e in benchmark)
    assert not set(rows(benchmark.experiences[0].test.x)) & set(
        rows(benchmark.experiences[1].test.x)
    )


def test_new_instances_and_classes_are_two_classes_and_then_one_session_at_a_time():
    benchmark = load(**NIC)

    assert (benchmark.name, len(benchmark)) == ("digits_nic", 39)
    assert [len(e.classes) for e in benchmark] == [2] + [1] * 38
    assert all(set(e.test.y.tolist()) == set(e.classes) for e in benchmark)
    for part in ("train", "test"):
        counts = torch.stack([getattr(e, part).y.bincount(minlength=10) for e in benchmark])
        assert (counts > 0).sum(0).tolist() == [4] * 10  # the sessions of each class
        fewest = counts.masked_fill(counts == 0, counts.max()).amin(0)
        assert (counts.amax(0) - fewest).max() <= 1


@pytest.mark.parametrize(
    ("order", "first"),
    [("fixed", (0, 1, 2)), ([7, 9, 4, 0, 1, 2, 3, 5, 6, 8], (4, 7, 9))],
)
def test_the_class_order_says_which_classes_a_stream_of_sessions_starts_with(order, first):
    keys = {**NIC, "first_experience_classes": 3, "n_experiences": 28}

    assert load(class_order=order, **keys).experiences[0].classes == first


def test_without_a_count_a_stream_of_sessions_starts_with_one_class():
    benchmark = load(scenario="nic", n_experiences=20)

    assert benchmark.experiences[0].classes == (0,)
    assert all(len(e.classes) == 1 for e in benchmark)


def test_the_class_order_seed_settles_sessions_and_their_order_whatever_the_runs_seed():
    by_run = [load(seed, **NIC) for seed in (1, 2)]
    by_itself = [load(seed, class_order_seed=1, **NIC) for seed in (5, 6)]

    assert [e.classes for e in by_run[0]] != [e.classes for e in by_run[1]]
    assert by_run[0].experiences[0].classes == by_run[1].experiences[0].classes == (0, 1)
    assert same(by_itself[0], by_itself[1])
    assert same(by_itself[0], by_run[0])


def test_sessions_keep_to_the_limit_and_the_validation_part():
    benchmark = load(limit_per_class=16, validation_fraction=0.5, **NIC)

    for experience in benchmark:
        assert experience.validation is not None
        counts = experience.train.y.bincount(), experience.validation.y.bincount()
        assert [count[list(experience.classes)].tolist() for count in counts] == [
            [2] * len(experience.classes)
        ] * 2


def test_a_listed_order_and_counts_are_followed_and_labels_keep_their_numbers():
    order = [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]

    benchmark = load(class_order=order, n_experiences=3, classes_per_experience=[1, 2, 7])

    assert [e.classes for e in benchmark] == [(9,), (7, 8), (0, 1, 2, 3, 4, 5, 6)]


def test_a_published_sets_classes_may_be_ordered_by_name():
    named = load(class_order=["9", *"876543210"], n_experiences=3, classes_per_experience=[1, 2, 7])

    assert [e.classes for e in named] == [(9,), (7, 8), (0, 1, 2, 3, 4, 5, 6)]


def test_a_shuffled_order_follows_the_runs_seed_or_its_own():
    by_run = [[e.classes for e in load(seed, class_order="shuffled")] for seed in (1, 1, 2)]
    by_itself = [
        [e.classes for e in load(seed, class_order="shuffled", class_order_seed=1)]
        for seed in (5, 6)
    ]

    assert by_run[0] == by_run[1] != by_run[2]
    assert by_itself[0] == by_itself[1] == by_run[0]


@pytest.mark.parametrize("keys", SCENARIOS, ids=lambda keys: keys["scenario"])
def test_the_same_seed_gives_the_same_stream(keys):
    keys = {**keys, "validation_fraction": 0.2}

    assert same(load(4, **keys), load(4, **keys))
    assert not same(load(4, **keys), load(5, **keys))


@pytest.mark.parametrize("keys", SCENARIOS, ids=lambda keys: keys["scenario"])
def test_no_validation_row_is_trained_on_in_any_experience(keys):
    benchmark = load(validation_fraction=0.2, **keys)

    if keys["scenario"] in ("permuted", "rotated"):  # their experiences share the rows of the first
        benchmark.experiences[1:] = []
    train = {row for e in benchmark for row in rows(e.train.x)}
    held = {row for e in benchmark for row in rows(e.validation.x)}
    assert held
    assert not train & held


@pytest.mark.parametrize("keys", [NIC, ONLINE, BLURRY, LONG_TAILED, REPETITION, PERMUTED])
def test_what_a_scenario_draws_follows_the_class_order_seed(keys):
    assert same(load(5, class_order_seed=1, **keys), load(6, class_order_seed=1, **keys))
    assert same(load(5, class_order_seed=1, **keys), load(1, **keys))


def test_online_experiences_are_minibatches_that_run_over_the_steps():
    benchmark = load(**ONLINE)

    sizes = [len(e.train.y) for e in benchmark]
    assert sizes == [100] * 14 + [42]
    assert benchmark.experiences[0].classes == (0, 1)
    assert benchmark.experiences[-1].classes == (8, 9)
    assert any(len(set(e.classes) & {1, 2}) == 2 for e in benchmark)
    assert all(set(e.test.y.tolist()) <= set(e.classes) for e in benchmark)
    assert all(abs(len(e.test.y) - len(e.train.y) * 355 / 1442) < 6 for e in benchmark)


def test_online_in_one_step_has_all_classes_from_the_start():
    benchmark = load(**ONLINE, n_experiences=1)

    assert benchmark.experiences[0].classes == tuple(range(10))


def test_online_validation_rows_follow_the_minibatches_even_where_these_are_small():
    benchmark = load(scenario="online", rows_per_experience=5, validation_fraction=0.1)

    held = sum(len(e.validation.y) for e in benchmark)
    assert held == sum(n // 10 for n in counts(load(), "train").sum(0).tolist())
    assert all(len(e.train.y) == 5 for e in benchmark.experiences[:-1])
    assert all(set(e.validation.y.tolist()) <= set(e.classes) for e in benchmark)


def test_a_blurry_stream_has_the_rest_of_each_class_elsewhere_and_tests_where_it_is_new():
    plain, blurred = counts(load()), counts(load(**BLURRY))

    own = plain > 0
    leaked = (plain.sum(0) * 0.1).floor().long()
    assert torch.equal(blurred[own].view(5, 2).sum(), (plain.sum(0) - leaked).sum())
    elsewhere = blurred.masked_fill(own, 0)
    assert torch.equal(elsewhere.sum(0), leaked)
    assert torch.equal(counts(load(**BLURRY), "test"), counts(load(), "test"))


def test_a_long_tail_leaves_fewer_of_each_later_label_and_all_test_rows():
    plain, tailed = counts(load()), counts(load(**LONG_TAILED, class_order="shuffled"))

    expected = (plain.sum(0) * 20 ** -(torch.arange(10, dtype=torch.float64) / 9) + 1e-9).long()
    assert torch.equal(tailed.sum(0), expected)
    assert torch.equal(counts(load(**LONG_TAILED), "test"), counts(load(), "test"))


def test_classes_come_back_and_never_before_they_were_new():
    plain, repeated = counts(load()) > 0, counts(load(**REPETITION)) > 0

    assert torch.equal(repeated.int().argmax(0), plain.int().argmax(0))
    assert repeated.sum() > plain.sum()
    assert torch.equal(counts(load(**REPETITION), "test") > 0, repeated)


def test_without_a_chance_to_come_back_a_stream_has_new_classes_only():
    assert torch.equal(counts(load(scenario="repetition", repetition_p=0)), counts(load()))


def test_permuted_experiences_have_the_same_rows_with_the_pixels_elsewhere():
    whole = load(n_experiences=1).experiences[0]

    first, second, third = load(**PERMUTED)

    for part in ("train", "test"):
        plain, one, two, three = (getattr(e, part) for e in (whole, first, second, third))
        assert torch.equal(pixels(one), pixels(plain))
        assert torch.equal(
            pixels(two).flatten(1).sort().values, pixels(plain).flatten(1).sort().values
        )
        assert not torch.equal(pixels(two), pixels(three))
        assert torch.equal(two.y, plain.y)
    train, test = (pixels(p).flatten(1) for p in (second.train, second.test))
    order = [  # the same places in both parts: columns that are equal came from one pixel
        [
            int((pixels(whole_part).flatten(1) == column[:, None]).all(0).int().argmax())
            for column in x.T
        ]
        for x, whole_part in ((train, whole.train), (test, whole.test))
    ]
    varied = pixels(whole.test).flatten(1).unique(dim=1).shape[1]
    agree = sum(a == b for a, b in zip(*order, strict=True))
    assert agree >= varied - 1


def test_altered_experiences_share_one_copy_of_the_images():
    first, second, third = load(**PERMUTED)

    assert stores(second.train.x) == stores(third.train.x) == stores(first.train.x)


def test_rotated_experiences_are_turned_in_even_steps_or_as_listed():
    even = load(scenario="rotated", n_experiences=2)
    listed = load(scenario="rotated", n_experiences=2, angles=[90, 0])

    upright = pixels(load(n_experiences=1).experiences[0].train)
    assert torch.equal(pixels(even.experiences[0].train), upright)
    assert torch.equal(pixels(even.experiences[1].train), upright.rot90(1, (2, 3)))
    assert torch.equal(pixels(listed.experiences[0].train), upright.rot90(1, (2, 3)))
    assert torch.equal(pixels(listed.experiences[1].train), upright)


class MappedDigits(Digits):
    """The digits, lying in a file."""

    folder: ClassVar[Path]

    def load(self, root: Path, **how: object) -> SourceData:
        train, test, *_ = super().load(root, download=False)
        return SourceData(*(Patterns(self._in_a_file(x), y) for x, y in (train, test)))

    def _in_a_file(self, x: Tensor) -> MappedRows:
        path = self.folder / f"{len(x)}.bin"
        path.write_bytes(x.numpy().tobytes())
        return MappedRows(RowFile(path, len(x), tuple(x.shape[1:])))


@pytest.mark.parametrize("keys", SCENARIOS, ids=lambda keys: keys["scenario"])
@pytest.mark.parametrize("side", [None, 12])
def test_images_in_a_file_stay_there_and_make_the_same_stream(keys, side, tmp_path, monkeypatch):
    monkeypatch.setattr(MappedDigits, "folder", tmp_path, raising=False)
    keys = {"limit_per_class": 90, "validation_fraction": 0.3, "image_size": side, **keys}

    benchmark = Split(split(**keys).config, MappedDigits()).load(3)

    assert same(benchmark, load(3, **keys))
    assert all(not isinstance(e.train.x, Tensor) for e in benchmark)
    assert all(not isinstance(e.validation.x, Tensor) for e in benchmark)


class Declaring(Digits):
    """A source of another package, which says what suits its images."""

    name, auto_augment = "leaves", "flip"


def test_auto_is_what_a_source_of_another_package_declares():
    keys, source = split(augment="auto").config, Declaring()

    assert Split(keys, source).load(seed=0).transform.augment == "flip"

    source.auto_augment = "flop"
    with pytest.raises(
        ConfigError, match=r"Declaring.auto_augment is 'flop'. It must be one of none"
    ):
        Split(keys, source).check()


def test_auto_is_the_augmentation_that_suits_the_source():
    digits, cifar = (split(name, augment="auto") for name in ("digits", "split_cifar10"))

    assert digits._augment() == "none"
    assert cifar._augment() == "crop_flip"


def test_validation_rows_are_taken_from_each_class_of_the_training_rows():
    plain = load()

    for with_, without in zip(load(validation_fraction=0.25), plain, strict=True):
        assert with_.validation is not None
        together = torch.cat([with_.train.x, with_.validation.x])
        assert rows(together) == rows(without.train.x)
        assert torch.equal(with_.test.x, without.test.x)
        held, all_ = (
            with_.validation.y.bincount(minlength=10),
            without.train.y.bincount(minlength=10),
        )
        assert torch.equal(held, all_ // 4)


def test_a_limit_keeps_so_many_training_rows_of_each_class_and_all_test_rows():
    benchmark = load(limit_per_class=7)

    assert all(set(e.train.y.bincount()[list(e.classes)].tolist()) == {7} for e in benchmark)
    assert sum(len(e.test.y) for e in benchmark) == 355


def test_an_experience_is_a_view_of_one_copy():
    first, second, *_ = load()

    assert first.train.x.is_contiguous()
    assert first.train.x.untyped_storage().data_ptr() == second.train.x.untyped_storage().data_ptr()


def test_images_are_resized_when_loaded():
    benchmark = load(image_size=32)

    assert (benchmark.shape.height, benchmark.shape.width) == (32, 32)
    assert benchmark.experiences[0].train.x.shape[1:] == (1, 32, 32)
    assert benchmark.experiences[0].test.x.dtype == torch.uint8


def test_normalised_training_images_have_mean_0_and_deviation_1():
    benchmark = load(n_experiences=1)

    x = benchmark.transform.evaluation(benchmark.experiences[0].train.x)

    assert abs(x.mean()) < 1e-3
    assert abs(x.std() - 1) < 1e-3


def test_without_normalising_pixels_are_in_0_to_1():
    benchmark = load(normalize=False, augment="crop")

    x = benchmark.transform.evaluation(benchmark.experiences[0].train.x)

    assert (x.min(), x.max()) == (0, 1)
    assert benchmark.transform.augment == "crop"


def test_loading_leaves_the_global_generator_alone():
    before = torch.get_rng_state()

    load(scenario="ni", validation_fraction=0.1)

    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"scenario": "ni", "n_experiences": 356},
            r"^benchmark\.n_experiences=356: each needs .* Use at most 355\.$",
        ),
        (
            {"scenario": "nic", "n_experiences": 400},
            r"^benchmark\.n_experiences=400: each of 40 sessions .* Use at most 340\.$",
        ),
        (
            {**NIC, "limit_per_class": 3},
            r"^benchmark\.n_experiences=39: each of 4 sessions .* Use at most 29\.$",
        ),
        (
            {"validation_fraction": 0.001},
            r"^benchmark\.validation_fraction=0\.001: is not one row of any class of experience 0",
        ),
    ],
)
def test_what_would_leave_an_experience_without_rows_is_refused(changed, message):
    with pytest.raises(ConfigError, match=message):
        load(**changed)


def test_data_without_a_class_are_refused(tmp_path):
    for split in ("train", "t10k"):
        images = struct.pack(">4B3I", 0, 0, 8, 3, 4, 28, 28) + bytes(4 * 784)
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(images)
        labels = struct.pack(">4BI", 0, 0, 8, 1, 4) + bytes([0, 1, 2, 3])
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(labels)

    with pytest.raises(ConfigError, match=r"has no training rows of classes \(4, 5\)"):
        load(source="mnist", data_root=str(tmp_path), download=False)
    with pytest.raises(ConfigError, match=r"has no training rows of classes \(4,\)"):
        load(source="mnist", data_root=str(tmp_path), download=False, **NIC)


def test_checking_names_the_folder_and_reads_no_data(tmp_path):
    mnist = split("split_mnist", data_root=str(tmp_path), download=False)

    with pytest.raises(ConfigError, match=rf"^benchmark\.data_root={tmp_path}: MNIST/raw/"):
        mnist.check()


def test_the_folder_is_the_one_that_was_meant_at_the_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mnist = split("split_mnist", data_root="data")

    monkeypatch.chdir("/")

    assert mnist.root == tmp_path / "data"


@pytest.mark.parametrize("option", OPTIONS)
def test_an_options_shape_is_known_without_its_data(option):
    made = split(option)

    shape = made.shape()

    assert shape.num_classes == len(made.source.class_names)
    assert shape.num_experiences == made.config.n_experiences


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_experiences": 3}, "n_experiences=3: does not divide 10 classes"),
        ({"class_order": [0, 1]}, r"class_order=\[0,1\]: must name each class from 0 to 9"),
        ({"class_order_seed": 1}, "class_order_seed=1: class_order=shuffled reads it"),
        ({"scenario": "nic"}, "n_experiences=5: with scenario=nic"),
        ({"scenario": "ni", "class_order": "shuffled"}, "class_order=shuffled: with scenario=ni"),
        ({"blur": 0.1}, r"blur=0\.1: only scenario=blurry reads it\. Use blur=null, or"),
        ({"angles": [0, 9]}, r"angles=\[0,9\]: only scenario=rotated reads it"),
        ({"rows_per_experience": 5}, "rows_per_experience=5: only scenario=online"),
        ({"imbalance": 5}, "imbalance=5.*: only scenario=long_tailed"),
        ({"repetition_p": 0.5}, r"repetition_p=0\.5: only scenario=repetition"),
        ({"scenario": "online"}, "rows_per_experience=null: scenario=online needs it"),
        ({"scenario": "blurry"}, r"blur=null: scenario=blurry needs it\. Use e\.g\. blur=0\.1"),
        ({"scenario": "long_tailed"}, "imbalance=null: scenario=long_tailed needs it"),
        ({"scenario": "repetition"}, "repetition_p=null: scenario=repetition needs it"),
        ({"scenario": "blurry", "blur": 1.0}, "must be below 1"),
        ({"scenario": "blurry", "blur": 0.1, "n_experiences": 1}, "n_experiences=1: .* leak into"),
        ({"scenario": "repetition", "repetition_p": 1.5}, "must be at most 1"),
        ({"scenario": "long_tailed", "imbalance": 0.5}, "must be at least 1"),
        ({"scenario": "rotated", "angles": [0, 9]}, r"angles=\[0,9\]: has 2 entries for n_exp"),
        ({"scenario": "permuted", "class_order": "shuffled"}, "with scenario=permuted every exp"),
        ({"scenario": "rotated", "class_order_seed": 1}, "class_order_seed=1: class_order=shuf"),
        ({"jitter": [0.1, 0, 0, 0]}, r"jitter=\[0\.1,0,0,0\]: augment=none does not read it"),
        ({"augment": "jitter", "jitter": [0.1]}, r"jitter=\[0\.1\]: must be four numbers"),
        ({"augment": "jitter", "jitter": [0, 0, 0, 0.6]}, "hue at most 0.5"),
        ({"data_root": " "}, "data_root= : names no file or folder"),
        ({"validation_fraction": 1.0}, "must be below 1"),
        ({"image_size": 0}, "must be at least 1"),
        ({"limit_per_class": 0}, "must be at least 1"),
        ({"augment": "flop"}, "must be one of auto, none, flip, crop, .*crop_flip_jitter"),
        ({"source": "mnst"}, r"source=mnst: must be one of digits, mnist, .*mean 'mnist'\?"),
        ({"source": "a.b:C"}, r"source=a\.b:C: a\.b is code of neither clrun nor"),
        ({"source": "clrun.sources.mnist:Mnst"}, "source=clrun.*: no class Mnst with a Config"),
        ({"dataset": "SVHN"}, "dataset=SVHN: there is no such key"),
        ({"source": "torchvision"}, "dataset: a value is needed"),
    ],
)
def test_a_contradiction_or_a_bad_value_is_found_without_data(changed, message):
    with pytest.raises(ConfigError, match=message):
        split(**changed)


def test_contrastive_views_change_colours_as_far_as_jitter_says():
    stream = split(augment="contrastive", jitter=[0.1, 0, 0, 0]).load(seed=0)

    assert (stream.transform.augment, stream.transform.jitter) == ("contrastive", (0.1, 0, 0, 0))


def test_a_set_of_torchvisions_becomes_a_stream():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    fake = split("torchvision", dataset="FakeData")

    fake.check()
    benchmark = fake.load(seed=0)

    assert torch.equal(torch.get_rng_state(), before)
    assert benchmark.shape == fake.shape()
    assert [e.classes for e in benchmark] == [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9)]
    assert sum(len(e.train.y) for e in benchmark) == 200
    assert benchmark.experiences[0].train.x.shape[1:] == (3, 32, 32)
    assert benchmark.transform.mean == pytest.approx((0.5, 0.5, 0.5), abs=0.02)


def test_keys_are_checked_against_a_torchvision_sets_classes_before_anything_is_read():
    with pytest.raises(ConfigError, match="n_experiences=5: does not divide 43 classes"):
        split("torchvision", dataset="GTSRB", image_size=32)


def test_images_of_many_sizes_need_one():
    message = r"benchmark\.image_size=null: the images of dataset=Food101 differ"
    with pytest.raises(ConfigError, match=message):
        split("torchvision", dataset="Food101", n_experiences=101)
