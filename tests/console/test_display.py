from __future__ import annotations

import io
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from clrun.console import display as display_module
from clrun.console.display import (
    Display,
    LiveDisplay,
    Pace,
    PlainDisplay,
    SilentDisplay,
    _Line,
    accuracies,
    clock_time,
    described,
    make_console,
    make_display,
    many_accuracies,
)
from clrun.profiling.activity import doing


def pace(**changes) -> Pace:
    usual = {
        "experience": 1,
        "experiences": 5,
        "epoch": 2,
        "epochs": 20,
        "done": 0.25,
        "loss": 0.51234,
        "accuracy": 0.9,
        "images": 4000,
        "images_per_second": 1234.5,
        "seconds_left": 12.0,
    }
    return Pace(**{**usual, **changes})


def piped() -> Console:
    return Console(file=io.StringIO(), width=1000)


def terminal(width: int = 100) -> Console:
    return Console(
        file=io.StringIO(), force_terminal=True, width=width, color_system=None, _environ={}
    )


def shown(console: Console) -> str:
    return console.file.getvalue()


def run_with(display: Display) -> None:
    """What a run of one experience tells."""
    display.title("replay-digits-s0 on cpu: mlp")
    display.step(pace())
    display.evaluated(0, 5, [0.5, None])
    display.close()


def test_a_piped_run_has_a_line_for_its_title_and_one_for_each_experience():
    console = piped()

    run_with(PlainDisplay(console))

    assert shown(console) == (
        "replay-digits-s0 on cpu: mlp\nafter experience 1/5: mean 0.500  [0.500   -  ]\n"
    )


@pytest.fixture
def often(monkeypatch):
    """Tell of epochs as soon as they change."""
    monkeypatch.setattr(display_module, "PLAIN_SECONDS", -1.0)


def test_a_piped_run_tells_of_an_epoch_once(often):
    console = piped()
    display = PlainDisplay(console)

    for epoch in (0, 0, 1, 1, 1, 2):
        display.step(pace(experience=0, epoch=epoch))

    lines = shown(console).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "experience 1/5, epoch 2/20",
        "experience 1/5, epoch 3/20",
    ]
    assert "loss 0.512, acc 0.900" in lines[0]
    assert "img/s" in lines[0]


def test_a_piped_run_is_not_shown_more_often_than_every_few_seconds():
    console = piped()
    display = PlainDisplay(console)

    for epoch in range(20):
        display.step(pace(epoch=epoch))

    assert shown(console) == ""


@pytest.mark.parametrize("text", ["[bold]x[/bold]", "[/]", "y=[1,2]"])
@pytest.mark.parametrize("make", [PlainDisplay, LiveDisplay])
def test_brackets_in_a_title_are_text_and_no_markup(text, make):
    console = piped() if make is PlainDisplay else terminal()
    display = make(console)

    display.title(text)
    display.close()

    assert text in shown(console)


def test_a_piped_run_has_no_control_characters():
    console = piped()

    run_with(PlainDisplay(console))

    assert "\x1b" not in shown(console)


def test_a_terminal_shows_where_the_run_is_and_keeps_a_line_for_each_experience():
    console = terminal()
    display = LiveDisplay(console)

    display.title("replay-digits-s0")
    display.step(pace())
    display._live.refresh()
    while_running = shown(console)
    display.evaluated(0, 5, [0.5, None])
    display.close()

    assert "experience 2/5" in while_running
    assert "25%" in while_running
    assert "epoch 3/20  loss 0.512  acc 0.900" in while_running
    assert "after experience 1/5: mean 0.500  [0.500   -  ]" in shown(console)


@pytest.fixture
def at(monkeypatch):
    """Sets the clock."""

    def set_clock(seconds: float) -> None:
        monkeypatch.setattr(time, "monotonic", lambda: seconds)

    set_clock(100.0)
    return set_clock


def line(width: int, *events) -> str:
    """The moving line of a terminal after these events, without its bar."""
    console, moving = terminal(width), _Line()
    for event in events:
        event(moving)
    console.print(moving)
    (text,) = shown(console).splitlines()
    assert len(text) <= width
    return " ".join(text.replace("━", "").replace("╸", "").replace("╺", "").split())


def stepped(**changes):
    return lambda moving: moving.step(pace(**changes))


def does(what: str | None):
    return lambda moving: moving.does(what)


@pytest.mark.parametrize(
    ("width", "text"),
    [
        (140, "experience 2/5 25% 0:12 left epoch 3/20 loss 0.512 acc 0.900 1,234 img/s"),
        (80, "experience 2/5 25% 0:12 left epoch 3/20 loss 0.512 acc 0.900"),
        (60, "experience 2/5 25% 0:12 left epoch 3/20"),
        (40, "experience 2/5 25% 0:12 left"),
        (32, "experience 2/5 25%"),
    ],
)
def test_a_narrow_terminal_leaves_out_what_matters_least(width, text, at):
    assert line(width, stepped()) == text


