import subprocess
import sys
from typing import get_args

import torch
from torch import fx, nn

import clrun
from clrun.images.augment import PRESETS, AugmentPolicy, changes_colors, preset
from clrun.images.transforms import Transform
from clrun.models.features import extract_features
from clrun.runner.prepare import prepare
from clrun.seeds import generator, isolated
from clrun.sources.cifar import Cifar10
from clrun.sources.mnist import FashionMnist
from clrun.strategies.latent_source import LatentSource
from clrun.strategies.places import Place
from clrun.strategies.strategy import Parts


def test_a_preset_is_an_augmentation_and_never_auto():
    assert set(PRESETS.values()) <= set(get_args(AugmentPolicy)) - {"auto"}


def test_colours_are_changed_where_the_name_says_so_and_in_contrastive_views():
    changing = {policy for policy in get_args(AugmentPolicy) if changes_colors(policy)}

    named = {"jitter", "flip_jitter", "crop_jitter", "crop_flip_jitter"}
    assert changing == {*named, "contrastive"}


def test_digits_are_never_mirrored_and_unknown_images_left_alone():
    assert {preset(name) for name in ("digits", "mnist", "my photos")} == {"none"}


def test_presets_are_for_sources_by_the_names_they_have():
    assert preset(Cifar10().name) == "crop_flip"
    assert preset(FashionMnist().name) == "flip"


def test_reading_a_streams_keys_imports_no_torch():
    code = "import sys, clrun.streams.split_keys; sys.exit('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == 0


STRONGEST = "crop_flip_jitter"


def images(n: int) -> torch.Tensor:
    shape = (n, 3, 16, 16)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator(0, "images"))


def transform(augment: str) -> Transform:
    return Transform((0.5,) * 3, (0.25,) * 3, augment)


def network() -> fx.GraphModule:
    with isolated(0, "weights"):
        layers = nn.Sequential(nn.Flatten(), nn.Linear(768, 8), nn.ReLU(), nn.Linear(8, 2))
    return fx.symbolic_trace(layers)


def parts(model: nn.Module, augment: str) -> Parts:
    prepared = prepare(clrun.compose(["device=cpu"]))
    return Parts(
        model=model,
        transform=transform(augment),
        device=prepared.device,
        seed=0,
        num_classes=2,
        storage_policy=prepared.storage_policy,
        selection=prepared.selection,
        plugins=(),
    )


def test_features_to_choose_exemplars_by_are_of_images_as_they_are():
    x, how = images(20), {"layer_name": None, "batch_size": 8, "device": "cpu"}

    plain, strong = (
        extract_features(network(), x, transform(augment), **how) for augment in ("none", STRONGEST)
    )

    assert torch.equal(plain, strong)


def test_latents_that_are_kept_or_evaluated_are_of_images_as_they_are():
    x, rows = images(20), torch.tensor([3, 17, 4])
    found = []
    for augment in ("none", STRONGEST):
        lower = network()
        source = LatentSource(lower, parts(lower, augment), cached=True, frozen=True)
        source.begin(x, frozen=True)
        kept = source.unaugmented(x, rows)
        found.append((kept, source.evaluation(x), source.uses_cache))

    (kept, evaluated, uses_cache), (kept_strong, evaluated_strong, uses_cache_strong) = found

    assert torch.equal(kept, kept_strong)
    assert torch.equal(evaluated, evaluated_strong)
    assert uses_cache
    assert not uses_cache_strong  # a cached latent would be of an image without augmentation


def test_latents_to_train_on_are_of_augmented_images():
    x, rows, place = images(20), torch.arange(20), Place(0, 0, 0, 1)
    lower = network()
    plain, strong = (
        LatentSource(lower, parts(lower, augment), cached=False, frozen=True)
        for augment in ("none", STRONGEST)
    )

    assert not torch.equal(plain.training(x, rows, place), strong.training(x, rows, place))
