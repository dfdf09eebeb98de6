import math

import pytest
import torch
from operations import Operations
from torch.nn.functional import pad
from torch.testing import assert_close
from torchvision.transforms import functional

from clrun.images.color import jittered
from clrun.images.transforms import Draws, Transform, resize
from clrun.seeds import generator

PLAIN = {"mean": (0.0,), "std": (1.0,)}


def images(n: int, channels: int = 1, side: int = 32) -> torch.Tensor:
    shape = (n, channels, side, side)
    return torch.randint(256, shape, dtype=torch.uint8, generator=generator(0, "images"))


def test_evaluation_normalises_each_channel():
    transform = Transform(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), augment="none")
    x = images(5, channels=3)

    normalised = transform.evaluation(x)

    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.1, 0.2, 0.3), (0.5, 0.6, 0.7)))
    assert_close(normalised, (x / 255 - mean) / std, rtol=1e-5, atol=1e-6)
    assert normalised.dtype == torch.float32


def test_evaluation_leaves_the_stored_images_alone():
    x = images(3)
    before = x.clone()

    Transform(**PLAIN, augment="none").evaluation(x)

    assert torch.equal(x, before)


def test_constants_made_in_inference_mode_serve_training_too():
    transform = Transform(mean=(0.11,), std=(0.77,), augment="none")
    with torch.inference_mode():
        transform.evaluation(images(1))

    x = transform.evaluation(images(1)).requires_grad_()
    x.square().sum().backward()

    assert x.grad is not None


@pytest.mark.parametrize("augment", ["flip", "crop", "crop_flip"])
def test_equal_images_of_one_batch_are_augmented_differently(augment):
    transform = Transform(**PLAIN, augment=augment)
    x = images(1).expand(64, -1, -1, -1)

    augmented = transform.training(x, transform.draw(64, generator(0, "augmentation")))

    expected = {"flip": 2, "crop": 20, "crop_flip": 30}[augment]
    assert len(augmented.unique(dim=0)) >= expected


