"""Colours of heat maps as classes of a style sheet, for light and dark pages.

Steps are even in OKLCH (Ottosson 2020, https://bottosson.github.io/posts/oklab/), where equal
differences look equal; the writing on each step is black or white, whichever stands out more.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup

STEPS = 20
"""Colours above the first, of a share in [0, 1]; on either side of 0, half as many."""

Colour = tuple[float, float, float]
"""Lightness in [0, 1], chroma, hue in degrees."""

LIGHT: tuple[Colour, Colour] = (0.975, 0.008, 220.0), (0.40, 0.13, 262.0)
DARK: tuple[Colour, Colour] = (0.255, 0.02, 255.0), (0.83, 0.10, 228.0)
LOSS, GAIN = 42.0, 255.0
"""Hues of a change for the worse and for the better; story apart without red and green."""


def step(share: float | None) -> str:
    """The class of a share in [0, 1]; that of a cell without a value for None."""
    if share is None or not math.isfinite(share):
        return "h-none"
    return f"h{round(min(max(share, 0.0), 1.0) * STEPS)}"


def change_step(change: float | None, most: float) -> str:
    """The class of a change, good if positive, where `most` is the largest one shown."""
    if change is None or not math.isfinite(change):
        return "h-none"
    half = STEPS // 2
    number = round(min(max(change / most if most else 0.0, -1.0), 1.0) * half)
    return f"c{'m' if number < 0 else 'p'}{abs(number)}"


@cache
def ramp_style() -> Markup:
    """The rules of all classes."""
    from markupsafe import Markup

    light = _rules(LIGHT, ends=(0.52, 0.16), ground=0.975)
    dark = _rules(DARK, ends=(0.72, 0.14), ground=0.27)
    return Markup(f"{light}\n@media screen and (prefers-color-scheme:dark){{{dark}}}\n")


def _rules(ramp: tuple[Colour, Colour], *, ends: tuple[float, float], ground: float) -> str:
    first, last = ramp
    rules = [
        _rule(f"h{number}", _between(first, last, number / STEPS)) for number in range(STEPS + 1)
    ]
    half, (lightness, chroma) = STEPS // 2, ends
    for letter, hue in (("m", LOSS), ("p", GAIN)):
        neutral, far = (ground, 0.004, hue), (lightness, chroma, hue)
        rules += [
            _rule(f"c{letter}{number}", _between(neutral, far, number / half))
            for number in range(half + 1)
        ]
    return "".join(rules)


def _rule(name: str, colour: Colour) -> str:
    background = _hex(colour)
    ink = max(("#000000", "#ffffff"), key=lambda ink: _contrast(ink, background))
    return f".{name}{{background:{background};color:{ink}}}"


def _between(first: Colour, last: Colour, share: float) -> Colour:
    lightness, chroma, hue = (a + (b - a) * share for a, b in zip(first, last, strict=True))
    return lightness, chroma, hue


def _hex(colour: Colour) -> str:
    lightness, chroma, hue = colour
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = (
        4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short,
    )
    return "#" + "".join(f"{round(255 * _encoded(part)):02x}" for part in linear)


def _encoded(part: float) -> float:
    """A linear part of light as sRGB has it."""
    inside = min(max(part, 0.0), 1.0)
    return 12.92 * inside if inside <= 0.0031308 else 1.055 * inside ** (1 / 2.4) - 0.055


def _contrast(one: str, other: str) -> float:
    """The contrast of two colours as WCAG 2 defines it, from 1 to 21."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
