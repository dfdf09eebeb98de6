"""What is wrong with a node of the configuration, a line each: key, value, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from clrun.config.meant import meant
from clrun.config.schema import field_types
from clrun.config.usual_names import usual_value
from clrun.errors import cut, did_you_mean

MOST_NAMED = 20
"""More wrong keys of one kind are counted."""
MANY = 4
"""So many keys without a value share one line."""


def unknown_keys(
    prefix: str, given: Mapping[str, Any], allowed: Sequence[str], guess: str | None = None
) -> list[str]:
    """A line for each key of `given` that nothing reads; `guess` replaces our own guess."""
    wrong = [key for key in given if key not in allowed]
    keys = f" Keys: {', '.join(allowed)}." if allowed else " It has no keys."
    lines = [
        f"{prefix}{cut(key)}={shown(given[key])}: there is no such key."
        f"{meant(prefix, key, allowed) if guess is None else guess}{keys}"
        for key in wrong[:MOST_NAMED]
    ]
    rest = len(wrong) - len(lines)
    return [*lines, f"{prefix}*: {rest:,} more keys are none of these."] if rest else lines


def read(prefix: str, given: Mapping[str, Any], schema: type) -> tuple[Any, list[str]]:
    """`given` as an instance of the dataclass `schema`, or None, and every problem with it.

    A ValueError from the dataclass's `__post_init__` is a problem too; it names its keys itself.
    """
    names = [field.name for field in fields(schema)]
    problems = unknown_keys(prefix, given, names)
    adapters = _adapters(schema)
    values, missing = {}, []
    for field in fields(schema):
        if field.name not in given:
            if field.default is MISSING and field.default_factory is MISSING:
                missing.append(field.name)
            continue
        try:
            values[field.name] = _valid(adapters[field.name], given[field.name])
        except ValidationError as error:
            problems += _told(f"{prefix}{field.name}", error)
    problems += _needed(prefix, missing)
    if problems:
        return None, problems
    try:
        return schema(**values), []
    except ValueError as error:
        return None, [f"{prefix}{error}"]


def _needed(prefix: str, missing: Sequence[str]) -> list[str]:
    """A line for each key without a value; one for many, as in a file that starts from nothing."""
    if len(missing) < MANY:
        return [f"{prefix}{name}: a value is needed." for name in missing]
    return [
        f"{prefix.rstrip('.')}: {', '.join(missing)} need a value. A file of your own that starts "
        "from one of ours has them: its first line is `defaults: [OURS, _self_]`."
    ]


def as_read(given: Mapping[str, Any], config: Any) -> dict[str, Any]:
    """`given` as `read` understood it: "3" as 3 where a number is asked, a path made absolute."""
    return {key: getattr(config, key, value) for key, value in given.items()}


def _valid(adapter: TypeAdapter[Any], value: Any) -> Any:
    """The value as a field with this adapter holds it. A text may stand for a number, true or null,
    as it does when it comes from an environment variable.

    Raises:
        ValidationError: it is not of that type, or out of bounds.
    """
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError as error:
        meant = _meant(value)
        if meant is value:
            raise
        try:
            return adapter.validate_python(meant, strict=True)
        except ValidationError as second:
            is_type = any(detail["type"].endswith("_type") for detail in second.errors())
            raise (error if is_type else second) from None


@cache
def _adapters(schema: type) -> dict[str, TypeAdapter[Any]]:
    """What checks the value of each field; to make one takes longer than to check with it."""
    return {name: TypeAdapter(hint) for name, hint in field_types(schema).items()}


def _meant(value: Any) -> Any:
    """What a text stands for where text is not allowed; itself if for nothing else."""
    if not isinstance(value, str):
        return value
    words = {"true": True, "false": False, "null": None}
    if value.lower() in words:
        return words[value.lower()]
    for number in (int, float):
        with suppress(ValueError):
            return number(value)
    return value


def shown(value: Any) -> str:
    """A value as it would be typed on the command line, cut to a readable length."""
    if value is None or isinstance(value, bool):
        return str({None: "null", True: "true", False: "false"}[value])
    if isinstance(value, list):
        return f"[{','.join(shown(item) for item in value)}]"
    text = str(value).replace("\n", " ")
    return text if len(text) <= 80 else f"{text[:77]}..."


def _told(key: str, error: ValidationError) -> list[str]:
    """One line for each position; the branches of a union become one 'a or b'."""
    reasons: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        place = "".join(f"[{part}]" for part in detail["loc"] if isinstance(part, int))
        reasons.setdefault(f"{key}{place}={shown(detail['input'])}", []).append(
            _reason(key, detail)
        )
    lines = []
    for place, found in reasons.items():
        with_guess_last = sorted(dict.fromkeys(found), key=lambda reason: reason.endswith("?"))
        lines.append(f"{place}: {' or '.join(with_guess_last)}")
    return [line if line.endswith("?") else f"{line}." for line in lines]


def _reason(key: str, detail: Any) -> str:
    """What is allowed, in the user's words."""
    context = detail.get("ctx", {})
    value = detail["input"]
    match detail["type"]:
        case "greater_than":
            return f"must be above {context['gt']:g}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "less_than":
            return f"must be below {context['lt']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
        case "literal_error":
            allowed = [option.strip(" '") for option in _options(context["expected"])]
            usual = usual_value(value, allowed)
            guess = f" Did you mean '{usual}'?" if usual else did_you_mean(value, allowed)
            return f"must be one of {', '.join(allowed)}.{guess}".rstrip(".")
        case "value_error":
            return str(context["error"])
        case "too_short":
            return f"must have at least {context['min_length']} items"
        case _:
            return _type_reason(key, detail["type"], value)


def _options(expected: str) -> list[str]:
    return expected.replace(" or ", ", ").split(",")


def _type_reason(key: str, kind: str, value: Any) -> str:
    """What is allowed, of a value whose type is wrong."""
    if kind.startswith("int") and isinstance(value, float) and value.is_integer():
        return f"must be a whole number: write {int(value)}"
    wanted = {
        "int": "a whole number",
        "float": "a number",
        "bool": "true or false",
        "string": "text",
        "list": "a list, e.g. [1,2]",
        "dict": "a mapping, e.g. {name: si}",
        "finite": "a finite number",
    }
    if kind.startswith("string") and isinstance(value, int | float):
        return f"must be text. Quote it twice: \"{key}='{shown(value)}'\""
    return f"must be {wanted.get(kind.partition('_')[0], kind.replace('_', ' '))}"