def slowly(x: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Crop and flip one image after another."""
    height, width = x.shape[2:]
    up, left = round(height / 8), round(width / 8)
    done = []
    for i, image in enumerate(x):
        if draws.place is not None:
            row, column = (
                int(draws.place[i, 0] * (2 * up + 1)),
                int(draws.place[i, 1] * (2 * left + 1)),
            )
            image = pad(image, (left, left, up, up))[:, row : row + height, column : column + width]
        if draws.flip is not None and draws.flip[i]:
            image = image.flip(2)
        done.append(image)
    return torch.stack(done)


@pytest.mark.parametrize("augment", ["flip", "crop", "crop_flip"])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (28, 28), (32, 32), (16, 24)])
def test_training_equals_one_image_after_another(augment, height, width):
    transform = Transform((0.0,) * 3, (1.0,) * 3, augment)
    shape = (40, 3, height, width)
    x = torch.randint(256, shape, dtype=torch.uint8, generator=generator(1, "images"))
    draws = transform.draw(40, generator(2, "augmentation"))

    augmented = transform.training(x, draws)

    assert draws is not None
    assert_close(augmented, slowly(x, draws) / 255)


def test_a_crop_reaches_every_offset_and_no_further():
    x = torch.zeros(2000, 1, 32, 32, dtype=torch.uint8)
    x[:, :, 16, 16] = 255
    transform = Transform(**PLAIN, augment="crop")

    augmented = transform.training(x, transform.draw(2000, generator(0, "augmentation")))

    rows, columns = augmented.nonzero()[:, 2:].unbind(1)
    assert sorted(set(rows.tolist())) == list(range(12, 21))
    assert sorted(set(columns.tolist())) == list(range(12, 21))


def test_the_largest_possible_draw_stays_inside_the_padding():
    x = images(1)
    last = Draws(None, torch.tensor([[1 - 2**-24, 1 - 2**-24]]))

    augmented = Transform(**PLAIN, augment="crop").training(x, last)

    assert_close(augmented[0, 0, :28, :28], x[0, 0, 4:, 4:] / 255)
    assert augmented[0, 0, 28:].sum() == 0


def test_an_augmentation_depends_on_the_sample_and_not_on_its_batch():
    transform = Transform(**PLAIN, augment="crop_flip")
    x, draws = images(30), transform.draw(30, generator(0, "augmentation"))
    assert draws is not None
    shuffled = torch.randperm(30, generator=generator(0, "order"))

    batches = [transform.training(x[rows], draws[rows]) for rows in shuffled.split(7)]

    assert torch.equal(torch.cat(batches), transform.training(x, draws)[shuffled])


def test_the_same_generator_draws_the_same():
    transform = Transform(**PLAIN, augment="crop_flip")

    one, two = (transform.draw(50, generator(3, "augmentation", 1, 2)) for _ in range(2))

    assert one is not None
    assert two is not None
    assert torch.equal(one.flip, two.flip)
    assert torch.equal(one.place, two.place)


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()

    Transform(**PLAIN, augment="crop_flip").draw(10, generator(0, "augmentation"))

    assert torch.equal(torch.get_rng_state(), before)


def test_without_augmentation_nothing_is_drawn_and_training_equals_evaluation():
    transform = Transform((0.5,), (0.25,), "none")
    x = images(4)

    draws = transform.draw(4, generator(0, "augmentation"))

    assert draws is None
    assert torch.equal(transform.training(x, draws), transform.evaluation(x))


@pytest.mark.parametrize("side", [8, 32, 40])
def test_resizing_keeps_bytes_and_the_mean_brightness(side):
    x = images(1500, channels=3, side=16)

    resized = resize(x, side)

    assert resized.shape == (1500, 3, side, side)
    assert resized.dtype == torch.uint8
    assert abs(resized.double().mean() - x.double().mean()) < 1


def test_resizing_in_parts_equals_resizing_one_by_one():
    x = images(1030, side=8)

    resized = resize(x, 12)

    assert torch.equal(
        resized[1020:], torch.cat([resize(x[i : i + 1], 12) for i in range(1020, 1030)])
    )


def test_resizing_to_the_same_size_copies_nothing():
    x = images(2)

    assert resize(x, 32) is x


def test_a_crop_builds_no_tensor_from_a_list_but_the_first_time():
    transform = Transform((0.5,), (0.5,), "crop")
    x = torch.zeros(4, 1, 24, 24, dtype=torch.uint8)
    draws = transform.draw(4, torch.Generator().manual_seed(0))
    transform.training(x, draws)

    with Operations() as seen:
        transform.training(x, draws)

    assert any("pad" in name for name in seen.names)
    assert not any("lift" in name or "scalar_tensor" in name for name in seen.names)


def views_one_by_one(x: torch.Tensor, draws: Draws, jitter: tuple[float, ...]) -> torch.Tensor:
    """Contrastive views of one image after another, by torchvision: pixels in [0, 1]."""
    height, width = x.shape[2:]
    done = []
    assert draws.window is not None
    for i, (area, ratio, row, column) in enumerate(draws.window.double().tolist()):
        share = (0.2 + 0.8 * area) * height * width
        by_height = math.exp((2 * ratio - 1) * math.log(4 / 3))
        high = min(height, max(1, round(math.sqrt(share / by_height))))
        wide = min(width, max(1, round(math.sqrt(share * by_height))))
        place = int(row * (height - high + 1)), int(column * (width - wide + 1))
        image = x[i].float() / 255
        image = functional.resized_crop(image, *place, high, wide, [height, width])
        if draws.flip[i]:
            image = image.flip(2)
        image = jittered(image[None], draws.color[i : i + 1], jitter)[0]
        if draws.grey[i] and len(x[i]) == 3:
            image = functional.rgb_to_grayscale(image, 3)
        done.append(image)
    return torch.stack(done)


@pytest.mark.parametrize(("channels", "height", "width"), [(3, 32, 32), (1, 28, 28), (3, 16, 24)])
def test_contrastive_views_are_those_of_torchvision(channels, height, width):
    plain = {"mean": (0.0,) * channels, "std": (1.0,) * channels}
    transform = Transform(**plain, augment="contrastive")
    shape, rng = (60, channels, height, width), generator(0, "images")
    x = torch.randint(256, shape, dtype=torch.uint8, generator=rng)
    draws = transform.draw(60, generator(0, "view"))

    views = transform.training(x, draws)

    expected = views_one_by_one(x, draws, transform.jitter)
    assert_close(views, expected, rtol=0, atol=2e-3)
    batches = [transform.training(x[rows], draws[rows]) for rows in torch.arange(60).split(7)]
    assert_close(torch.cat(batches), views, rtol=0, atol=1e-5)


def test_contrastive_views_have_the_published_chances():
    draws = Transform(**PLAIN, augment="contrastive").draw(4000, generator(0, "view"))

    assert float(draws.flip.double().mean()) == pytest.approx(0.5, abs=0.03)
    assert float(draws.grey.double().mean()) == pytest.approx(0.2, abs=0.03)
    assert float((draws.color != 0).any(1).double().mean()) == pytest.approx(0.8, abs=0.03)
    assert_close(draws.window.mean(0), torch.full((4,), 0.5), rtol=0, atol=0.03)


def test_a_window_stays_inside_the_image_at_the_ends_of_its_chances():
    transform, x = Transform(**PLAIN, augment="contrastive"), images(16, side=9)
    ends = torch.tensor([0.0, 1 - 2**-24])  # the largest number below 1 that is drawn
    window = torch.cartesian_prod(ends, ends, ends, ends)
    draws = Draws(None, None, torch.zeros(16, 4), window)

    views = transform.training(x, draws)

    assert views.isfinite().all()
    assert (views.amin((1, 2, 3)) >= x.float().div(255).amin((1, 2, 3)) - 1e-6).all()
