"""Where the parts of a picture go, in inches: as wide as a README shows, as high as needed."""

from __future__ import annotations

from dataclasses import dataclass

from clrun.console.spacing import evenly_spaced
from clrun.preview.facts import Preview

WIDTH = 9.0
RIGHT, TOP, BOTTOM = 0.15, 0.82, 0.12
BAR = 0.85
"""Room for a colour bar with its label."""
MOST_COLUMNS = 12
"""More experiences than this and the samples are of evenly spaced ones."""
NAMED_CLASSES = 20
LARGEST_THUMBNAIL = 0.6
SPACE = 0.04
"""Gap between two samples."""
MOST_ACROSS, ROWS = 4, 3
"""Samples of an experience side by side where there is room, and one above the other."""
HEAT_ROW, MANY_CLASSES = 0.21, 2.6
"""Height of the heat map: for each class, and where there are too many to name."""
GAP = 0.42
"""Gap between the heat map and the samples: the labels of experiences."""

LONGEST_NAME = 24
CHARACTER = 0.07
"""Width of a letter, at most, on average."""

TITLE, SMALLEST_TITLE = 9.5, 7.0
"""Points: a title longer than the picture is wide is set smaller, and one longer still is cut."""
TITLE_CHARACTER = 0.0105
"""Width of a letter for each point of its size: the title is bold."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The geometry of one picture."""

    width: float
    height: float
    left: float
    inner: float
    """width of the heat map and of the samples"""
    heat: float
    """height of the heat map"""
    gap: float
    """gap between heat map and samples"""
    shown: tuple[int, ...]
    """the experiences that samples are shown of"""
    middles: tuple[float, ...]
    """middles of their columns, from the left edge of the samples"""
    thumbnail: float
    """side of a sample"""
    across: int
    """samples of an experience in a row"""
    rows: int
    """rows of samples"""
    is_aligned: bool
    """each experience's samples are right below its column of the heat map"""
    has_numbers: bool
    has_class_names: bool

    @property
    def step(self) -> float:
        """From one sample to the next."""
        return self.thumbnail + SPACE

    @property
    def characters(self) -> int:
        """Letters that fit on a line above the heat map."""
        return int((self.width - self.left) / CHARACTER)

    def title_size(self, characters: int) -> float:
        """Points, so that a title of this length fits."""
        fitting = (self.width - self.left - RIGHT) / (TITLE_CHARACTER * max(characters, 1))
        return max(SMALLEST_TITLE, min(TITLE, fitting))

    @property
    def title_characters(self) -> int:
        """Letters of a title that fit where they are smallest."""
        return int((self.width - self.left - RIGHT) / (TITLE_CHARACTER * SMALLEST_TITLE))

    def heat_map(self) -> Box:
        return self._box(self.left, TOP, self.inner, self.heat)

    def colour_bar(self) -> Box:
        return self._box(self.left + self.inner + 0.12, TOP, 0.1, self.heat)

    def thumbnails(self) -> Box:
        return self._box(self.left, TOP + self.heat + self.gap, self.inner, self.rows * self.step)

    def _box(self, left: float, top: float, width: float, height: float) -> Box:
        """left, bottom, width and height as shares of the figure"""
        bottom = self.height - top - height
        return left / self.width, bottom / self.height, width / self.width, height / self.height


def layout(preview: Preview) -> Layout:
    """The geometry for so many experiences and classes, with names as long as these."""
    experiences, classes = len(preview.experiences), preview.shape.num_classes
    shown = tuple(evenly_spaced(experiences, MOST_COLUMNS))
    is_aligned = len(shown) == experiences
    named = classes <= NAMED_CLASSES
    longest = max(len(shortened(name)) for name in preview.stream.class_names) if named else 4
    left = max(0.55, 0.3 + 0.065 * longest)
    numbers = is_aligned and named
    inner = WIDTH - left - (RIGHT if numbers else BAR)
    column = inner / len(shown)
    across = max(1, min(MOST_ACROSS, int(column / LARGEST_THUMBNAIL)))
    thumbnail = min(0.92 * column / across - SPACE, LARGEST_THUMBNAIL)
    rows = ROWS if across > 1 else ROWS + 1
    heat = HEAT_ROW * classes if named else MANY_CLASSES
    gap = GAP if is_aligned else GAP + 0.2
    return Layout(
        width=WIDTH,
        height=TOP + heat + gap + rows * (thumbnail + SPACE) + BOTTOM,
        left=left,
        inner=inner,
        heat=heat,
        gap=gap,
        shown=shown,
        middles=tuple((place + 0.5) * column for place in range(len(shown))),
        thumbnail=thumbnail,
        across=across,
        rows=rows,
        is_aligned=is_aligned,
        has_numbers=numbers,
        has_class_names=named,
    )


def shortened(name: str) -> str:
    """A class's name as there is room for it."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 3]}..."
