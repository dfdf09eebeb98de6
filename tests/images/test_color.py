import pytest
import torch
from torch.testing import assert_close
from torchvision.transforms import functional

from clrun.images.color import jittered
from clrun.images.transforms import Transform
from clrun.seeds import generator

ALL = (0.4, 0.5, 0.6, 0.3)


def images(n: int, channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, 9, 7, generator=generator(0, "images"))


def drawn(n: int) -> torch.Tensor:
    return torch.rand(n, 4, generator=generator(1, "color")) * 2 - 1


def one_by_one(x: torch.Tensor, draws: torch.Tensor, strengths: tuple[float, ...]) -> torch.Tensor:
    """The same by torchvision, an image at a time."""
    done = []
    for image, draw in zip(x, draws.tolist(), strict=True):
        brightness, contrast, saturation = (
            max(0.0, 1 + d * s) for d, s in zip(draw[:3], strengths[:3], strict=True)
        )
        image = functional.adjust_brightness(image, brightness)
        image = functional.adjust_contrast(image, contrast)
        image = functional.adjust_saturation(image, saturation)
        done.append(functional.adjust_hue(image, draw[3] * strengths[3]))
    return torch.stack(done)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "strengths", [ALL, (0.4, 0, 0, 0), (0, 0.4, 0, 0), (0, 0, 1.5, 0), (0, 0, 0, 0.5), (0, 0, 0, 0)]
)
def test_a_batch_is_changed_as_torchvision_changes_each_image(channels, strengths):
    x, draws = images(40, channels), drawn(40)

    changed = jittered(x, draws, strengths)

    assert_close(changed, one_by_one(x, draws, strengths), atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("colour", [(0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (1, 0, 0), (0, 1, 1)])
def test_the_corners_of_the_colour_cube_are_changed_as_torchvision_does(colour):
    x = torch.tensor(colour, dtype=torch.float32).view(1, 3, 1, 1).expand(8, 3, 4, 4)

    assert_close(jittered(x, drawn(8), ALL), one_by_one(x, drawn(8), ALL), atol=2e-6, rtol=1e-5)


def test_what_was_given_is_left_alone():
    x = images(5)
    before = x.clone()

    jittered(x, drawn(5), ALL)

    assert torch.equal(x, before)


def transform(augment: str, **changed: object) -> Transform:
    return Transform((0.0,) * 3, (1.0,) * 3, augment, **changed)


def some(n: int) -> torch.Tensor:
    shape = (n, 3, 16, 16)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator(0, "images"))


def test_equal_images_of_one_batch_get_different_colours():
    x = some(1).expand(32, -1, -1, -1)
    jitter = transform("jitter")

    changed = jitter.training(x, jitter.draw(32, generator(0, "augmentation")))

    assert len(changed.unique(dim=0)) == 32


def test_crop_and_flip_are_drawn_the_same_with_and_without_jitter():
    plain, jitter = transform("crop_flip"), transform("crop_flip_jitter", jitter=(0, 0, 0, 0))

    one, two = (t.training(some(9), t.draw(9, generator(0, "a"))) for t in (plain, jitter))

    assert_close(one, two)


def test_the_colours_of_an_image_do_not_depend_on_its_batch():
    x, jitter = some(20), transform("flip_jitter")
    draws = jitter.draw(20, generator(0, "augmentation"))

    batches = [jitter.training(x[rows], draws[rows]) for rows in torch.arange(20).split(6)]

    assert_close(torch.cat(batches), jitter.training(x, draws), atol=1e-6, rtol=0)


def test_evaluation_and_stored_images_see_no_jitter():
    x, jitter = some(4), transform("jitter")
    before = x.clone()

    jitter.training(x, jitter.draw(4, generator(0, "augmentation")))

    assert torch.equal(x, before)
    assert torch.equal(jitter.evaluation(x), transform("none").evaluation(x))
    assert torch.equal(jitter.training(x, None), jitter.evaluation(x))