def test_the_time_left_of_a_long_run_fits_80_columns(at):
    long = {"experience": 390, "experiences": 391, "epochs": 100, "seconds_left": 359_999.0}

    assert "experience 391/391 25% 99:59:59 left" in line(80, stepped(**long))


def test_before_anything_was_measured_there_is_no_time_left(at):
    text = line(140, stepped(seconds_left=None, images_per_second=None))

    assert text == "experience 2/5 25% epoch 3/20 loss 0.512 acc 0.900"


def test_the_time_left_goes_down_between_two_updates(at):
    def later(_: object) -> None:
        at(105.0)

    assert "0:07 left" in line(80, stepped(), later)
    assert "0:00 left" in line(80, stepped(seconds_left=2.0), lambda _: at(120.0))


def test_a_word_says_what_goes_on_once_it_takes_long_enough_to_read(at):
    def later(_: object) -> None:
        at(100.5)

    assert line(80, does("evaluating"), later) == "starting 0% evaluating"
    assert line(80, does("evaluating"), does(None)) == "starting 0% first updates"
    assert line(80, stepped(), does("evaluating")).endswith("acc 0.900")
    at(100.0)
    assert line(80, stepped(), does("evaluating"), later).endswith("left evaluating")
    at(100.0)
    last = stepped(done=1.0, seconds_left=0.0)
    assert line(80, last, does("choosing exemplars"), later).endswith("100% choosing exemplars")
    at(100.0)
    assert line(80, stepped(), does("evaluating"), does(None), later).endswith("acc 0.900")


def test_a_live_display_shows_what_the_run_does_until_it_is_closed(at):
    console = terminal()
    display = LiveDisplay(console)

    with doing("choosing exemplars"):
        at(101.0)
        display._live.refresh()
        assert "choosing exemplars" in shown(console)
        display.close()
    with doing("evaluating"):
        at(102.0)

    assert "evaluating" not in shown(console)


def test_a_closed_display_gives_the_cursor_back():
    console = terminal()
    display = LiveDisplay(console)

    display.close()
    display.close()

    assert shown(console).count("\x1b[?25l") == shown(console).count("\x1b[?25h") == 1


def test_a_run_from_python_shows_nothing(capsys):
    run_with(SilentDisplay())

    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_live_display_and_a_pipe_plain_lines():
    live = make_display(terminal())
    live.close()

    assert isinstance(live, LiveDisplay)
    assert isinstance(make_display(piped()), PlainDisplay)


def test_lines_for_a_pipe_are_never_broken(capsys):
    console = make_console()

    console.print("x" * 500)

    assert capsys.readouterr().out == "x" * 500 + "\n"


def test_a_place_is_counted_from_one():
    assert described(pace(experience=0, epoch=0)).startswith("experience 1/5, epoch 1/20: ")


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ([0.5, 1.0], "mean 0.750  [0.500 1.000]"),
        ([None, 1.0, None], "mean 1.000  [  -   1.000   -  ]"),
        ([None], "not evaluated"),
        ([], "not evaluated"),
        ([1.0] * 12, "mean 1.000  [" + " ".join(["1.000"] * 12) + "]"),
        ([1.0] * 12 + [0.0] * 12, "mean 0.500  [" + " ".join(["1.000"] * 12) + " ...]"),
    ],
)
def test_a_row_of_accuracies_is_shown_with_its_mean(row, text):
    assert accuracies(row) == text


def test_a_log_has_a_hundred_accuracies_of_a_row():
    hundred = " ".join(["1.000"] * 100)

    assert many_accuracies([1.0] * 100) == f"mean 1.000  [{hundred}]"
    assert many_accuracies([1.0] * 101) == f"mean 1.000  [{hundred} ...]"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (59.4, "0:59"),
        (59.6, "1:00"),
        (185, "3:05"),
        (3599.7, "1:00:00"),
        (3723, "1:02:03"),
        (360_000, "100:00:00"),
    ],
)
def test_times_are_minutes_and_hours(seconds, text):
    assert clock_time(seconds) == text


@given(st.floats(0, 1e6))
@settings(deadline=None, max_examples=50)
def test_a_time_reads_back_as_its_seconds(seconds):
    parts = [int(part) for part in clock_time(seconds).split(":")]

    assert sum(part * 60**k for k, part in enumerate(reversed(parts))) == round(seconds)
    assert all(part < 60 for part in parts[1:])
