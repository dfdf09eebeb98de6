import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clrun.images.files import DamagedFile
from clrun.images.image_files import SUFFIXES, Decoder, ImageShape, image_shape, verified

SIZE = ImageShape(channels=3, height=4, width=6)


def saved(folder: Path, image: Image.Image, name: str = "a.png", **keys: object) -> Path:
    image.save(folder / name, **keys)
    return folder / name


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_colours_come_out_as_they_were_saved_with_channels_first(tmp_path):
    pixels = noise(4, 6, 3)
    file = saved(tmp_path, Image.fromarray(pixels))

    decoded = Decoder(SIZE)(file)

    assert image_shape(file) == SIZE
    assert decoded.flags.c_contiguous
    assert np.array_equal(decoded, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("1", 1), ("L", 1), ("LA", 1), ("P", 3), ("RGB", 3), ("RGBA", 3), ("I;16", 1)],
)
def test_a_header_tells_how_many_channels_there_will_be(tmp_path, mode, channels):
    file = saved(tmp_path, Image.new(mode, (6, 4)))

    shape = image_shape(file)

    assert shape == (channels, 4, 6)
    assert Decoder(shape)(file).shape == (channels, 4, 6)


def test_grey_is_repeated_where_colours_are_asked_for(tmp_path):
    pixels = noise(4, 6)
    file = saved(tmp_path, Image.fromarray(pixels))

    assert np.array_equal(Decoder(SIZE)(file), np.stack([pixels] * 3))


def test_colours_become_grey_where_one_channel_is_asked_for(tmp_path):
    pixels = noise(4, 6)
    file = saved(tmp_path, Image.fromarray(np.stack([pixels] * 3, axis=2)))

    assert np.array_equal(Decoder(SIZE._replace(channels=1))(file)[0], pixels)


def test_transparent_pixels_become_black_and_half_transparent_ones_half_as_bright(tmp_path):
    pixels = np.full((4, 6, 4), 200, np.uint8)
    pixels[:, :2, 3], pixels[:, 2:4, 3], pixels[:, 4:, 3] = 0, 128, 255
    file = saved(tmp_path, Image.fromarray(pixels))

    decoded = Decoder(SIZE)(file)

    assert decoded[:, :, :2].max() == 0
    assert decoded[:, :, 2:4].min() >= 99
    assert decoded[:, :, 2:4].max() <= 101
    assert decoded[:, :, 4:].min() == 200


def test_a_palette_with_a_transparent_colour_is_laid_over_black(tmp_path):
    image = Image.new("P", (6, 4), 1)
    image.putpalette([255, 0, 0, 10, 20, 30])
    image.putpixel((0, 0), 0)
    file = saved(tmp_path, image, transparency=0)

    decoded = Decoder(SIZE)(file)

    assert decoded[:, 0, 0].tolist() == [0, 0, 0]
    assert decoded[:, 1, 1].tolist() == [10, 20, 30]


def test_sixteen_bits_keep_black_white_and_the_middle(tmp_path):
    pixels = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    file = saved(tmp_path, Image.fromarray(pixels))

    assert Decoder(ImageShape(1, 1, 4))(file)[0, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("value", [70_000, -1])
def test_more_than_sixteen_bits_are_refused(tmp_path, value):
    file = saved(tmp_path, Image.fromarray(np.array([[0, value]], np.int32)), "a.tif")

    with pytest.raises(DamagedFile, match="not 16 bits"):
        Decoder(ImageShape(1, 1, 2))(file)


def test_a_photograph_is_turned_as_its_orientation_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    pixels = noise(4, 6, 3)
    file = saved(tmp_path, Image.fromarray(pixels), exif=exif)

    shape = image_shape(file)

    assert shape == (3, 6, 4)
    assert np.array_equal(Decoder(shape)(file), np.rot90(pixels, -1).transpose(2, 0, 1))


def test_cmyk_is_converted(tmp_path):
    file = saved(tmp_path, Image.new("CMYK", (6, 4), (0, 0, 0, 255)), "a.jpg")

    assert image_shape(file) == SIZE
    assert Decoder(SIZE)(file).max() <= 2


def test_another_size_is_resized(tmp_path):
    half = np.zeros((40, 60, 3), np.uint8)
    half[:, 30:] = 240
    file = saved(tmp_path, Image.fromarray(half))

    decoded = Decoder(SIZE)(file)

    assert decoded.shape == SIZE
    assert decoded[:, :, 0].max() == 0
    assert decoded[:, :, 5].min() == 240


def test_the_content_and_not_the_name_decides_the_format(tmp_path):
    pixels = noise(4, 6, 3)
    file = saved(tmp_path, Image.fromarray(pixels)).rename(tmp_path / "a.jpg")

    assert np.array_equal(Decoder(SIZE)(file), pixels.transpose(2, 0, 1))


def test_an_image_too_large_to_be_meant_is_refused_by_its_header(tmp_path):
    header = b"P5 20000 20000 255\n"
    (tmp_path / "a.pgm").write_bytes(header + bytes(10))

    with pytest.raises(DamagedFile, match=r"a\.pgm has more than 89,478,485 pixels"):
        image_shape(tmp_path / "a.pgm")


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "bmp", "tif", "webp"])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_file_that_is_cut_short_is_refused_and_never_read_as_something_else(
    tmp_path, suffix, keep
):
    file = saved(tmp_path, Image.fromarray(noise(64, 64, 3)), f"a.{suffix}")
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * keep)])

    with pytest.raises(DamagedFile, match=rf"/a\.{suffix} "):
        Decoder(ImageShape(3, 64, 64))(file)


def test_every_byte_of_garbage_is_refused_in_the_same_way(tmp_path):
    file = saved(tmp_path, Image.fromarray(noise(16, 16, 3)))
    content = bytearray(file.read_bytes())
    refused = 0
    for place in range(0, len(content), 7):
        broken = bytearray(content)
        broken[place] ^= 0xFF
        file.write_bytes(broken)
        try:
            Decoder(ImageShape(3, 16, 16))(file)
        except DamagedFile:
            refused += 1

    assert refused > 0


EPS = b"""%!PS-Adobe-3.0 EPSF-3.0
%%BoundingBox: 0 0 8 8
%%EndComments
%%EOF
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_eps_under_another_name_starts_no_ghostscript(tmp_path, monkeypatch, suffix):
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ghostscript.parent}:{os.environ['PATH']}")
    file = tmp_path / f"a{suffix}"
    file.write_bytes(EPS)

    for read in (image_shape, verified, Decoder(SIZE)):
        with pytest.raises(DamagedFile, match="is no image that can be read"):
            read(file)

    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", ["ICO", "TGA", "PCX", "SGI", "JPEG2000", "DDS", "PDF"])
def test_no_other_of_pillow_s_readers_is_tried(tmp_path, kind):
    file = tmp_path / "a.png"
    Image.new("RGB", (16, 16)).save(file, kind)

    with pytest.raises(DamagedFile, match="is no image that can be read"):
        verified(file)


@pytest.mark.parametrize(
    "kind", ["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "MPO"], ids=str.lower
)
def test_one_kind_of_image_under_another_s_name_is_read_as_what_it_is(tmp_path, kind):
    file = tmp_path / "a.png"
    Image.new("RGB", (6, 4)).save(file, kind)

    assert Decoder(SIZE)(file).shape == (3, 4, 6)


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.png")

    with pytest.raises(DamagedFile, match=r"a\.png is a FIFO, no regular file"):
        verified(tmp_path / "a.png")
