"""Secrets of the environment that a configuration reads, and records must not hold.

A configuration may say `${oc.env:HUB_TOKEN}`, and the component that it is for gets the token.
What clrun writes has the interpolation in its place, which means the same where it is read again.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from typing import Any

SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|credential|apikey|cookie|private|_pwd$|_auth$|_pat$"
    r"|(^|_)(key|keys|pass|dsn|salt)(_|$)",
    re.IGNORECASE,
)
"""Variables whose value is nobody's business: TOKEN, API_KEY, DB_PASSWORD, ..."""
SECRET_VALUE = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
"""An address with a password"""
SHORTEST = 6
"""Characters; what is shorter is no secret, and stands in too many texts."""

_READ: dict[str, str] = {}
"""value -> what stands for it"""


def is_secret(name: str, value: str) -> bool:
    """Whether a variable of the environment holds what should not be written down."""
    named = bool(SECRET_NAME.search(name) or SECRET_VALUE.search(value))
    return named and len(value) >= SHORTEST


def note_read(name: str, value: object) -> None:
    """Remember that a configuration read this variable."""
    if isinstance(value, str) and is_secret(name, value):
        _READ[value] = f"${{oc.env:{name}}}"


def hidden_text(text: str) -> str:
    """The text with what stands for each secret in its place."""
    for value in sorted(_READ, key=len, reverse=True):
        text = text.replace(value, _READ[value])
    return text


def hidden(value: Any) -> Any:
    """Plain data with what stands for each secret in its texts; keys and numbers are none."""
    if not _READ:
        return value
    if isinstance(value, Mapping):
        return {key: hidden(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(inner) for inner in value]
    return hidden_text(value) if isinstance(value, str) else value


def revealed(value: Any) -> Any:
    """What `hidden` hid, read from the environment again; as it is where that has it no more."""
    if isinstance(value, Mapping):
        return {key: revealed(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [revealed(inner) for inner in value]
    return re.sub(r"\$\{oc\.env:(\w+)\}", _read_again, value) if isinstance(value, str) else value


def _read_again(found: re.Match[str]) -> str:
    value = os.environ.get(found[1])
    note_read(found[1], value)
    return found[0] if value is None else value


class SecretsHidden(logging.Filter):
    """Lets every record of a log pass, without secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        if _READ:
            record.msg, record.args = hidden_text(record.getMessage()), None
            if record.exc_info and not record.exc_text:
                record.exc_text = hidden_text(logging.Formatter().formatException(record.exc_info))
        return True
