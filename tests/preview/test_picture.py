from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from clrun.errors import StorageError
from clrun.preview.facts import Preview
from clrun.preview.layout import layout
from clrun.preview.picture import draw, write_picture

SHAPES = {
    "one": [[5]],
    "few": [[4, 0], [0, 6], [3, 3]],
    "many experiences": [[k % 3 + 1, 2] for k in range(391)],
    "many classes": [[label % 7 for label in range(100)]] * 20,
}


def texts(figure: Figure) -> set[str]:
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.mark.parametrize("counts", SHAPES.values(), ids=SHAPES)
def test_everything_lies_inside_the_picture(
    counts: list[list[int]], preview_of: Callable[..., Preview]
) -> None:
    figure = draw(preview_of(counts))

    drawn = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert (drawn.x0 >= 0, drawn.y0 >= 0) == (True, True)
    assert (drawn.x1 <= width, drawn.y1 <= height) == (True, True)


@pytest.mark.parametrize("number", [0, 1, 2, 9])
def test_titles_of_any_length_stay_inside(number: int, preview_of: Callable[..., Preview]) -> None:
    said = [f"benchmark.WWW_per_experience={k}" for k in range(number)]
    named = replace(preview_of([[1, 2]]), benchmark="split_fashion_mnist", said=tuple(said))

    figure = draw(named)

    assert figure.get_tightbbox().x1 <= figure.get_size_inches()[0]
    assert any(text.startswith(" ".join(named.title.split()[:2])) for text in texts(figure))


def test_names_of_any_kind_find_room(preview_of: Callable[..., Preview]) -> None:
    names = ("a name that is far too long to be written beside a heat map", r"$\frac{", "WWWWWWWW")

    figure = draw(preview_of([[1, 2, 3]], names=names))

    assert figure.get_tightbbox().x0 >= 0
    assert {"a name that is far to...", r"$\frac{"} <= texts(figure)


def test_images_keep_their_proportions(preview_of: Callable[..., Preview]) -> None:
    told = preview_of([[3, 3]])
    rows = told.stream.experiences[0].train
    wide = rows._replace(x=rows.x.repeat(1, 1, 1, 2))
    object.__setattr__(told.stream.experiences[0], "train", wide)

    figure = draw(told)

    left, right, bottom, top = figure.axes[1].get_images()[0].get_extent()
    assert right - left == pytest.approx(2 * (bottom - top))


def test_a_small_heat_map_has_each_count_and_name(preview_of: Callable[..., Preview]) -> None:
    figure = draw(preview_of([[4, 0], [0, 1600]], names=("cat", "dog")))

    assert {"4", "1,600", "cat", "dog", "experience"} <= texts(figure)
    assert "0" not in texts(figure)


def test_a_large_heat_map_has_a_scale_instead(preview_of: Callable[..., Preview]) -> None:
    figure = draw(preview_of(SHAPES["many experiences"]))

    assert "training images of a class" in texts(figure)
    assert {"1", "391"} <= texts(figure)


def test_a_column_of_the_heat_map_is_an_experience(preview_of: Callable[..., Preview]) -> None:
    figure = draw(preview_of([[4, 0], [0, 6], [3, 3]]))

    [shown] = figure.axes[0].get_images()
    assert np.ma.filled(shown.get_array(), 0).tolist() == [[4, 0, 3], [0, 6, 3]]


def test_samples_show_the_experiences_own_images(preview_of: Callable[..., Preview]) -> None:
    told = preview_of([[9, 0], [0, 9]])

    figure = draw(told)

    images = figure.axes[1].get_images()
    middles = layout(told).middles
    for image in images:
        left, right, *_ = image.get_extent()
        nearest = int(np.abs(np.array(middles) - (left + right) / 2).argmin())
        assert np.asarray(image.get_array()).max() == nearest  # a pixel tells its class


def test_the_picture_is_a_png_and_the_same_each_time(
    preview_of: Callable[..., Preview], tmp_path: Path
) -> None:
    told = preview_of(SHAPES["few"])

    for name in ("one.png", "two.png"):
        write_picture(tmp_path / name, told)

    with Image.open(tmp_path / "one.png") as image:
        image.verify()
        assert image.format == "PNG"
        assert 900 < image.width < 1800
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_picture_that_cannot_be_written_leaves_the_old_one(
    preview_of: Callable[..., Preview], tmp_path: Path
) -> None:
    path = tmp_path / "gone" / "preview.png"

    with pytest.raises(StorageError, match="gone"):
        write_picture(path, preview_of(SHAPES["few"]))

    assert not list(tmp_path.iterdir())


def test_no_screen_and_no_global_figure_is_needed(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom clrun.cli.main import main\n"
        "code = main(['preview', 'strategy=naive', '--png', 'p.png'])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "sys.exit(code)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.png").stat().st_size > 10_000
