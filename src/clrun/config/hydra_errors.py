"""Hydra's errors as one line each: the key, the value, what is allowed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from clrun.config.meant import plugin_of
from clrun.config.sources import LOGGERS, options
from clrun.config.usual_names import usual_option
from clrun.errors import ConfigError, cut, did_you_mean

PACKAGES = {
    "hydra/sweeper": " Others are packages, such as hydra-{name}-sweeper. To search the best "
    "values without one: clrun tune.",
    "hydra/launcher": " Others are packages, such as hydra-{name}-launcher.",
}
"""What is said of an option of Hydra's that is not installed."""


@contextmanager
def explained_errors() -> Iterator[None]:
    """Raise Hydra's errors from inside as a ConfigError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(explained(error)) from error


def explained(error: HydraException | OmegaConfBaseException) -> str:
    """One line that a person can act on."""
    if isinstance(error, MissingConfigException) and error.options is not None:
        return _unknown_option(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(str(error.override))
    said = str(error).strip() or str(error.__cause__ or "").strip()  # Hydra's own may be empty
    text = re.sub(r"\s+", " ", said.partition("\n    full_key:")[0])
    unfit = re.match(r"Error merging override (.*)", text)
    if unfit:
        return _unfit(cut(unfit[1]), error.__cause__)
    absent = re.match(r"In '[^']*': Could not load 'logger/([^']*)'", text)
    if absent:  # one of a list
        names = [option.name for option in options(LOGGERS)]
        guess = did_you_mean(absent[1], names)
        line = f"{LOGGERS}={cut(absent[1])}: there is no such option.{guess}"
        return f"{line} Options: {', '.join(names)}."
    ambiguous = re.match(r"Ambiguous value for argument '(.*?)' 1", text)
    if ambiguous:
        word = ambiguous[1]
        key, _, values = word.partition("=")
        way_out = f"Add -m to run each, or write a list: {key}=[{cut(values)}]."
        return f"{cut(word)}: several values. {way_out}"
    sweeping = re.match(r"Sweep parameters '(.*)' requires --multirun", text)
    if sweeping:
        return f"{cut(sweeping[1])}: several values. Add -m to run each."
    return (cut(text, 400) or "the configuration cannot be composed").rstrip(".") + "."


def _unknown_option(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file or "").rpartition("/")
    names = sorted(error.options or [])
    words = usual_option(group, name) or (plugin_of(name) if group == "strategy" else None)
    guess = f" Write {words}." if words else did_you_mean(name, names)
    line = f"{group}={cut(name)}: there is no such option.{guess} Options: {', '.join(names)}."
    return line + (PACKAGES.get(group, "").format(name=cut(name)))


def _unfit(override: str, cause: BaseException | None) -> str:
    """The line for a key of Hydra's own that cannot have that value."""
    reason = cut((str(cause).splitlines() or [""])[0], 200)
    if "is not Optional" in reason:
        return f"{override}: must have a value. Leave it out for its default."
    return f"{override}: {reason.rstrip('.') or 'cannot be set'}."


def _unreadable(override: str) -> str:
    """The line for an override that is not in Hydra's grammar."""
    override = cut(override)
    key, _, value = override.partition("=")
    if value.startswith("~"):
        return f"{override}: Hydra reads ~ in quotes only. Write \"{key}='{value}'\"."
    return f"{override}: cannot be read. Quote it twice if it is a text: \"{key}='{value}'\"."
