from __future__ import annotations

import io

import pytest
from rich.console import Console

from clrun.console.downloads import Downloads

MB = 1_000_000


def piped() -> Console:
    return Console(file=io.StringIO(), width=200)


def terminal() -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=120, color_system=None, _environ={}
    )


def shown(console: Console) -> str:
    return console.file.getvalue()


@pytest.mark.parametrize("console", [piped(), terminal()])
def test_without_a_download_nothing_is_shown(console):
    with Downloads(console):
        pass

    assert shown(console) == ""


def test_a_piped_download_has_a_line_for_each_tenth():
    console = piped()

    with Downloads(console) as downloads:
        for done in range(0, 20 * MB + 1, MB // 2):
            downloads("train.gz", done, 20 * MB)

    lines = shown(console).splitlines()
    assert len(lines) == 11
    assert lines[0] == "train.gz: 0.0 of 20.0 MB"
    assert lines[-1] == "train.gz: 20.0 of 20.0 MB"


def test_a_piped_download_of_unknown_size_has_one_line():
    console = piped()

    with Downloads(console) as downloads:
        for done in (MB, 2 * MB, 3 * MB):
            downloads("train.gz", done, None)

    assert shown(console) == "train.gz: 1.0 MB\n"


def test_an_empty_file_is_no_division_by_zero():
    console = piped()

    with Downloads(console) as downloads:
        downloads("empty", 0, 0)

    assert shown(console) == "empty: 0.0 MB\n"


def test_a_terminal_shows_a_bar_for_each_file_and_gives_the_cursor_back():
    console = terminal()

    with Downloads(console) as downloads:
        downloads("train.gz", 5 * MB, 20 * MB)
        downloads("test.gz", MB, 4 * MB)
        downloads("train.gz", 20 * MB, 20 * MB)

    last_picture = shown(console).rpartition("train.gz")[2]
    assert "100%" in last_picture
    assert "20.0 of 20.0 MB" in last_picture
    assert "test.gz" in last_picture
    assert shown(console).count("\x1b[?25l") == shown(console).count("\x1b[?25h") == 1


def test_the_cursor_is_given_back_after_a_failed_download_too():
    console = terminal()

    def fail() -> None:
        with Downloads(console) as downloads:
            downloads("train.gz", 5 * MB, 20 * MB)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        fail()

    assert shown(console).endswith("\x1b[?25h")


@pytest.mark.parametrize(("width", "make"), [(80, terminal), (200, piped)])
def test_a_cache_is_counted_in_images(width, make):
    console = make()
    console.width = width

    with Downloads(console) as downloads:
        downloads("building the image cache", 1200, 60000, unit="images")
        downloads("building the image cache", 60000, 60000, unit="images")

    assert "60,000 of 60,000 images" in shown(console)
    assert "MB" not in shown(console)


def test_the_time_left_is_shown_once_some_seconds_were_measured():
    now, console = [0.0], terminal()
    downloads = Downloads(console)
    downloads._progress.get_time = lambda: now[0]

    with downloads:
        for second in range(11):
            now[0] = float(second)
            downloads("train.gz", 5 * MB * second, 100 * MB)
            downloads._progress.refresh()
            if second == 2:
                assert "left" not in shown(console)

    assert "0:10 left" in shown(console)
