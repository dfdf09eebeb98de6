"""A preview in the terminal: experiences by classes with counts, as wide as there is room for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clrun.console.spacing import evenly_spaced
from clrun.console.tables import WIDEST
from clrun.preview.facts import ExperienceFacts, Preview

FIXED_WIDTH = 40
"""What the columns before the classes take at most, borders included."""


def print_preview(console: Console, preview: Preview) -> None:
    """The table with what is known of the whole stream around it."""
    console.print(Text(preview.title, style="bold"))  # [x] is no markup
    console.print(Text(headline(preview)))
    console.print(experience_table(preview, console.width))
    for line in (*legend(preview), size_line(preview), update_line(preview)):
        console.print(Text(line))


def headline(preview: Preview) -> str:
    """How many classes, experiences and images."""
    shape, experiences = preview.shape, len(preview.experiences)
    return (
        f"{plural(shape.num_classes, 'class', 'classes')} in {plural(experiences, 'experience')}, "
        f"{preview.train:,} training and {preview.test:,} test images of "
        f"{shape.height}x{shape.width}{' in colour' if shape.channels == 3 else ''}"
    )


def experience_table(preview: Preview, width: int) -> Table:
    """A row for each experience, or for evenly spaced ones of many; the last has the totals."""
    shown, experiences = evenly_spaced(len(preview.experiences), WIDEST), preview.experiences
    labels = shown_classes(preview, width)
    table = Table(caption=_caption(len(shown), len(experiences), labels))
    table.add_column("#", justify="right", style="bold")
    for name in _fixed(preview):
        table.add_column(name, justify="right", no_wrap=True)
    if labels is None:
        table.add_column("rows of each (classes)", no_wrap=True, overflow="ellipsis", ratio=1)
    for label in labels or ():
        table.add_column(str(label), justify="right", no_wrap=True)
    largest = max(max(experience.classes.values()) for experience in experiences)
    for index in shown:
        table.add_row(
            str(index + 1),
            *_numbers(preview, [experiences[index]], experiences[index].test),
            *_class_cells(experiences[index], labels, largest),
            end_section=index == shown[-1],
        )
    table.add_row("all", *_numbers(preview, experiences, preview.test), *_totals(preview, labels))
    return table


def shown_classes(preview: Preview, width: int) -> list[int] | None:
    """The classes that get a column each: all, or None where there is no room for that."""
    number = preview.shape.num_classes
    digits = len(f"{int(preview.counts().sum(0).max()):,}")
    return list(range(number)) if number <= WIDEST and fits(number, digits, width) else None


def fits(columns: int, digits: int, width: int) -> bool:
    """Whether so many columns of so many digits fit beside the fixed ones."""
    return FIXED_WIDTH + columns * (digits + 3) <= width


def legend(preview: Preview) -> list[str]:
    """Which class is which, where there are few and their names say more than their numbers."""
    names = preview.stream.class_names
    if len(names) > WIDEST or all(name == str(label) for label, name in enumerate(names)):
        return []
    return ["classes: " + ", ".join(f"{label} {name}" for label, name in enumerate(names))]


def size_line(preview: Preview) -> str:
    """Where the data are."""
    memory, disk = preview.sizes
    on_disk = f", {size(disk)} read from disk as needed" if disk else ""
    return f"data: {size(memory)} in memory{on_disk}"


def update_line(preview: Preview) -> str:
    """How long the strategy would learn."""
    total, _, note = preview.updates
    if total is None:
        return f"strategy={preview.strategy}: {note}"
    passes = [] if preview.epochs is None else [plural(preview.epochs, "epoch")]
    sizes = [] if preview.minibatch is None else [f"minibatches of {preview.minibatch}"]
    how = "; ".join(filter(None, [", ".join(passes + sizes), note]))
    return f"strategy={preview.strategy}: {plural(total, 'update')}{how and f' ({how})'}"


def _fixed(preview: Preview) -> list[str]:
    held_out = ["val."] if _has_validation(preview) else []
    return ["train", "test", *held_out, "new", *(["updates"] if _has_steps(preview) else [])]


def _numbers(preview: Preview, experiences: Sequence[ExperienceFacts], test: int) -> list[str]:
    """The fixed columns, summed over experiences that are tested on `test` rows."""
    held_out = [sum(e.validation or 0 for e in experiences)] if _has_validation(preview) else []
    steps = [sum(e.steps or 0 for e in experiences)] if _has_steps(preview) else []
    fixed = (
        sum(e.train for e in experiences),
        test,
        *held_out,
        sum(len(e.new_classes) for e in experiences),
        *steps,
    )
    return [f"{number:,}" for number in fixed]


def _has_validation(preview: Preview) -> bool:
    return any(experience.validation is not None for experience in preview.experiences)


def _has_steps(preview: Preview) -> bool:
    return any(experience.steps is not None for experience in preview.experiences)


def _class_cells(experience: ExperienceFacts, labels: list[int] | None, largest: int) -> list[Text]:
    if labels is None:
        return [Text(described(experience.classes))]
    return [count_cell(experience.classes.get(label, 0), largest) for label in labels]


def _totals(preview: Preview, labels: list[int] | None) -> list[str]:
    counts = preview.counts().sum(0).tolist()
    if labels is None:
        return [described({label: count for label, count in enumerate(counts) if count})]
    return [f"{count:,}" for count in counts]


def _caption(shown: int, experiences: int, labels: list[int] | None) -> str:
    of_classes = "" if labels is None else "; 0, 1, ...: a class each"
    what = f"new: classes not seen before{of_classes}"
    return what if shown == experiences else f"{shown} of {experiences:,} experiences; {what}"


def count_cell(count: int, largest: int) -> Text:
    """A number of rows, the more the brighter; a dot for none."""
    if count == 0:
        return Text("·", style="dim")
    share = (count / largest) ** 0.5
    return Text(
        f"{count:,}", style=f"white on rgb({40 - round(20 * share)},60,{60 + round(120 * share)})"
    )


def described(classes: dict[int, int]) -> str:
    """Rows of each class and which they are: "300 (0-4, 7)", "5-300 (0-9)"."""
    fewest, most = min(classes.values()), max(classes.values())
    rows = f"{fewest:,}" if fewest == most else f"{fewest:,}-{most:,}"
    return f"{rows} ({spans(classes)})"


def spans(labels: Iterable[int]) -> str:
    """Whole numbers, ascending, with runs drawn together: "0-4, 7"."""
    ordered = sorted(labels)
    starts = [ordered[0], *(after for before, after in pairwise(ordered) if after > before + 1)]
    ends = [*(before for before, after in pairwise(ordered) if after > before + 1), ordered[-1]]
    return ", ".join(
        f"{start}" if start == end else f"{start}-{end}"
        for start, end in zip(starts, ends, strict=True)
    )


def plural(number: int, one: str, many: str | None = None) -> str:
    """ "1 class", "10 classes" """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def size(number: float) -> str:
    """Bytes in the unit that suits: "512 B", "47.0 MB"."""
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"
