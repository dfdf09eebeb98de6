"""The ways a run can end badly that are somebody's business: each with its exit code and one line.

ClrunError            1   a run failed
|- ConfigError        2   bad input: nothing started, nothing written
|- FolderError        3   the run folder is in use or belongs to another run
|- LeakError          1   a run opened a part of the stream that it may not see
|- Unsavable          1   a state holds what cannot be saved, or nobody says what it is
|- NoCheckpoint       4   no state that was saved is whole
|- OutOfMemory        1   so it did for want of memory
|- StorageError       5   the disk is full, read-only or broken
|- NonFiniteLoss      6   the loss became NaN or infinite
`- NonFiniteLatents   6   so did what was to be stored
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

EXIT_CODES: Mapping[str, str] = {
    "0": "done",
    "1": "a sweep in which a job failed, too little memory, or a fault of clrun's (--debug shows "
    "the traceback)",
    "2": "words, keys or data that are wrong; nothing was started",
    "3": "a folder that is in use or holds another run or sweep, or a run to go on with whose "
    "data, versions or machine changed",
    "4": "nothing to go on from: no saved state is whole",
    "5": "a disk or a folder that failed",
    "6": "a loss, or latents to store, that are NaN or infinite",
    "128 + n": "ended by signal n: 130 by Ctrl-C, 143 by SIGTERM; the state of a run is saved",
}
"""What each exit code of `clrun` means."""


class ClrunError(Exception):
    """A failure that is reported in one line, without a traceback."""

    exit_code = 1


class ConfigError(ClrunError):
    """Bad input. Holds every problem found, one line each, so that all are reported at once."""

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class FolderError(ClrunError):
    """The run folder is in use, or holds another run."""

    exit_code = 3


class LeakError(ClrunError):
    """A run opened data that it may not see: a later experience, or the test stream."""


class Unsavable(ClrunError):
    """The state of a run cannot be saved: something in it is of a kind that no file of ours has, or
    a part does not say what its state is."""


class NoCheckpoint(ClrunError):
    """States were saved, and none of them is whole, so that there is nothing to go on from."""

    exit_code = 4


class OutOfMemory(ClrunError):
    """There was not enough memory; the message names what to lower."""


class StorageError(ClrunError):
    """Writing failed: disk full, read-only or I/O error."""

    exit_code = 5


class NonFiniteLoss(ClrunError):
    """The loss became NaN or infinite in an update, which was not made."""

    exit_code = 6

    def __init__(
        self, loss: float, experience: int, epoch: int, iteration: int, left_out: int = 0
    ) -> None:
        """The place counts from 0, and from 1 where it is shown, as the display does.

        `left_out`: so many updates in a row could not be made, this one among them.
        """
        super().__init__(loss, experience, epoch, iteration, left_out)

    def __str__(self) -> str:
        loss, *place, left_out = self.args
        experience, epoch, iteration = (number + 1 for number in place)
        if left_out:
            return (
                f"the loss or a gradient is NaN or infinite in {left_out} updates in a row, the "
                f"last in experience {experience}, epoch {epoch}, iteration {iteration}. "
                "A smaller strategy.lr may help."
            )
        return (
            f"the loss is {loss} in experience {experience}, epoch {epoch}, "
            f"iteration {iteration}. A smaller strategy.lr may help."
        )


class NonFiniteLatents(ClrunError):
    """What the lower part of a model made of an image is NaN or infinite: nothing to store."""

    exit_code = 6

    def __init__(self, dtype: str) -> None:
        wider = "" if dtype == "float32" else " strategy.latent_dtype=float32 holds larger values;"
        super().__init__(
            f"latents to store are NaN or infinite as {dtype}.{wider} "
            "a smaller strategy.lr may help.".replace(". a", ". A")
        )


def did_you_mean(word: str, allowed: Sequence[str]) -> str:
    """ " Did you mean 'x'?" for the closest allowed word, or an empty string."""
    options = {str(option).lower(): option for option in allowed}
    close = get_close_matches(str(word).lower(), list(options), n=1)
    return f" Did you mean '{options[close[0]]}'?" if close else ""


def cut(text: object, most: int = 80) -> str:
    """A text that stands in a message, cut to a readable length."""
    whole = str(text)
    return whole if len(whole) <= most else f"{whole[: most - 3]}..."
