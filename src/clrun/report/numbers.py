"""Numbers as a person reads them: in tables, beside axes, in sentences."""

from __future__ import annotations

import math
from typing import Any

NONE = "\u2013"
"""Where there is no number: a dash."""
MINUS = "\u2212"
"""As wide as the digits."""

LARGE = ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def decimal(number: float | None, digits: int = 3) -> str:
    """A number with so many decimals; never "-0.000"."""
    if number is None or not math.isfinite(number):
        return NONE
    text = f"{number:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def signed(number: float | None, digits: int = 3) -> str:
    """A difference, with its sign; one that rounds to nothing has none."""
    text = decimal(number, digits)
    if number is None or text == NONE or not any(digit in text for digit in "123456789"):
        return text
    return text if number < 0 else f"+{text}"


def count(number: float | None) -> str:
    """A whole number with separators."""
    return NONE if number is None else f"{number:,.0f}"


def short(number: float | None) -> str:
    """A number of any size in a few letters, as beside an axis: 1.5 M."""
    if number is None or not math.isfinite(number):
        return NONE
    for size_of, letter in LARGE:
        if abs(number) >= size_of:
            return f"{_three(number / size_of)} {letter}"
    return _three(number)


def seconds(number: float | None) -> str:
    """A duration: 0.41 s, 3 min 20 s, 2 h 05 min."""
    if number is None or not math.isfinite(number):
        return NONE
    if number < 60:
        return f"{_three(number)} s"
    minutes, rest = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def size(number: float | None) -> str:
    """Bytes in units of thousands, as disks are sold: 17.6 kB."""
    if number is None:
        return NONE
    text = short(number)
    return f"{text}B" if text[-1].isalpha() else f"{text} bytes"


def value(found: Any) -> str:
    """A value of a configuration as it would be typed."""
    if found is None:
        return "null"
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, float):
        return f"{found:g}"
    if isinstance(found, list | tuple):
        return f"[{', '.join(map(value, found))}]"
    if isinstance(found, dict):
        return f"{{{', '.join(f'{key}: {value(each)}' for key, each in found.items())}}}"
    return str(found)


def _three(number: float) -> str:
    """Three digits that count, without zeros at the end."""
    if number == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(number)) + 1e-12))
    text = f"{number:,.{min(digits, 6)}f}".replace("-", MINUS)
    return text.rstrip("0").rstrip(".") if "." in text else text
